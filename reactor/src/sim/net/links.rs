//! Links between hosts: which are cut, and how long a segment takes.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use super::super::node::NodeId;
use super::super::world::World;

/// What a lost segment costs: the first retransmission timeout of TCP.
const RETRANSMISSION_DELAY: Duration = Duration::from_millis(200);

/// The links that are cut, one way each.
#[derive(Default)]
pub(in crate::sim) struct Links {
    blocked: RefCell<BTreeSet<(NodeId, NodeId)>>,
}

impl Links {
    pub(in crate::sim) fn is_blocked(&self, from: NodeId, to: NodeId) -> bool {
        self.blocked.borrow().contains(&(from, to))
    }

    pub(in crate::sim) fn block(&self, from: NodeId, to: NodeId) {
        // A host always reaches itself.
        if from != to {
            self.blocked.borrow_mut().insert((from, to));
        }
    }

    pub(in crate::sim) fn unblock(&self, from: NodeId, to: NodeId) {
        self.blocked.borrow_mut().remove(&(from, to));
    }

    pub(in crate::sim) fn unblock_all(&self) {
        self.blocked.borrow_mut().clear();
    }
}

/// How long one segment travels. TCP hides a loss: it costs time.
pub(super) fn delay(world: &World) -> Duration {
    let knobs = world.knobs();
    let mut random = world.network_random();
    let delay = random.span(&knobs.network_delay);
    let is_lost = random.chance(knobs.segment_lost);
    drop(random);
    if is_lost {
        world.count_fault("segment_lost");
        return delay + RETRANSMISSION_DELAY;
    }
    delay
}
