//! The question "which offset is at this time", for all partitions of one request that one core owns.

use std::rc::Rc;

use protocol::error_code::ErrorCode;
use protocol::model::{LeaderEpoch, Offset, TimestampMs};

use super::partition::{Partition, PartitionKey};
use crate::cores::{Ask, Core, CoreReply, CoreRequest, ReplyTo};

/// What is asked for. Source: `ListOffsetsRequest`, KIP-734, KIP-405, KIP-1005, KIP-1023.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetSpec {
    /// -1: the end that the isolation level shows.
    Latest,
    /// -2 and -4: nothing is tiered, so the log's start is the local one.
    Earliest,
    /// -3: the record with the largest timestamp.
    MaxTimestamp,
    /// -5: nothing is tiered.
    LatestTiered,
    /// -6: nothing is tiered, and nothing waits for that.
    EarliestPendingUpload,
    /// The first record whose timestamp is at least this.
    At(TimestampMs),
}

impl OffsetSpec {
    /// From the wire; `None` for a negative number without a meaning.
    pub fn from_wire(timestamp: i64) -> Option<Self> {
        match timestamp {
            -1 => Some(OffsetSpec::Latest),
            -2 | -4 => Some(OffsetSpec::Earliest),
            -3 => Some(OffsetSpec::MaxTimestamp),
            -5 => Some(OffsetSpec::LatestTiered),
            -6 => Some(OffsetSpec::EarliestPendingUpload),
            0.. => Some(OffsetSpec::At(TimestampMs(timestamp))),
            _ => None,
        }
    }
}

#[derive(Clone, Debug)]
pub struct ListOffsetsPart {
    pub partition: PartitionKey,
    pub current_leader_epoch: Option<LeaderEpoch>,
    pub spec: OffsetSpec,
    pub read_committed: bool,
}

#[derive(Clone, Debug)]
pub struct ListOffsetsParts {
    pub parts: Vec<ListOffsetsPart>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListOffsetsResult {
    pub error: ErrorCode,
    pub offset: Option<Offset>,
    pub timestamp: Option<TimestampMs>,
    pub leader_epoch: Option<LeaderEpoch>,
}

impl ListOffsetsResult {
    pub fn refused(error: ErrorCode) -> Self {
        ListOffsetsResult { error, offset: None, timestamp: None, leader_epoch: None }
    }

    fn at(offset: Offset, leader_epoch: Option<LeaderEpoch>) -> Self {
        ListOffsetsResult {
            error: ErrorCode::None,
            offset: Some(offset),
            timestamp: None,
            leader_epoch,
        }
    }
}

impl Ask for ListOffsetsParts {
    type Answer = Vec<ListOffsetsResult>;

    fn serve(self, core: &Rc<Core>, reply: ReplyTo<Self::Answer>) {
        let core_ = core.clone();
        core.run_now_or_spawn(Box::pin(async move {
            let mut results = Vec::with_capacity(self.parts.len());
            for part in &self.parts {
                results.push(match core_.partition(&part.partition) {
                    None => ListOffsetsResult::refused(ErrorCode::NotLeaderOrFollower),
                    Some(owned) => find(&owned, part).await,
                });
            }
            reply.send(results);
        }));
    }

    fn into_request(self) -> CoreRequest {
        CoreRequest::ListOffsets(self)
    }

    fn into_reply(answer: Self::Answer) -> CoreReply {
        CoreReply::ListOffsets(answer)
    }

    fn from_reply(reply: CoreReply) -> Option<Self::Answer> {
        match reply {
            CoreReply::ListOffsets(answer) => Some(answer),
            _ => None,
        }
    }
}

async fn find(owned: &Partition, part: &ListOffsetsPart) -> ListOffsetsResult {
    if let Err(error) = owned.check(part.current_leader_epoch) {
        return ListOffsetsResult::refused(error);
    }
    let log = owned.log();
    let end = if part.read_committed { owned.last_stable_offset() } else { owned.high_watermark() };
    let found = match part.spec {
        OffsetSpec::Latest => {
            return ListOffsetsResult::at(end, Some(owned.leader_epoch()));
        }
        OffsetSpec::Earliest => {
            let start = log.log_start_offset();
            // Where the log is empty the next record comes there, with this epoch.
            let epoch = match log.leader_epoch_at(start) {
                None if start == log.log_end_offset() => Some(owned.leader_epoch()),
                epoch => epoch,
            };
            return ListOffsetsResult::at(start, epoch);
        }
        OffsetSpec::LatestTiered | OffsetSpec::EarliestPendingUpload => {
            return ListOffsetsResult {
                error: ErrorCode::None,
                ..ListOffsetsResult::refused(ErrorCode::None)
            };
        }
        OffsetSpec::MaxTimestamp => log.max_timestamp().await,
        OffsetSpec::At(timestamp) => log.offset_for_timestamp(timestamp).await,
    };
    match found {
        // A record above what the reader may see is not found for it.
        Ok(found) => match found.filter(|found| found.offset < end) {
            Some(found) => ListOffsetsResult {
                error: ErrorCode::None,
                offset: Some(found.offset),
                timestamp: Some(found.timestamp),
                leader_epoch: found.leader_epoch,
            },
            None => ListOffsetsResult::refused(ErrorCode::None),
        },
        Err(error) => {
            tracing::error!(
                topic = %owned.topic, partition = %owned.index, %error, "cannot search by time"
            );
            ListOffsetsResult::refused(ErrorCode::KafkaStorageError)
        }
    }
}
