//! `.kafka_cleanshutdown`: there while the last stop was clean, with the broker's epoch then (KIP-966);
//! and `millrace-clean-stop`, our own with the same text. Where both name one epoch, which the cluster
//! gives out once, the last stop was ours, and Apache Kafka has not run since.

use std::path::Path;

use crate::error::StorageError;
use crate::small_file;

const NAME: &str = ".kafka_cleanshutdown";
const OWN_NAME: &str = "millrace-clean-stop";

/// What the marker says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanShutdown {
    /// Absent in markers of older Kafka versions, which are empty files.
    pub broker_epoch: Option<i64>,
}

/// The markers as they lie in a log directory; none of them after a crash.
#[derive(Default)]
pub(crate) struct Markers {
    kafkas: Option<Vec<u8>>,
    own: Option<Vec<u8>>,
}

impl Markers {
    pub(crate) async fn read(directory: &Path) -> Result<Markers, StorageError> {
        Ok(Markers {
            kafkas: small_file::read(&directory.join(NAME)).await?,
            own: small_file::read(&directory.join(OWN_NAME)).await?,
        })
    }

    /// The last stop, if it was clean: ours or Apache Kafka's.
    pub(crate) fn last_stop(&self) -> Option<CleanShutdown> {
        self.kafkas.as_deref().map(parse)
    }

    /// The last stop was clean, and ours.
    pub(crate) fn are_ours(&self) -> bool {
        let own = self.own.as_deref().map(parse);
        self.last_stop().is_some_and(|last| last.broker_epoch.is_some() && own == Some(last))
    }

    /// Removes them, durably: from here on, a stop without others is unclean.
    pub(crate) async fn remove(&self, directory: &Path) -> Result<(), StorageError> {
        if reactor::planted!(clean_marker_left_at_start) {
            return Ok(());
        }
        for (name, text) in [(NAME, &self.kafkas), (OWN_NAME, &self.own)] {
            if text.is_some() {
                let path = directory.join(name);
                let removed = reactor::directory::remove_file(&path).await;
                removed.map_err(StorageError::io("remove", &path))?;
            }
        }
        if self.kafkas.is_some() || self.own.is_some() {
            let flushed = reactor::directory::sync(directory).await;
            flushed.map_err(StorageError::io("flush", directory))?;
        }
        Ok(())
    }

    /// Writes them, durably, Kafka's last.
    pub(crate) async fn write(&self, directory: &Path) -> Result<(), StorageError> {
        for (name, text) in [(OWN_NAME, &self.own), (NAME, &self.kafkas)] {
            if let Some(text) = text {
                let path = directory.join(name);
                let written = reactor::directory::write_atomic(&path, text).await;
                written.map_err(StorageError::io("write", &path))?;
            }
        }
        Ok(())
    }

    /// Those of a clean stop of ours.
    pub(crate) fn of_stop(broker_epoch: i64) -> Markers {
        let text = format!("{{\"version\":0,\"brokerEpoch\":{broker_epoch}}}").into_bytes();
        Markers { kafkas: Some(text.clone()), own: Some(text) }
    }

    /// Kafka's alone: the logs are complete, but no broker has stopped cleanly. The epoch says so: -1 is
    /// Kafka's own for one that is not known (KIP-966).
    pub(crate) fn of_recovery() -> Markers {
        Markers { own: None, ..Self::of_stop(-1) }
    }
}

/// What it says is a hint; that it is there is what counts.
fn parse(text: &[u8]) -> CleanShutdown {
    CleanShutdown { broker_epoch: broker_epoch(&String::from_utf8_lossy(text)) }
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
