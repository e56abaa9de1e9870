//! Bells: how another thread wakes a task of this core that may be asleep.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};

use super::core::RealCore;
use super::operation::Operation;
use super::ring::{InFlight, Ring};

/// A bell of one core. One task waits at a time; rings while none does are remembered as one.
pub(crate) struct Bell {
    rung: Rc<Rung>,
    descriptor: Arc<OwnedFd>,
    /// Armed for as long as the bell exists.
    _poll: InFlight,
}

/// Rings a [`Bell`], from any thread.
#[derive(Clone)]
pub(crate) struct BellRinger(Arc<OwnedFd>);

/// What the ring tells the bell.
#[derive(Default)]
pub(crate) struct Rung {
    rung: Cell<bool>,
    waiter: RefCell<Option<Waker>>,
}

impl Rung {
    /// Notes a ring, and returns whom to wake.
    pub(crate) fn ring(&self) -> Option<Waker> {
        self.rung.set(true);
        self.waiter.take()
    }
}

impl Bell {
    /// Panics where the process is out of descriptors: bells are made when a core starts, and a core
    /// that cannot be woken is none.
    pub(crate) fn new(core: &RealCore) -> Self {
        Self::on(core.ring())
    }

    /// The same, while the core is being made.
    pub(super) fn on(ring: &Rc<Ring>) -> Self {
        let descriptor = Arc::new(eventfd(libc::EFD_NONBLOCK).expect("a descriptor for a bell"));
        let rung = Rc::new(Rung::default());
        let poll =
            ring.start(Operation::Bell { descriptor: descriptor.clone(), rung: rung.clone() });
        Bell { rung, descriptor, _poll: poll }
    }

    pub(crate) fn ringer(&self) -> BellRinger {
        BellRinger(self.descriptor.clone())
    }

    /// Resolves once the bell has been rung since the last `wait` resolved.
    pub(crate) async fn wait(&self) {
        std::future::poll_fn(|context| {
            if self.rung.rung.take() {
                return Poll::Ready(());
            }
            drop(self.rung.waiter.replace(Some(context.waker().clone())));
            Poll::Pending
        })
        .await;
    }
}

impl BellRinger {
    /// Rings: one system call. What the caller wrote to memory before is seen by the task that wakes.
    pub(crate) fn ring(&self) {
        signal(&self.0);
    }
}

/// Adds one to an eventfd.
pub(super) fn signal(eventfd: &OwnedFd) {
    let one = 1_u64.to_ne_bytes();
    loop {
        // SAFETY: the descriptor is open, and `one` is 8 readable bytes.
        let written = unsafe { libc::write(eventfd.as_raw_fd(), one.as_ptr().cast(), one.len()) };
        // EAGAIN: the counter is full, so whoever reads it is awake already.
        let again = written < 0 && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted;
        if !again {
            return;
        }
    }
}

/// An eventfd at 0 that is closed on exec.
pub(crate) fn eventfd(flags: i32) -> io::Result<OwnedFd> {
    // SAFETY: takes no pointers; the descriptor that it returns is ours alone.
    unsafe {
        match libc::eventfd(0, flags | libc::EFD_CLOEXEC) {
            -1 => Err(io::Error::last_os_error()),
            fd => Ok(OwnedFd::from_raw_fd(fd)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::environment::{Environment, current};

    fn this_core() -> Rc<RealCore> {
        match current() {
            Environment::Real(core) => core,
            Environment::Sim(_) => unreachable!("launched as a real core"),
        }
    }

    /// Each ring is answered before the next, so a single lost one would hang; the time limit is
    /// there to say which.
    #[test]
    fn no_ring_from_another_thread_is_lost() {
        let (ringers, ringer) = mpsc::channel();
        let (answers, answer) = mpsc::channel();
        let cores = crate::launch(
            crate::Settings::default(),
            vec![(ringers, answers)],
            |_, (ringers, answers)| async move {
                let bell = Bell::new(&this_core());
                ringers.send(bell.ringer()).unwrap();
                for ring in 0..1_000 {
                    bell.wait().await;
                    answers.send(ring).unwrap();
                }
            },
        )
        .unwrap();
        let ringer: BellRinger = ringer.recv().unwrap();
        for ring in 0..1_000 {
            ringer.ring();
            assert_eq!(answer.recv_timeout(Duration::from_secs(30)), Ok(ring));
        }
        cores.join();
    }

    /// A task that never sleeps sees the bell by `yield_now`, and hooks run at every drain.
    #[test]
    fn a_busy_core_hears_the_bell_and_runs_its_hooks() {
        let cores = crate::launch(crate::Settings::default(), vec![()], |_, ()| async {
            let core = this_core();
            let bell = Bell::new(&core);
            let hooked = Rc::new(Cell::new(0_u32));
            core.on_drain(Box::new({
                let hooked = hooked.clone();
                move || hooked.set(hooked.get() + 1)
            }));
            let ringer = bell.ringer();
            let heard = Rc::new(Cell::new(false));
            let listener = crate::spawn({
                let heard = heard.clone();
                async move {
                    bell.wait().await;
                    heard.set(true);
                }
            });
            thread::spawn(move || ringer.ring());
            while !heard.get() {
                crate::yield_now().await;
            }
            listener.await;
            assert!(hooked.get() > 0);
        });
        cores.unwrap().join();
    }

    /// More completions at once than the ring has places for: the kernel keeps the rest and ends the
    /// polls that it could not complete, which are armed again.
    #[test]
    fn bells_beyond_the_completion_queue_are_all_heard() {
        const BELLS: usize = 5_000;
        super::super::host::check(1, &[]).unwrap();
        let cores = crate::launch(crate::Settings::default(), vec![()], |_, ()| async {
            let core = this_core();
            let bells: Vec<Bell> = (0..BELLS).map(|_| Bell::new(&core)).collect();
            for round in 0..3 {
                // Armed, and nothing is taken in while they ring.
                crate::sleep(Duration::from_millis(1)).await;
                let ringers: Vec<BellRinger> = bells.iter().map(Bell::ringer).collect();
                let ringing = thread::spawn(move || ringers.iter().for_each(BellRinger::ring));
                ringing.join().unwrap();
                for (n, bell) in bells.iter().enumerate() {
                    let heard = crate::timeout(Duration::from_secs(30), bell.wait()).await;
                    assert!(heard.is_ok(), "bell {n} in round {round}");
                }
            }
        });
        cores.unwrap().join();
    }
}
