//! What a fetch asks of which core.

use std::rc::Rc;
use std::time::Duration;

use protocol::error_code::ErrorCode;
use protocol::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use protocol::model::{LeaderEpoch, Offset};
use reactor::CoreIndex;

use super::super::request::RequestHead;
use super::super::route::{self, ByCore};
use crate::cores::Core;
use crate::replica::{FetchKey, FetchPart, FetchResult};

/// The first version that names topics by id.
const TOPIC_ID_VERSION: i16 = 13;

const READ_COMMITTED: i8 = 1;

pub struct Plan {
    pub key: FetchKey,
    /// As the request names them: the answer follows their order.
    pub topics: Vec<FetchTopic>,
    pub read_committed: bool,
    /// For each core its slots and parts.
    pub owners: Vec<(CoreIndex, Vec<usize>, Vec<FetchPart>)>,
    /// The slots that are settled without asking anybody.
    pub settled: Vec<(usize, FetchResult)>,
    pub slot_count: usize,
    pub size_bytes_max: usize,
    pub size_bytes_min: usize,
    /// `None`: the answer does not wait.
    pub deadline: Option<reactor::Instant>,
}

impl Plan {
    pub fn new(core: &Rc<Core>, head: &RequestHead, mut request: FetchRequest) -> Self {
        let unsigned = |number: i32| usize::try_from(number).unwrap_or(0);
        let size_bytes_max = unsigned(request.max_bytes).min(core.node.config.fetch_size_bytes_max);
        let topics = std::mem::take(&mut request.topics);
        let mut parts = ByCore::new();
        let mut settled = Vec::new();
        let mut slot = 0;
        // Followers are not served yet: one that asks is not in any partition's replica set.
        let from_replica = request.replica_id >= 0 || request.replica_state.replica_id >= 0;
        for topic in &topics {
            for partition in &topic.partitions {
                let part = if from_replica {
                    Err(ErrorCode::NotLeaderOrFollower)
                } else {
                    part(core, head.version, topic, partition)
                };
                match part {
                    Ok((owner, part)) => parts.push(owner, slot, part),
                    Err(error) => settled.push((slot, FetchResult::refused(error))),
                }
                slot += 1;
            }
        }
        let waits = request.max_wait_ms > 0 && settled.is_empty() && parts.core_count() > 0;
        let max_wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
        Plan {
            key: core.next_fetch_key(),
            topics,
            read_committed: request.isolation_level == READ_COMMITTED,
            owners: parts.into_parts().collect(),
            settled,
            slot_count: slot,
            size_bytes_max,
            size_bytes_min: unsigned(request.min_bytes).min(size_bytes_max),
            deadline: waits.then(|| reactor::now() + max_wait),
        }
    }
}

fn part(
    core: &Rc<Core>,
    version: i16,
    topic: &FetchTopic,
    partition: &FetchPartition,
) -> Result<(CoreIndex, FetchPart), ErrorCode> {
    let view = core.view();
    let broker = core.node.config.node_id;
    let route = if version >= TOPIC_ID_VERSION {
        route::by_id(&view, broker, topic.topic_id, partition.partition)?
    } else {
        route::by_name(&view, broker, &topic.topic, partition.partition)?
    };
    let from = Offset::from_wire(partition.fetch_offset).ok_or(ErrorCode::OffsetOutOfRange)?;
    let part = FetchPart {
        partition: route.key,
        from,
        size_bytes_max: usize::try_from(partition.partition_max_bytes).unwrap_or(0),
        current_leader_epoch: LeaderEpoch::from_wire(partition.current_leader_epoch),
        last_fetched_epoch: LeaderEpoch::from_wire(partition.last_fetched_epoch),
    };
    Ok((route.core, part))
}
