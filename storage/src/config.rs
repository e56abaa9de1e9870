//! What a topic's configuration says about its logs.

/// Settings of one partition's log. They may change while it is open and hold from the next append.
#[derive(Clone, Debug, PartialEq)]
pub struct LogConfig {
    /// `segment.bytes`: a batch that would make the active segment larger starts the next one.
    pub segment_size_bytes: u32,
    /// `segment.ms`: a segment whose first batch is older than this is rolled at the next append.
    pub segment_ms: u64,
    /// `segment.jitter.ms`: each segment's `segment_ms` is shortened by less than this, at random.
    pub segment_jitter_ms: u64,
    /// `index.interval.bytes`: bytes of log between two entries of the offset index.
    pub index_interval_bytes: u32,
    /// `segment.index.bytes`: a segment whose indexes have grown to this is rolled.
    pub index_size_bytes_max: u32,
    /// `producer.id.expiration.ms`: an idle producer is forgotten after this.
    pub producer_id_expiration_ms: u64,
    /// `cleanup.policy` has `delete`: time and size take old segments away.
    pub cleanup_deletes: bool,
    /// `cleanup.policy` has `compact`: of each key the last record stays.
    pub cleanup_compacts: bool,
    /// `min.cleanable.dirty.ratio`: more of a log than this is dirty before it is compacted.
    pub min_cleanable_dirty_ratio: f64,
    /// `min.compaction.lag.ms`: records younger than this are not looked at.
    pub min_compaction_lag_ms: u64,
    /// `max.compaction.lag.ms`: with dirty records older than this a log is compacted however few they
    /// are.
    pub max_compaction_lag_ms: u64,
    /// `delete.retention.ms`: how long a tombstone stays once compaction has seen it.
    pub delete_retention_ms: u64,
    /// `retention.ms`: how old a segment's last record may become; `None` for any age.
    pub retention_ms: Option<u64>,
    /// `retention.bytes`: what is kept where there is more; `None` for all.
    pub retention_bytes: Option<u64>,
    /// `file.delete.delay.ms`: how long a deleted file stays under another name.
    pub file_delete_delay_ms: u64,
    /// `millrace.durability`: what an acknowledgement says.
    pub durability: Durability,
}

/// What is true of a record before it is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// It is flushed: it survives the loss of the host's power.
    #[default]
    Flushed,
    /// The device has it: it survives the end of the process, not the loss of power.
    Written,
}

impl Default for LogConfig {
    /// Kafka's defaults.
    fn default() -> Self {
        LogConfig {
            segment_size_bytes: 1 << 30,
            segment_ms: 7 * 24 * 3600 * 1000,
            segment_jitter_ms: 0,
            index_interval_bytes: 4096,
            index_size_bytes_max: 10 << 20,
            producer_id_expiration_ms: 24 * 3600 * 1000,
            cleanup_deletes: true,
            cleanup_compacts: false,
            min_cleanable_dirty_ratio: 0.5,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX as u64,
            delete_retention_ms: 24 * 3600 * 1000,
            retention_ms: Some(7 * 24 * 3600 * 1000),
            retention_bytes: None,
            file_delete_delay_ms: 60_000,
            durability: Durability::Flushed,
        }
    }
}
