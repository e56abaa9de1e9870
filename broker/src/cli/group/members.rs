//! A group's state and its members, whichever protocol they speak.

use std::collections::BTreeMap;

use client::{ClientError, Cluster, check};
use protocol::error_code::ErrorCode;
use protocol::messages::consumer_group_describe::{
    Assignment, ConsumerGroupDescribeRequest, DescribedGroup as ConsumerGroup,
};
use protocol::messages::describe_groups::{DescribeGroupsRequest, DescribedGroup};
use protocol::records::consumer_protocol::ConsumerProtocolAssignment;
use protocol::wire::{Decoder, Message as _};

use super::coordinator;

/// What members of the classic protocol that consume say they are.
const CONSUMER: &str = "consumer";

/// Partitions by topic.
pub type Partitions = BTreeMap<String, Vec<i32>>;

#[derive(Debug)]
pub struct Described {
    pub state: String,
    /// `classic` or `consumer`.
    pub kind: &'static str,
    /// What its members are: `consumer`, `connect`, or nothing where it never had any.
    pub protocol_type: String,
    /// How partitions are assigned.
    pub assignor: String,
    pub members: Vec<Member>,
}

#[derive(Debug)]
pub struct Member {
    pub id: String,
    pub instance: Option<String>,
    pub client_id: String,
    pub host: String,
    /// Of members that do not consume nobody knows what they are assigned.
    pub partitions: Option<Partitions>,
}

impl Described {
    /// Whether it has members, or is getting some.
    pub fn is_active(&self) -> bool {
        !["Empty", "Dead"].contains(&self.state.as_str())
    }
}

/// What the coordinator says of `group`; `None` where there is no such group.
pub fn describe(cluster: &mut Cluster, group: &str) -> Result<Option<Described>, ClientError> {
    let request =
        DescribeGroupsRequest { groups: vec![group.into()], ..DescribeGroupsRequest::default() };
    let classic = coordinator::ask(cluster, group, &request, i16::MAX, |response| {
        let described = response.groups.into_iter().next().unwrap_or_default();
        let message = described.error_message.as_deref();
        check(&format!("group {group:?}"), described.error_code, message)?;
        Ok(described)
    });
    match classic {
        // Before version 6 a group that is not there is said to be dead.
        Ok(described) if described.group_state.as_str() == "Dead" => {}
        Ok(described) => return Ok(Some(of_classic(described))),
        Err(error) if error.code() == Some(ErrorCode::GroupIdNotFound) => {}
        Err(error) => return Err(error),
    }
    let request = ConsumerGroupDescribeRequest {
        group_ids: vec![group.into()],
        ..ConsumerGroupDescribeRequest::default()
    };
    let consumer = coordinator::ask(cluster, group, &request, i16::MAX, |response| {
        let described = response.groups.into_iter().next().unwrap_or_default();
        let message = described.error_message.as_deref();
        check(&format!("group {group:?}"), described.error_code, message)?;
        Ok(described)
    });
    match consumer {
        Ok(described) => Ok(Some(of_consumers(described))),
        Err(ClientError::Version { .. }) => Ok(None),
        Err(error) if error.code() == Some(ErrorCode::GroupIdNotFound) => Ok(None),
        Err(error) if error.code() == Some(ErrorCode::UnsupportedVersion) => Ok(None),
        Err(error) => Err(error),
    }
}

fn of_classic(described: DescribedGroup) -> Described {
    let consumes = described.protocol_type.as_str() == CONSUMER;
    let member = |it: protocol::messages::describe_groups::DescribedGroupMember| Member {
        id: it.member_id.into(),
        instance: it.group_instance_id.map(Into::into),
        client_id: it.client_id.into(),
        host: it.client_host.into(),
        partitions: consumes.then(|| assigned(it.member_assignment)).flatten(),
    };
    let mut members: Vec<Member> = described.members.into_iter().map(member).collect();
    members.sort_by(|a, b| a.id.cmp(&b.id));
    Described {
        state: described.group_state.into(),
        kind: "classic",
        protocol_type: described.protocol_type.into(),
        assignor: described.protocol_data.into(),
        members,
    }
}

/// What a leader has assigned, if it can be read: the coordinator keeps it as it came. While a group
/// rebalances it is empty, and so is what the member has.
fn assigned(assignment: bytes::Bytes) -> Option<Partitions> {
    if assignment.is_empty() {
        return Some(Partitions::new());
    }
    let mut decoder = Decoder::new(assignment);
    let version = decoder.i16().ok()?;
    // A newer one begins as the newest that is known.
    let version = version.min(*ConsumerProtocolAssignment::VERSIONS.end());
    let assignment = ConsumerProtocolAssignment::decode(&mut decoder, version).ok()?;
    let mut partitions = Partitions::new();
    for topic in assignment.assigned_partitions {
        partitions.entry(topic.topic.into()).or_default().extend(topic.partitions);
    }
    Some(partitions)
}

fn of_consumers(described: ConsumerGroup) -> Described {
    let member = |it: protocol::messages::consumer_group_describe::Member| Member {
        id: it.member_id.into(),
        instance: it.instance_id.map(Into::into),
        client_id: it.client_id.into(),
        host: it.client_host.into(),
        partitions: Some(owned(it.assignment)),
    };
    let mut members: Vec<Member> = described.members.into_iter().map(member).collect();
    members.sort_by(|a, b| a.id.cmp(&b.id));
    Described {
        state: described.group_state.into(),
        kind: "consumer",
        protocol_type: CONSUMER.to_owned(),
        assignor: described.assignor_name.into(),
        members,
    }
}

fn owned(assignment: Assignment) -> Partitions {
    let mut partitions = Partitions::new();
    for topic in assignment.topic_partitions {
        partitions.entry(topic.topic_name.into()).or_default().extend(topic.partitions);
    }
    partitions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_leader_assigned_is_read_where_it_can_be() {
        let orders = [
            &[0, 1][..],
            &[0, 0, 0, 1, 0, 6],
            b"orders",
            &[0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 7],
            &[0xff, 0xff, 0xff, 0xff],
        ]
        .concat();
        let mut newer = orders.clone();
        newer[1] = 9;
        let want = Some(Partitions::from([("orders".to_owned(), vec![0, 7])]));
        for (bytes, want) in [
            (orders.clone(), want.clone()),
            (newer, want),
            (Vec::new(), Some(Partitions::new())),
            (orders[..9].to_vec(), None),
            (b"?".to_vec(), None),
        ] {
            assert_eq!(assigned(bytes.clone().into()), want, "{bytes:?}");
        }
    }
}
