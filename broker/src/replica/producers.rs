//! The question "who writes here", for all partitions of one request that one core owns.

use std::rc::Rc;

use protocol::error_code::ErrorCode;
use storage::ActiveProducer;

use super::partition::PartitionKey;
use crate::cores::{Ask, Core, CoreReply, CoreRequest, ReplyTo};

#[derive(Clone, Debug)]
pub struct ProducersParts {
    pub partitions: Vec<PartitionKey>,
}

pub type ProducersResult = Result<Vec<ActiveProducer>, ErrorCode>;

impl Ask for ProducersParts {
    type Answer = Vec<ProducersResult>;

    fn serve(self, core: &Rc<Core>, reply: ReplyTo<Self::Answer>) {
        let describe = |partition| {
            let owned = core.partition(partition).ok_or(ErrorCode::NotLeaderOrFollower)?;
            owned.check(None)?;
            Ok(owned.log().active_producers())
        };
        reply.send(self.partitions.iter().map(describe).collect());
    }

    fn into_request(self) -> CoreRequest {
        CoreRequest::Producers(self)
    }

    fn into_reply(answer: Self::Answer) -> CoreReply {
        CoreReply::Producers(answer)
    }

    fn from_reply(reply: CoreReply) -> Option<Self::Answer> {
        match reply {
            CoreReply::Producers(answer) => Some(answer),
            _ => None,
        }
    }
}
