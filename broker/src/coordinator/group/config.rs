//! What the group coordinator is configured with.

use std::time::Duration;

use protocol::record_batch::Compression;

/// How long a join of a new member may be parked. It does not know its id yet and sends no heartbeats.
/// Source: `GroupCoordinatorConfig.CLASSIC_GROUP_NEW_MEMBER_JOIN_TIMEOUT_MS`.
pub const NEW_MEMBER_JOIN_TIMEOUT: Duration = Duration::from_secs(300);

/// Kafka's keys `group.*` and `offsets.*`; durations in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupConfig {
    pub session_timeout_ms_min: i32,
    pub session_timeout_ms_max: i32,
    pub initial_rebalance_delay_ms: i32,
    pub member_count_max: usize,
    /// Of the note beside an offset, in UTF-16 units, as Java counts it.
    pub metadata_length_max: usize,
    pub offsets_retention_ms: i64,
    pub offsets_retention_check_ms: u64,
    pub offsets_topic_partition_count: i32,
    pub offsets_topic_replication_factor: i16,
    pub offsets_topic_segment_size_bytes: u32,
    pub compression: Compression,
}
