//! The hand-shake under loom: every order of steps and every allowed view of memory of a few
//! messages, with the shipped doorbell and lanes. Loom reports a core that sleeps for good as a
//! deadlock. Run by `cargo xtask loom`; without `cfg(loom)` there is nothing here.
#![cfg(loom)]

#[path = "../../../reactor/src/mesh/doorbell.rs"]
#[expect(dead_code, reason = "the models need only some of the signals")]
mod doorbell;
#[path = "../../../reactor/src/mesh/lane.rs"]
#[expect(dead_code, reason = "the models close no lane and take no batches")]
mod lane;

use loom::model::Builder;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Notify};
use loom::thread;

use crate::doorbell::{Doorbell, Signals};
use crate::lane::{Lane, Refused};

/// A core as the others see it. Its bell may also wake it for nothing, as an eventfd's poll may.
struct Core {
    doorbell: Doorbell,
    bell: Notify,
    rings: AtomicUsize,
}

impl Core {
    fn new() -> Self {
        Core { doorbell: Doorbell::new(), bell: Notify::new(), rings: AtomicUsize::new(0) }
    }

    fn signal(&self, signals: Signals) {
        if self.doorbell.signal(signals) {
            self.rings.fetch_add(1, Ordering::Relaxed);
            self.bell.notify();
        }
    }

    /// What the driver's look begins with.
    fn take(&self) -> Option<Signals> {
        self.doorbell.is_signalled().then(|| self.doorbell.take())
    }

    /// What the driver does between two looks. Returns whether the core slept.
    fn sleep(&self) -> bool {
        let parked = self.doorbell.park();
        if parked {
            self.bell.wait();
        }
        parked
    }
}

/// Three preemptions reach every race of two steps against one; loom's own advice is two or three.
fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

#[test]
fn messages_of_two_cores_wake_a_third() {
    check(|| {
        let core = Arc::new(Core::new());
        let senders: Vec<_> = [Signals::REQUESTS, Signals::REPLIES]
            .into_iter()
            .map(|signals| {
                let lane = Arc::new(Lane::unbounded());
                let (core, incoming) = (core.clone(), lane.clone());
                let sender = thread::spawn(move || {
                    assert_eq!(lane.push(()), Ok(()));
                    core.signal(signals);
                });
                (signals, incoming, sender)
            })
            .collect();
        let (mut received, mut sleeps) = (0, 0);
        while received < senders.len() {
            let signalled = core.take();
            for (signals, incoming, _) in &senders {
                if signalled.is_some_and(|signalled| signalled.contains(*signals)) {
                    // A signal that was taken shows what it stands for.
                    assert!(incoming.pop().is_some());
                    received += 1;
                }
            }
            if received < senders.len() {
                sleeps += usize::from(core.sleep());
            }
        }
        for (_, _, sender) in senders {
            sender.join().expect("the sender ends");
        }
        let rings = core.rings.load(Ordering::Relaxed);
        assert!(rings <= sleeps, "{rings} rings for {sleeps} sleeps");
    });
}

#[test]
fn a_place_in_a_full_lane_wakes_its_sender() {
    const MESSAGES: u32 = 2;
    check(|| {
        let cores = Arc::new((Core::new(), Core::new()));
        let lane = Arc::new(Lane::bounded(1));
        let sender = {
            let (cores, lane) = (cores.clone(), lane.clone());
            thread::spawn(move || {
                let (sending, receiving) = &*cores;
                let mut sent = 0;
                while sent < MESSAGES {
                    match lane.push(sent) {
                        Ok(()) => {
                            sent += 1;
                            receiving.signal(Signals::REQUESTS);
                        }
                        Err(Refused::Full(_)) => {
                            while sending.take() != Some(Signals::CREDITS) {
                                sending.sleep();
                            }
                        }
                        Err(Refused::Closed(_)) => unreachable!("nobody closes it"),
                    }
                }
            })
        };
        let (sending, receiving) = &*cores;
        let mut next = 0;
        while next < MESSAGES {
            if receiving.take() != Some(Signals::REQUESTS) {
                receiving.sleep();
                continue;
            }
            // As the inbox does: one message at a time, until the lane has been seen empty.
            while let Some(popped) = lane.pop() {
                assert_eq!(popped.item, next, "in the order of their sending");
                next += 1;
                if popped.sender_starves {
                    sending.signal(Signals::CREDITS);
                }
            }
        }
        sender.join().expect("the sender ends");
    });
}
