//! The question "where does this leader epoch end", for all partitions of one request that one core owns.

use std::rc::Rc;

use protocol::error_code::ErrorCode;
use protocol::model::LeaderEpoch;
use storage::EpochEnd;

use super::partition::{Partition, PartitionKey};
use crate::cores::{Ask, Core, CoreReply, CoreRequest, ReplyTo};

#[derive(Clone, Copy, Debug)]
pub struct EpochEndPart {
    pub partition: PartitionKey,
    pub current_leader_epoch: Option<LeaderEpoch>,
    pub leader_epoch: Option<LeaderEpoch>,
}

#[derive(Clone, Debug)]
pub struct EpochEndParts {
    pub parts: Vec<EpochEndPart>,
}

/// `None` where the log knows nothing of the epoch, nor of one before.
pub type EpochEndResult = Result<Option<EpochEnd>, ErrorCode>;

/// The log learns of an epoch with its first record; the leader knows its own from the start. Source:
/// Kafka's `LeaderEpochFileCache.endOffsetFor`, which has an entry for it.
pub(super) fn end_of(owned: &Partition, leader_epoch: LeaderEpoch) -> Option<EpochEnd> {
    let log = owned.log();
    let end_offset = log.log_end_offset();
    if leader_epoch > owned.leader_epoch() {
        return None;
    }
    if leader_epoch == owned.leader_epoch() {
        return Some(EpochEnd { leader_epoch, end_offset });
    }
    log.end_offset_for_epoch(leader_epoch).or_else(|| {
        let leader_epoch = log.latest_leader_epoch().unwrap_or(leader_epoch);
        Some(EpochEnd { leader_epoch, end_offset })
    })
}

impl Ask for EpochEndParts {
    type Answer = Vec<EpochEndResult>;

    fn serve(self, core: &Rc<Core>, reply: ReplyTo<Self::Answer>) {
        let find = |part: EpochEndPart| {
            let owned = core.partition(&part.partition).ok_or(ErrorCode::NotLeaderOrFollower)?;
            owned.check(part.current_leader_epoch)?;
            Ok(part.leader_epoch.and_then(|epoch| end_of(&owned, epoch)))
        };
        reply.send(self.parts.into_iter().map(find).collect());
    }

    fn into_request(self) -> CoreRequest {
        CoreRequest::EpochEnds(self)
    }

    fn into_reply(answer: Self::Answer) -> CoreReply {
        CoreReply::EpochEnds(answer)
    }

    fn from_reply(reply: CoreReply) -> Option<Self::Answer> {
        match reply {
            CoreReply::EpochEnds(answer) => Some(answer),
            _ => None,
        }
    }
}
