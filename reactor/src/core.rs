//! Cores: one pinned thread each, with one executor, and what that owns.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use crate::environment::{Environment, current};
use crate::real;

/// A core of this process, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CoreIndex(pub usize);

impl fmt::Display for CoreIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// How the real cores are launched. The simulator ignores it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Pin core `n` to the `n`-th CPU of this process's affinity mask (modulo their count).
    pub pinned: bool,
    /// Length of a time slice. Files, sockets, timers, bells and other threads reach a busy core
    /// between any two of its tasks; a slice bounds what only glommio sees, wakers of other threads
    /// that do not come by [`crate::outside`] or the mesh. Short slices are no gain and cost parks
    /// that are lost until the watchdog finds them (docs/adr/0030).
    pub preempt_us: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { pinned: true, preempt_us: 100_000 }
    }
}

/// Why no core could be launched. Each text names the remedy in one line.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error("{0}")]
    Host(#[from] crate::host::HostError),
    #[error("cannot start core {core}: {source}")]
    Core { core: CoreIndex, source: std::io::Error },
    #[error("cannot start the thread that watches the cores: {source}")]
    Watchdog { source: std::io::Error },
}

/// The running cores of this process.
pub struct Cores(pub(crate) real::core::RunningCores);

impl Cores {
    /// Waits until the start future of every core has ended. Call from an ordinary thread.
    pub fn join(self) {
        self.0.join();
    }
}

/// Starts one core for each of `seeds`: on it, `start(core, seed)` is made into a future and run.
/// The core ends when that future does. A panic on a core aborts the process: half a broker is none.
///
/// Errors: [`LaunchError`]; no core is left running.
pub fn launch<S, F, Fut>(settings: Settings, seeds: Vec<S>, start: F) -> Result<Cores, LaunchError>
where
    S: Send + 'static,
    F: Fn(CoreIndex, S) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + 'static,
{
    real::core::launch(settings, seeds, start).map(Cores)
}

/// CPU time that the calling core's thread has taken since it began; none in simulation.
pub fn cpu_time() -> Duration {
    match current() {
        Environment::Real(_) => real::clock::thread_cpu_time(),
        Environment::Sim(_) => Duration::ZERO,
    }
}

/// Signals that the watchdog has sent to cores of this process that slept although they had work. For
/// a metric.
pub fn watchdog_kicks() -> u64 {
    real::watchdog::kicks()
}
