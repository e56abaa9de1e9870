//! Offsets that nobody uses are forgotten, and groups that have nothing left. Source:
//! `GroupCoordinatorShard.cleanupGroupMetadata`, `ClassicGroup.offsetExpirationCondition`, KIP-211.

use protocol::model::TimestampMs;
use protocol::wire::WireString;

use super::classic::Phase;
use super::commit::tombstone;
use super::committed_offset::CommittedOffset;
use super::record::GroupRecord;
use super::shard::{Group, GroupShard, Now, Outcome};

/// Since when an offset's time runs.
enum Expiry {
    /// The group's members have gone.
    Since(TimestampMs),
    /// It was committed.
    SinceCommit,
    Never,
}

impl GroupShard {
    pub(super) fn expire(&self, now: Now, outcome: &mut Outcome) {
        for (id, group) in &self.groups {
            let is_all = self.expire_offsets(now, id, group, outcome);
            if is_all && group.classic.is_empty() {
                outcome.records.push(GroupRecord::Group { group: id.clone(), value: None });
            }
        }
    }

    /// Returns whether the group has no offset left.
    fn expire_offsets(
        &self,
        now: Now,
        id: &WireString,
        group: &Group,
        outcome: &mut Outcome,
    ) -> bool {
        let expiry = expiry(group);
        let is_expired = |offset: &CommittedOffset| match (&expiry, offset.expire_timestamp) {
            (Expiry::Never, _) => false,
            (_, Some(at)) => now.wall >= at,
            (Expiry::Since(since), None) => self.is_over(now, *since),
            (Expiry::SinceCommit, None) => self.is_over(now, offset.commit_timestamp),
        };
        let mut is_all = true;
        for (topic, offsets) in &group.offsets {
            let is_used = group.classic.is_subscribed_to(topic);
            for (partition, offset) in offsets {
                if !is_used && is_expired(offset) {
                    outcome.records.push(tombstone(id, topic, *partition));
                } else {
                    is_all = false;
                }
            }
        }
        is_all
    }

    fn is_over(&self, now: Now, since: TimestampMs) -> bool {
        now.wall.0.saturating_sub(since.0) >= self.config.offsets_retention_ms
    }
}

fn expiry(group: &Group) -> Expiry {
    let group = &group.classic;
    if group.protocol_type.is_none() {
        return Expiry::SinceCommit;
    }
    match group.phase {
        Phase::Empty => group.since.map_or(Expiry::SinceCommit, Expiry::Since),
        Phase::Stable if group.uses_consumer_protocol() && group.subscribed_topics.is_some() => {
            Expiry::SinceCommit
        }
        Phase::Stable | Phase::Preparing(_) | Phase::Completing => Expiry::Never,
    }
}
