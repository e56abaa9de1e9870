//! One node as a process, or as a simulated one: how it is told to stop, and how it says why it did.

use std::sync::{Arc, Mutex, PoisonError};

use reactor::outside;

/// The word to stop, from a thread that is no core.
pub type Stop = outside::Receiver<()>;

/// How a core ends the whole node with a reason for its owner. Clones share the reason.
#[derive(Clone)]
pub struct Fatal {
    reason: Arc<Mutex<Option<String>>>,
    stop: outside::Sender<()>,
}

/// Words to stop that may be under way: a signal or two, and one reason.
const STOP_CAPACITY: usize = 8;

/// The two ends of stopping a node: `Stop` for its cores; `Fatal`, whose `stop` is for its owner too.
pub fn stopping() -> (Stop, Fatal) {
    let (sender, receiver) = outside::channel(STOP_CAPACITY);
    (receiver, Fatal { reason: Arc::default(), stop: sender })
}

impl Fatal {
    /// Stops the node because of `reason`; only the first one counts.
    pub fn raise(&self, reason: String) {
        let mut known = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_none() {
            *known = Some(reason);
            drop(known);
            self.stop();
        }
    }

    /// Stops the node in good order.
    pub fn stop(&self) {
        // A node that has ended needs no word.
        let _ = self.stop.send(());
    }

    /// Why the node stopped, if not because it was told to.
    pub fn reason(&self) -> Option<String> {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
