//! The handle by which a test builds a world, lets it run and harms it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use super::core::SimCore;
use super::disk::{DiskFaults, Disks};
use super::knobs::Knobs;
use super::net;
use super::node::{Life, Node, NodeId};
use super::random::Random;
use super::task::SimTask;
use super::world::{Counters, Message, World};
use crate::core::CoreIndex;
use crate::time::{Elapsed, Instant};

/// Index of the first core that a client gets: more than any process has.
const CLIENT_CORE_MIN: usize = 1_000;

/// How a node goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process is killed: what it wrote stays, peers see their connections end.
    Kill,
    /// The host loses power: unflushed writes and names are lost in part, peers hear nothing.
    PowerLoss,
}

/// A simulated world. Everything in it happens on the thread that calls [`Simulation::run_for`] and the
/// like, in an order and at times that follow from the seed alone.
pub struct Simulation {
    pub(super) world: Rc<World>,
}

/// A future that runs on a node beside its process; see [`Simulation::spawn_client`].
#[must_use = "dropping a client cancels it"]
pub struct Client<T>(SimTask<T>);

impl<T> Client<T> {
    /// The result, once the future has ended; only once.
    pub fn take_result(&self) -> Option<T> {
        self.0.take_result()
    }
}

impl Simulation {
    pub fn new(seed: u64, knobs: Knobs) -> Self {
        Simulation { world: World::new(seed, knobs) }
    }

    pub fn seed(&self) -> u64 {
        self.world.seed
    }

    pub fn knobs(&self) -> Knobs {
        Knobs::clone(&self.world.knobs())
    }

    /// Changes how the world behaves from now on: `Knobs::default()` makes it a healthy one.
    pub fn set_knobs(&self, knobs: Knobs) {
        self.world.set_knobs(knobs);
    }

    /// A random stream of the caller's own under the seed of this world, one for each `concern`.
    pub fn random(&self, concern: &str) -> Random {
        Random::new(self.world.seed, &format!("workload/{concern}"))
    }

    /// Virtual time since the world began.
    pub fn now(&self) -> Instant {
        self.world.now()
    }

    /// A hash of every decision so far. Two runs of one seed have the same.
    pub fn trace_hash(&self) -> u64 {
        self.world.trace_hash()
    }

    pub fn counters(&self) -> Counters {
        self.world.counters.borrow().clone()
    }

    /// Turns that tasks have had so far: what a test that crashes at every one of them counts by.
    pub fn polls(&self) -> u64 {
        self.world.counters.borrow().polls
    }

    /// The marks that this run has reached, and how often.
    pub fn marks(&self) -> BTreeMap<&'static str, u64> {
        self.world.marks.borrow().clone()
    }

    /// Plants the bug `name` in this world; see [`crate::planted!`].
    #[cfg(feature = "planted-bugs")]
    pub fn plant(&self, name: &'static str) {
        self.world.planted.set(Some(name));
    }

    /// Adds a host with an empty disk at `/`. It answers at `ip`, which no other has (asserted).
    pub fn add_node(&self, name: &str, ip: IpAddr) -> NodeId {
        let mut nodes = self.world.nodes.borrow_mut();
        assert!(nodes.iter().all(|node| node.ip != ip), "two nodes at {ip}");
        let id = NodeId(nodes.len());
        let knobs = self.world.knobs();
        let mut random = Random::new(self.world.seed, &format!("clock/{name}"));
        let offset_ms_max = knobs.wall_clock_offset_max.as_millis() as u64;
        let drift_ppm_max = knobs.wall_clock_drift_ppm_max;
        let either_way =
            |random: &mut Random, max: u64| random.below(2 * max + 1) as i64 - max as i64;
        nodes.push(Rc::new(Node {
            id,
            name: name.to_owned(),
            ip,
            disks: Disks::default(),
            life: RefCell::new(Life::new()),
            has_power: Cell::new(true),
            is_paused: Cell::new(false),
            held_tasks: RefCell::default(),
            wall_clock_offset_ms: Cell::new(either_way(&mut random, offset_ms_max)),
            wall_clock_drift_ppm: Cell::new(either_way(&mut random, drift_ppm_max)),
            next_port: Cell::new(0),
        }));
        id
    }

    /// Starts a process on `node`, on which none runs (asserted): one core for each of `seeds`, on
    /// which `start(core, seed)` is made into a future and run, as [`crate::launch`] does it. The core
    /// ends when that future does, and the process with its last core.
    pub fn start<S, F, Fut>(&self, node: NodeId, seeds: Vec<S>, start: F)
    where
        S: 'static,
        F: Fn(CoreIndex, S) -> Fut + Clone + 'static,
        Fut: Future<Output = ()> + 'static,
    {
        let node = self.world.node(node);
        assert!(node.life().cores_running.get() == 0, "{} is running", node.name);
        self.power_on(&node);
        for (index, seed) in seeds.into_iter().enumerate() {
            let core = self.add_core(&node, CoreIndex(index));
            core.life.cores_running.set(core.life.cores_running.get() + 1);
            let start = start.clone();
            // Made on the core, where `start` itself may call the reactor.
            let begin = async move { start(CoreIndex(index), seed).await };
            self.world.tasks.spawn_start(&core, begin);
        }
    }

    /// True while a process that `start` began has cores that have not ended.
    pub fn is_running(&self, node: NodeId) -> bool {
        let life = self.world.node(node).life();
        life.is_alive.get() && life.cores_running.get() > 0
    }

    /// Runs `future` on a core of its own on `node`, whether or not a process runs there. It uses the
    /// reactor as any other code, and ends with a crash of the node, or when a process that runs there
    /// ends by itself.
    pub fn spawn_client<T: 'static>(
        &self,
        node: NodeId,
        future: impl Future<Output = T> + 'static,
    ) -> Client<T> {
        let node = self.world.node(node);
        self.power_on(&node);
        let life = node.life();
        let index = CoreIndex(CLIENT_CORE_MIN + life.clients.get());
        life.clients.set(life.clients.get() + 1);
        let core = self.add_core(&node, index);
        Client(self.world.tasks.spawn(&core, future))
    }

    /// Runs the world until `future` has ended on `node`, for at most `limit` of virtual time.
    pub fn block_on<T: 'static>(
        &self,
        node: NodeId,
        limit: Duration,
        future: impl Future<Output = T> + 'static,
    ) -> Result<T, Elapsed> {
        let client = self.spawn_client(node, future);
        let mut result = None;
        self.run_until(
            || {
                result = client.take_result();
                result.is_some()
            },
            limit,
        );
        result.ok_or(Elapsed)
    }

    /// Lets `span` of virtual time pass.
    pub fn run_for(&self, span: Duration) {
        self.run_until(|| false, span);
    }

    /// Lets time pass until `is_reached`, which is asked after every step, for at most `limit`. True
    /// where it was reached.
    pub fn run_until(&self, mut is_reached: impl FnMut() -> bool, limit: Duration) -> bool {
        let end = self.world.now() + limit;
        loop {
            if is_reached() {
                return true;
            }
            self.read_inbox();
            if !self.world.tasks.poll_one(&self.world) && !self.world.fire_next(end) {
                self.world.idle_until(end);
                return false;
            }
        }
    }

    fn read_inbox(&self) {
        for message in self.world.inbox.take() {
            match message {
                Message::Woken { task } => self.world.tasks.woken(task),
                Message::Rung { bell } => super::bell::rung(&self.world, bell),
                Message::Unused { connection } => net::unused(&self.world, connection),
            }
        }
    }

    fn add_core(&self, node: &Rc<Node>, index: CoreIndex) -> Rc<SimCore> {
        Rc::new(SimCore {
            world: self.world.clone(),
            node: node.clone(),
            life: node.life(),
            index,
            stalled_until: Cell::new(Instant(0)),
        })
    }

    /// Makes sure that `node` has a process to run in.
    fn power_on(&self, node: &Rc<Node>) {
        if !node.life().is_alive.get() {
            node.life.replace(Life::new());
        }
        if !node.has_power.replace(true) {
            net::links_changed(&self.world);
        }
    }

    /// Crashes `node`, whatever runs on it. Its disks keep what the kind of crash leaves of them, and
    /// [`Simulation::start`] starts it again. May be called from a client of another node.
    pub fn crash(&self, node: NodeId, crash: Crash) {
        let node = self.world.node(node);
        let life = node.life();
        life.is_alive.set(false);
        life.cores_running.set(0);
        self.world.tasks.drop_life(&self.world, &life);
        node.held_tasks.borrow_mut().clear();
        node.is_paused.set(false);
        if crash == Crash::PowerLoss {
            node.has_power.set(false);
        }
        net::process_died(&self.world, &node, &life);
        for disk in node.disks.all() {
            disk.process_died(&self.world, &life);
            if crash == Crash::PowerLoss {
                disk.lose_power(&self.world);
            }
        }
        self.world.count_fault(match crash {
            Crash::Kill => "kill",
            Crash::PowerLoss => "power_loss",
        });
    }

    /// Stops `node` in its tracks (SIGSTOP): its kernel lives, its tasks do not run.
    pub fn pause(&self, node: NodeId) {
        self.world.node(node).is_paused.set(true);
        self.world.count_fault("pause");
    }

    pub fn resume(&self, node: NodeId) {
        let node = self.world.node(node);
        node.is_paused.set(false);
        for task in node.held_tasks.take() {
            self.world.tasks.woken(task);
        }
    }

    /// Moves the wall clock of `node` by `milliseconds`, either way.
    pub fn jump_wall_clock(&self, node: NodeId, milliseconds: i64) {
        let offset_ms = &self.world.node(node).wall_clock_offset_ms;
        offset_ms.set(offset_ms.get() + milliseconds);
        self.world.count_fault("wall_clock_jump");
    }

    /// Cuts the link from `from` to `to`, one way.
    pub fn partition_one_way(&self, from: NodeId, to: NodeId) {
        self.world.network.links.block(from, to);
        self.world.count_fault("partition");
    }

    /// Cuts the link between two nodes, both ways.
    pub fn partition(&self, first: NodeId, second: NodeId) {
        self.partition_one_way(first, second);
        self.partition_one_way(second, first);
    }

    /// Mends the link between two nodes, both ways.
    pub fn heal_link(&self, first: NodeId, second: NodeId) {
        self.world.network.links.unblock(first, second);
        self.world.network.links.unblock(second, first);
        net::links_changed(&self.world);
    }

    /// Mends all links.
    pub fn heal(&self) {
        self.world.network.links.unblock_all();
        net::links_changed(&self.world);
    }

    /// Resets every connection between two nodes.
    pub fn break_connections(&self, first: NodeId, second: NodeId) {
        net::break_connections(&self.world, first, second);
        self.world.count_fault("connections_broken");
    }

    /// Mounts an empty disk at `path` of `node`, which then has faults of its own. It replaces a disk
    /// that is there, also the one at `/`: that is how a node loses its disk.
    pub fn add_disk(&self, node: NodeId, path: &Path) {
        self.world.node(node).disks.mount(path);
    }

    /// Sets what is wrong with the disk that `path` of `node` lies on, in place of what was before.
    pub fn set_disk_faults(&self, node: NodeId, path: &Path, faults: DiskFaults) -> io::Result<()> {
        let (disk, _) = self.world.node(node).disks.resolve(path)?;
        disk.set_faults(&self.world, faults);
        Ok(())
    }

    /// Flips one bit of the byte at `position` of a file, for good. False where nothing is stored
    /// there.
    pub fn rot(&self, node: NodeId, path: &Path, position: u64) -> io::Result<bool> {
        let (disk, names) = self.world.node(node).disks.resolve(path)?;
        disk.rot(&self.world, &names, position)
    }

    /// Paths of all files on the disk that `path` of `node` lies on, from its mount point on, sorted.
    pub fn file_paths(&self, node: NodeId, path: &Path) -> io::Result<Vec<String>> {
        let (disk, _) = self.world.node(node).disks.resolve(path)?;
        Ok(disk.file_paths())
    }

    pub fn file_size(&self, node: NodeId, path: &Path) -> io::Result<u64> {
        let (disk, names) = self.world.node(node).disks.resolve(path)?;
        disk.file_size(&names)
    }
}

impl World {
    /// The start future of `core` has ended: so do its other tasks, and with the last core the process.
    pub(super) fn core_ended(self: &Rc<Self>, core: &Rc<SimCore>) {
        self.tasks.drop_all(self, |other| std::ptr::eq(other, &raw const **core));
        let running = &core.life.cores_running;
        running.set(running.get().saturating_sub(1));
        if running.get() == 0 && core.life.is_alive.replace(false) {
            self.tasks.drop_life(self, &core.life);
            net::process_died(self, &core.node, &core.life);
            core.node.disks.all().iter().for_each(|disk| disk.process_died(self, &core.life));
        }
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let (seed, now) = (self.world.seed, self.world.now());
            eprintln!("SEED={seed:#x} time={now:?} {}", self.world.knobs());
            // The world stays as it is: to end it would run code of tasks whose state may be broken.
            return;
        }
        let nodes = self.world.nodes.take();
        nodes.iter().for_each(|node| node.life().is_alive.set(false));
        self.world.tasks.drop_all(&self.world, |_| true);
        self.world.timers.clear();
        self.world.network.clear();
        nodes.iter().flat_map(|node| node.disks.all()).for_each(|disk| disk.clear());
    }
}

#[cfg(test)]
mod tests;
