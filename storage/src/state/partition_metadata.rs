//! `partition.metadata`: which incarnation of the topic a log belongs to (KIP-516).

use std::path::Path;

use protocol::model::TopicId;

use crate::error::StorageError;

const NAME: &str = "partition.metadata";

/// Reads the file of `directory`; `None` where there is none.
pub(crate) async fn read(directory: &Path) -> Result<Option<TopicId>, StorageError> {
    let path = directory.join(NAME);
    match crate::small_file::read_text(&path, NAME).await? {
        None => Ok(None),
        Some(text) => decode(&text).map(Some).map_err(|reason| StorageError::Malformed {
            path,
            what: NAME,
            reason,
        }),
    }
}

/// Writes the file, durably.
pub(crate) async fn write(directory: &Path, topic_id: TopicId) -> Result<(), StorageError> {
    let path = directory.join(NAME);
    reactor::directory::write_atomic(&path, encode(topic_id).as_bytes())
        .await
        .map_err(StorageError::io("write", &path))
}

fn encode(topic_id: TopicId) -> String {
    format!("version: 0\ntopic_id: {topic_id}")
}

fn decode(text: &str) -> Result<TopicId, &'static str> {
    let mut lines = text.lines();
    let mut value = |key: &str| {
        let (found, value) = lines.next()?.split_once(':')?;
        (found.trim() == key).then(|| value.trim())
    };
    if value("version") != Some("0") {
        return Err("its version is not 0");
    }
    let topic_id: TopicId =
        value("topic_id").and_then(|text| text.parse().ok()).ok_or("it has no valid topic_id")?;
    if topic_id.is_zero() { Err("its topic_id is zero") } else { Ok(topic_id) }
}

#[cfg(test)]
mod tests {
    use protocol::model::Uuid;

    use super::*;

    #[test]
    fn reads_and_writes_kafkas_text() {
        let topic_id = Uuid(*b"0123456789abcdef");
        assert_eq!(encode(topic_id), "version: 0\ntopic_id: MDEyMzQ1Njc4OWFiY2RlZg");
        assert_eq!(decode(&encode(topic_id)), Ok(topic_id));
        for text in [
            "",
            "version: 1\n",
            "version: 0\n",
            "version: 0\ntopic_id: x\n",
            "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA",
        ] {
            assert!(decode(text).is_err(), "{text:?}");
        }
    }
}
