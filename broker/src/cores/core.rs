//! One core of the broker: what it owns, and how others reach it.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::ops::Bound;
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use protocol::model::{Offset, ProducerId};
use reactor::CoreIndex;
use reactor::mesh::Mesh;
use reactor::sync::Event;
use reactor::task::Group;
use storage::{ChunkPool, CompactionMemory, Volume};

use super::deadlines::Deadlines;
use super::message::{CoreReply, CoreRequest};
use super::view::ClusterView;
use crate::config::{BrokerConfig, MemoryShares};
use crate::controller_core::ControllerCore;
use crate::coordinator::group::GroupCoordinator;
use crate::handlers::FetchSessions;
use crate::memory::{AnswerMemory, Lent, MemoryInUse, Patience, RequestMemory, Sends};
use crate::metrics::CoreCounts;
use crate::net::FrameMemory;
use crate::quota::Sensors;
use crate::replica::{FetchKey, FetchWatch, Partition, PartitionKey};

/// The part of the memory for requests, one in so many, that fetch sessions may take: what is not named
/// again must be remembered.
const SESSIONS_PART: usize = 8;

/// What is the same on all cores of a node for as long as it runs.
#[derive(Debug)]
pub struct Node {
    pub config: BrokerConfig,
    /// What each core may use.
    pub memory: MemoryShares,
    /// The core that runs the controller.
    pub controller_core: CoreIndex,
    /// The core that accepts connections.
    pub accepting_core: CoreIndex,
}

/// One core. INV-11: only its own tasks touch what it owns.
pub struct Core {
    pub index: CoreIndex,
    pub node: Arc<Node>,
    pub mesh: Mesh<CoreRequest, CoreReply>,
    pub deadlines: Rc<Deadlines>,
    /// The memory of all this core's logs.
    pub chunks: Rc<ChunkPool>,
    /// This core's part of each of the node's log directories.
    pub volumes: Vec<Rc<Volume>>,
    /// Memory for requests that are being read or served.
    pub frames: FrameMemory,
    /// Memory for requests as decoded, and for what waits.
    pub requests: RequestMemory,
    /// Memory for answers that are made of this core's partitions.
    pub answers: AnswerMemory,
    /// Memory for the log of this core's that is being compacted.
    pub compaction: CompactionMemory,
    /// What clients of this core's connections read, and what they were told of it.
    pub fetch_sessions: FetchSessions,
    /// The groups that this core coordinates.
    pub groups: GroupCoordinator,
    /// What this core's connections are sending.
    pub sends: Sends,
    /// How fast those clients are that this core keeps count of.
    pub quotas: Sensors,
    pub counts: CoreCounts,
    pub connections: Group,
    /// Work that answers others: it goes on while connections end.
    pub tasks: Group,
    /// Set when the core is to end.
    pub stop: Event,
    view: RefCell<Arc<ClusterView>>,
    limits_clients: Cell<bool>,
    partitions: RefCell<BTreeMap<PartitionKey, Rc<Partition>>>,
    parked: RefCell<BTreeMap<FetchKey, Rc<FetchWatch>>>,
    fetch_number: Cell<u64>,
    producer_ids: Cell<ProducerIdBlock>,
    /// On the controller core, once it has come up. It owns itself: it knows this core, too.
    controller: OnceCell<Weak<ControllerCore>>,
}

/// Producer ids that the controller gave to this core, `next..end`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProducerIdBlock {
    pub next: i64,
    pub end: i64,
}

impl Core {
    pub fn new(index: CoreIndex, node: Arc<Node>, mesh: Mesh<CoreRequest, CoreReply>) -> Rc<Self> {
        let core_count = mesh.core_count();
        let config = &node.config;
        let chunks = ChunkPool::new(node.memory.chunks);
        let core = index.0 as u32;
        let volume =
            |path: &PathBuf| Volume::of_core(path, core, config.storage.clone(), chunks.clone());
        let volumes = config.log_dirs.iter().map(volume).collect();
        let frames = FrameMemory::new(node.memory.frames);
        let sessions_size_bytes = node.memory.parked / SESSIONS_PART;
        let requests = RequestMemory::new(node.memory.parked - sessions_size_bytes);
        let fetch_sessions = FetchSessions::new(
            index,
            core_count,
            config.fetch_session_count_max,
            sessions_size_bytes,
        );
        let groups = GroupCoordinator::new(config.groups.clone());
        let quotas = Sensors::new(config.quota_windows);
        let answers = AnswerMemory::new(index, node.memory.answers);
        let compaction = CompactionMemory::new(node.memory.compaction);
        let core = Rc::new(Core {
            index,
            chunks,
            volumes,
            node,
            mesh,
            deadlines: Rc::default(),
            frames,
            requests,
            answers,
            compaction,
            fetch_sessions,
            groups,
            sends: Sends::default(),
            quotas,
            counts: CoreCounts::new(),
            connections: Group::new(),
            tasks: Group::new(),
            stop: Event::new(),
            limits_clients: Cell::new(false),
            view: RefCell::new(Arc::new(ClusterView::empty(core_count))),
            partitions: RefCell::default(),
            parked: RefCell::default(),
            fetch_number: Cell::new(0),
            producer_ids: Cell::default(),
            controller: OnceCell::new(),
        });
        for (directory, volume) in core.volumes.iter().enumerate() {
            let known = Rc::downgrade(&core);
            volume.on_failure(move |error| {
                let Some(core) = known.upgrade() else { return };
                let reason = error.to_string().into();
                let word = CoreRequest::DirectoryFailed { directory, reason };
                core.mesh.control(core.node.controller_core, word);
            });
        }
        core
    }

    pub fn view(&self) -> Arc<ClusterView> {
        self.view.borrow().clone()
    }

    /// Shows `view` to what is asked from now on. Versions only grow.
    pub fn show(&self, view: Arc<ClusterView>) {
        let before: Offset = self.view.borrow().version();
        assert!(view.version() >= before, "view {} after {before}", view.version());
        self.limits_clients.set(!view.quotas.limits_no_client());
        *self.view.borrow_mut() = view;
    }

    /// Whether there is a quota of anybody's requests.
    pub fn limits_clients(&self) -> bool {
        self.limits_clients.get()
    }

    pub fn partition(&self, key: &PartitionKey) -> Option<Rc<Partition>> {
        self.partitions.borrow().get(key).cloned()
    }

    pub fn own(&self, key: PartitionKey, partition: Rc<Partition>) {
        self.partitions.borrow_mut().insert(key, partition);
    }

    pub fn disown(&self, key: &PartitionKey) -> Option<Rc<Partition>> {
        self.partitions.borrow_mut().remove(key)
    }

    /// All partitions of this core, in a fixed order.
    pub fn partitions(&self) -> Vec<(PartitionKey, Rc<Partition>)> {
        self.partitions.borrow().iter().map(|(key, partition)| (*key, partition.clone())).collect()
    }

    /// Up to `count` partitions of this core, in the same order: the first ones, or those behind `last`.
    pub fn partitions_behind(
        &self,
        last: Option<PartitionKey>,
        count: usize,
    ) -> Vec<(PartitionKey, Rc<Partition>)> {
        let partitions = self.partitions.borrow();
        let behind = (last.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let next = partitions.range(behind).take(count);
        next.map(|(key, partition)| (*key, partition.clone())).collect()
    }

    /// A name for a fetch that may be parked on other cores.
    pub fn next_fetch_key(&self) -> FetchKey {
        let number = self.fetch_number.get();
        self.fetch_number.set(number + 1);
        FetchKey { asker: self.index, number }
    }

    pub fn remember_fetch(&self, key: FetchKey, watch: Rc<FetchWatch>) {
        self.parked.borrow_mut().insert(key, watch);
    }

    pub fn forget_fetch(&self, key: FetchKey) {
        self.parked.borrow_mut().remove(&key);
    }

    /// Ends the waiting of a fetch, if it waits still, or reads and would wait.
    pub fn finish_fetch(&self, key: FetchKey) {
        let watch = self.parked.borrow_mut().remove(&key);
        if let Some(watch) = watch {
            watch.finish();
        }
    }

    /// Ends the waiting of all parked fetches.
    pub fn finish_all_fetches(&self) {
        let parked = std::mem::take(&mut *self.parked.borrow_mut());
        for watch in parked.into_values() {
            watch.finish();
        }
    }

    pub fn memory_in_use(&self) -> MemoryInUse {
        MemoryInUse {
            frames: self.frames.in_use(),
            chunks: self.chunks.held_bytes(),
            answers: self.answers.in_use(),
            parked: self.requests.in_use() + self.fetch_sessions.in_use(),
            compaction: self.compaction.in_use(),
            groups: self.groups.in_use(),
        }
    }

    /// INV-13 on this core.
    pub fn check_memory(&self) {
        self.memory_in_use().check(&self.node.memory);
    }

    /// Ends the waiting of up to `count` fetches that this core's connections have asked for, on each core
    /// where some are parked: those that wait the longest, and have waited for a while.
    pub fn end_parked_fetches(&self, count: usize) {
        for core in (0..self.mesh.core_count()).map(CoreIndex).filter(|core| *core != self.index) {
            self.mesh.control(core, CoreRequest::EndParkedFetches { asker: self.index, count });
        }
        self.end_parked_fetches_of(self.index, count);
    }

    /// Ends the waiting of up to `count` fetches parked here that `asker` has asked for.
    pub fn end_parked_fetches_of(&self, asker: CoreIndex, count: usize) {
        // In the order of their numbers, which is that of their age.
        let keys = FetchKey { asker, number: 0 }..=FetchKey { asker, number: u64::MAX };
        let parked = self.parked.borrow();
        let watches = parked.range(keys).map(|(_, watch)| watch);
        let oldest: Vec<_> = watches.filter(|it| it.may_be_ended()).take(count).cloned().collect();
        drop(parked);
        for watch in oldest {
            watch.end();
        }
    }

    /// Gives memory of answers back, and tells the cores that wait for it.
    pub fn give_back(&self, lent: Vec<Lent>) {
        for lender in lent.into_iter().filter_map(Lent::give_back) {
            if lender == self.index {
                self.answers.look_again();
            } else {
                self.mesh.control(lender, CoreRequest::AnswerMemoryFreed);
            }
        }
    }

    /// Has all cores end connections that keep memory of answers and read nothing.
    pub fn end_stuck_sends(&self) {
        for core in (0..self.mesh.core_count()).map(CoreIndex).filter(|core| *core != self.index) {
            self.mesh.control(core, CoreRequest::EndStuckSends);
        }
        self.sends.end_stuck(Patience::MayPark);
    }

    /// The node's controller, on its core while it is up.
    pub fn controller(&self) -> Option<Rc<ControllerCore>> {
        self.controller.get()?.upgrade()
    }

    pub fn set_controller(&self, controller: &Rc<ControllerCore>) {
        let was_set = self.controller.set(Rc::downgrade(controller));
        assert!(was_set.is_ok(), "a node has one controller");
    }

    /// The next producer id of this core's block; `None` when the block is used up.
    pub fn next_producer_id(&self) -> Option<ProducerId> {
        let ProducerIdBlock { next, end } = self.producer_ids.get();
        if next == end {
            return None;
        }
        self.producer_ids.set(ProducerIdBlock { next: next + 1, end });
        Some(ProducerId(next))
    }

    pub fn set_producer_ids(&self, block: ProducerIdBlock) {
        self.producer_ids.set(block);
    }

    /// Runs `work` to its end now if it needs not wait, else as a task of this core.
    pub fn run_now_or_spawn(&self, mut work: Pin<Box<dyn Future<Output = ()>>>) {
        let waker = std::task::Waker::noop();
        let poll = work.as_mut().poll(&mut std::task::Context::from_waker(waker));
        if poll.is_pending() {
            // The task polls it again at once, with a waker that counts.
            self.tasks.spawn(work);
        }
    }
}
