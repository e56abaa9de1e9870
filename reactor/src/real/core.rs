//! A real core: a pinned thread, glommio's executor for tasks and timers, and a ring of our own.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::rc::Rc;
use std::sync::{OnceLock, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use glommio::io::BufferedFile;
use glommio::{
    Latency, LocalExecutor, LocalExecutorBuilder, Placement, PoolPlacement, Shares, TaskQueueHandle,
};

use super::bell::{self, Bell, eventfd};
use super::blocking::HelperThread;
use super::foreign::Foreign;
use super::ring::Ring;
use super::task::{self, AbortOnPanic, RealTask, Tasks};
use super::timers::Timers;
use super::watchdog::Watch;
use super::{clock, host, watchdog};
use crate::core::{CoreIndex, LaunchError, Settings};
use crate::environment::{Environment, enter};
use crate::time::Instant;

/// The depth of glommio's own rings, which carry its time slices and one eventfd.
const GLOMMIO_RING_DEPTH: usize = 256;

/// glommio's own buffers: it reads 8 bytes at a time here.
const GLOMMIO_IO_MEMORY: usize = 64 << 10;

/// Disk operations that the process has outstanding at most. A usual device queue has 256 places, and
/// a submission beyond those would block the core; half of them leaves room for others.
const DISK_IN_FLIGHT_MAX: usize = 128;

pub(crate) struct RealCore {
    index: CoreIndex,
    ring: Rc<Ring>,
    timers: Rc<Timers>,
    tasks: Tasks,
    queue: TaskQueueHandle,
    foreign: Rc<Foreign>,
    helper: HelperThread,
    drain_hooks: RefCell<Vec<Box<dyn Fn()>>>,
}

impl RealCore {
    pub(crate) fn now(&self) -> Instant {
        Instant(clock::monotonic_ns())
    }

    pub(crate) fn wall_clock(&self) -> i64 {
        clock::wall_ms()
    }

    pub(crate) async fn sleep_until(&self, deadline: Instant) {
        if deadline <= self.now() {
            crate::task::yield_now().await;
        } else {
            self.timers.sleep_until(deadline).await;
        }
    }

    pub(crate) fn random_fill(&self, bytes: &mut [u8]) {
        host::random_fill(bytes);
    }

    pub(crate) fn spawn<T: 'static>(
        self: &Rc<Self>,
        future: impl Future<Output = T> + 'static,
    ) -> RealTask<T> {
        task::spawn(self.clone(), future)
    }

    /// Between any two tasks: takes in completions, if there are any.
    pub(super) fn look(&self) {
        if self.ring.has_completions() {
            self.ring.drain();
            self.timers.expire();
        }
    }

    pub(super) fn index(&self) -> CoreIndex {
        self.index
    }

    pub(super) fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// glommio's queue for all tasks of the core.
    pub(super) fn queue(&self) -> TaskQueueHandle {
        self.queue
    }

    pub(crate) fn ring(&self) -> &Rc<Ring> {
        &self.ring
    }

    /// Runs what would block the core.
    pub(crate) fn helper(&self) -> &HelperThread {
        &self.helper
    }

    /// For futures that other threads wake.
    pub(crate) fn foreign(&self) -> &Foreign {
        &self.foreign
    }

    /// Takes in what files, sockets, timers and bells have completed and what the hooks look at.
    pub(crate) fn drain(&self) {
        self.ring.drain();
        self.timers.expire();
        for hook in self.drain_hooks.borrow().iter() {
            hook();
        }
    }

    /// Has `hook` called on every [`RealCore::drain`] for the life of the core. A hook may wake tasks;
    /// it must not register hooks.
    pub(crate) fn on_drain(&self, hook: Box<dyn Fn()>) {
        self.drain_hooks.borrow_mut().push(hook);
    }
}

pub(crate) struct RunningCores {
    threads: Vec<JoinHandle<()>>,
}

impl RunningCores {
    pub(crate) fn join(self) {
        for thread in self.threads {
            // A core that panics aborts the process, so this cannot be an error.
            thread.join().expect("a core ends without a panic");
        }
    }
}

/// What one core is made from, on its own thread.
struct Plan {
    index: CoreIndex,
    /// The CPU to run on, and those of the process.
    cpu: Option<usize>,
    cpus: Vec<usize>,
    preempt: Duration,
    disk_in_flight_max: usize,
}

pub(crate) fn launch<S, F, Fut>(
    settings: Settings,
    seeds: Vec<S>,
    start: F,
) -> Result<RunningCores, LaunchError>
where
    S: Send + 'static,
    F: Fn(CoreIndex, S) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + 'static,
{
    host::check_io_uring()?;
    host::check_memlock()?;
    prepare_process();
    let cpus = host::affinity();
    let core_count = seeds.len();
    let (ready, readiness) = mpsc::channel();
    let mut cores = Vec::new();
    for (n, seed) in seeds.into_iter().enumerate() {
        let index = CoreIndex(n);
        let plan = Plan {
            index,
            cpus: cpus.clone(),
            cpu: if settings.pinned && !cpus.is_empty() {
                Some(cpus[n % cpus.len()])
            } else {
                None
            },
            preempt: Duration::from_micros(settings.preempt_us),
            disk_in_flight_max: (DISK_IN_FLIGHT_MAX / core_count).max(8),
        };
        let (go, may_go) = mpsc::channel();
        let (start, ready) = (start.clone(), ready.clone());
        let thread = thread::Builder::new()
            .name(format!("core-{n}"))
            .spawn(move || run_core(plan, ready, may_go, move |index| start(index, seed)))
            .map_err(|source| LaunchError::Core { core: index, source })?;
        cores.push((thread, go));
    }
    drop(ready);
    // Every core reports; where one failed, dropping the `go` of the others ends them.
    for (core, outcome) in readiness {
        outcome.map_err(|source| LaunchError::Core { core, source })?;
    }
    let watches: Vec<Watch> = cores.iter().map(|_| Watch::default()).collect();
    watchdog::start(&watches).map_err(|source| LaunchError::Watchdog { source })?;
    let mut threads = Vec::new();
    for ((thread, go), watch) in cores.into_iter().zip(watches) {
        go.send(watch).expect("a core that is ready waits for its go");
        threads.push(thread);
    }
    Ok(RunningCores { threads })
}

/// The body of a core's thread.
fn run_core<Fut: Future<Output = ()> + 'static>(
    plan: Plan,
    ready: mpsc::Sender<(CoreIndex, io::Result<()>)>,
    may_go: mpsc::Receiver<Watch>,
    start: impl FnOnce(CoreIndex) -> Fut + 'static,
) {
    let _abort = AbortOnPanic(plan.index);
    let (made, outcome) = match make_core(&plan) {
        Ok(made) => (Some(made), Ok(())),
        Err(error) => (None, Err(error)),
    };
    // `launch` listens until every core has reported, unless one has failed.
    let _ = ready.send((plan.index, outcome));
    drop(ready);
    let (Some((executor, ring, completions)), Ok(watch)) = (made, may_go.recv()) else {
        return;
    };
    executor.run(live(plan, ring.clone(), completions.clone(), watch, start));
    drop(executor);
    ring.close();
    drop(enter(None));
}

/// The life of a core, on its executor.
async fn live<Fut: Future<Output = ()> + 'static>(
    plan: Plan,
    ring: Rc<Ring>,
    completions: Rc<OwnedFd>,
    watch: Watch,
    start: impl FnOnce(CoreIndex) -> Fut + 'static,
) {
    let queue = glommio::executor().create_task_queue(
        Shares::default(),
        Latency::Matters(plan.preempt),
        "core",
    );
    let (bell, beats) = (Bell::on(&ring), Bell::on(&ring));
    let foreign = Rc::new(Foreign::new(&bell));
    let core = Rc::new(RealCore {
        index: plan.index,
        timers: Rc::new(Timers::new(ring.clone())),
        ring: ring.clone(),
        tasks: Tasks::default(),
        queue,
        helper: HelperThread::start(plan.index, plan.cpus, foreign.clone()),
        foreign: foreign.clone(),
        drain_hooks: RefCell::default(),
    });
    let outer = enter(Some(Environment::Real(core.clone())));
    assert!(outer.is_none(), "a thread is one core");
    core.spawn(ring.drive()).detach();
    core.spawn(foreign.listen(bell)).detach();
    core.spawn(watch.clone().answer(beats)).detach();
    let ended = Rc::new(Cell::new(false));
    let reader = take_in_completions(core.clone(), completions.clone(), ended.clone());
    let reader = glommio::spawn_local_into(reader, queue).expect("the queue was just made");

    let (start, own) = (start(plan.index), core.clone());
    core.spawn(async move {
        start.await;
        own.tasks.begin_end();
    })
    .await;
    // In the queue of the tasks: to yield in another would not let them run.
    let all = core.clone();
    let ends = glommio::spawn_local_into(async move { all.tasks.end().await }, queue);
    ends.expect("the queue was made above").await;
    drop(core.drain_hooks.take());
    // The reader ends by itself: glommio would free the buffer of a read that is in flight.
    ended.set(true);
    bell::signal(&completions);
    reader.await;
    watch.end();
}

fn make_core(plan: &Plan) -> io::Result<(LocalExecutor, Rc<Ring>, Rc<OwnedFd>)> {
    if let Some(cpu) = plan.cpu {
        host::pin_to(&[cpu])?;
    }
    let executor = LocalExecutorBuilder::new(Placement::Unbound)
        .io_memory(GLOMMIO_IO_MEMORY)
        .ring_depth(GLOMMIO_RING_DEPTH)
        .preempt_timer(plan.preempt)
        .blocking_thread_pool_placement(PoolPlacement::Unbound(1))
        .make()
        .map_err(io::Error::from)?;
    // glommio reads it as a file: a read of an eventfd at 0 waits where it does not block.
    let completions = eventfd(0)?;
    let ring = Ring::new(completions.as_raw_fd(), plan.disk_in_flight_max)?;
    Ok((executor, Rc::new(ring), Rc::new(completions)))
}

/// Sleeps until the ring has completed something, then drains the core, until `ended`.
async fn take_in_completions(core: Rc<RealCore>, completions: Rc<OwnedFd>, ended: Rc<Cell<bool>>) {
    // SAFETY: the descriptor stays open for as long as `completions`, and glommio does not close it.
    let file = ManuallyDrop::new(unsafe { BufferedFile::from_raw_fd(completions.as_raw_fd()) });
    while !ended.get() {
        if let Err(error) = file.read_at(0, size_of::<u64>()).await {
            panic!("cannot wait for completions: {error}");
        }
        core.drain();
    }
}

/// What is paid once in a process and would otherwise stall the first core that sleeps: glommio's
/// first timer registers a memory barrier with the kernel, which takes tens of milliseconds once
/// there is more than one thread.
fn prepare_process() {
    static PREPARED: OnceLock<()> = OnceLock::new();
    PREPARED.get_or_init(|| {
        let throw_away = || {
            let executor =
                LocalExecutorBuilder::new(Placement::Unbound).io_memory(GLOMMIO_IO_MEMORY).make();
            // Where none can be made, the cores will say why.
            if let Ok(executor) = executor {
                executor.run(glommio::timer::sleep(Duration::from_micros(1)));
            }
        };
        let _ = thread::spawn(throw_away).join();
    });
}
