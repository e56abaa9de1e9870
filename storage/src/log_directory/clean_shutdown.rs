//! `.kafka_cleanshutdown`: there while the last stop was clean, with the broker's epoch then (KIP-966).

use std::path::Path;

use crate::error::StorageError;

const NAME: &str = ".kafka_cleanshutdown";

/// What the marker says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanShutdown {
    /// Absent in markers of older Kafka versions, which are empty files.
    pub broker_epoch: Option<i64>,
}

/// Reads the marker and removes it durably: from here on, a stop without another is unclean.
pub(crate) async fn take(directory: &Path) -> Result<Option<CleanShutdown>, StorageError> {
    let path = directory.join(NAME);
    let Some(text) = crate::small_file::read_text(&path, "clean-stop marker").await? else {
        return Ok(None);
    };
    reactor::directory::remove_file(&path).await.map_err(StorageError::io("remove", &path))?;
    reactor::directory::sync(directory).await.map_err(StorageError::io("flush", directory))?;
    Ok(Some(CleanShutdown { broker_epoch: broker_epoch(&text) }))
}

pub(crate) async fn write(directory: &Path, broker_epoch: i64) -> Result<(), StorageError> {
    let path = directory.join(NAME);
    let text = format!("{{\"version\":0,\"brokerEpoch\":{broker_epoch}}}");
    reactor::directory::write_atomic(&path, text.as_bytes())
        .await
        .map_err(StorageError::io("write", &path))
}

/// The number behind `"brokerEpoch":`. The epoch is a hint (Kafka reads -1 where it cannot parse the
/// file), so that this is no JSON parser.
fn broker_epoch(text: &str) -> Option<i64> {
    let (_, behind) = text.split_once("\"brokerEpoch\"")?;
    let number = behind.trim_start().strip_prefix(':')?.trim_start();
    let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    number.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_broker_epoch() {
        for (text, want) in [
            ("{\"version\":0,\"brokerEpoch\":42}", Some(42)),
            ("{ \"brokerEpoch\" : 7, \"version\": 0 }", Some(7)),
            ("{\"version\":0,\"brokerEpoch\":-1}", None),
            ("", None),
            ("{\"brokerEpoch\":99999999999999999999}", None),
        ] {
            assert_eq!(broker_epoch(text), want, "{text}");
        }
    }
}
