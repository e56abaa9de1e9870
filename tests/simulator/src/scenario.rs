//! What a seed is made into. Printed before the run; a test may set its fields instead.

use std::fmt;
use std::time::Duration;

use broker::config::MemoryFloor;
use protocol::record_batch::Compression;
use reactor::sim::{Knobs, Random};
use storage::Settings;

use crate::consumer::ConsumerPlan;
use crate::producer::{IN_FLIGHT_MAX, ProducerPlan};
use crate::settings::hostile_settings;
use crate::topic::{Role, TopicPlan};

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
    pub topics: Vec<TopicPlan>,
    pub producers: Vec<ProducerPlan>,
    pub consumers: Vec<ConsumerPlan>,
    /// Members of a group that reads the first topic, static ones by their instance id.
    pub members: Vec<Option<String>>,
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
        let batch_record_count_max = BATCH_SIZE_BYTES_MAX / value_size_bytes_max;
        let producers = (0..random.within(1..5) as u32).map(|index| ProducerPlan {
            index,
            idempotent: index == 0 || random.chance(0.6),
            in_flight_max: random.within(1..IN_FLIGHT_MAX as u64 + 1) as usize,
            round_batch_count: random.within(5..40) as usize,
            batch_record_count_max: random.within(1..20).min(batch_record_count_max),
            value_size_bytes_max,
            pause_max: Duration::from_millis(random.below(150)),
            by_topic_id: random.chance(0.5),
            compression: [Compression::None, Compression::Lz4, Compression::Snappy]
                [random.index(3)],
        });
        let producers: Vec<ProducerPlan> = producers.collect();
        let consumers = (0..random.within(1..4)).map(|index| ConsumerPlan {
            by_topic_id: random.chance(0.5),
            in_session: index % 2 == 0,
            wait_max: Duration::from_millis(random.within(20..2_000)),
            fetch_size_bytes_max: 1 << random.within(10..24),
            partition_size_bytes_max: 1 << random.within(8..21),
        });
        let consumers = consumers.collect();
        let topic_segment_size_bytes =
            random.chance(0.7).then(|| small_segment_size_bytes(&producers) << random.below(4));
        let mut topics = draw_topics(random, topic_segment_size_bytes);
        topics.extend(draw_compacted_topic(seed, small_segment_size_bytes(&producers)));
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
            members: draw_members(seed),
            drain_after: Duration::from_secs(random.below(5)),
        }
    }
}

fn draw_members(seed: u64) -> Vec<Option<String>> {
    let random = &mut Random::new(seed, "members");
    let instance_id = |index| random.chance(0.4).then(|| format!("instance-{index}"));
    (0..2 + seed % 3).map(instance_id).collect()
}

/// So little that requests, answers and the cache get in each other's way.
fn little_memory(random: &mut Random) -> MemoryFloor {
    MemoryFloor {
        chunks: (512 << 10) << random.below(3),
        answers: (128 << 10) << random.below(3),
        parked: (128 << 10) << random.below(3),
        groups: 4 << 20,
    }
}

/// The smallest segments, in powers of two from one block on, that every batch of `producers` fits into.
fn small_segment_size_bytes(producers: &[ProducerPlan]) -> u64 {
    // A record's own bytes beside its value, and a batch's beside its records.
    let batch_size_bytes =
        |plan: &ProducerPlan| plan.batch_record_count_max * (plan.value_size_bytes_max + 70) + 200;
    let largest = producers.iter().map(batch_size_bytes).max().unwrap_or_default();
    largest.next_power_of_two().max(4096)
}

/// A topic of eight partitions that stays, and most often one more of another kind, or two.
fn draw_topics(random: &mut Random, segment_size_bytes: Option<u64>) -> Vec<TopicPlan> {
    let segment = segment_size_bytes.map(|size| ("internal.segment.bytes", size.to_string()));
    let mut topics = vec![TopicPlan {
        name: "orders".to_owned(),
        role: Role::Lasting,
        partition_count: 8,
        configs: segment.clone().into_iter().collect(),
    }];
    if random.chance(0.6) {
        topics.push(TopicPlan {
            name: "visits".to_owned(),
            role: Role::Replaced,
            partition_count: random.within(1..4) as i32,
            configs: segment.clone().into_iter().collect(),
        });
    }
    if random.chance(0.6) {
        let mut configs: Vec<_> = segment.into_iter().collect();
        let role = if random.chance(0.5) { Role::Trimmed } else { Role::Retained };
        if role == Role::Retained {
            let segment_size_bytes = segment_size_bytes.unwrap_or(1 << 20);
            configs.push(match random.chance(0.5) {
                true => ("retention.bytes", (segment_size_bytes * random.within(1..5)).to_string()),
                false => ("retention.ms", random.within(1_000..30_000).to_string()),
            });
        }
        configs.push(("file.delete.delay.ms", random.below(10_000).to_string()));
        topics.push(TopicPlan {
            name: "clicks".to_owned(),
            role,
            partition_count: random.within(1..3) as i32,
            configs,
        });
    }
    topics
}

/// In one of two worlds a topic that is compacted, and has segments of `segment_size_bytes`.
fn draw_compacted_topic(seed: u64, segment_size_bytes: u64) -> Option<TopicPlan> {
    let random = &mut Random::new(seed, "compacted topic");
    random.chance(0.5).then(|| TopicPlan {
        name: "accounts".to_owned(),
        role: Role::Compacted { key_count: [3, 30, 1_000][random.index(3)] },
        partition_count: random.within(1..3) as i32,
        configs: vec![
            ("cleanup.policy", "compact".to_owned()),
            ("internal.segment.bytes", segment_size_bytes.to_string()),
            ("min.cleanable.dirty.ratio", "0.01".to_owned()),
            ("delete.retention.ms", random.within(20_000..60_000).to_string()),
        ],
    })
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let idempotent = self.producers.iter().filter(|plan| plan.idempotent).count();
        let topic = |plan: &TopicPlan| {
            let configs: Vec<String> =
                plan.configs.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("{:?}:{}:[{}]", plan.role, plan.partition_count, configs.join(","))
        };
        let topics: Vec<String> = self.topics.iter().map(topic).collect();
        write!(
            f,
            "nodes=1 cores={} faults={} topics={} producers={} idempotent={idempotent} \
             consumers={} members={} memory={:?} segment_size_bytes={} request_timeout={:?} {:?} {}",
            self.core_count,
            self.fault_count,
            topics.join("+"),
            self.producers.len(),
            self.consumers.len(),
            self.members.len(),
            self.memory,
            self.segment_size_bytes,
            self.request_timeout,
            self.storage,
            self.knobs
        )
    }
}
