//! What a seed is made into. Printed before the run; a test may set its fields instead.

use std::fmt;
use std::time::Duration;

use broker::config::MemoryFloor;
use protocol::record_batch::Compression;
use reactor::sim::{Knobs, Random};
use storage::Settings;

use crate::consumer::ConsumerPlan;
use crate::producer::{IN_FLIGHT_MAX, ProducerPlan};
use crate::topic::TopicPlan;

/// Of values, uncompressed.
const BATCH_SIZE_BYTES_MAX: u64 = 60_000;

/// What a run has done at least before it may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Floor {
    pub virtual_time: Duration,
    pub restarts: u64,
    pub acknowledged_records: u64,
}

impl Floor {
    /// Of a run that counts as one.
    pub const FULL: Floor =
        Floor { virtual_time: Duration::from_secs(60), restarts: 3, acknowledged_records: 1_000 };
    pub const NONE: Floor =
        Floor { virtual_time: Duration::ZERO, restarts: 0, acknowledged_records: 0 };
}

#[derive(Clone, Debug)]
pub struct Scenario {
    pub seed: u64,
    pub core_count: usize,
    /// Faults while clients work, beyond what the floor asks for.
    pub fault_count: u64,
    pub floor: Floor,
    pub knobs: Knobs,
    pub storage: Settings,
    /// What each core needs at least, and has; `None` for what a host would give.
    pub memory: Option<MemoryFloor>,
    pub segment_size_bytes: u64,
    pub request_timeout: Duration,
    /// A topic that stays, and the one that is deleted and made again.
    pub topics: Vec<TopicPlan>,
    pub producers: Vec<ProducerPlan>,
    pub consumers: Vec<ConsumerPlan>,
    /// Producers may go on for so long after the last fault.
    pub drain_after: Duration,
}

impl Scenario {
    /// The world of `seed`: one in four is a healthy one between its faults, and one in two has sizes
    /// so small that little data meets every edge.
    pub fn of_seed(seed: u64) -> Self {
        let random = &mut Random::new(seed, "scenario");
        let core_count = [2, 2, 3, 4][random.index(4)];
        let mut knobs = if random.chance(0.25) { Knobs::default() } else { Knobs::hostile(seed) };
        // Small values fill few segments; large ones roll one every few batches.
        let value_size_bytes_max = [40, 400, 2_000, 20_000][random.index(4)];
        // Or a run of large values would be of hardly anything but the segments that carry them.
        knobs.segment_bytes_max = knobs.segment_bytes_max.max(value_size_bytes_max as usize / 8);
        let storage =
            if random.chance(0.5) { hostile_settings(random) } else { Settings::default() };
        let producers = (0..random.within(1..5) as u32).map(|index| ProducerPlan {
            index,
            idempotent: index == 0 || random.chance(0.6),
            in_flight_max: random.within(1..IN_FLIGHT_MAX as u64 + 1) as usize,
            round_batch_count: random.within(5..40) as usize,
            batch_record_count_max: random
                .within(1..20)
                .min(BATCH_SIZE_BYTES_MAX / value_size_bytes_max),
            value_size_bytes_max,
            pause_max: Duration::from_millis(random.below(150)),
            by_topic_id: random.chance(0.5),
            compression: [Compression::None, Compression::Lz4, Compression::Snappy]
                [random.index(3)],
        });
        let producers = producers.collect();
        let consumers = (0..random.within(1..4)).map(|_| ConsumerPlan {
            by_topic_id: random.chance(0.5),
            wait_max: Duration::from_millis(random.within(20..2_000)),
            fetch_size_bytes_max: 1 << random.within(10..24),
            partition_size_bytes_max: 1 << random.within(8..21),
        });
        let consumers = consumers.collect();
        let mut topics = vec![TopicPlan::new("orders", 8)];
        if random.chance(0.7) {
            topics.push(TopicPlan::new("visits", random.within(1..4) as i32));
        }
        let memory = random.chance(0.5).then(|| little_memory(random));
        Scenario {
            seed,
            core_count,
            fault_count: random.within(5..12),
            floor: Floor::FULL,
            knobs,
            storage,
            memory,
            segment_size_bytes: 1 << 20,
            request_timeout: Duration::from_millis(random.within(2_000..30_000)),
            topics,
            producers,
            consumers,
            drain_after: Duration::from_secs(random.below(5)),
        }
    }
}

/// So little that requests, answers and the cache get in each other's way.
fn little_memory(random: &mut Random) -> MemoryFloor {
    MemoryFloor {
        chunks: (512 << 10) << random.below(3),
        answers: (128 << 10) << random.below(3),
        parked: (128 << 10) << random.below(3),
    }
}

/// The smallest sizes that work, and some between them and the defaults.
fn hostile_settings(random: &mut Random) -> Settings {
    let chunk_size_bytes_min = 4096 << random.below(3);
    let journal_file_size_bytes_first = 64 << 10;
    let journal_file_size_bytes_max = journal_file_size_bytes_first << random.below(3);
    // What is not named here has no edge that a small world would not meet.
    let mut settings = Settings { chunk_size_bytes_min, ..Settings::default() };
    settings.chunk_size_bytes_max = chunk_size_bytes_min << random.below(3);
    settings.flush_size_bytes_max = 4096 << random.below(6);
    settings.journal_file_size_bytes_first = journal_file_size_bytes_first;
    settings.journal_file_size_bytes_max = journal_file_size_bytes_max;
    settings.journal_size_bytes_max = journal_file_size_bytes_max * random.within(4..9);
    settings
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let idempotent = self.producers.iter().filter(|plan| plan.idempotent).count();
        let partitions: Vec<_> =
            self.topics.iter().map(|plan| plan.partition_count.to_string()).collect();
        write!(
            f,
            "nodes=1 cores={} faults={} partitions={} producers={} idempotent={idempotent} \
             consumers={} memory={:?} segment_size_bytes={} request_timeout={:?} {:?} {}",
            self.core_count,
            self.fault_count,
            partitions.join("+"),
            self.producers.len(),
            self.consumers.len(),
            self.memory,
            self.segment_size_bytes,
            self.request_timeout,
            self.storage,
            self.knobs
        )
    }
}
