//! A record as fields of a line: headers, key, value, each but the last with the separator behind it.

use anyhow::{Context, Result, bail};

use super::encoding::{from_base64, from_hex, to_base64, to_hex};
use super::{Format, Line};

/// How a line is cut.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    pub format: Format,
    pub keys: bool,
    pub headers: bool,
    pub separator: &'a str,
    pub null: Option<&'a str>,
}

impl Fields<'_> {
    pub fn parse(&self, line: &[u8]) -> Result<Line> {
        let mut rest = line;
        let mut record = Line::default();
        if self.headers {
            record.headers =
                self.headers_of(self.cut(&mut rest).context("no separator behind the headers")?)?;
        }
        if self.keys {
            let key = self.cut(&mut rest).context("no separator behind the key")?;
            record.key = self.decode(key).context("the key")?;
        }
        record.value = self.decode(rest).context("the value")?;
        Ok(record)
    }

    /// What stands before the next separator; `rest` goes on behind it.
    fn cut<'l>(&self, rest: &mut &'l [u8]) -> Option<&'l [u8]> {
        let separator = self.separator.as_bytes();
        let at = rest.windows(separator.len()).position(|window| window == separator)?;
        let (field, behind) = rest.split_at(at);
        *rest = &behind[separator.len()..];
        Some(field)
    }

    fn decode(&self, field: &[u8]) -> Result<Option<Vec<u8>>> {
        if self.null.is_some_and(|null| null.as_bytes() == field) {
            return Ok(None);
        }
        Ok(Some(match self.format {
            Format::Text | Format::Json => field.to_vec(),
            Format::Hex => from_hex(field)?,
            Format::Base64 => from_base64(field)?,
        }))
    }

    fn headers_of(&self, field: &[u8]) -> Result<Vec<(String, Option<Vec<u8>>)>> {
        let mut headers = Vec::new();
        for header in field.split(|&byte| byte == b',').filter(|header| !header.is_empty()) {
            let Some(at) = header.iter().position(|&byte| byte == b'=') else {
                bail!("the header {:?} is no NAME=VALUE", String::from_utf8_lossy(header));
            };
            let name = String::from_utf8(header[..at].to_vec()).context("a header's name")?;
            let value = self.decode(&header[at + 1..]);
            let value = value.with_context(|| format!("the header {name}"))?;
            headers.push((name, value));
        }
        Ok(headers)
    }

    pub fn write(&self, record: &Line, out: &mut Vec<u8>) {
        if self.headers {
            for (index, (name, value)) in record.headers.iter().enumerate() {
                out.extend_from_slice(if index > 0 { b"," } else { b"" });
                out.extend_from_slice(name.as_bytes());
                out.push(b'=');
                self.encode(value.as_deref(), out);
            }
            out.extend_from_slice(self.separator.as_bytes());
        }
        if self.keys {
            self.encode(record.key.as_deref(), out);
            out.extend_from_slice(self.separator.as_bytes());
        }
        self.encode(record.value.as_deref(), out);
    }

    fn encode(&self, bytes: Option<&[u8]>, out: &mut Vec<u8>) {
        let Some(bytes) = bytes else {
            out.extend_from_slice(self.null.unwrap_or_default().as_bytes());
            return;
        };
        match self.format {
            Format::Text | Format::Json => out.extend_from_slice(bytes),
            Format::Hex => out.extend_from_slice(to_hex(bytes).as_bytes()),
            Format::Base64 => out.extend_from_slice(to_base64(bytes).as_bytes()),
        }
    }
}
