//! Nodes: hosts with an address, disks and a clock, on which a process of some cores lives and dies.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;

use super::disk::Disks;

/// A simulated host, counted from 0 in the order of `add_node`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub usize);

pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) name: String,
    pub(super) ip: IpAddr,
    pub(super) disks: Disks,
    /// The process on this host; a dead one until it is started again.
    pub(super) life: RefCell<Rc<Life>>,
    /// False from a power loss to the next start: the host answers nothing.
    pub(super) has_power: Cell<bool>,
    /// While set, no task of this node runs (SIGSTOP).
    pub(super) is_paused: Cell<bool>,
    /// Ready tasks that wait for the node to be resumed.
    pub(super) held_tasks: RefCell<Vec<u64>>,
    pub(super) wall_clock_offset_ms: Cell<i64>,
    pub(super) wall_clock_drift_ppm: Cell<i64>,
    pub(super) next_port: Cell<u16>,
}

impl Node {
    pub(super) fn life(&self) -> Rc<Life> {
        self.life.borrow().clone()
    }
}

/// One process from its start to its end. What belongs to a dead one has no effect any more.
pub(super) struct Life {
    pub(super) is_alive: Cell<bool>,
    /// Clients spawned in it.
    pub(super) clients: Cell<usize>,
    /// Cores whose start future has not ended.
    pub(super) cores_running: Cell<usize>,
}

impl Life {
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Life {
            is_alive: Cell::new(true),
            clients: Cell::new(0),
            cores_running: Cell::new(0),
        })
    }
}
