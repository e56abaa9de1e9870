//! The question "delete what lies below", for all partitions of one DeleteRecords request that one core
//! owns.

use std::rc::Rc;

use protocol::error_code::ErrorCode;
use protocol::model::Offset;

use super::partition::PartitionKey;
use crate::cores::{Ask, Core, CoreReply, CoreRequest, ReplyTo};

#[derive(Clone, Copy, Debug)]
pub struct DeleteRecordsPart {
    pub partition: PartitionKey,
    /// The first offset that stays; `None` for the high watermark.
    pub before: Option<Offset>,
}

#[derive(Clone, Debug)]
pub struct DeleteRecordsParts {
    pub parts: Vec<DeleteRecordsPart>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeleteRecordsResult {
    pub error: ErrorCode,
    /// The lowest log start of all replicas, which is that of the only one.
    pub low_watermark: Option<Offset>,
}

impl DeleteRecordsResult {
    pub fn refused(error: ErrorCode) -> Self {
        DeleteRecordsResult { error, low_watermark: None }
    }
}

impl Ask for DeleteRecordsParts {
    type Answer = Vec<DeleteRecordsResult>;

    fn serve(self, core: &Rc<Core>, reply: ReplyTo<Self::Answer>) {
        let delete = |part: DeleteRecordsPart| match core.partition(&part.partition) {
            None => DeleteRecordsResult::refused(ErrorCode::NotLeaderOrFollower),
            Some(owned) => match owned.delete_records(part.before) {
                Ok(log_start_offset) => DeleteRecordsResult {
                    error: ErrorCode::None,
                    low_watermark: Some(log_start_offset),
                },
                Err(error) => DeleteRecordsResult::refused(error),
            },
        };
        reply.send(self.parts.into_iter().map(delete).collect());
    }

    fn into_request(self) -> CoreRequest {
        CoreRequest::DeleteRecords(self)
    }

    fn into_reply(answer: Self::Answer) -> CoreReply {
        CoreReply::DeleteRecords(answer)
    }

    fn from_reply(reply: CoreReply) -> Option<Self::Answer> {
        match reply {
            CoreReply::DeleteRecords(answer) => Some(answer),
            _ => None,
        }
    }
}
