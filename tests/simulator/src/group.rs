//! What is known of a consumer group: who was given which partition, and what was committed of it. The
//! checks of what a broker says against it (INV-5, INV-8, one owner for each partition and generation).

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use protocol::wire::WireString;

use crate::verdict::Failure;

/// Values of commits are so far apart that none is another one's neighbour.
const VALUE_STEP: i64 = 10;

/// A group whose members read one topic. Shared by `Rc`: all clients run on one thread.
pub struct Group {
    pub name: &'static str,
    pub topic: String,
    pub partition_count: i32,
    /// Counts what clients send and hear, in its order.
    clock: Cell<u64>,
    next_value: Cell<i64>,
    /// Commits that were acknowledged.
    commits: Cell<u64>,
    /// By generation and partition.
    owners: RefCell<BTreeMap<(i32, i32), Owner>>,
    /// By partition.
    committed: RefCell<BTreeMap<i32, Vec<Commit>>>,
}

/// A member, and the instance that it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    pub id: WireString,
    pub instance_id: Option<WireString>,
}

/// A value that somebody wants to commit, from when to when he was not sure of it.
#[derive(Clone, Copy, Debug)]
struct Commit {
    value: i64,
    sent_at: u64,
    /// `None` while nobody knows whether it happened, or will.
    acknowledged_at: Option<u64>,
}

impl Group {
    pub fn new(name: &'static str, topic: &str, partition_count: i32) -> Self {
        Group {
            name,
            topic: topic.to_owned(),
            partition_count,
            clock: Cell::new(0),
            next_value: Cell::new(VALUE_STEP),
            commits: Cell::new(0),
            owners: RefCell::default(),
            committed: RefCell::default(),
        }
    }

    /// The order of an event among all others.
    pub fn tick(&self) -> u64 {
        self.clock.set(self.clock.get() + 1);
        self.clock.get()
    }

    pub fn commits(&self) -> u64 {
        self.commits.get()
    }

    /// A member was told that `partitions` are its own in `generation`.
    pub fn owns(&self, generation: i32, owner: &Owner, partitions: &[i32]) -> Result<(), Failure> {
        let mut owners = self.owners.borrow_mut();
        for partition in partitions {
            let known = owners.entry((generation, *partition)).or_insert_with(|| owner.clone());
            // An instance that comes back under another id goes on with what it had.
            let is_same_instance =
                owner.instance_id.is_some() && known.instance_id == owner.instance_id;
            if known != owner && !is_same_instance {
                let what = format!(
                    "partition {partition} has two owners in generation {generation}: {known:?} \
                     and {owner:?}"
                );
                return Err(Failure::broken(5, what));
            }
            *known = owner.clone();
        }
        Ok(())
    }

    /// Somebody begins to commit: a value that nobody has committed before.
    pub fn begins_commit(&self, partition: i32) -> i64 {
        let value = self.next_value.get();
        self.next_value.set(value + VALUE_STEP);
        let commit = Commit { value, sent_at: self.tick(), acknowledged_at: None };
        self.committed.borrow_mut().entry(partition).or_default().push(commit);
        value
    }

    /// The commit of `value` was acknowledged.
    pub fn has_committed(&self, partition: i32, value: i64) {
        let now = self.tick();
        self.commits.set(self.commits.get() + 1);
        let mut committed = self.committed.borrow_mut();
        let commits = committed.entry(partition).or_default();
        for commit in commits.iter_mut().filter(|commit| commit.value == value) {
            commit.acknowledged_at = Some(now);
        }
    }

    /// The commit of `value` was refused: it never happened, nor will.
    pub fn has_not_committed(&self, partition: i32, value: i64) {
        let mut committed = self.committed.borrow_mut();
        committed.entry(partition).or_default().retain(|commit| commit.value != value);
    }

    /// The broker says that `value` is committed, asked at `asked_at`: a value that somebody has sent, and
    /// that no other one has certainly replaced before.
    pub fn check_committed(
        &self,
        partition: i32,
        value: i64,
        asked_at: u64,
    ) -> Result<(), Failure> {
        let committed = self.committed.borrow();
        let commits = committed.get(&partition).map(Vec::as_slice).unwrap_or_default();
        let was_before = |commit: &Commit| commit.acknowledged_at.is_some_and(|at| at < asked_at);
        // The time from which on it may have been replaced.
        let known_at = match commits.iter().find(|commit| commit.value == value) {
            Some(commit) => commit.acknowledged_at,
            None if value == -1 => Some(0),
            None => {
                let what = format!("offset {value} of partition {partition} was never committed");
                return Err(Failure::broken(8, what));
            }
        };
        let replacing = commits.iter().find(|other| {
            was_before(other) && known_at.is_some_and(|known_at| known_at < other.sent_at)
        });
        match replacing {
            None => Ok(()),
            Some(replacing) => {
                let what = format!(
                    "partition {partition} is committed at {value}; {} was acknowledged after it",
                    replacing.value
                );
                Err(Failure::broken(8, what))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(id: &'static str, instance_id: Option<&'static str>) -> Owner {
        let instance_id = instance_id.map(WireString::from_static);
        Owner { id: WireString::from_static(id), instance_id }
    }

    #[test]
    fn a_partition_has_one_owner_in_a_generation() {
        for (other, generation, is_right) in [
            (owner("a", None), 1, true),
            (owner("b", None), 1, false),
            (owner("b", None), 2, true),
            (owner("b", Some("i")), 1, false),
        ] {
            let group = Group::new("g", "t", 2);
            group.owns(1, &owner("a", None), &[0, 1]).expect("the first one");
            assert_eq!(group.owns(generation, &other, &[1]).is_ok(), is_right, "{other:?}");
        }
        let group = Group::new("g", "t", 2);
        group.owns(1, &owner("a", Some("i")), &[0]).expect("the first one");
        assert!(group.owns(1, &owner("b", Some("i")), &[0]).is_ok(), "the instance has come back");
    }

    #[test]
    fn a_committed_offset_is_the_last_that_was_acknowledged_or_one_in_doubt() {
        let group = Group::new("g", "t", 1);
        assert!(group.check_committed(0, -1, group.tick()).is_ok());
        let doubtful = group.begins_commit(0);
        let first = group.begins_commit(0);
        group.has_committed(0, first);
        let second = group.begins_commit(0);
        let asked_before = group.tick();
        group.has_committed(0, second);
        let refused = group.begins_commit(0);
        group.has_not_committed(0, refused);
        for (value, asked_at, is_right) in [
            (second, group.tick(), true),
            (first, group.tick(), false),
            (first, asked_before, true),
            (second, asked_before, true),
            (doubtful, group.tick(), true),
            (refused, group.tick(), false),
            (-1, group.tick(), false),
            (second + 1, group.tick(), false),
        ] {
            let checked = group.check_committed(0, value, asked_at);
            assert_eq!(checked.is_ok(), is_right, "{value} asked at {asked_at}: {checked:?}");
        }
    }
}
