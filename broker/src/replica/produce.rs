//! The question "append this", for all partitions of one produce request that one core owns.

use std::rc::Rc;

use protocol::error_code::ErrorCode;
use protocol::record_batch::RecordBatch;

use super::acks::{ProduceResult, ProduceWait};
use super::partition::PartitionKey;
use crate::cores::{Ask, Core, CoreReply, CoreRequest, ReplyTo};

/// One partition's batches, validated.
#[derive(Debug)]
pub struct ProducePart {
    pub partition: PartitionKey,
    pub batches: Vec<RecordBatch>,
}

#[derive(Debug)]
pub struct ProduceParts {
    pub parts: Vec<ProducePart>,
    /// False for `acks=0`: the answer then only says what was refused.
    pub until_durable: bool,
    /// When what still waits is answered with REQUEST_TIMED_OUT; `None` for never.
    pub deadline: Option<reactor::Instant>,
}

impl Ask for ProduceParts {
    type Answer = Vec<ProduceResult>;

    fn serve(self, core: &Rc<Core>, reply: ReplyTo<Self::Answer>) {
        let unset = ProduceResult::refused(ErrorCode::UnknownServerError, None);
        let wait = ProduceWait::new(vec![unset; self.parts.len()], reply, core.deadlines.clone());
        for (part, ProducePart { partition, batches }) in self.parts.into_iter().enumerate() {
            match core.partition(&partition) {
                Some(owned) => owned.append(batches, self.until_durable, &wait, part),
                None => {
                    wait.settle(part, ProduceResult::refused(ErrorCode::NotLeaderOrFollower, None))
                }
            }
        }
        if let Some(deadline) = self.deadline {
            wait.expire_at(deadline);
        }
    }

    fn into_request(self) -> CoreRequest {
        CoreRequest::Produce(self)
    }

    fn into_reply(answer: Self::Answer) -> CoreReply {
        CoreReply::Produce(answer)
    }

    fn from_reply(reply: CoreReply) -> Option<Self::Answer> {
        match reply {
            CoreReply::Produce(answer) => Some(answer),
            _ => None,
        }
    }
}
