//! The controller as one machine: KRaft, the image, decisions, and who waits for what.
//!
//! A driver owns log, clock and randomness. It makes a [`Controller`] with a [`crate::Loader`], steps
//! it with `Event::Start`, then with what happens, and at `next_deadline` with `Event::Tick`. The
//! actions of a step are executed in their order: what `Publish` shows has to be in use everywhere
//! before a `Respond` behind it leaves, so that no client misses what it was told.
//!
//! Several steps may be taken before their actions are executed, so that one flush serves all of
//! their appends.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use protocol::error_code::ErrorCode;
use protocol::model::{BrokerId, LeaderEpoch, MonotonicNs, Offset, PartitionId, TimestampMs};
use protocol::records::metadata::{AbortTransactionRecord, MetadataRecord};

use crate::decide::{
    Decision, Draw, Now, RECORDS_PER_DECISION_MAX, Sessions, View, allocate_producer_ids,
    alter_client_quotas, alter_configs, alter_partition_reassignments, assign_replicas_to_dirs,
    bootstrap_feature_records, bootstrap_records, broker_heartbeat, broker_registration,
    create_partitions, create_topics, delete_topics, elect_leaders, fence_broker,
    incremental_alter_configs, unregister_broker, update_features,
};
use crate::load::ControllerConfig;
use crate::metadata::{
    ClientQuotas, ControllerNode, FeatureRange, Fold, MetadataDelta, MetadataImage,
    SUPPORTED_FEATURES, encode_batch,
};
use crate::quota::{Mutations, Mutator, Permits, QuotaTable};
use crate::raft::{self, KraftVersion, Node, Refused, describe_quorum};
use crate::request::{Request, Response};
use crate::snapshot::{SnapshotContent, SnapshotId};

/// The driver's name for a request that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestToken(pub u64);

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Take part in the quorum.
    Start,
    /// The file of the last `PersistQuorumState` is durable.
    QuorumStatePersisted,
    /// The log is durable up to here.
    Flushed { durable_end_offset: Offset },
    /// An append, a flush or the quorum-state file failed; nothing can be promised any more.
    StorageFailed,
    /// `seed` is random; topic ids are made of it.
    /// `mutator` asks for it, where anybody's mutations are limited.
    Request { token: RequestToken, request: Request, mutator: Option<Box<Mutator>>, seed: [u8; 16] },
    /// Time has passed.
    Tick,
}

/// What the driver has to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Replace the file `quorum-state` by this text, durably; then report `QuorumStatePersisted`.
    PersistQuorumState {
        text: String,
    },
    /// Append at the log's end, which is `base_offset`; once durable report `Flushed`.
    Append {
        base_offset: Offset,
        next_offset: Offset,
        batch: Bytes,
    },
    /// This image is committed; `delta` says what to look at.
    Publish {
        image: Arc<MetadataImage>,
        delta: MetadataDelta,
    },
    Respond {
        token: RequestToken,
        response: Response,
    },
}

/// The active controller of a quorum, or what may become one.
#[derive(Debug)]
pub struct Controller {
    config: ControllerConfig,
    raft: Node,
    /// With everything that was appended.
    fold: Fold,
    sessions: Sessions,
    committed: Arc<MetadataImage>,
    /// Nobody has been shown an image yet.
    unpublished: bool,
    /// When the last batch of `committed` was appended.
    committed_at: TimestampMs,
    /// Appended batches that are not committed, oldest first.
    uncommitted: VecDeque<Uncommitted>,
    /// Changes of a transaction that is open; they belong to the batch that ends it.
    delta: MetadataDelta,
    /// Responses by the offset that has to be committed before, lowest first.
    waiting: VecDeque<Waiting>,
    raft_actions: Vec<raft::Action>,
    /// A planted bug.
    #[cfg(feature = "planted-bugs")]
    decides_on_committed: bool,
    mutations: Mutations,
    /// The quotas that were asked for last, and how they are looked up.
    quotas: (ClientQuotas, QuotaTable),
}

#[derive(Debug)]
struct Uncommitted {
    next_offset: Offset,
    appended_at: TimestampMs,
    /// `None` inside of a transaction.
    shown: Option<(MetadataImage, MetadataDelta)>,
}

#[derive(Debug)]
struct Waiting {
    offset: Offset,
    token: RequestToken,
    request: Request,
    response: Response,
}

impl Controller {
    pub(crate) fn new(config: ControllerConfig, raft: Node, fold: Fold) -> Self {
        let mutations = Mutations::new(config.settings.mutation_burst_s as f64);
        Controller {
            config,
            raft,
            fold,
            sessions: Sessions::default(),
            committed: Arc::default(),
            unpublished: true,
            committed_at: TimestampMs::default(),
            uncommitted: VecDeque::new(),
            delta: MetadataDelta::default(),
            waiting: VecDeque::new(),
            raft_actions: Vec::new(),
            #[cfg(feature = "planted-bugs")]
            decides_on_committed: false,
            mutations,
            quotas: Default::default(),
        }
    }

    /// Plants a bug: decisions do not see what was decided and is not committed.
    #[cfg(feature = "planted-bugs")]
    pub fn decide_on_committed_state(&mut self) {
        self.decides_on_committed = true;
    }

    /// Takes one event. Errors: an event that cannot be now, which is the driver's mistake; nothing
    /// is changed by it.
    pub fn step(
        &mut self,
        now: Now,
        event: Event,
        actions: &mut Vec<Action>,
    ) -> Result<(), Refused> {
        match event {
            Event::Start => self.step_raft(now, raft::Event::Start { now: now.wall }, actions)?,
            Event::QuorumStatePersisted => {
                self.step_raft(now, raft::Event::QuorumStatePersisted, actions)?;
            }
            Event::Flushed { durable_end_offset } => {
                self.step_raft(now, raft::Event::Flushed { durable_end_offset }, actions)?;
            }
            Event::StorageFailed => self.step_raft(now, raft::Event::StorageFailed, actions)?,
            Event::Request { token, request, mutator, seed } => {
                self.request(now, token, (request, mutator), Draw::new(seed), actions);
            }
            Event::Tick => self.fence_expired(now, actions),
        }
        self.release(actions);
        Ok(())
    }

    /// When `Event::Tick` is due: the next session ends then.
    pub fn next_deadline(&self) -> Option<MonotonicNs> {
        if !self.raft.is_leader() {
            return None;
        }
        self.unfenced().filter_map(|broker| self.sessions.expiry(broker)).min()
    }

    pub fn is_active(&self) -> bool {
        self.raft.is_leader()
    }

    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.raft.leader_epoch()
    }

    /// `None` until something of this leader epoch is committed.
    pub fn high_watermark(&self) -> Option<Offset> {
        self.raft.high_watermark()
    }

    /// Where the next batch will be appended.
    pub fn log_end_offset(&self) -> Offset {
        self.raft.log_end_offset()
    }

    /// The image that was published last.
    pub fn committed_image(&self) -> &Arc<MetadataImage> {
        &self.committed
    }

    /// What a snapshot of the committed image is made of; `None` before this leader committed any.
    pub fn snapshot(&self) -> Option<SnapshotContent> {
        if self.unpublished {
            return None;
        }
        let quorum = self.raft.config();
        let voters = match quorum.kraft_version {
            KraftVersion::Static => None,
            KraftVersion::Dynamic => Some((quorum.kraft_version, quorum.voters.clone())),
        };
        Some(SnapshotContent {
            // All that is published was committed by this leader's own records.
            id: SnapshotId {
                end_offset: self.committed.next_offset(),
                leader_epoch: self.raft.leader_epoch(),
            },
            last_contained_log_timestamp: self.committed_at,
            voters,
            image: Arc::clone(&self.committed),
        })
    }

    /// `kraft.version` of this quorum.
    pub fn kraft_version(&self) -> KraftVersion {
        self.raft.config().kraft_version
    }

    /// The image of all that was appended: what the next decision sees.
    pub fn appended_image(&self) -> &MetadataImage {
        self.fold.image()
    }

    fn step_raft(
        &mut self,
        now: Now,
        event: raft::Event,
        actions: &mut Vec<Action>,
    ) -> Result<(), Refused> {
        let mut raft_actions = std::mem::take(&mut self.raft_actions);
        let stepped = self.raft.step(event, &mut raft_actions);
        let mut leads = false;
        for action in raft_actions.drain(..) {
            match action {
                raft::Action::PersistQuorumState(state) => {
                    let quorum = self.raft.config();
                    let text = state.encode(quorum.kraft_version, &quorum.voters);
                    actions.push(Action::PersistQuorumState { text });
                }
                raft::Action::Append { base_offset, next_offset, batch } => {
                    self.note_append(now, next_offset);
                    actions.push(Action::Append { base_offset, next_offset, batch });
                }
                raft::Action::HighWatermark(offset) => self.commit(offset, actions),
                raft::Action::Lead { .. } => leads = true,
                raft::Action::Resign => self.resign(actions),
            }
        }
        self.raft_actions = raft_actions;
        if leads {
            self.activate(now, actions);
        }
        stepped
    }

    /// A batch is on its way to the log: this is what shows when it is committed.
    fn note_append(&mut self, now: Now, next_offset: Offset) {
        self.fold.advance_to(next_offset);
        let shown = (!self.fold.in_transaction())
            .then(|| (self.fold.image().clone(), std::mem::take(&mut self.delta)));
        self.uncommitted.push_back(Uncommitted { next_offset, appended_at: now.wall, shown });
    }

    /// Replays `records` and appends them. What a client asked for is one batch; when a broker that has
    /// very many partitions goes, its records are several, each of which makes sense by itself.
    fn append(&mut self, now: Now, records: &[MetadataRecord], actions: &mut Vec<Action>) {
        for records in records.chunks(RECORDS_PER_DECISION_MAX) {
            self.append_batch(now, records, actions);
        }
    }

    fn append_batch(&mut self, now: Now, records: &[MetadataRecord], actions: &mut Vec<Action>) {
        let base_offset = self.raft.log_end_offset();
        let mut offset = base_offset;
        for record in records {
            self.delta.note(record, self.fold.image());
            self.fold
                .replay(offset, record)
                .unwrap_or_else(|error| panic!("a record that was just decided: {error}"));
            self.check_invariants(record);
            offset = offset.next();
        }
        let batch = encode_batch(base_offset, self.raft.leader_epoch(), now.wall, records);
        let appended =
            self.step_raft(now, raft::Event::Append { batch, next_offset: offset }, actions);
        assert!(appended.is_ok(), "the leader appends: {appended:?}");
    }

    /// INV-10 for the partition that `record` has just made or changed.
    fn check_invariants(&self, record: &MetadataRecord) {
        let (topic_id, partition_id) = match record {
            MetadataRecord::Partition(record) => (record.topic_id, record.partition_id),
            MetadataRecord::PartitionChange(record) => (record.topic_id, record.partition_id),
            _ => return,
        };
        let topic = self.fold.image().topic_by_id(topic_id);
        let partition = topic.and_then(|topic| topic.partitions.get(&PartitionId(partition_id)));
        let broken = partition.and_then(|partition| partition.broken_invariant());
        assert!(
            broken.is_none(),
            "INV-10 {broken:?}: partition {partition_id} of {topic_id} is {partition:?}"
        );
    }

    /// The first records of a leader: what its predecessor left open, what a new cluster needs, and
    /// who it is.
    fn activate(&mut self, now: Now, actions: &mut Vec<Action>) {
        if self.fold.in_transaction() {
            let record = AbortTransactionRecord { reason: Some("the leader changed".into()) };
            self.append(now, &[MetadataRecord::AbortTransaction(record)], actions);
        }
        if self.fold.image().metadata_version().is_none() {
            let defaults = bootstrap_feature_records();
            let checkpoint = match self.config.bootstrap.as_slice() {
                [] => &defaults,
                checkpoint => checkpoint,
            };
            let records = bootstrap_records(checkpoint, &self.config.settings);
            self.append(now, &records, actions);
        }
        let registration = self.registration();
        if self.fold.image().controllers().get(&registration.id).map(Arc::as_ref)
            != Some(&registration)
        {
            let record = MetadataRecord::RegisterController(registration.to_record());
            self.append(now, &[record], actions);
        }
        // Who has heard of no other leader yet gets a whole session to find this one.
        let expires = self.session_end(now);
        let remote = self.unfenced().filter(|&id| Some(id) != self.config.settings.local_broker);
        for broker in remote.collect::<Vec<_>>() {
            self.sessions.touch(broker, expires, None);
        }
    }

    fn registration(&self) -> ControllerNode {
        let features = SUPPORTED_FEATURES.iter().map(|(name, range)| {
            (Arc::from(*name), FeatureRange { min: *range.start(), max: *range.end() })
        });
        ControllerNode {
            id: self.config.node_id,
            incarnation_id: self.config.incarnation_id,
            zk_migration_ready: false,
            listeners: self.config.listeners.clone(),
            features: features.collect(),
        }
    }

    fn request(
        &mut self,
        now: Now,
        token: RequestToken,
        (request, mutator): (Request, Option<Box<Mutator>>),
        draw: Draw,
        actions: &mut Vec<Action>,
    ) {
        if !self.raft.is_leader() {
            let response = request.refuse(ErrorCode::NotController);
            actions.push(Action::Respond { token, response });
            return;
        }
        let mut permits = self.permits(now, mutator.as_deref());
        let Decision { records, mut response } = self.decide(now, &request, draw, &mut permits);
        response.throttle(self.mutations.settle(now.monotonic, permits));
        self.append(now, &records, actions);
        self.after(now, &request, &response);
        // An answer that wrote nothing may still tell of what is not yet committed.
        let offset = self.raft.log_end_offset();
        self.waiting.push_back(Waiting { offset, token, request, response });
    }

    fn view(&self, now: Now) -> View<'_> {
        let image = self.fold.image();
        #[cfg(feature = "planted-bugs")]
        let image = if self.decides_on_committed { &*self.committed } else { image };
        View {
            image,
            sessions: &self.sessions,
            settings: &self.config.settings,
            now,
            next_offset: self.raft.log_end_offset(),
        }
    }

    /// What `mutator` may have made and deleted.
    fn permits(&mut self, now: Now, mutator: Option<&Mutator>) -> Permits {
        let Some(mutator) = mutator else { return Permits::default() };
        let quotas = self.fold.image().client_quotas();
        if self.quotas.0 != *quotas {
            self.quotas = (quotas.clone(), QuotaTable::new(quotas));
        }
        self.mutations.permits(now.monotonic, &self.quotas.1, mutator)
    }

    fn decide(
        &self,
        now: Now,
        request: &Request,
        mut draw: Draw,
        permits: &mut Permits,
    ) -> Decision<Response> {
        fn wrap<R>(decision: Decision<R>, wrap: impl Fn(R) -> Response) -> Decision<Response> {
            Decision { records: decision.records, response: wrap(decision.response) }
        }
        let view = self.view(now);
        let decided = match request {
            Request::CreateTopics(request) => {
                Ok(wrap(create_topics(&view, request, &mut draw, permits), Response::CreateTopics))
            }
            Request::DeleteTopics { version, request } => {
                Ok(wrap(delete_topics(&view, *version, request, permits), Response::DeleteTopics))
            }
            Request::CreatePartitions(request) => Ok(wrap(
                create_partitions(&view, request, &mut draw, permits),
                Response::CreatePartitions,
            )),
            Request::AlterConfigs(request) => {
                Ok(wrap(alter_configs(&view, request), Response::AlterConfigs))
            }
            Request::IncrementalAlterConfigs(request) => Ok(wrap(
                incremental_alter_configs(&view, request),
                Response::IncrementalAlterConfigs,
            )),
            Request::AlterClientQuotas(request) => alter_client_quotas(&view, request)
                .map(|decision| wrap(decision, Response::AlterClientQuotas)),
            Request::ElectLeaders(request) => {
                elect_leaders(&view, request).map(|decision| wrap(decision, Response::ElectLeaders))
            }
            Request::AlterPartitionReassignments(request) => Ok(wrap(
                alter_partition_reassignments(&view, request),
                Response::AlterPartitionReassignments,
            )),
            Request::UpdateFeatures { version, request } => Ok(wrap(
                update_features(&view, self.kraft_version(), *version, request),
                Response::UpdateFeatures,
            )),
            Request::UnregisterBroker(request) => unregister_broker(&view, request)
                .map(|decision| wrap(decision, Response::UnregisterBroker)),
            Request::DescribeQuorum { version, request } => {
                let described = describe_quorum(&self.raft, now.wall, *version, request);
                Ok(Decision::answer(Response::DescribeQuorum(described)))
            }
            Request::BrokerRegistration(request) => broker_registration(&view, request)
                .map(|decision| wrap(decision, Response::BrokerRegistration)),
            Request::BrokerHeartbeat(request) => broker_heartbeat(&view, request)
                .map(|decision| wrap(decision, Response::BrokerHeartbeat)),
            Request::AllocateProducerIds(request) => {
                Ok(wrap(allocate_producer_ids(&view, request), Response::AllocateProducerIds))
            }
            Request::AssignReplicasToDirs(request) => assign_replicas_to_dirs(&view, request)
                .map(|decision| wrap(decision, Response::AssignReplicasToDirs)),
        };
        decided.unwrap_or_else(|refusal| Decision {
            records: Vec::new(),
            response: request.refuse_because(refusal.error, Some(&refusal.message)),
        })
    }

    /// Sessions follow from what was answered; they are not in the log.
    fn after(&mut self, now: Now, request: &Request, response: &Response) {
        match (request, response) {
            (Request::BrokerRegistration(request), Response::BrokerRegistration(response))
                if response.error_code == 0 =>
            {
                let id = BrokerId(request.broker_id);
                let known = self.fold.image().broker(id);
                // The same process again keeps its session.
                if known.is_some_and(|broker| broker.fenced) {
                    self.sessions.remove(id);
                }
            }
            (Request::BrokerHeartbeat(request), Response::BrokerHeartbeat(response))
                if response.error_code == 0 =>
            {
                let id = BrokerId(request.broker_id);
                let expires = self.session_end(now);
                let read = Offset::from_wire(request.current_metadata_offset);
                self.sessions.touch(id, expires, read);
                let shuts_down = self
                    .fold
                    .image()
                    .broker(id)
                    .is_some_and(|broker| broker.in_controlled_shutdown);
                if shuts_down && self.sessions.shutdown_offset(id).is_none() {
                    let last_offset = Offset(self.raft.log_end_offset().0 - 1);
                    self.sessions.begin_shutdown(id, last_offset);
                }
            }
            _ => {}
        }
    }

    fn session_end(&self, now: Now) -> MonotonicNs {
        let timeout_ns = self.config.settings.broker_session_timeout_ms.saturating_mul(1_000_000);
        MonotonicNs(now.monotonic.0.saturating_add(timeout_ns))
    }

    fn unfenced(&self) -> impl Iterator<Item = BrokerId> {
        let brokers = self.fold.image().brokers().values();
        brokers.filter(|broker| !broker.fenced).map(|broker| broker.id)
    }

    /// Fences the brokers whose sessions have ended.
    fn fence_expired(&mut self, now: Now, actions: &mut Vec<Action>) {
        if !self.raft.is_leader() {
            return;
        }
        let has_expired =
            |id: BrokerId| self.sessions.expiry(id).is_some_and(|expires| expires <= now.monotonic);
        let expired: Vec<_> = self.unfenced().filter(|&id| has_expired(id)).collect();
        for broker in expired {
            let records = fence_broker(&self.view(now), broker);
            self.append(now, &records, actions);
        }
    }

    fn commit(&mut self, high_watermark: Offset, actions: &mut Vec<Action>) {
        let mut shown: Option<(MetadataImage, MetadataDelta)> = None;
        while let Some(batch) = self.uncommitted.pop_front_if(|b| b.next_offset <= high_watermark) {
            if let Some((image, delta)) = batch.shown {
                let earlier = shown.map(|(_, delta)| delta).unwrap_or_default();
                shown = Some((image, delta.merged_after(earlier)));
                self.committed_at = batch.appended_at;
            }
        }
        if let Some((image, mut delta)) = shown {
            if std::mem::take(&mut self.unpublished) {
                delta = MetadataDelta::all_of(&image);
            }
            self.committed = Arc::new(image);
            actions.push(Action::Publish { image: Arc::clone(&self.committed), delta });
        }
    }

    /// Lets go the responses whose offset is committed, in the order of their requests.
    fn release(&mut self, actions: &mut Vec<Action>) {
        let high_watermark = self.raft.high_watermark();
        while let Some(waiting) =
            self.waiting.pop_front_if(|waiting| Some(waiting.offset) <= high_watermark)
        {
            let Waiting { token, response, .. } = waiting;
            actions.push(Action::Respond { token, response });
        }
    }

    /// What was not committed may never have been: forget it, and tell those who wait for it.
    fn resign(&mut self, actions: &mut Vec<Action>) {
        self.uncommitted.clear();
        self.delta = MetadataDelta::default();
        self.fold = Fold::new((*self.committed).clone());
        for Waiting { token, request, .. } in self.waiting.drain(..) {
            let response = request.refuse(ErrorCode::NotController);
            actions.push(Action::Respond { token, response });
        }
    }
}
