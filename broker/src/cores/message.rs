//! What crosses cores.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use controller::Response;
use protocol::model::Offset;
use reactor::CoreIndex;
use reactor::net::{Accepted, IpAddr};
use storage::{LogOffsets, Opening, TopicPartition};

use super::view::ClusterView;
use crate::controller_core::ControllerQuestion;
use crate::coordinator::group::{GroupQuestion, GroupResult};
use crate::quota::QuotaQuestion;
use crate::replica::{
    DeleteRecordsParts, DeleteRecordsResult, EpochEndParts, EpochEndResult, FetchAnswer, FetchKey,
    FetchParts, ListOffsetsParts, ListOffsetsResult, LogSize, LogSizes, PartitionKey, ProduceParts,
    ProduceResult, ProducersParts, ProducersResult,
};

/// A message to a core: the first group wants a reply, the second goes through the control lane, which
/// clients cannot fill.
pub enum CoreRequest {
    Produce(ProduceParts),
    Fetch(FetchParts),
    ListOffsets(ListOffsetsParts),
    DeleteRecords(DeleteRecordsParts),
    EpochEnds(EpochEndParts),
    Producers(ProducersParts),
    LogSizes(LogSizes),
    Controller(ControllerQuestion),
    Quota(QuotaQuestion),
    Group(Box<GroupQuestion>),
    /// A fetch that was asked for shall answer with what it has. Not through the control lane, where it
    /// would overtake its fetch; nothing is replied.
    FinishFetch(FetchKey),

    /// A new connection, for the core it goes to.
    Adopt(Accepted),
    /// A connection of the sender has ended.
    Released {
        from: CoreIndex,
        address: IpAddr,
    },
    /// Some fetches that `asker` has asked for and that are parked with you shall answer with what they
    /// have: it needs their memory.
    EndParkedFetches {
        asker: CoreIndex,
        count: usize,
    },
    /// A fetch session of yours ends.
    EndFetchSession {
        id: i32,
    },
    /// Memory for answers that you lent was given back, and you wait for some.
    AnswerMemoryFreed,
    /// Memory for answers is short: end connections that keep some and read nothing.
    EndStuckSends,
    /// Open, create and delete what the view says of your partitions, then say `Prepared`.
    Prepare(Arc<Preparation>),
    Prepared {
        from: CoreIndex,
        version: Offset,
    },
    /// Every core is prepared: show the view to clients, then say `Shown`.
    Show {
        version: Offset,
    },
    Shown {
        from: CoreIndex,
        version: Offset,
    },
    /// One of the node's log directories has failed under the sender.
    DirectoryFailed {
        directory: usize,
        reason: Arc<str>,
    },
    /// Take what lies in that directory offline.
    FailDirectory {
        directory: usize,
        reason: Arc<str>,
    },
    /// Begin to accept connections.
    Serve,
    /// End connections, close logs, then say `Stopped`.
    Stop,
    Stopped(Closed),
}

/// A view, and what changed since the last one.
pub struct Preparation {
    pub view: ClusterView,
    /// Partitions of this broker that came or changed.
    pub changed: Vec<ChangedPartition>,
    /// Partitions of this broker that went.
    pub removed: Vec<PartitionKey>,
}

#[derive(Clone, Debug)]
pub struct ChangedPartition {
    pub key: PartitionKey,
    pub name: TopicPartition,
    /// Which of the node's log directories it lies in, and its own.
    pub directory: usize,
    pub path: PathBuf,
    /// What was found of it at the start; `None` for a new one.
    pub opening: Option<Opening>,
}

/// What a core has left behind at its end.
#[derive(Clone, Debug, Default)]
pub struct Closed {
    pub partitions: Vec<ClosedPartition>,
    /// Directories in which a log or a journal could not be closed: their stop is not clean.
    pub unclean: BTreeSet<usize>,
}

/// What the checkpoints say of a partition after a clean stop.
#[derive(Clone, Debug)]
pub struct ClosedPartition {
    pub directory: usize,
    pub log: LogOffsets,
}

/// An answer to one of the first group.
pub enum CoreReply {
    Produce(Vec<ProduceResult>),
    Fetch(FetchAnswer),
    ListOffsets(Vec<ListOffsetsResult>),
    DeleteRecords(Vec<DeleteRecordsResult>),
    EpochEnds(Vec<EpochEndResult>),
    Producers(Vec<ProducersResult>),
    LogSizes(Vec<LogSize>),
    Controller(Response),
    Quota(Option<Duration>),
    Group(Box<GroupResult>),
}
