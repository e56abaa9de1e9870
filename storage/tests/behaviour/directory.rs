//! A log directory across stops, clean and not.

use std::path::Path;

use protocol::model::{BrokerId, Offset, PartitionId};
use storage::{LogConfig, LogDirectory, LogOffsets, MetaProperties, StorageError, TopicPartition};

use crate::support::*;

fn partition(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition { topic: topic.to_owned(), partition: PartitionId(partition) }
}

async fn opened(path: &Path) -> LogDirectory {
    LogDirectory::open(path).await.expect("a log directory")
}

#[test]
fn a_clean_stop_is_known_once() {
    in_both_worlds(|path| async move {
        let names = [partition("a-b.c", 3), partition("orders", 0), partition("orders", 11)];
        let directory = opened(&path).await;
        assert!(!directory.was_clean());
        let mut logs = Vec::new();
        for (n, name) in names.iter().enumerate() {
            let log = directory
                .create_partition(&volume(&path), name, LogConfig::default(), TOPIC_ID)
                .await
                .expect("created");
            append(&log, &batch(0, 10 + n as i64, 50));
            log.close().await.expect("closed");
            logs.push(LogOffsets {
                first_dirty_offset: Offset(0),
                name: name.clone(),
                recovery_point: log.recovery_point(),
                log_start_offset: log.log_start_offset(),
                high_watermark: Offset(7),
            });
        }
        directory.write_checkpoints(&logs).await.expect("written");
        directory.mark_clean(42).await.expect("written");
        drop(directory);

        let directory = opened(&path).await;
        assert_eq!(directory.clean_shutdown().and_then(|it| it.broker_epoch), Some(42));
        assert!(directory.partitions().eq(&names));
        assert_eq!(directory.high_watermarks().get(&names[1]), Some(&Offset(7)));
        for (n, name) in names.iter().enumerate() {
            let log = directory
                .open_partition(&volume(&path), name, LogConfig::default())
                .await
                .expect("opened");
            assert_eq!(log.log_end_offset(), Offset(10 + n as i64));
            assert_eq!(log.topic_id(), Some(TOPIC_ID));
        }
        // As a crash would: neither closed nor marked.
        directory.claim().await.expect("claimed");
        drop(directory);
        let directory = opened(&path).await;
        assert!(!directory.was_clean());
        let log = directory
            .open_partition(&volume(&path), &names[2], LogConfig::default())
            .await
            .expect("opened");
        assert_eq!(log.log_end_offset(), Offset(12));
    });
}

/// What tells a start, Apache Kafka's or ours, how the last stop was.
async fn signs(path: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = reactor::directory::list(path).await.expect("listed");
    let mut signs = Vec::new();
    for entry in entries {
        match entry.name.as_str() {
            ".kafka_cleanshutdown" | "millrace-clean-stop" => {
                let text = reactor::directory::read(&path.join(&entry.name)).await;
                signs.push((entry.name, text.expect("a marker")));
            }
            "millrace-journal-not-empty" => signs.push((entry.name, Vec::new())),
            _ => {}
        }
    }
    signs.sort();
    signs
}

#[test]
fn a_start_that_comes_to_nothing_leaves_the_last_stop_as_it_was() {
    in_both_worlds(|path| async move {
        let (kafkas, own) = (".kafka_cleanshutdown", "millrace-clean-stop");
        let guard = "millrace-journal-not-empty";
        let epoch: &[u8] = b"{\"version\":0,\"brokerEpoch\":42}";
        let stops: [&[(&str, &[u8])]; 5] = [
            &[],
            &[(kafkas, b"")],
            &[(kafkas, epoch)],
            &[(kafkas, epoch), (own, epoch)],
            &[(guard, b"")],
        ];
        for (number, stop) in stops.into_iter().enumerate() {
            let path = path.join(format!("directory {number}"));
            reactor::directory::create_all(&path).await.expect("made");
            for (name, text) in stop {
                let made = match *name {
                    "millrace-journal-not-empty" => {
                        reactor::directory::create_all(&path.join(name)).await
                    }
                    name => reactor::directory::write_atomic(&path.join(name), text).await,
                };
                made.expect("made");
            }
            let before = signs(&path).await;
            assert_eq!(before.len(), stop.len());
            // It fails before the claim, or behind it.
            drop(opened(&path).await);
            assert_eq!(signs(&path).await, before);
            let directory = opened(&path).await;
            directory.claim().await.expect("claimed");
            assert_eq!(signs(&path).await, [(guard.to_owned(), Vec::new())]);
            directory.give_back().await.expect("given back");
            assert_eq!(signs(&path).await, before);
        }
    });
}

#[test]
fn only_one_has_a_directory() {
    in_both_worlds(|path| async move {
        let first = opened(&path).await;
        let second = LogDirectory::open(&path).await;
        assert!(matches!(second, Err(StorageError::Locked { .. })));
        drop(first);
        opened(&path).await;
    });
}

#[test]
fn interrupted_deletions_are_told_and_strangers_refused() {
    in_both_worlds(|path| async move {
        for name in
            ["orders-1.0123456789abcdef0123456789abcdef-delete", "orders-2", "logs-0.aa-stray"]
        {
            reactor::directory::create_all(&path.join(name)).await.expect("made");
        }
        let directory = opened(&path).await;
        assert!(directory.partitions().eq([&partition("orders", 2)]));
        let volume = volume(&path);
        assert_eq!(directory.deleted().len(), 1);
        volume.finish_deletions(directory.deleted().to_vec());
        let entries = async || {
            let entries = reactor::directory::list(&path).await.expect("listed");
            entries.into_iter().map(|entry| entry.name).collect::<Vec<_>>()
        };
        while entries().await.iter().any(|name| name.ends_with("-delete")) {
            reactor::sleep(std::time::Duration::from_millis(1)).await;
        }
        let stray = directory.set_aside(&partition("orders", 2)).await.expect("set aside");
        let stray = stray.file_name().unwrap_or_default().to_string_lossy().into_owned();
        assert!(stray.starts_with("orders-2.") && stray.ends_with("-stray"), "{stray}");
        assert!(entries().await.contains(&stray));
        drop(directory);
        assert!(opened(&path).await.partitions().next().is_none());
        reactor::directory::create_all(&path.join("holiday pictures")).await.expect("made");
        assert!(matches!(LogDirectory::open(&path).await, Err(StorageError::Malformed { .. })));
    });
}

#[test]
fn identity_is_read_back() {
    in_both_worlds(|path| async move {
        assert_eq!(MetaProperties::read(&path).await.expect("readable"), None);
        let properties = MetaProperties {
            cluster_id: "5L6g3nShT-eMCtK--X86sw".to_owned(),
            node_id: BrokerId(1),
            directory_id: Some(TOPIC_ID),
        };
        properties.write(&path).await.expect("written");
        assert_eq!(MetaProperties::read(&path).await.expect("readable"), Some(properties));
    });
}
