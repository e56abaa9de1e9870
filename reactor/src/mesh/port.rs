//! One core's end of the mesh.

use std::rc::Rc;

use super::answers::Answers;
use super::bell::Bell;
use super::driver::Driver;
use super::fabric::Fabric;
use super::inbox::{Arrivals, Inbox, Receiving};
use super::outbox::{Enqueue, Outbox};
use crate::core::CoreIndex;
use crate::environment::{Environment, current};

/// One core's end of the mesh before it is attached: may be moved to its thread. Dropping it counts
/// as the end of its core: requests to it are answered [`Abandoned`](super::Abandoned).
pub struct Port<M, R> {
    receiving: Receiving<M, R>,
}

/// Makes a full mesh between `cores` cores, each request lane with `credits` places (at least one of
/// each, asserted). The ports are in the order of the cores.
pub fn connect<M: Send + 'static, R: Send + 'static>(
    cores: usize,
    credits: usize,
) -> Vec<Port<M, R>> {
    assert!(cores > 0, "a mesh of no cores");
    let fabric = Fabric::new(cores, credits);
    (0..cores).map(|here| Port { receiving: Receiving { here, fabric: fabric.clone() } }).collect()
}

impl<M: Send + 'static, R: Send + 'static> Port<M, R> {
    /// Binds this end to the calling core, which must be the one it was made for. Call once on it.
    pub fn attach(self) -> (Mesh<M, R>, Inbox<M, R>) {
        let Bound { mesh, inbox, driver, bell } = self.bind(Bell::of_this_core());
        if let Environment::Real(core) = current() {
            let driver = Rc::downgrade(&driver);
            core.on_drain(Box::new(move || {
                if let Some(driver) = driver.upgrade() {
                    driver.look();
                }
            }));
        }
        mesh.answers.own_driver(crate::task::spawn(driver.run(bell)));
        (mesh, inbox)
    }

    pub(super) fn bind(self, bell: Bell) -> Bound<M, R> {
        let receiving = self.receiving;
        let here = receiving.here;
        let fabric = &receiving.fabric;
        fabric.ends.attach(here, bell.ringer());
        let arrivals = Rc::new(Arrivals::default());
        let outbox = Rc::new(Outbox::new(here, fabric, arrivals.clone()));
        let answers = Rc::new(Answers::new(here, fabric.ends.clone(), fabric.replies.clone()));
        let ends = fabric.ends.clone();
        let driver = Rc::new(Driver::new(here, ends, arrivals.clone(), &outbox, &answers));
        let mesh = Mesh { outbox: outbox.clone(), answers: answers.clone() };
        let inbox = Inbox::new(receiving, arrivals, outbox, answers, driver.clone());
        Bound { mesh, inbox, driver, bell }
    }
}

/// A port that has found its core; nothing drives it yet.
pub(super) struct Bound<M, R> {
    pub(super) mesh: Mesh<M, R>,
    pub(super) inbox: Inbox<M, R>,
    pub(super) driver: Rc<Driver<M, R>>,
    pub(super) bell: Bell,
}

/// The sending side on one core. Clones are one.
pub struct Mesh<M, R> {
    outbox: Rc<Outbox<M>>,
    answers: Rc<Answers<R>>,
}

impl<M, R> Clone for Mesh<M, R> {
    fn clone(&self) -> Self {
        Mesh { outbox: self.outbox.clone(), answers: self.answers.clone() }
    }
}

impl<M: Send + 'static, R: Send + 'static> Mesh<M, R> {
    pub fn here(&self) -> CoreIndex {
        CoreIndex(self.outbox.here())
    }

    pub fn core_count(&self) -> usize {
        self.outbox.core_count()
    }

    /// Enqueues a request to `to`; what comes back resolves once it has a credit, and then the reply
    /// can be awaited apart. Requests of one core to `to` are enqueued in the order of these calls,
    /// whenever they are polled. `to` may be this core: the message then takes the same way through
    /// the inbox. Where `to` has ended, the reply is [`Abandoned`](super::Abandoned).
    pub fn request(&self, to: CoreIndex, message: M) -> Enqueue<M, R> {
        self.outbox.request(&self.answers, to.0, message)
    }

    /// Requests of this core that wait for a place in the lane of another, or of its own.
    pub fn waiting_count(&self) -> usize {
        self.outbox.waiting_count()
    }

    /// Enqueues a message without a reply in the control lane, which requests cannot fill. Never
    /// waits: what is sent here is bounded by what exists (deltas, releases), not by clients.
    pub fn control(&self, to: CoreIndex, message: M) {
        self.outbox.control(to.0, message);
    }
}
