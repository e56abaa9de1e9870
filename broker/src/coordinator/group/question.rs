//! The question to a group's coordinator, from any core.

use std::rc::Rc;

use super::request::{GroupRequest, GroupResult};
use crate::cores::{Ask, Core, CoreReply, CoreRequest, ReplyTo};
use crate::replica::PartitionKey;

/// Asks the coordinator on the core that owns `partition`; a join may be answered after minutes.
#[derive(Debug)]
pub struct GroupQuestion {
    pub partition: PartitionKey,
    pub request: GroupRequest,
}

impl Ask for GroupQuestion {
    type Answer = GroupResult;

    fn serve(self, core: &Rc<Core>, reply: ReplyTo<Self::Answer>) {
        core.groups.serve(core, self.partition, self.request, reply);
    }

    fn into_request(self) -> CoreRequest {
        CoreRequest::Group(Box::new(self))
    }

    fn into_reply(answer: Self::Answer) -> CoreReply {
        CoreReply::Group(Box::new(answer))
    }

    fn from_reply(reply: CoreReply) -> Option<Self::Answer> {
        match reply {
            CoreReply::Group(answer) => Some(*answer),
            _ => None,
        }
    }
}
