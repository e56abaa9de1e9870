//! The question "how large are your logs, and where do they lie".

use std::rc::Rc;
use std::sync::Arc;

use protocol::model::PartitionId;

use crate::cores::{Ask, Core, CoreReply, CoreRequest, ReplyTo};

#[derive(Clone, Copy, Debug)]
pub struct LogSizes;

/// One log of a core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSize {
    pub topic: Arc<str>,
    pub index: PartitionId,
    /// Which of the node's log directories it lies in.
    pub directory: usize,
    pub size_bytes: u64,
}

impl Ask for LogSizes {
    type Answer = Vec<LogSize>;

    fn serve(self, core: &Rc<Core>, reply: ReplyTo<Self::Answer>) {
        let size = |partition: &super::Partition| LogSize {
            topic: Arc::from(&*partition.topic),
            index: partition.index,
            directory: partition.directory,
            size_bytes: partition.log().size_bytes(),
        };
        reply.send(core.partitions().iter().map(|(_, partition)| size(partition)).collect());
    }

    fn into_request(self) -> CoreRequest {
        CoreRequest::LogSizes(self)
    }

    fn into_reply(answer: Self::Answer) -> CoreReply {
        CoreReply::LogSizes(answer)
    }

    fn from_reply(reply: CoreReply) -> Option<Self::Answer> {
        match reply {
            CoreReply::LogSizes(answer) => Some(answer),
            _ => None,
        }
    }
}
