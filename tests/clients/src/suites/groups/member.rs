//! A member of a group, on a connection of its own: it may wait there while others go on.

use super::super::serving::talk::code;
use super::talk::Groups;
use crate::wire::Connection;
use anyhow::Result;
use bytes::Bytes;
use protocol::messages::join_group::JoinGroupRequestProtocol;
use protocol::messages::leave_group::MemberIdentity;
use protocol::messages::sync_group::SyncGroupRequestAssignment;
use protocol::messages::{
    HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, SyncGroupRequest,
    SyncGroupResponse,
};
use std::fmt::Write;

/// Versions of one time, by JoinGroup's.
#[derive(Debug, Clone, Copy)]
pub struct Era(pub i16);

impl Era {
    pub fn all() -> impl Iterator<Item = Self> {
        (0..=9).map(Self)
    }

    /// Members have instances from this one on.
    pub fn has_instances(self) -> bool {
        self.0 >= 5
    }

    fn join(self) -> i16 {
        self.0
    }

    fn sync(self) -> i16 {
        self.0.min(5)
    }

    fn heartbeat(self) -> i16 {
        self.0.min(4)
    }

    fn leave(self) -> i16 {
        self.0.min(5)
    }
}

pub const SESSION_TIMEOUT_MS: i32 = 30_000;

/// What a member sends, unless a case changes it.
#[derive(Debug)]
pub struct Member {
    pub connection: Connection,
    pub era: Era,
    /// What it is called in what is written down.
    name: &'static str,
    /// By its whole name.
    pub group: String,
    pub id: String,
    pub instance: Option<&'static str>,
    pub generation: i32,
    pub protocol_type: &'static str,
    /// Names and metadata, the best first.
    pub protocols: Vec<(&'static str, Bytes)>,
    pub session_timeout_ms: i32,
    pub rebalance_timeout_ms: i32,
}

impl Member {
    pub fn new(groups: &Groups, era: Era, name: &'static str, group: &str) -> Result<Self> {
        Ok(Self {
            connection: groups.client()?,
            era,
            name,
            group: groups.group(group),
            id: String::new(),
            instance: None,
            generation: -1,
            protocol_type: "worker",
            protocols: vec![("plain", Bytes::from_static(b"metadata"))],
            session_timeout_ms: SESSION_TIMEOUT_MS,
            rebalance_timeout_ms: SESSION_TIMEOUT_MS,
        })
    }

    pub fn say(&self, groups: &mut Groups, what: &str, answer: impl std::fmt::Display) {
        groups.say(format_args!("v{} {} {what}", self.era.0, self.name), answer);
    }

    fn instance(&self) -> Option<protocol::wire::WireString> {
        self.instance.filter(|_| self.era.has_instances()).map(Into::into)
    }

    pub fn joining(&self) -> JoinGroupRequest {
        let protocol = |(name, metadata): &(&str, Bytes)| JoinGroupRequestProtocol {
            name: (*name).into(),
            metadata: metadata.clone(),
        };
        JoinGroupRequest {
            group_id: self.group.as_str().into(),
            session_timeout_ms: self.session_timeout_ms,
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            member_id: self.id.as_str().into(),
            group_instance_id: self.instance(),
            protocol_type: self.protocol_type.into(),
            protocols: self.protocols.iter().map(protocol).collect(),
            reason: Some("because".into()),
        }
    }

    /// Asks to join, and does not wait.
    pub fn begin_join(&mut self) -> Result<()> {
        self.connection.send(self.era.join(), &self.joining())
    }

    /// Waits for what [`Member::begin_join`] asked, and is what it is answered.
    pub fn end_join(&mut self, groups: &mut Groups, what: &str) -> Result<()> {
        let answer = self.connection.receive::<JoinGroupRequest>(self.era.join())?;
        if !answer.member_id.is_empty() {
            self.id = answer.member_id.to_string();
        }
        if answer.error_code == 0 {
            self.generation = answer.generation_id;
        }
        let joined = joined(groups, &answer)?;
        self.say(groups, what, joined);
        Ok(())
    }

    pub fn join(&mut self, groups: &mut Groups, what: &str) -> Result<()> {
        self.begin_join()?;
        self.end_join(groups, what)
    }

    /// Is given an id first where the version wants it, which is not written down.
    pub fn begin_first_join(&mut self) -> Result<()> {
        if self.era.join() >= 4 && self.instance().is_none() && self.id.is_empty() {
            let given = self.connection.call(self.era.join(), &self.joining())?;
            self.id = given.member_id.to_string();
        }
        self.begin_join()
    }

    pub fn first_join(&mut self, groups: &mut Groups, what: &str) -> Result<()> {
        self.begin_first_join()?;
        self.end_join(groups, what)
    }

    /// Asks to join as `change` makes of it; the answer changes nothing here.
    pub fn try_join(
        &mut self,
        groups: &mut Groups,
        what: &str,
        change: impl FnOnce(&mut JoinGroupRequest),
    ) -> Result<()> {
        let mut request = self.joining();
        change(&mut request);
        let answer = self.connection.call(self.era.join(), &request)?;
        let joined = joined(groups, &answer)?;
        self.say(groups, what, joined);
        Ok(())
    }

    pub fn syncing(&self, assignments: &[(&str, Bytes)]) -> SyncGroupRequest {
        let assignment = |(member, assignment): &(&str, Bytes)| SyncGroupRequestAssignment {
            member_id: (*member).into(),
            assignment: assignment.clone(),
        };
        SyncGroupRequest {
            group_id: self.group.as_str().into(),
            generation_id: self.generation,
            member_id: self.id.as_str().into(),
            group_instance_id: self.instance(),
            protocol_type: Some(self.protocol_type.into()),
            protocol_name: self.protocols.first().map(|(name, _)| (*name).into()),
            assignments: assignments.iter().map(assignment).collect(),
        }
    }

    pub fn begin_sync(&mut self, assignments: &[(&str, Bytes)]) -> Result<()> {
        let request = self.syncing(assignments);
        self.connection.send(self.era.sync(), &request)
    }

    pub fn end_sync(&mut self, groups: &mut Groups, what: &str) -> Result<()> {
        let answer = self.connection.receive::<SyncGroupRequest>(self.era.sync())?;
        self.say(groups, what, synced(&answer));
        Ok(())
    }

    /// The leader's sync, which gives each member its part.
    pub fn sync(
        &mut self,
        groups: &mut Groups,
        what: &str,
        assignments: &[(&str, Bytes)],
    ) -> Result<()> {
        self.begin_sync(assignments)?;
        self.end_sync(groups, what)
    }

    pub fn try_sync(
        &mut self,
        groups: &mut Groups,
        what: &str,
        change: impl FnOnce(&mut SyncGroupRequest),
    ) -> Result<()> {
        let mut request = self.syncing(&[]);
        change(&mut request);
        let answer = self.connection.call(self.era.sync(), &request)?;
        self.say(groups, what, synced(&answer));
        Ok(())
    }

    /// Joins and syncs as the one member, whose part is `part`.
    pub fn settle(&mut self, groups: &mut Groups, part: Bytes) -> Result<()> {
        self.first_join(groups, "joins")?;
        let id = self.id.clone();
        self.sync(groups, "syncs", &[(&id, part)])
    }

    pub fn heartbeat(&mut self, groups: &mut Groups, what: &str) -> Result<()> {
        self.try_heartbeat(groups, what, |_| {})
    }

    pub fn try_heartbeat(
        &mut self,
        groups: &mut Groups,
        what: &str,
        change: impl FnOnce(&mut HeartbeatRequest),
    ) -> Result<()> {
        let mut request = HeartbeatRequest {
            group_id: self.group.as_str().into(),
            generation_id: self.generation,
            member_id: self.id.as_str().into(),
            group_instance_id: self.instance(),
        };
        change(&mut request);
        let answer = self.connection.call(self.era.heartbeat(), &request)?;
        self.say(groups, what, code(answer.error_code));
        Ok(())
    }

    pub fn leave(&mut self, groups: &mut Groups, what: &str) -> Result<()> {
        let id = self.id.clone();
        let identity = (id.as_str(), self.instance.filter(|_| self.era.has_instances()));
        self.leave_as(groups, what, &[identity])
    }

    /// Asks that each `(member id, instance id)` leaves; before version 3 the first alone can.
    pub fn leave_as(
        &mut self,
        groups: &mut Groups,
        what: &str,
        members: &[(&str, Option<&str>)],
    ) -> Result<()> {
        let version = self.era.leave();
        let identity = |&(member_id, instance): &(&str, Option<&str>)| MemberIdentity {
            member_id: member_id.into(),
            group_instance_id: instance.map(Into::into),
            reason: Some("because".into()),
        };
        let group_id = self.group.as_str().into();
        let request = match version {
            0..=2 => LeaveGroupRequest {
                group_id,
                member_id: members.first().map_or("", |(id, _)| id).into(),
                members: Vec::new(),
            },
            _ => LeaveGroupRequest {
                group_id,
                members: members.iter().map(identity).collect(),
                ..LeaveGroupRequest::default()
            },
        };
        let answer = self.connection.call(version, &request)?;
        let mut said = code(answer.error_code);
        for member in &answer.members {
            let id = groups.id(&member.member_id);
            let instance = member.group_instance_id.as_deref();
            write!(said, "; {id} {instance:?} {}", code(member.error_code))?;
        }
        self.say(groups, what, said);
        Ok(())
    }
}

fn joined(groups: &mut Groups, answer: &JoinGroupResponse) -> Result<String> {
    let mut said = code(answer.error_code);
    let id = groups.id(&answer.member_id);
    let leader = groups.id(&answer.leader);
    write!(
        said,
        " as {id} in generation {} of {:?} by {:?} led by {leader}",
        answer.generation_id,
        answer.protocol_type.as_deref(),
        answer.protocol_name.as_deref(),
    )?;
    if answer.skip_assignment {
        said.push_str(" with nothing to assign");
    }
    let mut members = Vec::new();
    for member in &answer.members {
        let id = groups.id(&member.member_id);
        let instance = member.group_instance_id.as_deref().unwrap_or("-");
        members.push(format!("{id} {instance} {}", member.metadata.escape_ascii()));
    }
    // Apache Kafka keeps them in no order.
    members.sort();
    if !members.is_empty() {
        write!(said, " [{}]", members.join(", "))?;
    }
    Ok(said)
}

fn synced(answer: &SyncGroupResponse) -> String {
    format!(
        "{} of {:?} by {:?} is given '{}'",
        code(answer.error_code),
        answer.protocol_type.as_deref(),
        answer.protocol_name.as_deref(),
        answer.assignment.escape_ascii(),
    )
}
