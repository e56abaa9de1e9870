//! A record as a JSON object.

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::Line;
use super::encoding::{from_base64, to_base64};

/// Fields that are not there are null. `topic` and `offset` say where a record came from; they do not
/// say where it goes.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Object {
    #[serde(skip_serializing)]
    topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    headers: Vec<Header>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
}

pub fn parse(line: &[u8]) -> Result<Line> {
    // An array would be taken for the fields in their order.
    if line.trim_ascii_start().first() != Some(&b'{') {
        bail!("no object of a record: it begins with {{");
    }
    let object: Object = serde_json::from_slice(line).context("no object of a record")?;
    if object.timestamp.is_some_and(|timestamp| timestamp < 0) {
        bail!("timestamp is negative");
    }
    let mut headers = Vec::with_capacity(object.headers.len());
    for header in object.headers {
        let value = bytes_of("a header's value", header.value, header.value_base64)?;
        headers.push((header.name, value));
    }
    Ok(Line {
        partition: object.partition,
        offset: object.offset,
        timestamp_ms: object.timestamp,
        key: bytes_of("key", object.key, object.key_base64)?,
        value: bytes_of("value", object.value, object.value_base64)?,
        headers,
    })
}

fn bytes_of(what: &str, text: Option<String>, base64: Option<String>) -> Result<Option<Vec<u8>>> {
    match (text, base64) {
        (Some(_), Some(_)) => bail!("{what} is there twice, as text and as Base64"),
        (Some(text), None) => Ok(Some(text.into_bytes())),
        (None, Some(base64)) => {
            let bytes = from_base64(base64.as_bytes());
            bytes.map(Some).with_context(|| what.to_owned())
        }
        (None, None) => Ok(None),
    }
}

pub fn write(record: &Line, out: &mut Vec<u8>) {
    let (key, key_base64) = fields_of(record.key.as_deref());
    let (value, value_base64) = fields_of(record.value.as_deref());
    let header = |(name, value): &(String, Option<Vec<u8>>)| {
        let (value, value_base64) = fields_of(value.as_deref());
        Header { name: name.clone(), value, value_base64 }
    };
    let object = Object {
        topic: None,
        partition: record.partition,
        offset: record.offset,
        timestamp: record.timestamp_ms,
        key,
        key_base64,
        value,
        value_base64,
        headers: record.headers.iter().map(header).collect(),
    };
    let written = serde_json::to_writer(out, &object);
    assert!(written.is_ok(), "an object of strings and numbers is written: {written:?}");
}

/// As text where it is UTF-8, else as Base64.
fn fields_of(bytes: Option<&[u8]>) -> (Option<String>, Option<String>) {
    match bytes.map(std::str::from_utf8) {
        None => (None, None),
        Some(Ok(text)) => (Some(text.to_owned()), None),
        Some(Err(_)) => (None, bytes.map(to_base64)),
    }
}
