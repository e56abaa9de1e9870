//! Bytes that Apache Kafka 4.3.1 wrote: we read them, and would have written the same.
//!
//! `testdata/kafka` holds a directory formatted with `--standalone`, and its metadata log after: a
//! start, topics created, changed and deleted, a clean stop, a start, a kill, a start, a clean stop.

use std::collections::BTreeSet;

use bytes::Bytes;
use controller::decide::bootstrap_feature_records;
use controller::metadata::{BatchContent, Fold, decode_batch, encode_batch};
use controller::raft::{KraftVersion, encode_control_batch};
use controller::{Loader, Snapshot, SnapshotId, bootstrap_checkpoint, format_files};
use protocol::model::{BrokerId, LeaderEpoch, Offset, PartitionId, TimestampMs};
use protocol::record_batch::{Batches, RecordBatch};
use protocol::records::metadata::MetadataRecord;

const BOOTSTRAP: &[u8] = include_bytes!("../testdata/kafka/bootstrap.checkpoint");
const VOTERS: &[u8] =
    include_bytes!("../testdata/kafka/00000000000000000000-0000000000.checkpoint");
const LOG: &[u8] = include_bytes!("../testdata/kafka/00000000000000000000.log");

const FIRST: SnapshotId = SnapshotId { end_offset: Offset::ZERO, leader_epoch: LeaderEpoch(0) };

fn batches(bytes: &'static [u8]) -> Vec<RecordBatch> {
    Batches::new(Bytes::from_static(bytes)).collect::<Result<_, _>>().unwrap()
}

fn loaded() -> Loader {
    let mut loader = Loader::new();
    loader.snapshot(FIRST, Bytes::from_static(VOTERS)).unwrap();
    for batch in batches(LOG) {
        loader.batch(&batch).unwrap();
    }
    loader
}

#[test]
fn every_batch_is_written_as_it_was() {
    for batch in [BOOTSTRAP, VOTERS, LOG].into_iter().flat_map(batches) {
        let decoded = decode_batch(&batch).unwrap();
        let (offset, epoch) = (decoded.base_offset, decoded.leader_epoch.unwrap());
        let ours = match &decoded.content {
            BatchContent::Control(records) => {
                let records: Vec<_> = records.iter().map(|(_, record)| record.clone()).collect();
                encode_control_batch(offset, epoch, decoded.max_timestamp, &records)
            }
            BatchContent::Metadata(records) => {
                let records: Vec<_> = records.iter().map(|(_, record)| record.clone()).collect();
                encode_batch(offset, epoch, decoded.max_timestamp, &records)
            }
        };
        assert_eq!(ours, *batch.bytes(), "batch at offset {offset}: {decoded:?}");
    }
}

#[test]
fn the_log_folds_to_the_cluster_that_it_was() {
    let loader = loaded();
    let image = loader.image();
    assert_eq!(loader.next_offset(), Offset(140));
    assert_eq!(image.metadata_version(), Some(30));
    let topics: Vec<_> = image.topics().iter().map(|topic| &*topic.name).collect();
    assert_eq!(topics, ["t1"]);

    let topic = image.topic_by_name("t1").unwrap();
    assert_eq!(topic.partitions.keys().copied().collect::<Vec<_>>(), [0, 1, 2].map(PartitionId));
    for partition in topic.partitions.values() {
        // Stopped cleanly: out of sync, but eligible. Each start and stop was a leader epoch.
        assert_eq!((partition.leader, partition.isr.as_slice()), (None, &[][..]));
        assert_eq!(partition.eligible_leader_replicas, [BrokerId(1)]);
        assert_eq!(partition.last_known_elr, [BrokerId(1)]);
        assert_eq!(partition.leader_epoch, LeaderEpoch(5));
    }
    let broker = image.broker(BrokerId(1)).unwrap();
    assert!(broker.fenced && broker.in_controlled_shutdown);
    assert_eq!((broker.epoch.0, broker.listeners[0].port), (89, 39092));
}

#[test]
fn an_image_is_the_fold_of_its_own_records() {
    // INV-5, through a snapshot's bytes.
    let image = loaded().image().clone();
    let snapshot = Snapshot { records: image.to_records().collect(), ..Snapshot::default() };
    let decoded = Snapshot::decode(snapshot.encode(LeaderEpoch(4), TimestampMs(5))).unwrap();
    assert_eq!(decoded, snapshot);
    let mut fold = Fold::default();
    for record in &decoded.records {
        fold.replay(Offset(image.next_offset().0 - 1), record).unwrap();
    }
    assert_eq!(*fold.image(), image);
}

#[test]
fn a_snapshot_in_the_middle_of_the_log_replaces_what_is_below() {
    let whole = loaded();
    let mut below = Loader::new();
    below.snapshot(FIRST, Bytes::from_static(VOTERS)).unwrap();
    for batch in batches(LOG) {
        if batch.header().next_offset() <= Offset(93) {
            below.batch(&batch).unwrap();
        }
    }
    let id = SnapshotId { end_offset: below.next_offset(), leader_epoch: LeaderEpoch(4) };
    let (_, voters) = Snapshot::decode(Bytes::from_static(VOTERS)).unwrap().voters.unwrap();
    let snapshot = Snapshot {
        last_contained_log_timestamp: TimestampMs(1),
        voters: Some((KraftVersion::Dynamic, voters)),
        records: below.image().to_records().collect(),
    };
    let mut loader = Loader::new();
    loader.snapshot(id, snapshot.encode(id.leader_epoch, TimestampMs(2))).unwrap();
    for batch in batches(LOG) {
        loader.batch(&batch).unwrap();
    }
    assert_eq!(loader.image(), whole.image());
}

#[test]
fn a_directory_is_formatted_as_kafka_does() {
    let kafka = Snapshot::decode(Bytes::from_static(BOOTSTRAP)).unwrap();
    assert_eq!(kafka.records, bootstrap_feature_records());
    let (_, voters) = Snapshot::decode(Bytes::from_static(VOTERS)).unwrap().voters.unwrap();

    let files = format_files(TimestampMs(7), Some(&voters));
    let paths: BTreeSet<_> = files.iter().map(|file| file.path.as_str()).collect();
    let checkpoint = "__cluster_metadata-0/00000000000000000000-0000000000.checkpoint";
    assert_eq!(paths, BTreeSet::from(["bootstrap.checkpoint", checkpoint]));
    for (file, kafka) in files.iter().zip([BOOTSTRAP, VOTERS]) {
        assert_eq!(file.bytes.len(), kafka.len(), "{}", file.path);
    }
    assert_eq!(files[0].bytes, bootstrap_checkpoint(&kafka.records, TimestampMs(7)));
}

#[test]
fn bytes_that_are_cut_or_changed_are_refused_and_never_panic() {
    for cut in 0..BOOTSTRAP.len() {
        let cut_off = Snapshot::decode(Bytes::copy_from_slice(&BOOTSTRAP[..cut]));
        assert!(cut_off.is_err(), "{cut} bytes");
    }
    let whole = Snapshot::decode(Bytes::from_static(BOOTSTRAP)).unwrap();
    for position in 0..BOOTSTRAP.len() {
        let mut bytes = BOOTSTRAP.to_vec();
        bytes[position] ^= 0x41;
        // Only offsets and epochs lie outside of the CRC, and no snapshot depends on them.
        if let Ok(decoded) = Snapshot::decode(bytes.into()) {
            assert_eq!(decoded, whole, "byte {position}");
        }
    }
}

#[test]
fn a_record_that_we_do_not_know_is_refused_by_name() {
    for (record, want) in [
        (
            MetadataRecord::AccessControlEntry(Default::default()),
            "metadata record at offset 3 is of the type AccessControlEntryRecord, \
             which this release does not support",
        ),
        (
            feature("metadata.version", 31),
            "feature metadata.version is at level 31 (offset 3); this release supports 7 to 30",
        ),
        (
            feature("teleport.version", 1),
            "feature teleport.version (offset 3) is unknown to this release",
        ),
    ] {
        let mut fold = Fold::default();
        let before = fold.clone();
        assert_eq!(fold.replay(Offset(3), &record).unwrap_err().to_string(), want);
        assert_eq!(fold, before, "a refused record changes nothing");
    }
}

fn feature(name: &str, feature_level: i16) -> MetadataRecord {
    MetadataRecord::FeatureLevel(protocol::records::metadata::FeatureLevelRecord {
        name: name.into(),
        feature_level,
    })
}
