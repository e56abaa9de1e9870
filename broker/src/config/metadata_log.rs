//! How the metadata log is kept: `metadata.log.*` and `metadata.max.*`.

use super::broker_config::Reader;

/// Sizes in bytes and durations in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetadataLogConfig {
    /// `metadata.log.segment.bytes`
    pub segment_size_bytes: u32,
    /// `metadata.log.segment.ms`
    pub segment_ms: u64,
    /// `metadata.log.max.record.bytes.between.snapshots`
    pub snapshot_after_bytes: u64,
    /// `metadata.log.max.snapshot.interval.ms`; `None` for no snapshots by time.
    pub snapshot_after_ms: Option<u64>,
    /// `metadata.max.retention.bytes`, of log and snapshots together; `None` for no limit.
    pub retention_bytes: Option<u64>,
    /// `metadata.max.retention.ms`, of snapshots; `None` for no limit.
    pub retention_ms: Option<u64>,
}

impl MetadataLogConfig {
    pub(super) fn read(reader: &Reader) -> Self {
        // A negative one is none, as in Kafka.
        let limit = |key| reader.integer(key).and_then(|limit| u64::try_from(limit).ok());
        let segment_size_bytes = reader.size("metadata.log.segment.bytes");
        MetadataLogConfig {
            segment_size_bytes: u32::try_from(segment_size_bytes).unwrap_or(u32::MAX),
            segment_ms: limit("metadata.log.segment.ms").unwrap_or(u64::MAX),
            snapshot_after_bytes: reader.size("metadata.log.max.record.bytes.between.snapshots")
                as u64,
            snapshot_after_ms: limit("metadata.log.max.snapshot.interval.ms")
                .filter(|&interval| interval > 0),
            retention_bytes: limit("metadata.max.retention.bytes"),
            retention_ms: limit("metadata.max.retention.ms"),
        }
    }
}
