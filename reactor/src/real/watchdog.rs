//! The watchdog against lost parks.
//!
//! glommio 0.9.0 may put a core to sleep although tasks are ready: when its time slice ends before
//! any task of a turn has run. Nothing that wakes tasks can free it, since a task that is ready and
//! was not run cannot be woken again; a signal can, as it ends the system call that sleeps. So one
//! thread rings a bell on each core and sends a signal, whose handler does nothing, to a core that
//! sleeps without having answered in time. A core that is merely busy, or stopped, is left alone.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use super::bell::{Bell, BellRinger};
use super::clock;

/// How long a core has to answer, and how often it is asked while it works.
const BEAT: Duration = Duration::from_millis(10);

/// How often all are asked once all have been quiet for `QUIET_BEATS`: a park that is lost at the end
/// of a long sleep is found within two of these, and a process without work sleeps: a beat takes
/// some 100 us of a core that has gone cold, so this is 0.02 % of it.
const IDLE_BEAT: Duration = Duration::from_millis(500);

/// A core is quiet that worked for less than this between two beats; to answer takes a tenth of it.
const QUIET_NS: u64 = 300_000;
const QUIET_BEATS: u32 = 10;

/// Ignored by default, so one that comes too late (after exec) does no harm either.
const KICK: libc::c_int = libc::SIGURG;

static KICKS: AtomicU64 = AtomicU64::new(0);

/// Signals sent to cores that slept on instead of answering, since the process started.
pub(crate) fn kicks() -> u64 {
    KICKS.load(Ordering::Relaxed)
}

/// A core's side of the watchdog.
#[derive(Clone, Default)]
pub(crate) struct Watch(Arc<Shared>);

#[derive(Default)]
struct Shared {
    bell: OnceLock<BellRinger>,
    answers: AtomicU64,
    /// The core's thread; `None` before it answers and once it has ended. Locked while it is signalled.
    thread: Mutex<Option<Thread>>,
    ended: AtomicBool,
}

#[derive(Clone, Copy)]
struct Thread {
    handle: libc::pthread_t,
    /// Its number in /proc.
    id: libc::pid_t,
}

impl Watch {
    /// Answers the watchdog, on the core to be watched. Ends never.
    pub(crate) async fn answer(self, bell: Bell) {
        let shared = &self.0;
        assert!(shared.bell.set(bell.ringer()).is_ok(), "a core is watched once");
        // SAFETY: neither takes anything, and neither can fail.
        let thread = unsafe { Thread { handle: libc::pthread_self(), id: libc::gettid() } };
        *shared.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        loop {
            bell.wait().await;
            shared.answers.fetch_add(1, Ordering::Release);
        }
    }

    /// No signal reaches the calling core's thread any more.
    pub(crate) fn end(&self) {
        self.0.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.0.ended.store(true, Ordering::Release);
    }
}

/// Starts the thread that watches `cores`. It ends once all of them have.
pub(crate) fn start(cores: &[Watch]) -> io::Result<()> {
    static HANDLER: Once = Once::new();
    HANDLER.call_once(install_handler);
    let mut watched: Vec<Watched> = cores.iter().map(|core| Watched::new(core.0.clone())).collect();
    thread::Builder::new().name("watchdog".into()).spawn(move || {
        let mut quiet_beats = 0;
        loop {
            thread::sleep(if quiet_beats < QUIET_BEATS { BEAT } else { IDLE_BEAT });
            watched.retain(|core| !core.shared.ended.load(Ordering::Acquire));
            if watched.is_empty() {
                return;
            }
            let mut quiet = true;
            for core in &mut watched {
                quiet &= core.beat();
            }
            quiet_beats = if quiet { quiet_beats + 1 } else { 0 };
        }
    })?;
    Ok(())
}

/// The thread's view of one core.
struct Watched {
    shared: Arc<Shared>,
    asked: bool,
    answers: u64,
    cpu_ns: u64,
}

impl Watched {
    fn new(shared: Arc<Shared>) -> Self {
        Watched { shared, asked: false, answers: 0, cpu_ns: 0 }
    }

    /// Asks the core, or kicks it where the last question is open. Returns whether it is quiet.
    fn beat(&mut self) -> bool {
        let thread = self.shared.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(thread), Some(bell)) = (*thread, self.shared.bell.get()) else {
            return true;
        };
        let answers = self.shared.answers.load(Ordering::Acquire);
        if self.asked && answers == self.answers {
            if is_asleep(thread.id) {
                KICKS.fetch_add(1, Ordering::Relaxed);
                // SAFETY: the thread runs: it takes itself out under the lock that is held here.
                unsafe { libc::pthread_kill(thread.handle, KICK) };
            }
            return false;
        }
        let cpu_ns = cpu_ns(thread.handle);
        let quiet = cpu_ns.saturating_sub(self.cpu_ns) < QUIET_NS;
        (self.asked, self.answers, self.cpu_ns) = (true, answers, cpu_ns);
        bell.ring();
        quiet
    }
}

/// Whether a thread of this process waits in a system call; true where /proc does not tell.
fn is_asleep(thread: libc::pid_t) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat"));
    // `id (name) state ...`, and a name may hold anything.
    stat.ok().and_then(|stat| Some(stat.rsplit_once(") ")?.1.starts_with('S'))).unwrap_or(true)
}

/// CPU time of a running thread.
fn cpu_ns(thread: libc::pthread_t) -> u64 {
    let mut clock_id = 0;
    // SAFETY: `thread` runs, and `clock_id` is the call's to write.
    if unsafe { libc::pthread_getcpuclockid(thread, &mut clock_id) } != 0 {
        return u64::MAX;
    }
    let time = clock::read(clock_id);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Without SA_RESTART: the point of the signal is to end a system call.
fn install_handler() {
    extern "C" fn nothing(_signal: libc::c_int) {}
    // SAFETY: the handler does nothing, so it may run anywhere; the action is fully initialised.
    let result = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as libc::sighandler_t;
        libc::sigemptyset(&mut action.sa_mask);
        libc::sigaction(KICK, &action, std::ptr::null_mut())
    };
    assert!(result == 0, "the watchdog's signal cannot be handled");
}
