//! Records as lines: what `produce` reads and `consume` prints, so that one takes what the other gave.

mod encoding;
mod fields;
mod object;

use anyhow::{Result, bail};

use fields::Fields;

/// A record as a line says it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Line {
    pub partition: Option<i32>,
    /// Set where a consumer read it.
    pub offset: Option<i64>,
    /// Milliseconds since 1970.
    pub timestamp_ms: Option<i64>,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    /// In their order; names may repeat.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// How a record is written on a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// The value as it is; a record that has a line's end in it becomes several.
    #[default]
    Text,
    /// As text, with values, keys and values of headers in hexadecimal digits.
    Hex,
    /// As text, with values, keys and values of headers in Base64.
    Base64,
    /// An object with partition, offset, timestamp, key, value and headers. Bytes that are no UTF-8
    /// stand in fields whose names end with _base64.
    Json,
}

/// How lines and records belong together.
#[derive(clap::Args, Clone, Debug)]
pub struct Lines {
    /// How a record is written on its line.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Each line has the record's key and the separator before its value.
    #[arg(long)]
    keys: bool,
    /// Each line begins with the record's headers, as NAME=VALUE,NAME=VALUE, and the separator.
    #[arg(long)]
    headers: bool,
    /// What stands between headers, key and value; \t is a tab.
    #[arg(long, default_value = "\\t", value_parser = separator)]
    separator: String,
    /// What stands for a key or a value that is null. Without it - does in hex and base64, and
    /// nothing does in text.
    #[arg(long, value_name = "TEXT")]
    null: Option<String>,
}

fn separator(text: &str) -> Result<String, String> {
    match text.replace("\\t", "\t") {
        text if text.is_empty() || text.contains('\n') => {
            Err("it has to be of one character at least, and no line's end".to_owned())
        }
        text => Ok(text),
    }
}

impl Lines {
    /// The record that `line` says, without its end. Errors: what is wrong with it.
    pub fn parse(&self, line: &[u8]) -> Result<Line> {
        match self.format {
            Format::Json => object::parse(line),
            _ => self.fields().parse(line),
        }
    }

    /// Appends `record` to `out`, as a line with its end.
    pub fn write(&self, record: &Line, out: &mut Vec<u8>) {
        match self.format {
            Format::Json => object::write(record, out),
            _ => self.fields().write(record, out),
        }
        out.push(b'\n');
    }

    /// Errors: flags that the format has no use for.
    pub fn check(&self) -> Result<()> {
        if self.format == Format::Json && (self.keys || self.headers || self.null.is_some()) {
            bail!("--keys, --headers and --null are not for --format json, which has all of them");
        }
        Ok(())
    }

    fn fields(&self) -> Fields<'_> {
        let null = match (&self.null, self.format) {
            (Some(null), _) => Some(null.as_str()),
            (None, Format::Hex | Format::Base64) => Some("-"),
            (None, Format::Text | Format::Json) => None,
        };
        let (format, separator) = (self.format, self.separator.as_str());
        Fields { format, keys: self.keys, headers: self.headers, separator, null }
    }
}

#[cfg(test)]
mod tests;
