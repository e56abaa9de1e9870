//! Sizes that hold for all logs of a node. The defaults were measured; the simulator makes them small,
//! so that little data meets every edge.

/// Sizes in bytes, and a time. All sizes are multiples of the block of 4096 bytes (asserted where they are used).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The first chunk of a log that was idle. An occasional batch costs no more than this.
    pub chunk_size_bytes_min: usize,
    /// The largest chunk, unless one batch needs more: each doubles the one before, so that a fast
    /// partition soon has chunks that are large enough for the disk's full speed.
    pub chunk_size_bytes_max: usize,
    /// Bytes submitted for one flush of one log. More wait for the next one.
    pub flush_size_bytes_max: usize,
    /// The first file of a core's journal in a log directory: zeroed when the core starts.
    pub journal_file_size_bytes_first: u64,
    /// Each further file is larger than the one before, up to this.
    pub journal_file_size_bytes_max: u64,
    /// What a core's journal in a log directory may hold, and a replay have to read. Half as much,
    /// in the journal or past it, brings a checkpoint on: it is what a start has to scan.
    pub journal_size_bytes_max: u64,
    /// Index entries of one log, in bytes, that a checkpoint keeps itself; more of them are put into
    /// the index files first. An entry stands for 4 KiB of log.
    pub index_rest_size_bytes_max: usize,
    /// A group takes no further share at this size.
    pub group_size_bytes_max: usize,
    /// A share of this size goes past the journal, so that it is written once.
    pub bypass_size_bytes: u64,
    /// A log with this much in the journal alone is written to its segment.
    pub write_behind_size_bytes: u64,
    /// Bytes of a core's logs in a log directory that no file has yet: more appends wait.
    pub dirty_size_bytes_max: u64,
    /// How long bytes stay in the journal alone at most, and how often idle logs are looked for. A
    /// checkpoint costs a flush of each segment that was written to meanwhile; it saves replay.
    pub checkpoint_interval_ms: u64,
    /// Blocks that a segment gets ahead of its records: as many bytes as it has, but at least and at
    /// most so many. An idle partition keeps the least.
    pub allocation_size_bytes_min: u64,
    pub allocation_size_bytes_max: u64,
    /// Blocks set aside in each log directory for the time when its disk is full; a 64th of a small
    /// disk.
    pub reserve_size_bytes_max: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            chunk_size_bytes_min: 16 << 10,
            chunk_size_bytes_max: 256 << 10,
            flush_size_bytes_max: 8 << 20,
            journal_file_size_bytes_first: 1 << 20,
            journal_file_size_bytes_max: 64 << 20,
            journal_size_bytes_max: 256 << 20,
            index_rest_size_bytes_max: 2048,
            group_size_bytes_max: 8 << 20,
            bypass_size_bytes: 128 << 10,
            write_behind_size_bytes: 1 << 20,
            dirty_size_bytes_max: 32 << 20,
            checkpoint_interval_ms: 5000,
            allocation_size_bytes_min: 16 << 10,
            allocation_size_bytes_max: 64 << 20,
            reserve_size_bytes_max: 64 << 20,
        }
    }
}
