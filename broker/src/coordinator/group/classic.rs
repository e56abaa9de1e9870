//! A classic group: its members, and how far its rebalance is. What is here and not in its last record is
//! lost with the coordinator, as in Kafka. Source: `ClassicGroup`, KIP-345, KIP-394, KIP-814.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use protocol::error_code::ErrorCode;
use protocol::messages::join_group::JoinGroupResponseMember;
use protocol::model::TimestampMs;
use protocol::records::consumer_protocol::ConsumerProtocolSubscription;
use protocol::records::group::GroupMetadataValue;
use protocol::records::group::group_metadata::MemberMetadata;
use protocol::wire::{Decoder, Message, WireString};

use super::member::{Member, Protocol};

/// The protocol type of consumers.
const CONSUMER: &str = "consumer";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Empty,
    Preparing(JoinStep),
    Completing,
    Stable,
}

/// How the waiting for members ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinStep {
    /// The group was empty: it waits for as long as members come, within their rebalance timeout.
    Initial { delay_ms: i64, remaining_ms: i64 },
    /// With all members, or when their rebalance timeout is over.
    Rejoin,
    /// As `Rejoin` of a group that was empty: it is not cut short by all having joined.
    InitialPostponed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassicGroup {
    pub phase: Phase,
    /// When the phase began; unknown of a group that an old version has written.
    pub since: Option<TimestampMs>,
    pub generation: i32,
    pub protocol_type: Option<WireString>,
    /// What members are assigned by in this generation.
    pub protocol: Option<WireString>,
    pub leader: Option<WireString>,
    pub members: BTreeMap<WireString, Member>,
    /// Member ids by instance id.
    pub static_members: BTreeMap<WireString, WireString>,
    /// Ids that were given and have not joined yet.
    pub pending_joins: BTreeSet<WireString>,
    /// Members that have not asked for their assignment yet.
    pub pending_syncs: BTreeSet<WireString>,
    /// Somebody came during the initial delay.
    pub has_new_member: bool,
    /// What consumers of this generation read; `None` where that is unknown.
    pub subscribed_topics: Option<BTreeSet<WireString>>,
    /// How many members know each protocol.
    protocol_counts: BTreeMap<WireString, usize>,
}

impl ClassicGroup {
    /// A group without members, which nothing is known of but its offsets.
    pub fn empty(since: Option<TimestampMs>) -> Self {
        ClassicGroup {
            phase: Phase::Empty,
            since,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            pending_joins: BTreeSet::new(),
            pending_syncs: BTreeSet::new(),
            has_new_member: false,
            subscribed_topics: None,
            protocol_counts: BTreeMap::new(),
        }
    }

    /// The group as its last record has it. Source: `GroupMetadataManager.replay(GroupMetadataKey, …)`.
    pub fn of_record(record: &GroupMetadataValue) -> Self {
        let protocol_type = Some(record.protocol_type.clone()).filter(|it| !it.is_empty());
        let mut group = ClassicGroup {
            phase: if record.members.is_empty() { Phase::Empty } else { Phase::Stable },
            since: Some(record.current_state_timestamp).filter(|at| *at != -1).map(TimestampMs),
            generation: record.generation,
            protocol_type,
            protocol: record.protocol.clone(),
            leader: record.leader.clone(),
            ..ClassicGroup::empty(None)
        };
        for loaded in &record.members {
            let rebalance_timeout_ms = match loaded.rebalance_timeout {
                -1 => loaded.session_timeout,
                timeout_ms => timeout_ms,
            };
            let member = Member {
                instance_id: loaded.group_instance_id.clone(),
                client_id: loaded.client_id.clone(),
                client_host: loaded.client_host.clone(),
                rebalance_timeout_ms,
                session_timeout_ms: loaded.session_timeout,
                protocols: vec![Protocol {
                    name: record.protocol.clone().unwrap_or_default(),
                    metadata: loaded.subscription.clone(),
                }],
                assignment: loaded.assignment.clone(),
                awaiting_join: None,
                awaiting_sync: None,
                is_new: false,
            };
            // No log of Kafka's has a member twice.
            let is_known = group.members.contains_key(&loaded.member_id)
                || member
                    .instance_id
                    .as_ref()
                    .is_some_and(|it| group.static_members.contains_key(it));
            if !is_known {
                group.add(loaded.member_id.clone(), member, record.protocol_type.clone());
            }
        }
        group.protocol_type = Some(record.protocol_type.clone()).filter(|it| !it.is_empty());
        group.subscribed_topics = group.compute_subscribed_topics();
        group
    }

    /// The record of this generation.
    pub fn to_record(&self, assignment_of: impl Fn(&WireString) -> Bytes) -> GroupMetadataValue {
        let members = self.members.iter().map(|(id, member)| {
            let protocol = self.protocol.as_deref().unwrap_or_default();
            MemberMetadata {
                member_id: id.clone(),
                group_instance_id: member.instance_id.clone(),
                client_id: member.client_id.clone(),
                client_host: member.client_host.clone(),
                rebalance_timeout: member.rebalance_timeout_ms,
                session_timeout: member.session_timeout_ms,
                subscription: member.metadata(protocol).cloned().unwrap_or_default(),
                assignment: assignment_of(id),
            }
        });
        GroupMetadataValue {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            current_state_timestamp: self.since.map_or(-1, |since| since.0),
            members: members.collect(),
        }
    }

    pub fn enter(&mut self, phase: Phase, now: TimestampMs) {
        self.phase = phase;
        self.since = Some(now);
    }

    pub fn is_empty(&self) -> bool {
        self.phase == Phase::Empty
    }

    pub fn is_preparing(&self) -> bool {
        matches!(self.phase, Phase::Preparing(_))
    }

    pub fn state_name(&self) -> &'static str {
        match self.phase {
            Phase::Empty => "Empty",
            Phase::Preparing(_) => "PreparingRebalance",
            Phase::Completing => "CompletingRebalance",
            Phase::Stable => "Stable",
        }
    }

    pub fn is_leader(&self, member: &WireString) -> bool {
        self.leader.as_ref() == Some(member)
    }

    pub fn uses_consumer_protocol(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER)
    }

    pub fn awaiting_join_count(&self) -> usize {
        self.members.values().filter(|member| member.awaiting_join.is_some()).count()
    }

    pub fn have_all_joined(&self) -> bool {
        self.pending_joins.is_empty()
            && self.members.values().all(|member| member.awaiting_join.is_some())
    }

    /// The longest of all members, in milliseconds.
    pub fn rebalance_timeout_ms(&self) -> i64 {
        let longest = self.members.values().map(|member| member.rebalance_timeout_ms).max();
        i64::from(longest.unwrap_or(0).max(0))
    }

    /// Adds a member that is not there yet (asserted); the first one gives the group its protocol type,
    /// and is its leader.
    pub fn add(&mut self, id: WireString, member: Member, protocol_type: WireString) {
        if let Some(instance_id) = &member.instance_id {
            let before = self.static_members.insert(instance_id.clone(), id.clone());
            assert_eq!(before, None, "a static member is there once");
        }
        if self.members.is_empty() {
            self.protocol_type = Some(protocol_type);
        }
        if self.leader.is_none() {
            self.leader = Some(id.clone());
        }
        self.pending_joins.remove(&id);
        self.count_protocols(&member, true);
        let before = self.members.insert(id, member);
        assert!(before.is_none(), "a member is added once");
    }

    /// Removes a member, joined or pending. Where it led, another one does.
    pub fn remove(&mut self, id: &WireString) -> Option<Member> {
        self.pending_joins.remove(id);
        self.pending_syncs.remove(id);
        let member = self.members.remove(id);
        if let Some(member) = &member {
            self.count_protocols(member, false);
            if let Some(instance_id) = &member.instance_id {
                self.static_members.remove(instance_id);
            }
        }
        if self.is_leader(id) {
            self.leader = self.members.keys().next().cloned();
        }
        member
    }

    /// The static member `old_id` is `new_id` from now on; the leader stays who it was. Returns it without
    /// those who waited for the old one. Source: `ClassicGroup.replaceStaticMember`.
    pub fn rename(&mut self, old_id: &WireString, new_id: &WireString) -> Option<Member> {
        let old = self.members.remove(old_id)?;
        let mut new = old.clone();
        (new.awaiting_join, new.awaiting_sync, new.is_new) = (None, None, false);
        if let Some(instance_id) = &new.instance_id {
            self.static_members.insert(instance_id.clone(), new_id.clone());
        }
        self.members.insert(new_id.clone(), new);
        if self.pending_syncs.remove(old_id) {
            self.pending_syncs.insert(new_id.clone());
        }
        if self.is_leader(old_id) {
            self.leader = Some(new_id.clone());
        }
        Some(old)
    }

    /// Changes what a member can be assigned by.
    pub fn set_protocols(&mut self, id: &WireString, protocols: Vec<Protocol>) {
        let Some(mut member) = self.members.remove(id) else { return };
        self.count_protocols(&member, false);
        member.protocols = protocols;
        self.count_protocols(&member, true);
        self.members.insert(id.clone(), member);
    }

    fn count_protocols(&mut self, member: &Member, is_added: bool) {
        for protocol in &member.protocols {
            let count = self.protocol_counts.entry(protocol.name.clone()).or_default();
            match is_added {
                true => *count += 1,
                false => *count = count.saturating_sub(1),
            }
            if *count == 0 {
                self.protocol_counts.remove(&protocol.name);
            }
        }
    }

    /// Whether someone of `protocol_type` who knows `protocols` can be a member.
    pub fn supports<'a>(
        &self,
        protocol_type: &str,
        protocols: impl IntoIterator<Item = &'a WireString>,
    ) -> bool {
        let mut protocols = protocols.into_iter();
        if self.is_empty() {
            return !protocol_type.is_empty() && protocols.next().is_some();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols.any(|name| self.is_known_to_all(name))
    }

    fn is_known_to_all(&self, protocol: &WireString) -> bool {
        self.protocol_counts.get(protocol).copied().unwrap_or(0) == self.members.len()
    }

    /// The protocol that most members would choose among those that all know. Of several with as many
    /// votes the first by name.
    pub fn select_protocol(&self) -> Option<WireString> {
        let mut votes: BTreeMap<&WireString, usize> = BTreeMap::new();
        for member in self.members.values() {
            let vote = member.vote(|name| self.is_known_to_all(name))?;
            *votes.entry(vote).or_default() += 1;
        }
        let most = votes.values().max().copied()?;
        votes.into_iter().find(|(_, count)| *count == most).map(|(name, _)| name.clone())
    }

    /// That `member_id` is a member, and the one of `instance_id`.
    pub fn check_member(
        &self,
        member_id: &WireString,
        instance_id: Option<&WireString>,
    ) -> Result<(), ErrorCode> {
        if let Some(instance_id) = instance_id {
            match self.static_members.get(instance_id) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some(_) if reactor::planted!(fenced_member_goes_on) => return Ok(()),
                Some(known) if known != member_id => return Err(ErrorCode::FencedInstanceId),
                Some(_) => {}
            }
        }
        match self.members.contains_key(member_id) {
            true => Ok(()),
            false => Err(ErrorCode::UnknownMemberId),
        }
    }

    /// Makes somebody who has joined the leader, where the leader has not. Returns whether the leader has.
    pub fn maybe_elect_joined_leader(&mut self) -> bool {
        let Some(leader) = &self.leader else { return false };
        if self.members.get(leader).is_some_and(|leader| leader.awaiting_join.is_some()) {
            return true;
        }
        let joined = self.members.iter().find(|(_, member)| member.awaiting_join.is_some());
        let Some((joined, _)) = joined else { return false };
        self.leader = Some(joined.clone());
        true
    }

    /// What the leader assigns by.
    pub fn described_members(&self) -> Vec<JoinGroupResponseMember> {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let describe = |(id, member): (&WireString, &Member)| JoinGroupResponseMember {
            member_id: id.clone(),
            group_instance_id: member.instance_id.clone(),
            metadata: member.metadata(protocol).cloned().unwrap_or_default(),
        };
        self.members.iter().map(describe).collect()
    }

    /// Whether offsets of `topic` are in use. Where it is unknown what consumers read, they may be.
    pub fn is_subscribed_to(&self, topic: &WireString) -> bool {
        match &self.subscribed_topics {
            Some(topics) => topics.contains(topic),
            None => self.uses_consumer_protocol(),
        }
    }

    pub fn compute_subscribed_topics(&self) -> Option<BTreeSet<WireString>> {
        if !self.uses_consumer_protocol() {
            return None;
        }
        if self.members.is_empty() {
            return Some(BTreeSet::new());
        }
        let protocol = self.protocol.as_deref()?;
        let mut all = BTreeSet::new();
        for member in self.members.values() {
            let mut decoder = Decoder::new(member.metadata(protocol)?.clone());
            let _version = decoder.i16().ok()?;
            // Version 0 is how every version begins.
            let subscription = ConsumerProtocolSubscription::decode(&mut decoder, 0).ok()?;
            all.extend(subscription.topics.iter().map(super::member::kept));
        }
        Some(all)
    }

    /// What it takes in memory, coarsely.
    pub fn size_bytes(&self) -> usize {
        512 + self.members.values().map(Member::size_bytes).sum::<usize>()
            + 128 * (self.pending_joins.len() + self.pending_syncs.len())
    }
}
