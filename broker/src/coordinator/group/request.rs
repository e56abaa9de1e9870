//! What a shard is asked, and what it answers. A refusal is a code alone: who asked knows where its
//! response has room for it.

use protocol::error_code::ErrorCode;
use protocol::messages::delete_groups::DeletableGroupResult;
use protocol::messages::describe_groups::DescribedGroup;
use protocol::messages::list_groups::{ListGroupsRequest, ListedGroup};
use protocol::messages::offset_fetch::{OffsetFetchRequestGroup, OffsetFetchResponseGroup};
use protocol::messages::{
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    LeaveGroupResponse, OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest,
    OffsetDeleteResponse, SyncGroupRequest, SyncGroupResponse,
};
use protocol::model::TopicId;
use protocol::wire::WireString;

/// Who sent a request, as members are told of each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker {
    pub client_id: WireString,
    pub client_host: WireString,
    /// Of the request.
    pub version: i16,
    /// What makes a member id its own, should it be given one.
    pub unique: WireString,
}

#[derive(Clone, Debug)]
pub enum GroupRequest {
    Join(Asker, JoinGroupRequest),
    Sync(SyncGroupRequest),
    Heartbeat(HeartbeatRequest),
    Leave(LeaveGroupRequest),
    /// With its version. Topics exist, and are known by name and id.
    Commit(i16, OffsetCommitRequest),
    /// Topics are known by name; their ids as far as the client named them.
    Fetch(OffsetFetchRequestGroup),
    DeleteOffsets(OffsetDeleteRequest),
    /// With its version.
    Describe(i16, Vec<WireString>),
    List(ListGroupsRequest),
    Delete(Vec<WireString>),
    /// Topics that are gone: their offsets are forgotten. Asked by the broker itself.
    ForgetTopics(Vec<(WireString, TopicId)>),
}

#[derive(Clone, Debug, PartialEq)]
pub enum GroupAnswer {
    Join(JoinGroupResponse),
    Sync(SyncGroupResponse),
    Heartbeat(HeartbeatResponse),
    Leave(LeaveGroupResponse),
    Commit(OffsetCommitResponse),
    Fetch(OffsetFetchResponseGroup),
    DeleteOffsets(OffsetDeleteResponse),
    Describe(Vec<DescribedGroup>),
    List(Vec<ListedGroup>),
    Delete(Vec<DeletableGroupResult>),
    Forgotten,
}

pub type GroupResult = Result<GroupAnswer, ErrorCode>;
