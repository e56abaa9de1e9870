//! Topics as clients know them: each creation of a name is a topic of its own, with its own history.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use protocol::model::Uuid;

use crate::alterations::Alterations;
use crate::history::History;
use crate::record::Keying;

/// What happens to a topic beside being written and read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Nothing: all that was acknowledged stays.
    Lasting,
    /// It is deleted and made again.
    Replaced,
    /// Its oldest records are deleted where someone asks for it.
    Trimmed,
    /// Retention deletes its oldest segments: a reader may find the log to begin anywhere.
    Retained,
    /// Of each of so many keys the last record stays.
    Compacted { key_count: u64 },
}

impl Role {
    pub fn keying(self) -> Keying {
        match self {
            Role::Compacted { key_count } => Keying::Few(key_count),
            Role::Lasting | Role::Replaced | Role::Trimmed | Role::Retained => Keying::Own,
        }
    }
}

/// What a topic is made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPlan {
    pub name: String,
    pub role: Role,
    pub partition_count: i32,
    pub configs: Vec<(&'static str, String)>,
}

/// How far the deletion of a topic has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    No,
    /// It may have happened or not.
    Asked,
    /// The broker has said so: nothing of it is ever served again.
    Done,
}

/// One topic from its creation to its deletion. Shared by `Rc`: all clients run on one thread.
pub struct Topic {
    pub plan: TopicPlan,
    /// Counts the topics of a run. Its records carry it, so that none can pass for another topic's.
    pub number: u32,
    /// Known once it is made.
    pub id: Cell<Uuid>,
    pub deletion: Cell<Deletion>,
    pub history: RefCell<History>,
    pub alterations: RefCell<Alterations>,
}

impl Topic {
    pub fn new(plan: TopicPlan, number: u32) -> Rc<Self> {
        let history = History::new(number, plan.partition_count, plan.role);
        let alterations = Alterations::new(plan.partition_count);
        Rc::new(Topic {
            plan,
            number,
            id: Cell::new(Uuid::ZERO),
            deletion: Cell::new(Deletion::No),
            history: RefCell::new(history),
            alterations: RefCell::new(alterations),
        })
    }

    pub fn is_gone(&self) -> bool {
        self.deletion.get() == Deletion::Done
    }

    /// Whether the broker may say that it knows no such topic.
    pub fn may_be_gone(&self) -> bool {
        self.deletion.get() != Deletion::No
    }
}
