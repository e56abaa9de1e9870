//! A classic group's way from one generation to the next. Source: `GroupMetadataManager.prepareRebalance`,
//! `completeClassicGroupJoin`, and what expires there.

use std::time::Duration;

use bytes::Bytes;
use protocol::error_code::ErrorCode;
use protocol::messages::SyncGroupResponse;
use protocol::wire::WireString;

use super::classic::{ClassicGroup, JoinStep, Phase};
use super::join::{joined, refused, session_of};
use super::record::GroupRecord;
use super::request::GroupAnswer;
use super::shard::{GroupShard, Now, Outcome};
use super::timers::TimerKey;

impl GroupShard {
    /// Somebody has come or changed: the group rebalances, or goes on with it.
    pub(super) fn rebalance_or_complete_join(
        &mut self,
        now: Now,
        group_id: &WireString,
        outcome: &mut Outcome,
    ) {
        let is_preparing =
            self.groups.get(group_id).is_some_and(|group| group.classic.is_preparing());
        match is_preparing {
            true => self.maybe_complete_join(now, group_id, outcome),
            false => self.prepare_rebalance(now, group_id, outcome),
        }
    }

    /// A rebalance begins: members hear of it by their heartbeats, and join again.
    pub(super) fn prepare_rebalance(
        &mut self,
        now: Now,
        group_id: &WireString,
        outcome: &mut Outcome,
    ) {
        let delay_ms = i64::from(self.config.initial_rebalance_delay_ms.max(0));
        let Some(group) = self.groups.get_mut(group_id) else { return };
        let group = &mut group.classic;
        if group.phase == Phase::Completing {
            // Who waits for its assignment will get none of this generation.
            for member in refuse_syncs(group, ErrorCode::RebalanceInProgress, outcome) {
                self.expect_heartbeat(now, group_id, &member);
            }
        }
        self.timers.cancel(&TimerKey::Sync(group_id.clone()));
        let Some(group) = self.groups.get_mut(group_id) else { return };
        let group = &mut group.classic;
        group.pending_syncs.clear();
        let is_initial = group.phase == Phase::Empty;
        if is_initial {
            // More members are likely to come.
            let remaining_ms = (group.rebalance_timeout_ms() - delay_ms).max(0);
            let step = JoinStep::Initial { delay_ms, remaining_ms };
            group.enter(Phase::Preparing(step), now.wall);
            self.schedule_join(now, group_id, delay_ms);
            return;
        }
        group.enter(Phase::Preparing(JoinStep::Rejoin), now.wall);
        if group.have_all_joined() {
            return self.complete_join(now, group_id, outcome);
        }
        let timeout_ms = group.rebalance_timeout_ms();
        self.schedule_join(now, group_id, timeout_ms);
    }

    fn schedule_join(&mut self, now: Now, group_id: &WireString, after_ms: i64) {
        let after = Duration::from_millis(after_ms.unsigned_abs());
        self.timers.schedule(TimerKey::Join(group_id.clone()), now.monotonic + after);
    }

    /// Where all members have joined, the next generation begins; the initial delay is waited for.
    pub(super) fn maybe_complete_join(
        &mut self,
        now: Now,
        group_id: &WireString,
        outcome: &mut Outcome,
    ) {
        let Some(group) = self.groups.get(group_id) else { return };
        let is_rejoin = group.classic.phase == Phase::Preparing(JoinStep::Rejoin);
        if is_rejoin && group.classic.have_all_joined() {
            self.complete_join(now, group_id, outcome);
        }
    }

    pub(super) fn join_time_is_over(
        &mut self,
        now: Now,
        group_id: &WireString,
        outcome: &mut Outcome,
    ) {
        let initial_delay_ms = i64::from(self.config.initial_rebalance_delay_ms.max(0));
        let Some(group) = self.groups.get_mut(group_id) else { return };
        let group = &mut group.classic;
        if let Phase::Preparing(JoinStep::Initial { delay_ms, remaining_ms }) = group.phase
            && std::mem::take(&mut group.has_new_member)
            && remaining_ms != 0
        {
            let next_delay_ms = initial_delay_ms.min(remaining_ms);
            let remaining_ms = (remaining_ms - delay_ms).max(0);
            let step = JoinStep::Initial { delay_ms: next_delay_ms, remaining_ms };
            group.phase = Phase::Preparing(step);
            return self.schedule_join(now, group_id, next_delay_ms);
        }
        if group.is_preparing() {
            self.complete_join(now, group_id, outcome);
        }
    }

    /// The next generation begins with those who have joined, and static members. Who waits is answered.
    fn complete_join(&mut self, now: Now, group_id: &WireString, outcome: &mut Outcome) {
        self.timers.cancel(&TimerKey::Join(group_id.clone()));
        let Some(group) = self.groups.get_mut(group_id) else { return };
        let group = &mut group.classic;
        let missing = group
            .members
            .iter()
            .filter(|(_, member)| member.awaiting_join.is_none() && !member.is_static());
        let missing: Vec<WireString> = missing.map(|(id, _)| id.clone()).collect();
        for id in &missing {
            group.remove(id);
            self.timers.cancel(&TimerKey::Session { group: group_id.clone(), member: id.clone() });
        }
        if !group.maybe_elect_joined_leader() && !group.members.is_empty() {
            // Nobody has joined, and static members are left: until their sessions end.
            let is_initial = group.phase != Phase::Preparing(JoinStep::Rejoin);
            let step = if is_initial { JoinStep::InitialPostponed } else { JoinStep::Rejoin };
            group.phase = Phase::Preparing(step);
            let timeout_ms = group.rebalance_timeout_ms();
            return self.schedule_join(now, group_id, timeout_ms);
        }
        if !reactor::planted!(generation_stays_as_it_is) {
            group.generation = group.generation.wrapping_add(1);
        }
        group.pending_syncs.clear();
        group.has_new_member = false;
        group.protocol = group.select_protocol();
        group.subscribed_topics = group.compute_subscribed_topics();
        if group.members.is_empty() {
            group.enter(Phase::Empty, now.wall);
            let value = Some(group.to_record(|_| Bytes::new()));
            tracing::info!(group = %group_id.as_str(), generation = group.generation, "group is empty");
            outcome.records.push(GroupRecord::Group { group: group_id.clone(), value });
            return;
        }
        group.enter(Phase::Completing, now.wall);
        group.pending_syncs = group.members.keys().cloned().collect();
        tracing::info!(
            group = %group_id.as_str(), generation = group.generation, members = group.members.len(),
            "group has a new generation"
        );
        let ids: Vec<WireString> = group.members.keys().cloned().collect();
        let answers: Vec<_> = ids.iter().map(|id| joined(group, id)).collect();
        for (id, answer) in ids.iter().zip(answers) {
            let Some(member) = group.members.get_mut(id) else { continue };
            member.is_new = false;
            if let Some(waiter) = member.awaiting_join.take() {
                outcome.answer(waiter, GroupAnswer::Join(answer));
            }
        }
        let timeout_ms = group.rebalance_timeout_ms();
        for id in &ids {
            self.expect_heartbeat(now, group_id, id);
        }
        let after = Duration::from_millis(timeout_ms.unsigned_abs());
        self.timers.schedule(TimerKey::Sync(group_id.clone()), now.monotonic + after);
    }

    /// Members that have not asked for their assignment in time are removed.
    pub(super) fn sync_time_is_over(
        &mut self,
        now: Now,
        group_id: &WireString,
        outcome: &mut Outcome,
    ) {
        let Some(group) = self.groups.get_mut(group_id) else { return };
        let group = &mut group.classic;
        if !matches!(group.phase, Phase::Completing | Phase::Stable)
            || group.pending_syncs.is_empty()
        {
            return;
        }
        for id in std::mem::take(&mut group.pending_syncs) {
            group.remove(&id);
            self.timers.cancel(&TimerKey::Session { group: group_id.clone(), member: id });
        }
        self.prepare_rebalance(now, group_id, outcome);
    }

    /// The member is to be heard of within its session from now on.
    pub(super) fn expect_heartbeat(&mut self, now: Now, group_id: &WireString, id: &WireString) {
        let Some(group) = self.groups.get(group_id) else { return };
        let Some(member) = group.classic.members.get(id) else { return };
        let at = now.monotonic + session_of(member.session_timeout_ms);
        let key = TimerKey::Session { group: group_id.clone(), member: id.clone() };
        self.timers.schedule(key, at);
    }

    /// A member was not heard of. Source: `GroupMetadataManager.expireClassicGroupMemberHeartbeat`.
    pub(super) fn session_is_over(
        &mut self,
        now: Now,
        group_id: &WireString,
        id: &WireString,
        outcome: &mut Outcome,
    ) {
        let Some(group) = self.groups.get_mut(group_id) else { return };
        let group = &mut group.classic;
        if group.pending_joins.contains(id) {
            group.remove(id);
            return self.complete_join_if_all_have(now, group_id, outcome);
        }
        let is_silent = group.members.get(id).is_some_and(|it| !it.has_satisfied_heartbeat());
        if !is_silent {
            return;
        }
        tracing::info!(group = %group_id.as_str(), member = %id.as_str(), "member was not heard of");
        self.remove_member(group_id, id, outcome);
        let is_preparing =
            self.groups.get(group_id).is_some_and(|group| group.classic.is_preparing());
        match is_preparing {
            true => self.complete_join_if_all_have(now, group_id, outcome),
            false => self.someone_has_gone(now, group_id, outcome),
        }
    }

    /// Nobody is left to wait for, perhaps: then the initial delay is over, too.
    fn complete_join_if_all_have(
        &mut self,
        now: Now,
        group_id: &WireString,
        outcome: &mut Outcome,
    ) {
        let Some(group) = self.groups.get(group_id) else { return };
        if group.classic.is_preparing() && group.classic.have_all_joined() {
            self.complete_join(now, group_id, outcome);
        }
    }

    /// Takes a member out; its parked requests are told that it is no member.
    pub(super) fn remove_member(
        &mut self,
        group_id: &WireString,
        id: &WireString,
        outcome: &mut Outcome,
    ) {
        self.timers.cancel(&TimerKey::Session { group: group_id.clone(), member: id.clone() });
        let Some(group) = self.groups.get_mut(group_id) else { return };
        let Some(member) = group.classic.remove(id) else { return };
        if let Some(waiter) = member.awaiting_join {
            outcome.answer(waiter, refused(&WireString::EMPTY, ErrorCode::UnknownMemberId));
        }
        if let Some(waiter) = member.awaiting_sync {
            outcome.answer(waiter, refused_sync(ErrorCode::UnknownMemberId));
        }
    }

    /// The group has lost a member, joined or pending: it rebalances, or need not wait for it any more.
    pub(super) fn someone_has_gone(
        &mut self,
        now: Now,
        group_id: &WireString,
        outcome: &mut Outcome,
    ) {
        let Some(group) = self.groups.get(group_id) else { return };
        match group.classic.phase {
            Phase::Stable | Phase::Completing => {
                self.prepare_rebalance(now, group_id, outcome);
            }
            Phase::Preparing(_) => self.maybe_complete_join(now, group_id, outcome),
            Phase::Empty => {}
        }
    }
}

/// All members lose their assignment, and those who wait for it hear why. Returns these.
pub(super) fn refuse_syncs(
    group: &mut ClassicGroup,
    error: ErrorCode,
    outcome: &mut Outcome,
) -> Vec<WireString> {
    let mut told = Vec::new();
    for (id, member) in &mut group.members {
        member.assignment = Bytes::new();
        if let Some(waiter) = member.awaiting_sync.take() {
            outcome.answer(waiter, refused_sync(error));
            told.push(id.clone());
        }
    }
    told
}

pub(super) fn refused_sync(error: ErrorCode) -> GroupAnswer {
    GroupAnswer::Sync(SyncGroupResponse { error_code: error.into(), ..Default::default() })
}
