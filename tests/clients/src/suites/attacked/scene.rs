//! What an attack and the good clients beside it know of each other: where the broker is, that the attack
//! has begun, and that it is over.

use anyhow::{Result, ensure};
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

const LOOK_EVERY: Duration = Duration::from_millis(5);

#[derive(Debug)]
pub struct Scene {
    pub address: SocketAddr,
    /// How many connections the attack holds.
    begun: OnceLock<usize>,
    is_over: AtomicBool,
}

impl Scene {
    pub fn new(address: SocketAddr) -> Self {
        Self { address, begun: OnceLock::new(), is_over: AtomicBool::new(false) }
    }

    /// An attack says that it has all it wanted: `held_count` connections that it holds.
    pub fn begin(&self, held_count: usize) {
        // Said once; what is said again is the same.
        let _same = self.begun.set(held_count);
    }

    /// The same; returns when it is over.
    pub fn last(&self, held_count: usize) {
        self.begin(held_count);
        while !self.is_over() {
            thread::park_timeout(LOOK_EVERY);
        }
    }

    /// Leaves it as it is for `span`.
    pub fn go_on(&self, span: Duration) {
        let until = Instant::now() + span;
        while Instant::now() < until {
            thread::park_timeout(LOOK_EVERY);
        }
    }

    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// It is over when what this returns is dropped, whatever happens until then.
    pub fn ends(&self) -> Ends<'_> {
        Ends(self)
    }

    /// Waits until the attack has begun; how many connections it holds. Errors: it ended, or takes too long.
    pub fn await_begun<T>(
        &self,
        deadline: Duration,
        attack: &ScopedJoinHandle<'_, T>,
    ) -> Result<usize> {
        let until = Instant::now() + deadline;
        loop {
            if let Some(&held_count) = self.begun.get() {
                return Ok(held_count);
            }
            ensure!(!attack.is_finished(), "the attack has not begun, and has ended");
            ensure!(Instant::now() < until, "the attack has not begun after {deadline:?}");
            thread::park_timeout(LOOK_EVERY);
        }
    }
}

pub struct Ends<'a>(&'a Scene);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Relaxed);
    }
}
