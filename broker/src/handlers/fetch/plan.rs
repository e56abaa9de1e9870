//! What a fetch asks of which core.

use std::rc::Rc;
use std::time::Duration;

use protocol::error_code::ErrorCode;
use protocol::messages::fetch::FetchRequest;
use protocol::model::{LeaderEpoch, Offset};
use reactor::CoreIndex;

use super::super::route::{self, ByCore};
use super::wanted::{TopicRef, Wanted};
use crate::cores::{ClusterView, Core};
use crate::replica::{FetchKey, FetchPart, FetchResult};

const READ_COMMITTED: i8 = 1;

/// What is said of a partition that nobody has heard of: no reason to answer before there are records of
/// others, or the deadline, as a consumer of a topic that was deleted would ask again and again.
const UNKNOWN: [ErrorCode; 2] = [ErrorCode::UnknownTopicId, ErrorCode::UnknownTopicOrPartition];

pub struct Plan {
    pub key: FetchKey,
    /// In the order of the answer.
    pub wanted: Vec<Wanted>,
    pub read_committed: bool,
    /// For each core its slots and parts.
    pub owners: Vec<(CoreIndex, Vec<usize>, Vec<FetchPart>)>,
    /// The slots that are settled without asking anybody.
    pub settled: Vec<(usize, FetchResult)>,
    pub size_bytes_max: usize,
    pub size_bytes_min: usize,
    /// `None`: the answer does not wait.
    pub deadline: Option<reactor::Instant>,
}

impl Plan {
    /// `wanted` is read as `request` says, and not more than `quota_size_bytes_max` of it.
    pub fn new(
        core: &Rc<Core>,
        request: &FetchRequest,
        quota_size_bytes_max: Option<usize>,
        wanted: Vec<Wanted>,
    ) -> Self {
        let unsigned = |number: i32| usize::try_from(number).unwrap_or(0);
        let size_bytes_max = unsigned(request.max_bytes)
            .min(core.node.config.fetch_size_bytes_max)
            .min(quota_size_bytes_max.unwrap_or(usize::MAX));
        let mut parts = ByCore::new();
        let mut settled = Vec::new();
        let mut is_urgent = false;
        // Followers are not served yet: one that asks is not in any partition's replica set.
        let from_replica = request.replica_id >= 0 || request.replica_state.replica_id >= 0;
        let view = core.view();
        for (slot, wanted) in wanted.iter().enumerate() {
            let part = match from_replica {
                true => Err(ErrorCode::NotLeaderOrFollower),
                false => part(core, &view, wanted),
            };
            match part {
                Ok((owner, part)) => parts.push(owner, slot, part),
                Err(error) => {
                    is_urgent |= !UNKNOWN.contains(&error);
                    settled.push((slot, FetchResult::refused(error)));
                }
            }
        }
        let waits = request.max_wait_ms > 0 && !is_urgent && parts.core_count() > 0;
        let max_wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
        Plan {
            key: core.next_fetch_key(),
            wanted,
            read_committed: request.isolation_level == READ_COMMITTED,
            owners: parts.into_parts().collect(),
            settled,
            size_bytes_max,
            size_bytes_min: unsigned(request.min_bytes).min(size_bytes_max),
            deadline: waits.then(|| reactor::now() + max_wait),
        }
    }
}

fn part(
    core: &Core,
    view: &ClusterView,
    wanted: &Wanted,
) -> Result<(CoreIndex, FetchPart), ErrorCode> {
    let broker = core.node.config.node_id;
    let route = match &wanted.topic {
        TopicRef::Id(topic_id) => route::by_id(view, broker, *topic_id, wanted.partition)?,
        TopicRef::Name(name) => route::by_name(view, broker, name, wanted.partition)?,
    };
    let from = Offset::from_wire(wanted.fetch_offset).ok_or(ErrorCode::OffsetOutOfRange)?;
    let part = FetchPart {
        partition: route.key,
        from,
        size_bytes_max: usize::try_from(wanted.size_bytes_max).unwrap_or(0),
        current_leader_epoch: LeaderEpoch::from_wire(wanted.current_leader_epoch),
        last_fetched_epoch: LeaderEpoch::from_wire(wanted.last_fetched_epoch),
    };
    Ok((route.core, part))
}
