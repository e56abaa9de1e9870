//! The two clocks: a monotonic one for deadlines, a wall clock for timestamps in records.

use std::future::Future;
use std::ops::{Add, Sub};
use std::time::Duration;

use crate::environment::{Environment, current};

/// A point of the monotonic clock, in nanoseconds since an arbitrary start. Comparable within one
/// process only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub u64);

impl Add<Duration> for Instant {
    type Output = Instant;
    fn add(self, span: Duration) -> Instant {
        Instant(self.0.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub for Instant {
    type Output = Duration;
    /// The span from `earlier` to `self`; zero where `earlier` is later.
    fn sub(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// The monotonic clock of this core.
pub fn now() -> Instant {
    match current() {
        Environment::Real(core) => core.now(),
        Environment::Sim(core) => core.now(),
    }
}

/// The wall clock in milliseconds since the Unix epoch. It may jump: never decide correctness by it.
pub fn wall_clock() -> i64 {
    match current() {
        Environment::Real(core) => core.wall_clock(),
        Environment::Sim(core) => core.wall_clock(),
    }
}

pub async fn sleep(span: Duration) {
    sleep_until(now() + span).await;
}

pub async fn sleep_until(deadline: Instant) {
    match current() {
        Environment::Real(core) => core.sleep_until(deadline).await,
        Environment::Sim(core) => core.sleep_until(deadline).await,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the deadline passed")]
pub struct Elapsed;

/// Awaits `future` for at most `span`. On [`Elapsed`] the future has been dropped.
pub async fn timeout<T>(span: Duration, future: impl Future<Output = T>) -> Result<T, Elapsed> {
    futures_lite::future::or(async { Ok(future.await) }, async {
        sleep(span).await;
        Err(Elapsed)
    })
    .await
}
