//! A conversation about groups: whole of members, of which some wait while others talk.

use super::super::serving::talk::{Talk, code};
use crate::Broker;
use crate::wire::Connection;
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use protocol::messages::describe_groups::DescribedGroup;
use protocol::messages::offset_fetch::OffsetFetchRequestGroup;
use protocol::messages::{DescribeGroupsRequest, FindCoordinatorRequest, OffsetFetchRequest};
use protocol::records::consumer_protocol::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, consumer_protocol_assignment as parts,
};
use protocol::wire::{Encoder, Message};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A coordinator that makes its topic and loads it, and a member that is given up.
const SOON: Duration = Duration::from_secs(20);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// The version of DescribeGroups that tells of instances and that a group is not there.
const DESCRIBE_VERSION: i16 = 6;

/// What a random id that a coordinator gives ends with.
const UUID_LENGTH: usize = 36;

pub struct Groups {
    pub talk: Talk,
    address: SocketAddr,
    /// Ids that the coordinator has given, in the order in which they were seen.
    given: Vec<String>,
}

impl Groups {
    /// `name` is that of the subject, and the start of its groups' and topics' names. On return there is a
    /// coordinator, and it answers.
    pub fn with(broker: &Broker, name: &'static str) -> Result<Self> {
        let talk = Talk::with(broker, name)?;
        let mut groups = Self { talk, address: broker.address(), given: Vec::new() };
        groups.await_coordinator()?;
        Ok(groups)
    }

    pub fn client(&self) -> Result<Connection> {
        Connection::open(self.address)
    }

    /// Waits until `group` has one offset left.
    pub fn await_one_offset(&mut self, group: &str) -> Result<()> {
        let asked = OffsetFetchRequestGroup {
            group_id: group.into(),
            topics: None,
            ..OffsetFetchRequestGroup::default()
        };
        let request = OffsetFetchRequest {
            groups: vec![asked],
            topics: Some(Vec::new()),
            ..OffsetFetchRequest::default()
        };
        let deadline = Instant::now() + SOON;
        loop {
            let answer = self.talk.connection.call(9, &request)?;
            let topics = answer.groups.iter().flat_map(|group| &group.topics);
            let count = topics.map(|topic| topic.partitions.len()).sum::<usize>();
            if count == 1 {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{group} has {count} offsets");
            std::thread::park_timeout(LOOK_AGAIN_AFTER);
        }
    }

    pub fn listens_at(&self, host: &str, port: i32) -> bool {
        self.address.ip().to_string() == host && i32::from(self.address.port()) == port
    }

    /// The whole name of a group of this conversation.
    pub fn group(&self, group: &str) -> String {
        self.talk.topic(group)
    }

    fn await_coordinator(&mut self) -> Result<()> {
        let group = self.group("any");
        let request = FindCoordinatorRequest {
            coordinator_keys: vec![group.as_str().into()],
            ..FindCoordinatorRequest::default()
        };
        let deadline = Instant::now() + SOON;
        loop {
            let answer = self.talk.connection.call(4, &request)?;
            let found = answer.coordinators.first().context("no coordinator is answered")?;
            let mut error_code = found.error_code;
            if error_code == 0 {
                error_code = self.described(&group)?.error_code;
            }
            // COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR.
            if ![14, 15, 16].contains(&error_code) {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "still {}", code(error_code));
            std::thread::park_timeout(LOOK_AGAIN_AFTER);
        }
    }

    pub fn described(&mut self, group: &str) -> Result<DescribedGroup> {
        let request = DescribeGroupsRequest {
            groups: vec![group.into()],
            ..DescribeGroupsRequest::default()
        };
        let answer = self.talk.connection.call(DESCRIBE_VERSION, &request)?;
        answer.groups.into_iter().next().context("the group is not answered")
    }

    /// Waits until `group`, by its whole name, is in `state` with as many members.
    pub fn await_group(&mut self, group: &str, state: &str, member_count: usize) -> Result<()> {
        let deadline = Instant::now() + SOON;
        loop {
            let described = self.described(group)?;
            let members = described.members.len();
            if described.group_state.as_str() == state && members == member_count {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "{group} is {} with {members} members, not {state} with {member_count}",
                described.group_state
            );
            std::thread::park_timeout(LOOK_AGAIN_AFTER);
        }
    }

    /// For what nothing tells of: that a request which is not answered has arrived.
    pub fn let_it_wait(&self) {
        std::thread::park_timeout(5 * LOOK_AGAIN_AFTER);
    }

    pub fn say(&mut self, what: impl std::fmt::Display, answer: impl std::fmt::Display) {
        self.talk.say(what, answer);
    }

    /// `id` without what is random in it: `wire-#2` for the second that was given.
    pub fn id(&mut self, id: &str) -> String {
        let Some(start) = id.len().checked_sub(UUID_LENGTH).filter(|it| id.is_char_boundary(*it))
        else {
            return format!("{id:?}");
        };
        let (before, random) = id.split_at(start);
        let is_uuid = random.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
        if !is_uuid {
            return format!("{id:?}");
        }
        let known = self.given.iter().position(|known| known == id).unwrap_or_else(|| {
            self.given.push(id.to_owned());
            self.given.len() - 1
        });
        format!("{before}#{}", known + 1)
    }
}

/// What a consumer of `topics` joins with.
pub fn subscription(topics: &[&str]) -> Result<Bytes> {
    let subscription = ConsumerProtocolSubscription {
        topics: topics.iter().map(|topic| (*topic).into()).collect(),
        ..ConsumerProtocolSubscription::default()
    };
    versioned(1, |encoder, version| subscription.encode(encoder, version))
}

/// What a consumer of `partitions` of `topic` is given.
pub fn assignment(topic: &str, partitions: &[i32]) -> Result<Bytes> {
    let given = parts::TopicPartition { topic: topic.into(), partitions: partitions.to_vec() };
    let assignment =
        ConsumerProtocolAssignment { assigned_partitions: vec![given], user_data: None };
    versioned(1, |encoder, version| assignment.encode(encoder, version))
}

/// Consumers say the version of what follows.
fn versioned(
    version: i16,
    write: impl Fn(&mut Encoder, i16) -> Result<(), protocol::wire::EncodeError>,
) -> Result<Bytes> {
    let encoded = Encoder::encode(&|encoder: &mut Encoder| {
        encoder.i16(version);
        write(encoder, version)
    })?;
    Ok(encoded.contiguous())
}
