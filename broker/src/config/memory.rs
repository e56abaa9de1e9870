//! `millrace.memory.bytes`: one number for a node, and what each of its cores may use of it for what.

use storage::CompactionMemory;

use super::BrokerConfig;

/// The share of a frame's size that comes on top of it for frames of other connections, one part in
/// so many: small requests have a line of their own.
pub const SMALL_FRAMES_PART: usize = 8;

/// A frame up to this size does not stand in line with larger ones.
pub const SMALL_FRAME_SIZE_BYTES_MAX: usize = 64 << 10;

/// The largest batch takes at most one part in so many of the chunks: while it waits for its flush the
/// others go on.
const BATCH_PART: usize = 4;

/// What a core needs at least, whatever the rest of the configuration says. The simulator makes it small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryFloor {
    /// Some tens of logs at work, each with a chunk that is written and one that is filled.
    pub chunks: usize,
    /// So many fetches of 1 MiB, consumers' default for one partition, sent at once.
    pub answers: usize,
    /// Some thousand requests at once, or one that names some ten thousand partitions.
    pub parked: usize,
    /// Some ten thousand committed offsets, or some thousand members of groups.
    pub groups: usize,
}

impl Default for MemoryFloor {
    fn default() -> Self {
        MemoryFloor { chunks: 32 << 20, answers: 16 << 20, parked: 16 << 20, groups: 4 << 20 }
    }
}

/// Of a host's memory, the part that a node takes where nothing else is said, one in so many: the rest
/// is for what is not counted here, for others, and for the page cache that tools read files through.
const HOST_PART: usize = 4;

/// What a node takes for each of its cores at most where nothing else is said. Memory that is used for
/// the first time costs the kernel more than appending to it does, so that a cache which grows for
/// minutes is slow for minutes; this much is some seconds of what a core can take.
const CORE_SIZE_BYTES: usize = 1 << 30;

/// What one core may use, in bytes. Every core of a node gets the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryShares {
    /// Requests that are being read, or whose batches wait to be appended.
    pub frames: usize,
    /// What was appended and is not in a file yet, and the cache of what is.
    pub chunks: usize,
    /// Answers that are being sent, and what they keep from being freed.
    pub answers: usize,
    /// Requests as decoded, and fetches and acknowledgements that wait.
    pub parked: usize,
    /// The log that is being compacted: its keys, and what of it is on its way.
    pub compaction: usize,
    /// What coordinators know of groups. Counted coarsely.
    pub groups: usize,
}

/// The configured memory cannot hold what the rest of the configuration asks for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "millrace.memory.bytes={configured} is too little: {needed} are needed for {core_count} cores with \
     socket.request.max.bytes={frame_max} and message.max.bytes={message_max}; set at least that, or \
     lower these"
)]
pub struct TooLittleMemory {
    pub configured: usize,
    pub needed: usize,
    pub core_count: usize,
    pub frame_max: usize,
    pub message_max: usize,
}

impl MemoryShares {
    /// What each core of `core_count` gets of a node's `memory_size_bytes`; never less than the least
    /// that works.
    pub fn new(memory_size_bytes: usize, core_count: usize, config: &BrokerConfig) -> Self {
        let least = MemoryShares::least(config);
        let spare = (memory_size_bytes / core_count).saturating_sub(least.sum());
        // Chunks are what more memory is good for: records that are read again are not read from disk.
        let (frames, answers, parked, compaction) = (spare / 8, spare / 4, spare / 16, spare / 16);
        let groups = spare / 16;
        MemoryShares {
            frames: least.frames + frames,
            chunks: least.chunks + (spare - frames - answers - parked - compaction - groups),
            answers: least.answers + answers,
            parked: least.parked + parked,
            compaction: least.compaction + compaction,
            groups: least.groups + groups,
        }
    }

    /// What a core needs to take the largest frame and the largest batch that the configuration allows.
    fn least(config: &BrokerConfig) -> Self {
        let batches = BATCH_PART * config.message_size_bytes_max;
        let frame = config.socket_request_size_bytes_max;
        MemoryShares {
            frames: frame + (frame / SMALL_FRAMES_PART).max(SMALL_FRAME_SIZE_BYTES_MAX),
            chunks: config.memory_floor.chunks.max(batches),
            answers: config.memory_floor.answers.max(batches),
            parked: config.memory_floor.parked,
            compaction: CompactionMemory::needed(config.message_size_bytes_max),
            groups: config.memory_floor.groups,
        }
    }

    /// The largest batch that is taken, whatever its topic allows: more could not be kept or sent.
    pub fn batch_size_bytes_max(&self) -> usize {
        self.chunks.min(self.answers) / BATCH_PART
    }

    pub fn sum(&self) -> usize {
        self.frames + self.chunks + self.answers + self.parked + self.compaction + self.groups
    }

    /// The memory of a node of `core_count` cores on a host that has `host_size_bytes`.
    ///
    /// Errors: what is configured, or the host has, is less than what works.
    pub fn node_size_bytes(
        config: &BrokerConfig,
        core_count: usize,
        host_size_bytes: u64,
    ) -> Result<usize, TooLittleMemory> {
        let needed = MemoryShares::least(config).sum() * core_count;
        let host_size_bytes = usize::try_from(host_size_bytes).unwrap_or(usize::MAX);
        let wanted = (host_size_bytes / HOST_PART).min(CORE_SIZE_BYTES * core_count);
        let by_host = needed.max(wanted).min(host_size_bytes);
        let configured = config.memory_size_bytes.unwrap_or(by_host);
        if configured >= needed {
            return Ok(configured);
        }
        Err(TooLittleMemory {
            configured,
            needed,
            core_count,
            frame_max: config.socket_request_size_bytes_max,
            message_max: config.message_size_bytes_max,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Properties;
    use super::*;

    fn config(extra: &str) -> BrokerConfig {
        let text = format!(
            "process.roles=broker,controller\nnode.id=1\nlog.dirs=/tmp/none\n\
             listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093\n\
             controller.listener.names=CONTROLLER\n{extra}"
        );
        let properties = Properties::parse(&text).expect("well formed");
        BrokerConfig::from_properties(properties).expect("valid").config
    }

    #[test]
    fn a_node_gets_a_part_of_its_host_and_never_too_little() {
        const GIB: u64 = 1 << 30;
        let small_frames = "socket.request.max.bytes=16777216";
        for (extra, core_count, host_size_bytes, want) in [
            ("", 2, 64 * GIB, Ok(2 * GIB)),
            ("", 32, 64 * GIB, Ok(16 * GIB)),
            (small_frames, 2, 2 * GIB, Ok(GIB / 2)),
            (small_frames, 2, GIB / 2, Ok(203_423_936)), // the least that works
            ("", 2, GIB / 4, Err(401_604_800)),
            ("millrace.memory.bytes=401604800", 2, GIB / 4, Ok(401_604_800)),
            ("millrace.memory.bytes=401604799", 2, 64 * GIB, Err(401_604_800)),
            (
                "millrace.memory.bytes=268435456\nsocket.request.max.bytes=16777216",
                2,
                GIB,
                Ok(GIB / 4),
            ),
        ] {
            let got = MemoryShares::node_size_bytes(&config(extra), core_count, host_size_bytes);
            let got = got.map(|size| size as u64).map_err(|error| error.needed as u64);
            assert_eq!(got, want, "{extra} {core_count} {host_size_bytes}");
        }
        let refused =
            MemoryShares::node_size_bytes(&config("millrace.memory.bytes=1000000"), 1, GIB);
        assert_eq!(
            refused.expect_err("too little").to_string(),
            "millrace.memory.bytes=1000000 is too little: 200802400 are needed for 1 cores with \
             socket.request.max.bytes=104857600 and message.max.bytes=1048588; set at least that, or \
             lower these"
        );
    }

    #[test]
    fn shares_add_up_to_no_more_than_the_node_has() {
        let config = config("");
        for (memory, core_count) in [(401_604_800, 2), (1 << 30, 2), (1 << 36, 16), (0, 1)] {
            let shares = MemoryShares::new(memory, core_count, &config);
            let least = MemoryShares::least(&config).sum();
            assert!(shares.sum() <= (memory / core_count).max(least), "{shares:?} of {memory}");
        }
    }
}
