//! A member of a consumer group: joins, commits, leaves, freezes, dies and comes back, and tells the checkers
//! all that it hears.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use protocol::error_code::ErrorCode;
use protocol::messages::join_group::JoinGroupRequestProtocol;
use protocol::messages::leave_group::MemberIdentity;
use protocol::messages::offset_commit::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use protocol::messages::offset_fetch::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use protocol::messages::sync_group::SyncGroupRequestAssignment;
use protocol::messages::{
    FindCoordinatorRequest, FindCoordinatorResponse, HeartbeatRequest, HeartbeatResponse,
    JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse,
    OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse,
    SyncGroupRequest, SyncGroupResponse,
};
use protocol::wire::WireString;
use reactor::sim::Random;

use crate::client::{ClientError, Connection};
use crate::group::{Group, Owner};
use crate::verdict::Failure;
use crate::workload::Workload;

const BACKOFF: Duration = Duration::from_millis(200);
const SESSION_MS: i32 = 6_000;
const REBALANCE_MS: i32 = 8_000;

/// A member that freezes may be taken for dead.
const FREEZE_MS_MAX: u64 = 12_000;

/// What it may be refused with: it has to ask again, as another member, or later.
const REFUSALS: [ErrorCode; 8] = [
    ErrorCode::CoordinatorLoadInProgress,
    ErrorCode::CoordinatorNotAvailable,
    ErrorCode::NotCoordinator,
    ErrorCode::IllegalGeneration,
    ErrorCode::UnknownMemberId,
    ErrorCode::RebalanceInProgress,
    ErrorCode::MemberIdRequired,
    ErrorCode::FencedInstanceId,
];

/// Refusals after which a commit may have happened all the same.
const IN_DOUBT: [ErrorCode; 3] = [
    ErrorCode::CoordinatorLoadInProgress,
    ErrorCode::CoordinatorNotAvailable,
    ErrorCode::NotCoordinator,
];

pub struct Member {
    pub workload: Rc<Workload>,
    pub group: Rc<Group>,
    pub random: Random,
    /// Of a static member.
    pub instance_id: Option<WireString>,
    /// As the coordinator knows it; empty where it knows nobody.
    id: WireString,
    /// Who it was before it came back: fenced once it has.
    before: Option<Assigned>,
    /// It was heard of while the run was ending.
    has_drained: bool,
}

/// A generation that a member is in.
#[derive(Clone, Debug)]
struct Assigned {
    id: WireString,
    generation: i32,
    partitions: Vec<i32>,
}

/// What comes next.
enum Next {
    Rejoin,
    /// Under another id.
    Anew,
    Done,
}

impl Member {
    pub fn new(
        workload: Rc<Workload>,
        group: Rc<Group>,
        random: Random,
        instance_id: Option<&str>,
    ) -> Self {
        Member {
            workload,
            group,
            random,
            instance_id: instance_id.map(WireString::from),
            id: WireString::EMPTY,
            before: None,
            has_drained: false,
        }
    }

    /// Is a member until the run ends; then it commits once more, and leaves.
    pub async fn run(mut self) {
        while !self.workload.has_failed() {
            match self.run_connection().await {
                Ok(()) => return,
                Err(ClientError::Connection(_)) => reactor::sleep(BACKOFF).await,
                Err(ClientError::Broken(failure)) => self.workload.fail(failure),
            }
        }
    }

    async fn run_connection(&mut self) -> Result<(), ClientError> {
        let mut connection = self.workload.connect().await?;
        let request = FindCoordinatorRequest {
            coordinator_keys: vec![self.group.name.into()],
            ..FindCoordinatorRequest::default()
        };
        let found: FindCoordinatorResponse = connection.call(&request, 4).await?;
        let code = found.coordinators.first().map_or(-1, |found| found.error_code);
        if self.refusal(code)?.is_some() {
            return Err(std::io::Error::other("there is no coordinator").into());
        }
        loop {
            match self.take_part(&mut connection).await? {
                Next::Rejoin => {}
                Next::Anew => self.id = WireString::EMPTY,
                Next::Done => return Ok(()),
            }
        }
    }

    /// One generation, from joining to what ends it.
    async fn take_part(&mut self, connection: &mut Connection) -> Result<Next, ClientError> {
        let joined = match self.join(connection).await? {
            Ok(joined) => joined,
            Err(next) => return Ok(next),
        };
        if let Some(before) = self.before.take() {
            self.is_fenced(connection, &before).await?;
        }
        let assigned = match self.sync(connection, &joined).await? {
            Ok(assigned) => assigned,
            Err(next) => return Ok(next),
        };
        self.fetch(connection, &assigned).await?;
        for _ in 0..self.random.within(2..8) {
            let next = match self.random.chance(0.7) {
                true => self.commit(connection, &assigned).await?,
                false => self.heartbeat(connection, &assigned).await?,
            };
            if let Some(next) = next {
                return Ok(next);
            }
            if self.has_drained {
                self.leave(connection).await?;
                return Ok(Next::Done);
            }
            reactor::sleep(Duration::from_millis(self.random.below(400))).await;
        }
        if self.workload.is_draining() {
            return Ok(Next::Rejoin);
        }
        match self.random.index(6) {
            0 => {
                self.leave(connection).await?;
                Ok(Next::Anew)
            }
            1 => {
                reactor::sleep(Duration::from_millis(self.random.below(FREEZE_MS_MAX))).await;
                Ok(Next::Rejoin)
            }
            2 => {
                // Its process dies, and another one comes: of the same instance, if it is of one.
                self.before = self.instance_id.is_some().then_some(assigned);
                self.id = WireString::EMPTY;
                Err(std::io::Error::other("the member dies").into())
            }
            _ => Ok(Next::Rejoin),
        }
    }

    /// What a code means; `None` where nothing was refused. Errors: a broker may not say so.
    fn refusal(&self, code: i16) -> Result<Option<Next>, ClientError> {
        match ErrorCode::try_from(code) {
            Ok(ErrorCode::None) => Ok(None),
            Ok(ErrorCode::UnknownMemberId | ErrorCode::FencedInstanceId) => Ok(Some(Next::Anew)),
            Ok(error) if IN_DOUBT.contains(&error) => {
                Err(std::io::Error::other("the coordinator is not there").into())
            }
            Ok(error) if REFUSALS.contains(&error) => Ok(Some(Next::Rejoin)),
            other => Err(Failure::broken(5, format!("a member is refused with {other:?}")).into()),
        }
    }

    async fn join(
        &mut self,
        connection: &mut Connection,
    ) -> Result<Result<JoinGroupResponse, Next>, ClientError> {
        let request = JoinGroupRequest {
            group_id: self.group.name.into(),
            session_timeout_ms: SESSION_MS,
            rebalance_timeout_ms: REBALANCE_MS,
            member_id: self.id.clone(),
            group_instance_id: self.instance_id.clone(),
            protocol_type: "partitions".into(),
            protocols: vec![JoinGroupRequestProtocol {
                name: "in turn".into(),
                metadata: Bytes::new(),
            }],
            reason: None,
        };
        let joined: JoinGroupResponse = connection.call(&request, 9).await?;
        if let Some(next) = self.refusal(joined.error_code)? {
            if joined.error_code == ErrorCode::MemberIdRequired.code() {
                self.id = joined.member_id;
            }
            return Ok(Err(next));
        }
        self.id = joined.member_id.clone();
        Ok(Ok(joined))
    }

    async fn sync(
        &mut self,
        connection: &mut Connection,
        joined: &JoinGroupResponse,
    ) -> Result<Result<Assigned, Next>, ClientError> {
        let members = match joined.skip_assignment {
            true => &[][..],
            false => joined.members.as_slice(),
        };
        let assignments = members.iter().enumerate().map(|(index, member)| {
            let partitions = 0..self.group.partition_count;
            let own = partitions.filter(|it| *it as usize % members.len() == index);
            let assignment: Vec<u8> = own.map(|partition| partition as u8).collect();
            SyncGroupRequestAssignment {
                member_id: member.member_id.clone(),
                assignment: assignment.into(),
            }
        });
        let request = SyncGroupRequest {
            group_id: self.group.name.into(),
            generation_id: joined.generation_id,
            member_id: self.id.clone(),
            group_instance_id: self.instance_id.clone(),
            protocol_type: joined.protocol_type.clone(),
            protocol_name: joined.protocol_name.clone(),
            assignments: assignments.collect(),
        };
        let synced: SyncGroupResponse = connection.call(&request, 5).await?;
        if let Some(next) = self.refusal(synced.error_code)? {
            return Ok(Err(next));
        }
        let partitions: Vec<i32> = synced.assignment.iter().map(|it| i32::from(*it)).collect();
        let owner = Owner { id: self.id.clone(), instance_id: self.instance_id.clone() };
        let generation = joined.generation_id;
        self.group.owns(generation, &owner, &partitions)?;
        Ok(Ok(Assigned { id: self.id.clone(), generation, partitions }))
    }

    /// Looks at what is committed of its partitions.
    async fn fetch(
        &mut self,
        connection: &mut Connection,
        assigned: &Assigned,
    ) -> Result<(), ClientError> {
        check_committed(connection, &self.group, &assigned.partitions).await
    }

    async fn commit(
        &mut self,
        connection: &mut Connection,
        assigned: &Assigned,
    ) -> Result<Option<Next>, ClientError> {
        if assigned.partitions.is_empty() {
            self.has_drained |= self.workload.is_draining();
            return self.heartbeat(connection, assigned).await;
        }
        let partition = assigned.partitions[self.random.index(assigned.partitions.len())];
        let value = self.group.begins_commit(partition);
        let code = self.send_commit(connection, assigned, partition, value).await?;
        match ErrorCode::try_from(code) {
            Ok(ErrorCode::None) => {
                self.group.has_committed(partition, value);
                self.has_drained |= self.workload.is_draining();
            }
            Ok(error) if !IN_DOUBT.contains(&error) => {
                self.group.has_not_committed(partition, value);
            }
            _ => {}
        }
        self.refusal(code)
    }

    async fn send_commit(
        &self,
        connection: &mut Connection,
        assigned: &Assigned,
        partition: i32,
        value: i64,
    ) -> Result<i16, ClientError> {
        let request = OffsetCommitRequest {
            group_id: self.group.name.into(),
            generation_id_or_member_epoch: assigned.generation,
            member_id: assigned.id.clone(),
            group_instance_id: self.instance_id.clone(),
            topics: vec![OffsetCommitRequestTopic {
                name: self.group.topic.as_str().into(),
                partitions: vec![OffsetCommitRequestPartition {
                    partition_index: partition,
                    committed_offset: value,
                    ..OffsetCommitRequestPartition::default()
                }],
                ..OffsetCommitRequestTopic::default()
            }],
            ..OffsetCommitRequest::default()
        };
        let committed: OffsetCommitResponse = connection.call(&request, 9).await?;
        let mut partitions = committed.topics.iter().flat_map(|topic| &topic.partitions);
        let what = "OffsetCommit answers no partition";
        let code = partitions.next().map(|partition| partition.error_code);
        code.ok_or_else(|| Failure::broken(12, what.to_owned()).into())
    }

    /// Who it was before it came back commits no more: it does not know that there is another.
    async fn is_fenced(
        &self,
        connection: &mut Connection,
        before: &Assigned,
    ) -> Result<(), ClientError> {
        let Some(&partition) = before.partitions.first() else { return Ok(()) };
        let value = self.group.begins_commit(partition);
        let code = self.send_commit(connection, before, partition, value).await?;
        if code == ErrorCode::None.code() {
            let what = format!("{before:?} has committed, though {} is its instance now", self.id);
            return Err(Failure::broken(8, what).into());
        }
        match ErrorCode::try_from(code) {
            Ok(error) if IN_DOUBT.contains(&error) => {}
            _ => self.group.has_not_committed(partition, value),
        }
        Ok(())
    }

    async fn heartbeat(
        &mut self,
        connection: &mut Connection,
        assigned: &Assigned,
    ) -> Result<Option<Next>, ClientError> {
        let request = HeartbeatRequest {
            group_id: self.group.name.into(),
            generation_id: assigned.generation,
            member_id: assigned.id.clone(),
            group_instance_id: self.instance_id.clone(),
        };
        let heard: HeartbeatResponse = connection.call(&request, 4).await?;
        self.refusal(heard.error_code)
    }

    async fn leave(&mut self, connection: &mut Connection) -> Result<(), ClientError> {
        let request = LeaveGroupRequest {
            group_id: self.group.name.into(),
            members: vec![MemberIdentity {
                member_id: self.id.clone(),
                group_instance_id: self.instance_id.clone(),
                reason: None,
            }],
            ..LeaveGroupRequest::default()
        };
        let _left: LeaveGroupResponse = connection.call(&request, 5).await?;
        Ok(())
    }
}

/// That what the broker says is committed of `partitions` may be.
async fn check_committed(
    connection: &mut Connection,
    group: &Group,
    partitions: &[i32],
) -> Result<(), ClientError> {
    let request = OffsetFetchRequest {
        groups: vec![OffsetFetchRequestGroup {
            group_id: group.name.into(),
            topics: Some(vec![OffsetFetchRequestTopics {
                name: group.topic.as_str().into(),
                partition_indexes: partitions.to_vec(),
                ..OffsetFetchRequestTopics::default()
            }]),
            ..OffsetFetchRequestGroup::default()
        }],
        ..OffsetFetchRequest::default()
    };
    let asked_at = group.tick();
    let fetched: OffsetFetchResponse = connection.call(&request, 8).await?;
    let Some(answer) = fetched.groups.first() else {
        return Err(Failure::broken(12, "OffsetFetch answers no group".to_owned()).into());
    };
    if answer.error_code != ErrorCode::None.code() {
        return Err(std::io::Error::other("no offset is told").into());
    }
    let told = answer.topics.iter().flat_map(|topic| &topic.partitions);
    for partition in told {
        let (index, offset) = (partition.partition_index, partition.committed_offset);
        group.check_committed(index, offset, asked_at)?;
    }
    Ok(())
}

impl Workload {
    /// That all that was committed of `group` still is.
    pub async fn check_group(&self, group: &Group) -> Option<()> {
        let partitions: Vec<i32> = (0..group.partition_count).collect();
        self.persist(async |connection| {
            check_committed(connection, group, &partitions).await?;
            Ok(Some(()))
        })
        .await
    }
}
