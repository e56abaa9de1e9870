//! A shard's timers, as data: each key is due once, at one time.

use std::collections::{BTreeMap, BTreeSet};

use protocol::wire::WireString;
use reactor::Instant;

/// What falls due.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TimerKey {
    /// Offsets that have expired are looked for.
    Expiration,
    /// A group has waited long enough for members to join.
    Join(WireString),
    /// A group has waited long enough for members to ask for their assignment.
    Sync(WireString),
    /// A member, joined or pending, was silent for its session.
    Session { group: WireString, member: WireString },
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timers {
    at: BTreeMap<TimerKey, Instant>,
    due: BTreeSet<(Instant, TimerKey)>,
}

impl Timers {
    /// `key` is due at `at`, and not when it was before.
    pub fn schedule(&mut self, key: TimerKey, at: Instant) {
        if let Some(before) = self.at.insert(key.clone(), at) {
            self.due.remove(&(before, key.clone()));
        }
        self.due.insert((at, key));
    }

    pub fn cancel(&mut self, key: &TimerKey) {
        if let Some(at) = self.at.remove(key) {
            self.due.remove(&(at, key.clone()));
        }
    }

    /// Of all that belong to `group`.
    pub fn cancel_group(&mut self, group: &WireString) {
        self.cancel(&TimerKey::Join(group.clone()));
        self.cancel(&TimerKey::Sync(group.clone()));
        let first = TimerKey::Session { group: group.clone(), member: WireString::EMPTY };
        let of_group = self.at.range(first..).map(|(key, _)| key).take_while(
            |key| matches!(key, TimerKey::Session { group: known, .. } if known == group),
        );
        let keys: Vec<_> = of_group.cloned().collect();
        keys.iter().for_each(|key| self.cancel(key));
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Takes the first that is due at `now`.
    pub fn take_due(&mut self, now: Instant) -> Option<TimerKey> {
        if self.next_deadline()? > now {
            return None;
        }
        let (_, key) = self.due.pop_first()?;
        self.at.remove(&key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(group: &'static str, member: &'static str) -> TimerKey {
        TimerKey::Session {
            group: WireString::from_static(group),
            member: WireString::from_static(member),
        }
    }

    #[test]
    fn a_key_is_due_once_at_its_last_time() {
        let mut timers = Timers::default();
        timers.schedule(session("a", "1"), Instant(5));
        timers.schedule(session("a", "1"), Instant(9));
        timers.schedule(TimerKey::Expiration, Instant(7));
        assert_eq!(timers.next_deadline(), Some(Instant(7)));
        assert_eq!(timers.take_due(Instant(6)), None);
        assert_eq!(timers.take_due(Instant(9)), Some(TimerKey::Expiration));
        assert_eq!(timers.take_due(Instant(9)), Some(session("a", "1")));
        assert_eq!(timers, Timers::default());
    }

    #[test]
    fn a_group_takes_its_timers_along_and_no_others() {
        let mut timers = Timers::default();
        let group = WireString::from_static("a");
        for key in [
            session("a", "1"),
            session("a", "2"),
            TimerKey::Join(group.clone()),
            TimerKey::Sync(group.clone()),
            session("aa", "1"),
        ] {
            timers.schedule(key, Instant(1));
        }
        timers.cancel_group(&group);
        assert_eq!(timers.take_due(Instant(1)), Some(session("aa", "1")));
        assert_eq!(timers, Timers::default());
    }
}
