//! One partition's groups.

use std::collections::BTreeMap;
use std::rc::Rc;

use protocol::error_code::ErrorCode;
use protocol::model::TimestampMs;
use protocol::records::group::GroupMetadataValue;
use protocol::wire::WireString;
use reactor::Instant;

use super::classic::ClassicGroup;
use super::committed_offset::CommittedOffset;
use super::config::GroupConfig;
use super::member::kept;
use super::record::GroupRecord;
use super::request::{GroupAnswer, GroupRequest, GroupResult};
use super::timers::{TimerKey, Timers};

/// Names who waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Waiter(pub u64);

/// The time of an event: for timers, and for records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    pub monotonic: Instant,
    pub wall: TimestampMs,
}

/// What became of an event.
#[derive(Debug, Default)]
pub struct Outcome {
    /// To be appended, and replayed at once. They belong into one batch.
    pub records: Vec<GroupRecord>,
    /// To be given once all is committed that was appended until now, `records` among it.
    pub answers: Vec<(Waiter, GroupResult)>,
}

impl Outcome {
    pub fn answer(&mut self, waiter: Waiter, answer: GroupAnswer) {
        self.answers.push((waiter, Ok(answer)));
    }

    pub fn refuse(&mut self, waiter: Waiter, error: ErrorCode) {
        self.answers.push((waiter, Err(error)));
    }
}

/// A group: what is written of it, and what its members do.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Its last record; none of a group that only commits offsets.
    pub written: Option<GroupMetadataValue>,
    pub offsets: BTreeMap<WireString, BTreeMap<i32, CommittedOffset>>,
    pub classic: ClassicGroup,
}

impl Group {
    pub fn new(since: Option<TimestampMs>) -> Self {
        Group { written: None, offsets: BTreeMap::new(), classic: ClassicGroup::empty(since) }
    }

    fn offset(&self, topic: &WireString, partition: i32) -> Option<&CommittedOffset> {
        self.offsets.get(topic)?.get(&partition)
    }
}

/// The groups of one partition of `__consumer_offsets`. No clock, no randomness, no I/O: an event comes
/// with its time, and what is to be written or said is its [`Outcome`].
#[derive(Clone, Debug, PartialEq)]
pub struct GroupShard {
    pub(super) config: Rc<GroupConfig>,
    /// The largest record that the log takes.
    pub(super) record_size_bytes_max: usize,
    pub(super) groups: BTreeMap<WireString, Group>,
    pub(super) timers: Timers,
    /// Coarsely what all of it takes in memory: what was kept of requests, and a flat sum for each group,
    /// member and offset.
    size_bytes: usize,
}

impl GroupShard {
    /// A shard that nothing was replayed into yet.
    pub fn new(config: Rc<GroupConfig>, record_size_bytes_max: usize) -> Self {
        GroupShard {
            config,
            record_size_bytes_max,
            groups: BTreeMap::new(),
            timers: Timers::default(),
            size_bytes: 0,
        }
    }

    /// Takes one record into what is written: the only way in which that changes (INV-5, INV-8).
    pub fn replay(&mut self, record: &GroupRecord) {
        match record {
            GroupRecord::Group { group, value } => {
                let before = self.members_size_bytes(group);
                match value {
                    Some(value) => {
                        let since = TimestampMs(value.current_state_timestamp);
                        self.group_entry(group, Some(since)).written = Some(value.clone());
                    }
                    None => self.replay_deletion(group),
                }
                self.resized(before, self.members_size_bytes(group));
            }
            GroupRecord::Offset { group, topic, partition, value } => {
                let before = self.members_size_bytes(group);
                let (old, new) = match value {
                    Some(value) => self.replay_offset(group, topic, *partition, value.clone()),
                    None => (self.replay_no_offset(group, topic, *partition), 0),
                };
                self.resized(before + old, self.members_size_bytes(group) + new);
            }
        }
    }

    fn replay_deletion(&mut self, group: &WireString) {
        let Some(known) = self.groups.get_mut(group) else { return };
        self.timers.cancel_group(group);
        known.written = None;
        known.classic = ClassicGroup::empty(None);
        if known.offsets.is_empty() {
            self.groups.remove(group);
        }
    }

    /// Returns what the offset took before, and takes now.
    fn replay_offset(
        &mut self,
        group: &WireString,
        topic: &WireString,
        partition: i32,
        mut value: CommittedOffset,
    ) -> (usize, usize) {
        if reactor::planted!(replay_changes_an_offset) {
            value.offset += i64::from(value.offset % 7 == 3);
        }
        let new = value.size_bytes();
        let known = self.group_entry(group, Some(value.commit_timestamp));
        let of_topic = known.offsets.entry(topic.clone()).or_default();
        let old = of_topic.insert(partition, value);
        (old.map_or(0, |old| old.size_bytes()), new)
    }

    fn replay_no_offset(
        &mut self,
        group: &WireString,
        topic: &WireString,
        partition: i32,
    ) -> usize {
        let Some(known) = self.groups.get_mut(group) else { return 0 };
        let Some(of_topic) = known.offsets.get_mut(topic) else { return 0 };
        let old = of_topic.remove(&partition);
        if of_topic.is_empty() {
            known.offsets.remove(topic);
        }
        old.map_or(0, |old| old.size_bytes())
    }

    fn group_entry(&mut self, group: &WireString, since: Option<TimestampMs>) -> &mut Group {
        self.groups.entry(group.clone()).or_insert_with(|| Group::new(since))
    }

    /// All was replayed that there is: groups go on from what is written of them. Their members have a
    /// whole session to be heard of.
    pub fn loaded(&mut self, now: Now, outcome: &mut Outcome) {
        let ids: Vec<WireString> = self.groups.keys().cloned().collect();
        for id in ids {
            let before = self.members_size_bytes(&id);
            let Some(group) = self.groups.get_mut(&id) else { continue };
            if let Some(written) = &group.written {
                group.classic = ClassicGroup::of_record(written);
            }
            let members: Vec<WireString> = group.classic.members.keys().cloned().collect();
            let is_too_large = members.len() > self.config.member_count_max;
            for member in &members {
                self.expect_heartbeat(now, &id, member);
            }
            if is_too_large {
                self.prepare_rebalance(now, &id, outcome);
            }
            self.resized(before, self.members_size_bytes(&id));
        }
        self.schedule_expiration(now);
    }

    pub(super) fn schedule_expiration(&mut self, now: Now) {
        let after = std::time::Duration::from_millis(self.config.offsets_retention_check_ms);
        self.timers.schedule(TimerKey::Expiration, now.monotonic + after);
    }

    /// Serves one request, or parks it: then a later outcome answers `waiter`. A refused request changes
    /// nothing.
    pub fn handle(
        &mut self,
        now: Now,
        waiter: Waiter,
        request: GroupRequest,
        outcome: &mut Outcome,
    ) {
        let changing = match &request {
            GroupRequest::Join(_, request) => Some(kept(&request.group_id)),
            GroupRequest::Sync(request) => Some(kept(&request.group_id)),
            GroupRequest::Leave(request) => Some(kept(&request.group_id)),
            _ => None,
        };
        let before = changing.as_ref().map_or(0, |group| self.members_size_bytes(group));
        self.handle_request(now, waiter, request, outcome);
        let after = changing.as_ref().map_or(0, |group| self.members_size_bytes(group));
        self.resized(before, after);
    }

    fn handle_request(
        &mut self,
        now: Now,
        waiter: Waiter,
        request: GroupRequest,
        outcome: &mut Outcome,
    ) {
        match request {
            GroupRequest::Join(asker, request) => self.join(now, waiter, &asker, request, outcome),
            GroupRequest::Sync(request) => self.sync(now, waiter, request, outcome),
            GroupRequest::Heartbeat(request) => {
                let result = self.heartbeat(now, &request);
                outcome.answers.push((waiter, result.map(GroupAnswer::Heartbeat)));
            }
            GroupRequest::Leave(request) => self.leave(now, waiter, request, outcome),
            GroupRequest::Commit(version, request) => {
                self.commit(now, waiter, version, request, outcome);
            }
            GroupRequest::Fetch(request) => {
                outcome.answer(waiter, GroupAnswer::Fetch(self.fetch(request)));
            }
            GroupRequest::DeleteOffsets(request) => self.delete_offsets(waiter, request, outcome),
            GroupRequest::Describe(version, groups) => {
                let groups = groups.into_iter().map(|group| self.describe(version, group));
                outcome.answer(waiter, GroupAnswer::Describe(groups.collect()));
            }
            GroupRequest::List(request) => {
                outcome.answer(waiter, GroupAnswer::List(self.list(&request)));
            }
            GroupRequest::Delete(groups) => self.delete(waiter, groups, outcome),
            GroupRequest::ForgetTopics(topics) => {
                self.forget_topics(&topics, outcome);
                outcome.answer(waiter, GroupAnswer::Forgotten);
            }
        }
    }

    /// When something is due.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.timers.next_deadline()
    }

    /// Does the first thing that is due. Returns whether there was one; there may be another.
    pub fn tick(&mut self, now: Now, outcome: &mut Outcome) -> bool {
        let Some(key) = self.timers.take_due(now.monotonic) else { return false };
        let changing = match &key {
            TimerKey::Expiration => None,
            TimerKey::Join(group) | TimerKey::Sync(group) => Some(group.clone()),
            TimerKey::Session { group, .. } => Some(group.clone()),
        };
        let before = changing.as_ref().map_or(0, |group| self.members_size_bytes(group));
        match key {
            TimerKey::Expiration => {
                self.expire(now, outcome);
                self.schedule_expiration(now);
            }
            TimerKey::Join(group) => self.join_time_is_over(now, &group, outcome),
            TimerKey::Sync(group) => self.sync_time_is_over(now, &group, outcome),
            TimerKey::Session { group, member } => {
                self.session_is_over(now, &group, &member, outcome);
            }
        }
        let after = changing.as_ref().map_or(0, |group| self.members_size_bytes(group));
        self.resized(before, after);
        true
    }

    /// Whether more would have to be remembered than is.
    pub fn would_grow(&self, request: &GroupRequest) -> bool {
        match request {
            GroupRequest::Join(_, request) => request.member_id.is_empty(),
            GroupRequest::Commit(_, request) => {
                let group = self.groups.get(&request.group_id);
                let is_known = |topic: &WireString, partition| {
                    group.is_some_and(|group| group.offset(topic, partition).is_some())
                };
                request.topics.iter().any(|topic| {
                    topic.partitions.iter().any(|it| !is_known(&topic.name, it.partition_index))
                })
            }
            _ => false,
        }
    }

    /// Coarsely what it takes in memory.
    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// A group without its offsets.
    fn members_size_bytes(&self, id: &WireString) -> usize {
        self.groups.get(id).map_or(0, |group| 256 + id.len() + group.classic.size_bytes())
    }

    fn resized(&mut self, before: usize, after: usize) {
        self.size_bytes = (self.size_bytes + after).saturating_sub(before);
    }

    /// [`GroupShard::size_bytes`], counted anew.
    #[cfg(test)]
    pub(super) fn counted_size_bytes(&self) -> usize {
        let offsets = |group: &Group| -> usize {
            group.offsets.values().flat_map(|it| it.values()).map(|it| it.size_bytes()).sum()
        };
        let groups = self.groups.iter();
        groups.map(|(id, group)| self.members_size_bytes(id) + offsets(group)).sum()
    }

    pub fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// What is written: equal after a restart (INV-5).
    #[cfg(test)]
    pub(super) fn written(&self) -> Vec<Written<'_>> {
        self.groups.iter().map(|(id, it)| (id, it.written.as_ref(), &it.offsets)).collect()
    }
}

#[cfg(test)]
pub(super) type Written<'a> = (
    &'a WireString,
    Option<&'a GroupMetadataValue>,
    &'a BTreeMap<WireString, BTreeMap<i32, CommittedOffset>>,
);
