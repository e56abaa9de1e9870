//! The bell of a simulated core: rung from another core, heard a little later.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use super::core::SimCore;
use super::world::{Inbox, Message, World};

/// The hearing end, for one task of one core.
pub(crate) struct Bell {
    core: Rc<SimCore>,
    id: u64,
    state: Rc<BellState>,
}

#[derive(Default)]
pub(super) struct BellState {
    is_rung: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// The ringing end, for any core. Clones ring the same bell.
#[derive(Clone)]
pub(crate) struct BellRinger {
    bell: u64,
    inbox: Arc<Inbox>,
}

impl Bell {
    pub(crate) fn new(core: &Rc<SimCore>) -> Self {
        let state = Rc::new(BellState::default());
        // Never given twice: ringers may outlive the bell.
        let id = core.world.next_bell.get();
        core.world.next_bell.set(id + 1);
        core.world.bells.borrow_mut().insert(id, Rc::downgrade(&state));
        Bell { core: core.clone(), id, state }
    }

    /// Resolves once the bell has been rung since the last `wait` resolved. Rings do not add up.
    pub(crate) async fn wait(&self) {
        poll_fn(|cx| {
            if self.state.is_rung.replace(false) {
                return Poll::Ready(());
            }
            self.state.waker.replace(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    pub(crate) fn ringer(&self) -> BellRinger {
        BellRinger { bell: self.id, inbox: self.core.world.inbox.clone() }
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        self.core.world.bells.borrow_mut().remove(&self.id);
    }
}

impl BellRinger {
    pub(crate) fn ring(&self) {
        self.inbox.put(Message::Rung { bell: self.bell });
    }
}

/// A ring is on its way; where the bell is gone by then, nobody hears it.
pub(super) fn rung(world: &World, bell: u64) {
    let delay = world.schedule().span(&(Duration::ZERO..world.knobs().bell_delay_max));
    world.after(delay, move |world| {
        let state = world.bells.borrow().get(&bell).and_then(std::rc::Weak::upgrade);
        if let Some(state) = state {
            state.is_rung.set(true);
            let waker = state.waker.take();
            waker.into_iter().for_each(Waker::wake);
        }
    });
}
