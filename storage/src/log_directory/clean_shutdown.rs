//! `.kafka_cleanshutdown`: there while the last stop was clean, with the broker's epoch then (KIP-966);
//! and `millrace-clean-stop`, our own with the same text. Where both name one epoch, which the cluster
//! gives out once, the last stop was ours, and Apache Kafka has not run since.

use std::path::Path;

use reactor::directory::Entry;

use crate::error::StorageError;

const NAME: &str = ".kafka_cleanshutdown";
const OWN_NAME: &str = "millrace-clean-stop";

/// What the marker says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanShutdown {
    /// Absent in markers of older Kafka versions, which are empty files.
    pub broker_epoch: Option<i64>,
}

/// The marker of the last stop, ours or Apache Kafka's.
pub(crate) async fn read(directory: &Path) -> Result<Option<CleanShutdown>, StorageError> {
    read_file(&directory.join(NAME)).await
}

/// The marker that we have left beside Kafka's.
pub(crate) async fn read_own(directory: &Path) -> Result<Option<CleanShutdown>, StorageError> {
    read_file(&directory.join(OWN_NAME)).await
}

async fn read_file(path: &Path) -> Result<Option<CleanShutdown>, StorageError> {
    let bytes = crate::small_file::read(path).await?;
    // What it says is a hint; that it is there is what counts.
    let text = bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Ok(text.map(|text| CleanShutdown { broker_epoch: broker_epoch(&text) }))
}

/// Removes the markers among `entries`, those of `directory`, durably: from here on, a stop without
/// others is unclean.
pub(crate) async fn remove(directory: &Path, entries: &[Entry]) -> Result<(), StorageError> {
    let mut removed = false;
    for name in [NAME, OWN_NAME] {
        if entries.iter().any(|entry| entry.name == name) {
            let path = directory.join(name);
            reactor::directory::remove_file(&path)
                .await
                .map_err(StorageError::io("remove", &path))?;
            removed = true;
        }
    }
    if removed {
        reactor::directory::sync(directory).await.map_err(StorageError::io("flush", directory))?;
    }
    Ok(())
}

/// Writes Kafka's marker alone, durably: the logs are complete, but no broker has stopped cleanly. The
/// epoch says so: -1 is Kafka's own for one that is not known (KIP-966).
pub(crate) async fn write_recovered(directory: &Path) -> Result<(), StorageError> {
    let path = directory.join(NAME);
    let text = b"{\"version\":0,\"brokerEpoch\":-1}";
    reactor::directory::write_atomic(&path, text).await.map_err(StorageError::io("write", &path))
}

/// Writes both markers, durably, Kafka's last.
pub(crate) async fn write(directory: &Path, broker_epoch: i64) -> Result<(), StorageError> {
    let text = format!("{{\"version\":0,\"brokerEpoch\":{broker_epoch}}}");
    for name in [OWN_NAME, NAME] {
        let path = directory.join(name);
        reactor::directory::write_atomic(&path, text.as_bytes())
            .await
            .map_err(StorageError::io("write", &path))?;
    }
    Ok(())
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
