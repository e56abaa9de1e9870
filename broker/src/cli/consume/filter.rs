//! Which records are printed.

use protocol::record_batch::Record;

/// A record has to be as all of these say.
#[derive(clap::Args)]
pub struct Filter {
    /// Print only records whose key has this text in it.
    #[arg(long, value_name = "TEXT")]
    key: Option<String>,
    /// Print only records whose value has this text in it.
    #[arg(long, value_name = "TEXT")]
    value: Option<String>,
    /// Print only records that have this header, with this value if one is said; may be given several
    /// times.
    #[arg(long = "header", value_name = "NAME[=VALUE]")]
    with_headers: Vec<String>,
}

impl Filter {
    pub fn takes(&self, record: &Record) -> bool {
        has(record.key.as_deref(), self.key.as_deref())
            && has(record.value.as_deref(), self.value.as_deref())
            && self.with_headers.iter().all(|asked| has_header(record, asked))
    }
}

fn has(bytes: Option<&[u8]>, text: Option<&str>) -> bool {
    match (bytes, text.map(str::as_bytes)) {
        (_, None) => true,
        (Some(_), Some([])) => true,
        (Some(bytes), Some(text)) => bytes.windows(text.len()).any(|window| window == text),
        (None, Some(_)) => false,
    }
}

fn has_header(record: &Record, asked: &str) -> bool {
    let (name, value) = match asked.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (asked, None),
    };
    record.headers.iter().any(|header| {
        header.key == name.as_bytes()
            && value.is_none_or(|value| header.value.as_deref() == Some(value.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::model::{Offset, TimestampMs};
    use protocol::record_batch::Header;

    #[test]
    fn a_record_has_to_be_as_all_say() {
        let header = |key: &'static [u8]| Header { key: key.into(), value: Some("1".into()) };
        let record = Record {
            offset: Offset(0),
            timestamp: TimestampMs(0),
            key: Some("ann".into()),
            value: None,
            headers: vec![header(b"a"), header(b"b")],
        };
        for (key, value, headers, want) in [
            (None, None, &[][..], true),
            (Some("nn"), None, &[], true),
            (Some(""), None, &[], true),
            (Some("na"), None, &[], false),
            (None, Some(""), &[], false), // null is no text, not even an empty one
            (Some("ann"), None, &["a", "b=1"], true),
            (None, None, &["a", "c"], false),
            (None, None, &["a=2"], false),
        ] {
            let owned = |text: Option<&str>| text.map(str::to_owned);
            let with_headers = headers.iter().map(|it| (*it).to_owned()).collect();
            let filter = Filter { key: owned(key), value: owned(value), with_headers };
            assert_eq!(filter.takes(&record), want, "{key:?} {value:?} {headers:?}");
        }
    }
}
