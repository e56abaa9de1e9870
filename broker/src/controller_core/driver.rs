//! Drives the controller's machine: executes its actions on the metadata log in their order, and tells it
//! what came of them.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use controller::decide::Now;
use controller::quota::Mutator;
use controller::{Action, Controller, Event, Request, RequestToken, Response};
use protocol::messages::BrokerHeartbeatRequest;
use protocol::model::{BrokerEpoch, MonotonicNs, Offset, TimestampMs};
use protocol::record_batch::RecordBatch;
use reactor::CoreIndex;
use reactor::sync::{Notify, oneshot};
use storage::{
    AppendAsLeader, Appended, LogDirectory, LogOffsets, Origin, PartitionLog, StorageError,
};

use super::directories::OpenedDirectory;
use super::publisher::Publisher;
use super::snapshots::SnapshotKeeper;
use super::startup::{self, QUORUM_STATE, StartError, Started};
use super::views::Views;
use crate::cores::{Closed, Core, CoreRequest, Deadline, ReplyTo};
use crate::process::{Fatal, Stop};

/// How soon a broker that joins asks again whether it may serve.
const FENCED_BEAT_INTERVAL: Duration = Duration::from_millis(5);

/// The first begins a controlled shutdown, the second hears that nothing is led any more.
const LEAVING_HEARTBEATS_MAX: usize = 3;

/// The controller of this node, on its core.
pub struct ControllerCore {
    core: Rc<Core>,
    publisher: Rc<Publisher>,
    fatal: Fatal,
    log: PartitionLog,
    snapshots: Rc<SnapshotKeeper>,
    machine: RefCell<Controller>,
    views: RefCell<Views>,
    metadata_directory: std::path::PathBuf,
    /// What the machine wants done, in order.
    actions: RefCell<VecDeque<Action>>,
    /// An action is being executed.
    busy: Cell<bool>,
    changed: Notify,
    asked: RefCell<BTreeMap<RequestToken, ReplyTo<Response>>>,
    next_token: Cell<u64>,
    broker_epoch: Cell<Option<i64>>,
    tick: Cell<Option<Deadline>>,
    /// No more requests are taken.
    stopping: Cell<bool>,
    /// Every core has closed its logs.
    cores_ended: Cell<bool>,
}

impl ControllerCore {
    /// Starts the node's controller and broker, waits for the word to stop, and stops the node.
    pub async fn run(core: Rc<Core>, publisher: Rc<Publisher>, stop: Stop, fatal: Fatal) {
        let began = reactor::now();
        let started = match startup::start(&core).await {
            Ok(started) => Some(started),
            Err(error) => {
                fatal.raise(error.to_string());
                None
            }
        };
        let mut running = None;
        if let Some(started) = started {
            #[cfg_attr(
                not(feature = "planted-bugs"),
                expect(unused_mut, reason = "for a planted bug")
            )]
            let Started { mut machine, log, snapshots, views, directories, own_of_metadata } =
                started;
            #[cfg(feature = "planted-bugs")]
            if reactor::planted!(decide_on_stale_state) {
                machine.decide_on_committed_state();
            }
            let metadata_directory = core.node.config.metadata_log_dir.clone();
            let controller = Rc::new(ControllerCore {
                core: core.clone(),
                publisher: publisher.clone(),
                fatal: fatal.clone(),
                log,
                snapshots: snapshots.clone(),
                machine: RefCell::new(machine),
                views: RefCell::new(views),
                metadata_directory,
                actions: RefCell::default(),
                busy: Cell::new(false),
                changed: Notify::new(),
                asked: RefCell::default(),
                next_token: Cell::new(0),
                broker_epoch: Cell::new(None),
                tick: Cell::new(None),
                stopping: Cell::new(false),
                cores_ended: Cell::new(false),
            });
            controller.tell_of_absent(&directories);
            let executor = reactor::spawn(controller.clone().execute());
            let keeper = reactor::spawn(snapshots.run());
            match controller.join_cluster().await {
                Ok(()) => {
                    // Before a client can make a topic of a stray's name.
                    controller.tidy_up(&directories).await;
                    let started_ms = (reactor::now() - began).as_millis() as u64;
                    let image = controller.machine.borrow().committed_image().clone();
                    tracing::info!(
                        started_ms,
                        topics = image.topics().len(),
                        metadata_offset = image.next_offset().0,
                        "broker is part of its cluster"
                    );
                    core.mesh.control(core.node.accepting_core, CoreRequest::Serve);
                }
                Err(error) => fatal.raise(error.to_string()),
            }
            running = Some((controller, executor, keeper, directories, own_of_metadata));
        }
        // The sender lives as long as the process: an error here would mean the same.
        let _ = stop.recv().await;
        if let Some((controller, ..)) = &running {
            controller.quiesce().await;
        }
        let closed = publisher.stop_all().await;
        // All locks are held to the end.
        if let Some((controller, executor, keeper, directories, _locked)) = running {
            controller.leave_cluster().await;
            drop((executor, keeper));
            controller.close(directories, closed).await;
        }
    }

    /// Cores hear of directories that have failed before they could be opened, as of those that fail later.
    fn tell_of_absent(&self, directories: &[OpenedDirectory]) {
        let absent = directories.iter().enumerate().filter(|(_, it)| it.online().is_none());
        for (directory, _) in absent {
            for core in 0..self.core.mesh.core_count() {
                let reason = "it could not be opened at the start".into();
                let word = CoreRequest::FailDirectory { directory, reason };
                self.core.mesh.control(CoreIndex(core), word);
            }
        }
    }

    /// Removes what is left of deletions, and sets partitions aside that the metadata do not know.
    async fn tidy_up(&self, directories: &[OpenedDirectory]) {
        for (index, directory) in directories.iter().enumerate() {
            let Some(directory) = directory.online() else { continue };
            self.core.volumes[index].finish_deletions(directory.deleted().to_vec());
            let image = self.machine.borrow().committed_image().clone();
            let strays = self.views.borrow_mut().strays(index, &image);
            for partition in strays {
                match directory.set_aside(&partition).await {
                    Ok(stray) => tracing::warn!(
                        %partition, directory = %stray.display(),
                        "the metadata know no such partition: set aside, to be removed by hand"
                    ),
                    Err(error) => tracing::error!(%partition, %error, "cannot set aside"),
                }
            }
        }
    }

    /// Puts a request to the machine; `reply` gets the answer when it is committed and shown.
    pub fn request(
        self: &Rc<Self>,
        request: Request,
        mutator: Option<Box<Mutator>>,
        reply: ReplyTo<Response>,
    ) {
        if !self.stopping.get() {
            self.put(request, mutator, reply);
        }
    }

    fn put(
        self: &Rc<Self>,
        request: Request,
        mutator: Option<Box<Mutator>>,
        reply: ReplyTo<Response>,
    ) {
        let token = RequestToken(self.next_token.get());
        self.next_token.set(token.0 + 1);
        self.asked.borrow_mut().insert(token, reply);
        let mut seed = [0; 16];
        reactor::random::fill(&mut seed);
        self.step(Event::Request { token, request, mutator, seed });
    }

    fn step(self: &Rc<Self>, event: Event) {
        let now = Now {
            monotonic: MonotonicNs(reactor::now().0),
            wall: TimestampMs(reactor::wall_clock()),
        };
        let mut actions = Vec::new();
        let stepped = self.machine.borrow_mut().step(now, event, &mut actions);
        stepped.unwrap_or_else(|refused| panic!("the controller's driver is wrong: {refused}"));
        self.actions.borrow_mut().extend(actions);
        self.changed.notify_all();
        self.arm_tick();
    }

    /// Sessions of brokers end at a time; this node's own does not while the process lives, so it
    /// beats first. A process that was frozen so finds itself alive, not fenced.
    fn arm_tick(self: &Rc<Self>) {
        let deadline = self.machine.borrow().next_deadline();
        if let Some(old) = self.tick.take() {
            self.core.deadlines.cancel(old);
        }
        let Some(MonotonicNs(at)) = deadline.filter(|_| !self.stopping.get()) else { return };
        let controller = Rc::downgrade(self);
        let action = move || {
            if let Some(controller) = Weak::upgrade(&controller) {
                controller.tick.set(None);
                controller.beat();
                controller.step(Event::Tick);
            }
        };
        // Early by a third, so that the session never ends in between.
        let session_ms = self.core.node.config.broker_session_ms;
        let early = Duration::from_millis(session_ms / 3);
        let at = reactor::Instant(at.saturating_sub(early.as_nanos() as u64));
        let soonest = reactor::now() + Duration::from_millis(1);
        self.tick.set(Some(self.core.deadlines.schedule(at.max(soonest), action)));
    }

    /// Tells the machine that this node's broker is alive.
    fn beat(self: &Rc<Self>) {
        let Some(broker_epoch) = self.broker_epoch.get() else { return };
        let (reply, _answer) = oneshot();
        let request = Request::BrokerHeartbeat(self.heartbeat(broker_epoch));
        self.request(request, None, ReplyTo::Here(reply));
    }

    fn heartbeat(&self, broker_epoch: i64) -> BrokerHeartbeatRequest {
        let known = self.machine.borrow().committed_image().next_offset();
        BrokerHeartbeatRequest {
            broker_id: self.core.node.config.node_id.0,
            broker_epoch,
            current_metadata_offset: known.0 - 1,
            offline_log_dirs: self.views.borrow().offline_ids(),
            ..Default::default()
        }
    }

    /// Becomes the leader of the quorum, registers this broker and has it unfenced.
    async fn join_cluster(self: &Rc<Self>) -> Result<(), StartError> {
        self.core.set_controller(self);
        let controller = Rc::downgrade(self);
        self.log.on_durable(move |durable| {
            if let Some(controller) = Weak::upgrade(&controller) {
                controller.flushed(durable);
            }
        });
        self.step(Event::Start);
        while self.machine.borrow().high_watermark().is_none() {
            self.wait_for_change().await?;
        }
        let registration = self.views.borrow().registration(&self.core, &self.machine.borrow());
        let response = self.ask(Request::BrokerRegistration(registration)).await?;
        let Response::BrokerRegistration(registered) = response else {
            unreachable!("{response:?} answers no registration")
        };
        startup::check("register this broker", registered.error_code)?;
        self.broker_epoch.set(Some(registered.broker_epoch));
        self.tell_assignments();
        loop {
            let heartbeat = self.heartbeat(registered.broker_epoch);
            let response = self.ask(Request::BrokerHeartbeat(heartbeat)).await?;
            let Response::BrokerHeartbeat(beaten) = response else {
                unreachable!("{response:?} answers no heartbeat")
            };
            startup::check("unfence this broker", beaten.error_code)?;
            if !beaten.is_fenced {
                return Ok(());
            }
            // It may stay so for ever: where all directories have failed meanwhile the node ends.
            if self.fatal.reason().is_some() {
                return Err(StartError::Stopped);
            }
            reactor::sleep(FENCED_BEAT_INTERVAL).await;
        }
    }

    async fn ask(self: &Rc<Self>, request: Request) -> Result<Response, StartError> {
        let (reply, answer) = oneshot();
        self.put(request, None, ReplyTo::Here(reply));
        answer.await.map_err(|_| StartError::Stopped)
    }

    async fn wait_for_change(&self) -> Result<(), StartError> {
        if self.fatal.reason().is_some() {
            return Err(StartError::Stopped);
        }
        self.changed.notified().await;
        Ok(())
    }

    fn flushed(self: &Rc<Self>, durable: Result<Offset, StorageError>) {
        match durable {
            Ok(durable_end_offset) => {
                let committed = self.machine.borrow().high_watermark();
                let is_known = reactor::planted!(answer_before_commit)
                    && committed.is_some_and(|committed| committed >= durable_end_offset);
                if !is_known {
                    self.step(Event::Flushed { durable_end_offset });
                }
            }
            Err(StorageError::Closed { .. }) => {}
            Err(error) => self.fail(&error),
        }
    }

    /// Without its metadata log a node cannot go on: it ends with an error, as Kafka does.
    fn fail(self: &Rc<Self>, error: &StorageError) {
        tracing::error!(%error, "the metadata log failed");
        self.step(Event::StorageFailed);
        self.fatal.raise(format!("the metadata log failed: {error}"));
    }

    /// Executes actions one after the other, for as long as the core runs.
    async fn execute(self: Rc<Self>) {
        loop {
            let changed = self.changed.notified();
            let next = self.actions.borrow_mut().pop_front();
            let Some(action) = next else {
                changed.await;
                continue;
            };
            self.busy.set(true);
            self.execute_one(action).await;
            self.busy.set(false);
            self.changed.notify_all();
        }
    }

    async fn execute_one(self: &Rc<Self>, action: Action) {
        match action {
            Action::PersistQuorumState { text } => {
                match self.log.write_small_file(QUORUM_STATE, text.as_bytes()).await {
                    Ok(()) => self.step(Event::QuorumStatePersisted),
                    Err(error) => self.fail(&error),
                }
            }
            Action::Append { base_offset, next_offset, batch } => {
                if let Err(error) = self.append(base_offset, next_offset, batch) {
                    self.fail(&error);
                } else if reactor::planted!(answer_before_commit) {
                    self.step(Event::Flushed { durable_end_offset: next_offset });
                }
            }
            // Nobody is left to show it to.
            Action::Publish { .. } if self.cores_ended.get() => {}
            Action::Publish { image, delta } => {
                let preparations = self.views.borrow_mut().prepare(&self.core, &image, &delta);
                if let Some(preparation) = preparations.before {
                    self.publisher.prepare(Arc::new(preparation)).await;
                }
                self.publisher.publish(Arc::new(preparations.last)).await;
                if let Some(content) = self.machine.borrow().snapshot() {
                    self.snapshots.committed(content);
                }
                self.tell_assignments();
            }
            Action::Respond { token, response } => {
                if let Some(reply) = self.asked.borrow_mut().remove(&token) {
                    reply.send(response);
                }
            }
        }
    }

    /// Tells the machine where replicas lie, if it does not know.
    fn tell_assignments(self: &Rc<Self>) {
        let Some(broker_epoch) = self.broker_epoch.get().filter(|_| !self.stopping.get()) else {
            return;
        };
        let node_id = self.core.node.config.node_id;
        let request = {
            let assignments = &mut self.views.borrow_mut().assignments;
            assignments.next_request(node_id, BrokerEpoch(broker_epoch))
        };
        let Some(request) = request else { return };
        let (reply, answer) = oneshot();
        self.put(Request::AssignReplicasToDirs(request), None, ReplyTo::Here(reply));
        let controller = Rc::downgrade(self);
        self.core.tasks.spawn(async move {
            let answer = answer.await;
            let Some(controller) = Weak::upgrade(&controller) else { return };
            let response = match &answer {
                Ok(Response::AssignReplicasToDirs(response)) => Some(response),
                Ok(_) | Err(_) => None,
            };
            let goes_on = controller.views.borrow_mut().assignments.answered(response);
            if goes_on {
                controller.tell_assignments();
            }
        });
    }

    /// A log directory has failed under a core. All cores let go of it, and the controller hears of
    /// it, so that what it held is led elsewhere or by nobody. Without the metadata log's, or any, the
    /// node ends with an error, as Kafka does.
    pub fn directory_failed(self: &Rc<Self>, index: usize, reason: &str) {
        let (path, is_first, is_last) = {
            let mut views = self.views.borrow_mut();
            let directory = &mut views.directories[index];
            let is_first = !std::mem::replace(&mut directory.is_offline, true);
            let path = directory.path.clone();
            let is_last = views.directories.iter().all(|directory| directory.is_offline);
            (path, is_first, is_last)
        };
        if !is_first {
            return;
        }
        reactor::mark!(directory_failed);
        tracing::error!(directory = %path.display(), reason, "log directory goes offline");
        for core in 0..self.core.mesh.core_count() {
            let reason = reason.into();
            let word = CoreRequest::FailDirectory { directory: index, reason };
            self.core.mesh.control(CoreIndex(core), word);
        }
        if path == self.metadata_directory {
            let path = path.display();
            self.fatal
                .raise(format!("the log directory of the metadata log, {path}, failed: {reason}"));
        } else if is_last {
            self.fatal
                .raise(format!("all log directories have failed, the last one with: {reason}"));
        } else {
            self.beat();
        }
    }

    fn append(
        &self,
        base_offset: Offset,
        next_offset: Offset,
        batch: bytes::Bytes,
    ) -> Result<(), StorageError> {
        let size_bytes = batch.len();
        let batch = RecordBatch::new(batch).expect("the controller encodes whole batches");
        let how = AppendAsLeader {
            leader_epoch: self.machine.borrow().leader_epoch(),
            origin: Origin::Coordinator,
            now: TimestampMs(reactor::wall_clock()),
            log_append_time: false,
        };
        match self.log.append_as_leader(&[batch], how) {
            Ok(Appended::New { base_offset: base, next_offset: next }) => {
                assert_eq!((base, next), (base_offset, next_offset), "the log ends elsewhere");
                self.snapshots.appended(size_bytes);
                Ok(())
            }
            Ok(duplicate) => unreachable!("a metadata batch has no producer: {duplicate:?}"),
            Err(storage::AppendError::Storage(error)) => Err(error),
            Err(error) => panic!("a metadata batch is refused: {error}"),
        }
    }

    /// Takes no more requests, and waits until those under way are answered.
    async fn quiesce(&self) {
        self.stopping.set(true);
        if let Some(tick) = self.tick.take() {
            self.core.deadlines.cancel(tick);
        }
        while self.fatal.reason().is_none()
            && (self.busy.get()
                || !self.actions.borrow().is_empty()
                || !self.asked.borrow().is_empty())
        {
            self.changed.notified().await;
        }
    }

    /// Tells the controller that this broker goes, as Kafka's does, so that whoever starts on these
    /// directories next need not wait for its session to end. The cores have ended.
    async fn leave_cluster(self: &Rc<Self>) {
        self.cores_ended.set(true);
        let Some(broker_epoch) = self.broker_epoch.get() else { return };
        if self.fatal.reason().is_some() {
            return;
        }
        for _ in 0..LEAVING_HEARTBEATS_MAX {
            let request =
                BrokerHeartbeatRequest { want_shut_down: true, ..self.heartbeat(broker_epoch) };
            match self.ask(Request::BrokerHeartbeat(request)).await {
                Ok(Response::BrokerHeartbeat(beaten)) if beaten.should_shut_down => return,
                Ok(_) => {}
                Err(_) => return,
            }
        }
        tracing::warn!("the controller did not let this broker go; it stays registered as alive");
    }

    /// The end of a clean stop: the metadata log, then the checkpoints, then the marker that says so. A
    /// start that came to nothing ends so too: what failed then is no directory, or is left out here.
    async fn close(&self, directories: Vec<OpenedDirectory>, closed: Closed) {
        if let Err(error) = self.log.close().await {
            tracing::error!(%error, "cannot close the metadata log cleanly");
            return;
        }
        for (index, directory) in directories.iter().enumerate() {
            let has_failed = self.views.borrow().directories[index].is_offline;
            let Some(directory) = directory.online().filter(|_| !has_failed) else { continue };
            if closed.unclean.contains(&index) {
                continue;
            }
            let partitions = closed.partitions.iter();
            let logs: Vec<_> = partitions
                .filter(|partition| partition.directory == index)
                .map(|partition| partition.log.clone())
                .collect();
            let (path, partitions) = (directory.path().display(), logs.len());
            match self.leave(directory, &logs).await {
                Ok(()) => tracing::info!(directory = %path, partitions, "log directory left clean"),
                Err(error) => tracing::error!(directory = %path, %error, "stop is not clean"),
            }
        }
    }

    async fn leave(
        &self,
        directory: &LogDirectory,
        logs: &[LogOffsets],
    ) -> Result<(), StorageError> {
        match self.broker_epoch.get() {
            Some(broker_epoch) => {
                directory.write_checkpoints(logs).await?;
                directory.mark_clean(broker_epoch).await
            }
            // It was no part of its cluster: no client was served, and not all logs need be open.
            None => directory.give_back().await,
        }
    }
}
