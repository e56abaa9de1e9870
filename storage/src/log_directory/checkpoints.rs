//! The offset checkpoint files of a log directory: one offset per partition, as text.

use std::collections::BTreeMap;
use std::path::Path;

use protocol::model::{Offset, PartitionId};

use super::name::TopicPartition;
use crate::error::StorageError;

pub(crate) const RECOVERY_POINT: &str = "recovery-point-offset-checkpoint";
pub(crate) const LOG_START_OFFSET: &str = "log-start-offset-checkpoint";
pub(crate) const FIRST_DIRTY_OFFSET: &str = "cleaner-offset-checkpoint";
pub(crate) const HIGH_WATERMARK: &str = "replication-offset-checkpoint";

pub(crate) type Offsets = BTreeMap<TopicPartition, Offset>;

/// Reads the checkpoint `name` of `directory`; a missing file is empty, and so is an invalid one: what
/// it would spare is read from the logs.
pub(crate) async fn read(directory: &Path, name: &str) -> Result<Offsets, StorageError> {
    let path = directory.join(name);
    let Some(bytes) = crate::small_file::read(&path).await? else {
        return Ok(Offsets::new());
    };
    let text = String::from_utf8(bytes).map_err(|_| "it is no UTF-8 text");
    match text.and_then(|text| decode(&text)) {
        Ok(offsets) => Ok(offsets),
        Err(reason) => {
            tracing::warn!(path = %path.display(), reason, "not using an invalid checkpoint");
            Ok(Offsets::new())
        }
    }
}

pub(crate) async fn write(
    directory: &Path,
    name: &str,
    offsets: &Offsets,
) -> Result<(), StorageError> {
    let path = directory.join(name);
    reactor::directory::write_atomic(&path, encode(offsets).as_bytes())
        .await
        .map_err(StorageError::io("write", &path))
}

/// Version 0, the count, then topic, partition and offset a line.
fn encode(offsets: &Offsets) -> String {
    let mut text = format!("0\n{}\n", offsets.len());
    for (name, offset) in offsets {
        text.push_str(&format!("{} {} {offset}\n", name.topic, name.partition));
    }
    text
}

pub(crate) fn decode(text: &str) -> Result<Offsets, &'static str> {
    // Apache Kafka makes the file empty, and fills it when there is something to say.
    if text.is_empty() {
        return Ok(Offsets::new());
    }
    let mut lines = text.lines();
    if lines.next().map(str::trim) != Some("0") {
        return Err("its version is not 0");
    }
    let count: usize =
        lines.next().and_then(|line| line.trim().parse().ok()).ok_or("it has no entry count")?;
    let mut offsets = Offsets::new();
    for line in lines {
        let (name, offset) = decode_line(line).ok_or("a line is no topic, partition and offset")?;
        offsets.insert(name, offset);
    }
    if offsets.len() == count { Ok(offsets) } else { Err("its entry count is wrong") }
}

fn decode_line(line: &str) -> Option<(TopicPartition, Offset)> {
    let mut fields = line.split_ascii_whitespace();
    let topic = fields.next()?.to_owned();
    let partition = PartitionId::from_wire(fields.next()?.parse().ok()?)?;
    let offset = Offset::from_wire(fields.next()?.parse().ok()?)?;
    fields.next().is_none().then_some((TopicPartition { topic, partition }, offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_kafkas_text() {
        let text = "0\n2\n__cluster_metadata 0 77\norders 3 12\n";
        let offsets = decode(text).expect("valid");
        assert_eq!(offsets.len(), 2);
        assert_eq!(encode(&offsets), text);
        assert_eq!(decode("0\n0\n"), Ok(Offsets::new()));
        assert_eq!(decode(""), Ok(Offsets::new()));
        for bad in [
            "1\n0\n",
            "0\n1\n",
            "0\n1\na 0\n",
            "0\n1\na -1 0\n",
            "0\n1\na 0 -1\n",
            "0\n1\na 0 1 2\n",
        ] {
            assert!(decode(bad).is_err(), "{bad:?}");
        }
    }
}
