//! A shard with its log, its clock and those who wait, and the requests that tests send.

use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::Bytes;
use protocol::error_code::ErrorCode;
use protocol::messages::join_group::JoinGroupRequestProtocol;
use protocol::messages::leave_group::MemberIdentity;
use protocol::messages::offset_commit::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use protocol::messages::offset_fetch::OffsetFetchRequestGroup;
use protocol::messages::sync_group::SyncGroupRequestAssignment;
use protocol::messages::{
    HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, OffsetCommitRequest,
    SyncGroupRequest, SyncGroupResponse,
};
use protocol::model::{TimestampMs, TopicId};
use protocol::record_batch::Compression;
use protocol::wire::WireString;
use reactor::Instant;

use super::super::classic::{ClassicGroup, Phase};
use super::super::config::GroupConfig;
use super::super::record::GroupRecord;
use super::super::request::{Asker, GroupAnswer, GroupRequest, GroupResult};
use super::super::shard::{GroupShard, Now, Outcome, Waiter};

pub const GROUP: &str = "g";
pub const SESSION_MS: i32 = 10_000;
pub const REBALANCE_MS: i32 = 60_000;
pub const DELAY_MS: i32 = 3_000;
pub const RETENTION_MS: i64 = 7 * 24 * 3_600_000;
pub const CHECK_MS: u64 = 600_000;

pub fn config() -> GroupConfig {
    GroupConfig {
        session_timeout_ms_min: 6_000,
        session_timeout_ms_max: 1_800_000,
        initial_rebalance_delay_ms: DELAY_MS,
        member_count_max: 4,
        metadata_length_max: 8,
        offsets_retention_ms: RETENTION_MS,
        offsets_retention_check_ms: CHECK_MS,
        offsets_topic_partition_count: 1,
        offsets_topic_replication_factor: 1,
        offsets_topic_segment_size_bytes: 1 << 20,
        compression: Compression::None,
    }
}

/// A shard with its log, its clock, and those who wait.
pub struct World {
    pub shard: GroupShard,
    pub log: Vec<GroupRecord>,
    now_ms: u64,
    asked: u64,
    pub answers: BTreeMap<Waiter, GroupResult>,
}

impl World {
    pub fn new() -> Self {
        World::of(config())
    }

    pub fn of(config: GroupConfig) -> Self {
        let mut shard = GroupShard::new(Rc::new(config), 10_000);
        let mut world = World {
            shard: shard.clone(),
            log: Vec::new(),
            now_ms: 1_000,
            asked: 0,
            answers: BTreeMap::new(),
        };
        shard.loaded(world.now(), &mut Outcome::default());
        world.shard = shard;
        world
    }

    pub fn now(&self) -> Now {
        Now {
            monotonic: Instant(self.now_ms * 1_000_000),
            wall: TimestampMs(1_700_000_000_000 + self.now_ms as i64),
        }
    }

    pub fn carry_out(&mut self, outcome: Outcome) {
        for record in outcome.records {
            let (key, value) = record.encode().expect("short names");
            let decoded = GroupRecord::decode(key, value).expect("our own record");
            assert_eq!(
                decoded.as_ref(),
                Some(&record),
                "a record is in the log what it was before"
            );
            self.shard.replay(&record);
            self.log.push(record);
        }
        for (waiter, result) in outcome.answers {
            let before = self.answers.insert(waiter, result);
            assert!(before.is_none(), "{waiter:?} is answered once");
        }
        self.check();
    }

    pub fn ask(&mut self, mut request: GroupRequest) -> Waiter {
        let waiter = Waiter(self.asked);
        if let GroupRequest::Join(asker, _) = &mut request
            && asker.unique.is_empty()
        {
            asker.unique = WireString::from(format!("u{:06}", self.asked));
        }
        self.asked += 1;
        let mut outcome = Outcome::default();
        self.shard.handle(self.now(), waiter, request, &mut outcome);
        self.carry_out(outcome);
        waiter
    }

    pub fn call(&mut self, request: GroupRequest) -> GroupResult {
        let waiter = self.ask(request);
        self.answers.remove(&waiter).expect("answered at once")
    }

    /// Lets time pass, and does what falls due on the way.
    pub fn pass(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        while let Some(Instant(at)) = self.shard.next_deadline()
            && at <= end * 1_000_000
        {
            self.now_ms = self.now_ms.max(at / 1_000_000);
            let mut outcome = Outcome::default();
            assert!(self.shard.tick(self.now(), &mut outcome), "something is due");
            self.carry_out(outcome);
        }
        self.now_ms = end;
    }

    /// A shard that has read the log, and knows nothing else.
    pub fn restarted(&self) -> GroupShard {
        let mut shard = GroupShard::new(self.shard.config.clone(), 10_000);
        self.log.iter().for_each(|record| shard.replay(record));
        shard
    }

    /// What holds after every step.
    pub fn check(&self) {
        let restarted = self.restarted();
        assert_eq!(
            restarted.written(),
            self.shard.written(),
            "INV-5: the log gives what is written"
        );
        assert_eq!(self.shard.size_bytes(), self.shard.counted_size_bytes());
        for (id, group) in &self.shard.groups {
            let Some(written) = &group.written else { continue };
            let (live, loaded) = (&group.classic, ClassicGroup::of_record(written));
            if matches!(live.phase, Phase::Stable | Phase::Empty) {
                assert_eq!(live.phase, loaded.phase, "{id}");
                assert_eq!(kernel(live), kernel(&loaded), "INV-5: {id} would go on as it is");
            }
            let is_known = |id: &WireString| live.members.contains_key(id);
            assert!(live.pending_syncs.iter().all(is_known), "{id}");
            assert!(live.static_members.values().all(is_known), "{id}");
            assert!(!live.pending_joins.iter().any(is_known), "{id}");
            assert!(live.leader.as_ref().is_none_or(is_known), "{id}");
            if live.phase == Phase::Empty {
                assert!(live.members.is_empty(), "{id}");
            }
        }
    }

    pub fn group(&self) -> &ClassicGroup {
        &self.shard.groups.get(&text(GROUP)).expect("there is a group").classic
    }

    pub fn join_answer(&mut self, waiter: Waiter) -> Option<JoinGroupResponse> {
        match self.answers.remove(&waiter)? {
            Ok(GroupAnswer::Join(response)) => Some(response),
            other => panic!("{other:?} answers no join"),
        }
    }

    pub fn sync_answer(&mut self, waiter: Waiter) -> Option<SyncGroupResponse> {
        match self.answers.remove(&waiter)? {
            Ok(GroupAnswer::Sync(response)) => Some(response),
            other => panic!("{other:?} answers no sync"),
        }
    }

    /// A member of its own id, which has asked to join.
    pub fn join_new(&mut self) -> (WireString, Waiter) {
        let refused = self.ask(join("", None));
        let refused = self.join_answer(refused).expect("answered at once");
        assert_eq!(refused.error_code, ErrorCode::MemberIdRequired.code());
        let id = refused.member_id;
        let waiter = self.ask(join(&id, None));
        (id, waiter)
    }

    /// A stable group of `count` members, the leader first.
    pub fn stable(&mut self, count: usize) -> Vec<WireString> {
        let joined: Vec<_> = (0..count).map(|_| self.join_new()).collect();
        self.pass(2 * DELAY_MS as u64);
        let mut ids = Vec::new();
        for (id, waiter) in joined {
            let answer = self.join_answer(waiter).expect("the generation has begun");
            assert_eq!((answer.error_code, &answer.member_id), (0, &id));
            ids.push(id);
        }
        let leader = self.group().leader.clone().expect("a leader");
        ids.sort_by_key(|id| *id != leader);
        self.sync_all(&ids);
        ids
    }

    /// All of `ids` ask for their assignment, the leader last.
    pub fn sync_all(&mut self, ids: &[WireString]) {
        let generation = self.group().generation;
        let mut waiters = Vec::new();
        for id in ids.iter().rev() {
            waiters.push((id.clone(), self.ask(sync(id, generation, ids))));
        }
        for (id, waiter) in waiters {
            let answer = self.sync_answer(waiter).expect("assigned");
            assert_eq!(answer.assignment, token(&id, generation));
        }
        assert_eq!(self.group().phase, Phase::Stable);
    }
}

/// What of a group must survive.
pub fn kernel(group: &ClassicGroup) -> impl PartialEq + std::fmt::Debug + use<> {
    let members = group.members.iter();
    let members: Vec<_> = members
        .map(|(id, it)| (id.clone(), it.instance_id.clone(), it.assignment.clone()))
        .collect();
    let protocol = (group.protocol_type.clone(), group.protocol.clone());
    // The first record of a group knows no protocol yet.
    let protocol = Some(protocol).filter(|_| !members.is_empty());
    (group.generation, group.leader.clone(), protocol, members, group.since)
}

pub fn text(text: &str) -> WireString {
    WireString::from(text)
}

pub fn token(id: &str, generation: i32) -> Bytes {
    Bytes::from(format!("{id}@{generation}"))
}

pub fn asker(unique: &str, version: i16) -> Asker {
    Asker { client_id: text("c"), client_host: text("/10.0.0.1"), version, unique: text(unique) }
}

pub fn join_request(id: &str, instance_id: Option<&str>, protocols: &[&str]) -> JoinGroupRequest {
    let protocols = protocols.iter().map(|name| JoinGroupRequestProtocol {
        name: text(name),
        metadata: Bytes::from_static(b"\0\0\0\0\0\x01\0\x01t\xff\xff\xff\xff"),
    });
    JoinGroupRequest {
        group_id: text(GROUP),
        session_timeout_ms: SESSION_MS,
        rebalance_timeout_ms: REBALANCE_MS,
        member_id: text(id),
        group_instance_id: instance_id.map(text),
        protocol_type: text("consumer"),
        protocols: protocols.collect(),
        reason: None,
    }
}

/// The world gives it what makes an id its own.
pub fn join(id: &str, instance_id: Option<&str>) -> GroupRequest {
    GroupRequest::Join(asker("", 9), join_request(id, instance_id, &["range"]))
}

pub fn sync(id: &str, generation: i32, members: &[WireString]) -> GroupRequest {
    let assignments = members.iter().map(|member| SyncGroupRequestAssignment {
        member_id: member.clone(),
        assignment: token(member, generation),
    });
    GroupRequest::Sync(SyncGroupRequest {
        group_id: text(GROUP),
        generation_id: generation,
        member_id: text(id),
        group_instance_id: None,
        protocol_type: Some(text("consumer")),
        protocol_name: Some(text("range")),
        assignments: assignments.collect(),
    })
}

pub fn heartbeat(id: &str, generation: i32, instance_id: Option<&str>) -> GroupRequest {
    GroupRequest::Heartbeat(HeartbeatRequest {
        group_id: text(GROUP),
        generation_id: generation,
        member_id: text(id),
        group_instance_id: instance_id.map(text),
    })
}

pub fn leave(members: &[(&str, Option<&str>)]) -> GroupRequest {
    let members = members.iter().map(|(id, instance_id)| MemberIdentity {
        member_id: text(id),
        group_instance_id: instance_id.map(text),
        reason: None,
    });
    GroupRequest::Leave(LeaveGroupRequest {
        group_id: text(GROUP),
        member_id: WireString::EMPTY,
        members: members.collect(),
    })
}

pub struct Committing<'a> {
    pub group: &'a str,
    pub id: &'a str,
    pub instance_id: Option<&'a str>,
    pub generation: i32,
    pub version: i16,
    pub metadata: &'a str,
}

pub const SIMPLE: Committing<'static> = Committing {
    group: GROUP,
    id: "",
    instance_id: None,
    generation: -1,
    version: 9,
    metadata: "",
};

pub fn commit(who: &Committing<'_>, topic: &str, offsets: &[(i32, i64)]) -> GroupRequest {
    let partitions = offsets.iter().map(|(index, offset)| OffsetCommitRequestPartition {
        partition_index: *index,
        committed_offset: *offset,
        committed_leader_epoch: 3,
        committed_metadata: Some(text(who.metadata)),
    });
    let topics = vec![OffsetCommitRequestTopic {
        name: text(topic),
        topic_id: TopicId::ONE,
        partitions: partitions.collect(),
    }];
    let request = OffsetCommitRequest {
        group_id: text(who.group),
        generation_id_or_member_epoch: who.generation,
        member_id: text(who.id),
        group_instance_id: who.instance_id.map(text),
        retention_time_ms: -1,
        topics,
    };
    GroupRequest::Commit(who.version, request)
}

/// The errors of a commit, or the refusal of it.
pub fn commit_errors(result: GroupResult) -> Result<Vec<i16>, ErrorCode> {
    match result? {
        GroupAnswer::Commit(response) => {
            let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
            Ok(partitions.map(|partition| partition.error_code).collect())
        }
        other => panic!("{other:?} answers no commit"),
    }
}

/// Offsets of all topics that a group has committed.
pub fn offsets(world: &mut World, group: &str) -> Vec<(String, i32, i64)> {
    let request =
        OffsetFetchRequestGroup { group_id: text(group), topics: None, ..Default::default() };
    match world.call(GroupRequest::Fetch(request)) {
        Ok(GroupAnswer::Fetch(answer)) => {
            let of_topic = |topic: &protocol::messages::offset_fetch::OffsetFetchResponseTopics| {
                let name = topic.name.to_string();
                let partitions = topic.partitions.iter();
                let all =
                    partitions.map(|it| (name.clone(), it.partition_index, it.committed_offset));
                all.collect::<Vec<_>>()
            };
            answer.topics.iter().flat_map(of_topic).collect()
        }
        other => panic!("{other:?} answers no fetch"),
    }
}
