//! The group coordinator on one core: its shards, from load to failure.
//!
//! A shard's records are appended to its own partition in the turn in which they are decided, and replayed
//! at once, so that the next decision sees them; answers wait until all is committed that was appended
//! before them. Where an append fails, what the shard knows may be more than the log has: it is dropped,
//! and loaded anew. Source: `CoordinatorRuntime`.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use bytes::Bytes;
use protocol::error_code::ErrorCode;
use protocol::model::{TimestampMs, TopicId};
use protocol::record_batch::{BatchBuilder, BatchOptions, HEADER_SIZE_BYTES, RecordBatch};
use protocol::wire::WireString;
use reactor::Instant;
use reactor::sync::Budget;

use super::config::GroupConfig;
use super::load::{LoadError, load};
use super::record::GroupRecord;
use super::request::{GroupRequest, GroupResult};
use super::shard::{GroupShard, Now, Outcome, Waiter};
use crate::cores::{Core, Deadline, ReplyTo};
use crate::replica::{Partition, PartitionKey, ProduceResult};

/// What a record takes in a batch beside its key and its value, at most.
const RECORD_SIZE_BYTES: usize = 32;

/// The groups of one core's partitions of `__consumer_offsets`.
pub struct GroupCoordinator {
    config: Rc<GroupConfig>,
    shards: RefCell<BTreeMap<PartitionKey, Rc<OwnedShard>>>,
    /// One shard is loaded at a time: each holds what it reads.
    loading: Rc<Budget>,
    /// Somebody was told why there are no coordinators.
    has_warned: Cell<bool>,
}

struct OwnedShard {
    partition: Rc<Partition>,
    config: Rc<GroupConfig>,
    loading: Rc<Budget>,
    state: RefCell<State>,
    /// How often the shard was loaded: what an earlier one has appended does not concern this one.
    incarnation: Cell<u64>,
}

enum State {
    /// Topics that went meanwhile are forgotten after the load.
    Loading {
        gone: Vec<(WireString, TopicId)>,
    },
    Active(Box<Active>),
    /// The log cannot be read, or the partition is somebody else's.
    Withdrawn,
}

struct Active {
    shard: GroupShard,
    /// Who waits for the machine to answer.
    waiting: BTreeMap<Waiter, ReplyTo<GroupResult>>,
    waiter_count: u64,
    /// Appends that were begun, and how many of them, without a gap, are committed.
    appended_count: u64,
    committed_count: u64,
    committed_early: BTreeSet<u64>,
    /// Answers that wait until so many appends are committed, in order.
    unsettled: VecDeque<(u64, ReplyTo<GroupResult>, GroupResult)>,
    /// When the shard is looked at next, at the latest.
    armed: Option<(Instant, Deadline)>,
}

impl GroupCoordinator {
    pub fn new(config: GroupConfig) -> Self {
        GroupCoordinator {
            config: Rc::new(config),
            shards: RefCell::default(),
            loading: Rc::new(Budget::new(1)),
            has_warned: Cell::new(false),
        }
    }

    /// Whether a warning is due: clients ask again and again.
    pub fn warns_first(&self) -> bool {
        !self.has_warned.replace(true)
    }

    pub fn config(&self) -> &GroupConfig {
        &self.config
    }

    /// Coarsely what all groups of this core take.
    pub fn in_use(&self) -> usize {
        self.shards.borrow().values().map(|shard| shard.size_bytes()).sum()
    }

    /// Begins to load the groups of `partition`, which is open. Until they are, who asks is told so.
    pub fn take_over(&self, core: &Rc<Core>, key: PartitionKey, partition: Rc<Partition>) {
        let shard = Rc::new(OwnedShard {
            partition,
            config: self.config.clone(),
            loading: self.loading.clone(),
            state: RefCell::new(State::Loading { gone: Vec::new() }),
            incarnation: Cell::new(0),
        });
        self.shards.borrow_mut().insert(key, shard.clone());
        shard.start_loading(core);
    }

    /// The partition of `key`, if there are groups in it, is going: who waits asks elsewhere.
    pub fn let_go(&self, core: &Core, key: &PartitionKey) {
        let shard = self.shards.borrow_mut().remove(key);
        if let Some(shard) = shard {
            shard.withdraw(core, ErrorCode::NotCoordinator);
        }
    }

    /// Topics were deleted.
    pub fn forget_topics(&self, core: &Rc<Core>, topics: &[(WireString, TopicId)]) {
        let shards: Vec<_> = self.shards.borrow().values().cloned().collect();
        for shard in shards {
            shard.forget_topics(core, topics);
        }
    }

    pub fn serve(
        &self,
        core: &Rc<Core>,
        key: PartitionKey,
        request: GroupRequest,
        reply: ReplyTo<GroupResult>,
    ) {
        let shard = self.shards.borrow().get(&key).cloned();
        let Some(shard) = shard.filter(|_| !core.stop.is_set()) else {
            return reply.send(Err(ErrorCode::NotCoordinator));
        };
        // Most requests are heartbeats, and grow nothing: all shards are added up for the others alone.
        if shard.would_grow(&request) && self.in_use() > core.node.memory.groups {
            reactor::mark!(groups_take_too_much);
            return reply.send(Err(ErrorCode::CoordinatorNotAvailable));
        }
        shard.serve(core, request, reply);
    }
}

impl OwnedShard {
    fn size_bytes(&self) -> usize {
        match &*self.state.borrow() {
            State::Active(active) => active.shard.size_bytes(),
            State::Loading { .. } | State::Withdrawn => 0,
        }
    }

    fn would_grow(&self, request: &GroupRequest) -> bool {
        match &*self.state.borrow() {
            State::Active(active) => active.shard.would_grow(request),
            State::Loading { .. } | State::Withdrawn => false,
        }
    }

    fn serve(self: &Rc<Self>, core: &Rc<Core>, request: GroupRequest, reply: ReplyTo<GroupResult>) {
        if self.partition.check(None).is_err() {
            return reply.send(Err(ErrorCode::NotCoordinator));
        }
        let mut state = self.state.borrow_mut();
        let active = match &mut *state {
            State::Loading { .. } => {
                drop(state);
                return reply.send(Err(ErrorCode::CoordinatorLoadInProgress));
            }
            State::Withdrawn => {
                drop(state);
                return reply.send(Err(ErrorCode::NotCoordinator));
            }
            State::Active(active) => active,
        };
        let waiter = Waiter(active.waiter_count);
        active.waiter_count += 1;
        active.waiting.insert(waiter, reply);
        let mut outcome = Outcome::default();
        active.shard.handle(now(), waiter, request, &mut outcome);
        self.carry_out(core, active, outcome);
    }

    fn forget_topics(self: &Rc<Self>, core: &Rc<Core>, topics: &[(WireString, TopicId)]) {
        let mut state = self.state.borrow_mut();
        match &mut *state {
            State::Loading { gone } => gone.extend_from_slice(topics),
            State::Active(active) => {
                let mut outcome = Outcome::default();
                active.shard.forget_topics(topics, &mut outcome);
                self.carry_out(core, active, outcome);
            }
            State::Withdrawn => {}
        }
    }

    /// Does what is due, and sees to it that it is called again.
    fn tick(self: &Rc<Self>, core: &Rc<Core>) {
        let mut state = self.state.borrow_mut();
        let State::Active(active) = &mut *state else { return };
        active.armed = None;
        if core.stop.is_set() || self.partition.check(None).is_err() {
            return;
        }
        loop {
            let mut outcome = Outcome::default();
            if !active.shard.tick(now(), &mut outcome) {
                break;
            }
            self.carry_out(core, active, outcome);
        }
        self.arm(core, active);
    }

    /// Appends and replays what was decided, and answers, now or when it is committed.
    fn carry_out(self: &Rc<Self>, core: &Rc<Core>, active: &mut Active, mut outcome: Outcome) {
        match self.encode(core, &outcome.records) {
            Some(batches) => {
                for record in &outcome.records {
                    active.shard.replay(record);
                }
                for batch in batches {
                    self.append(core, active, batch);
                }
            }
            None => {
                // Offsets that do not fit into one batch, or a name that fits into no record.
                for (_, result) in &mut outcome.answers {
                    *result = Err(ErrorCode::UnknownServerError);
                }
            }
        }
        for (waiter, result) in outcome.answers {
            let Some(reply) = active.waiting.remove(&waiter) else { continue };
            let is_settled = active.committed_count == active.appended_count;
            if is_settled || reactor::planted!(group_answers_before_commit) {
                reply.send(result);
            } else {
                active.unsettled.push_back((active.appended_count, reply, result));
            }
        }
        self.arm(core, active);
    }

    fn append(self: &Rc<Self>, core: &Rc<Core>, active: &mut Active, batch: RecordBatch) {
        active.appended_count += 1;
        let (number, incarnation) = (active.appended_count, self.incarnation.get());
        let settled = self.partition.append_own(batch, core.deadlines.clone());
        let (shard, core_of) = (self.clone(), core.clone());
        core.tasks.spawn(async move {
            let results: Vec<ProduceResult> = settled.await.unwrap_or_default();
            let error = results.first().map_or(ErrorCode::NotLeaderOrFollower, |it| it.error);
            if shard.incarnation.get() == incarnation {
                shard.settled(&core_of, number, error);
            }
        });
    }

    /// An append is committed, or has failed.
    fn settled(self: &Rc<Self>, core: &Rc<Core>, number: u64, error: ErrorCode) {
        if error != ErrorCode::None {
            tracing::warn!(
                partition = %self.partition.index, ?error,
                "a coordinator's record was not appended: its groups are loaded anew"
            );
            self.withdraw(core, told(error));
            return self.start_loading(core);
        }
        let mut state = self.state.borrow_mut();
        let State::Active(active) = &mut *state else { return };
        active.committed_early.insert(number);
        while active.committed_early.remove(&(active.committed_count + 1)) {
            active.committed_count += 1;
        }
        while let Some((number, _, _)) = active.unsettled.front()
            && *number <= active.committed_count
        {
            if let Some((_, reply, result)) = active.unsettled.pop_front() {
                reply.send(result);
            }
        }
    }

    /// Whoever waits is told `error`, and nothing is known of the groups any more.
    fn withdraw(&self, core: &Core, error: ErrorCode) {
        self.incarnation.set(self.incarnation.get() + 1);
        let before = self.state.replace(State::Withdrawn);
        let State::Active(active) = before else { return };
        if let Some((_, deadline)) = active.armed {
            core.deadlines.cancel(deadline);
        }
        for reply in active.waiting.into_values() {
            reply.send(Err(error));
        }
        for (_, reply, _) in active.unsettled {
            reply.send(Err(error));
        }
    }

    fn start_loading(self: &Rc<Self>, core: &Rc<Core>) {
        if core.stop.is_set() || self.partition.check(None).is_err() {
            *self.state.borrow_mut() = State::Withdrawn;
            return;
        }
        *self.state.borrow_mut() = State::Loading { gone: Vec::new() };
        let (shard, core_of) = (self.clone(), core.clone());
        let incarnation = self.incarnation.get();
        core.tasks.spawn(async move {
            let loaded = {
                let _turn = shard.loading.take(1).await;
                let record_size_bytes_max = shard.batch_size_bytes_max(&core_of);
                let empty = GroupShard::new(shard.config.clone(), record_size_bytes_max);
                load(&shard.partition, empty, &core_of.stop).await
            };
            if shard.incarnation.get() == incarnation {
                shard.loaded(&core_of, loaded);
            }
        });
    }

    fn loaded(self: &Rc<Self>, core: &Rc<Core>, loaded: Result<GroupShard, LoadError>) {
        let partition = self.partition.index;
        let shard = match loaded {
            Ok(shard) => shard,
            Err(error) => {
                if !matches!(error, LoadError::Stopping) {
                    tracing::error!(
                        topic = %self.partition.topic, %partition, %error,
                        "the groups of this partition cannot be loaded"
                    );
                }
                return self.withdraw(core, ErrorCode::NotCoordinator);
            }
        };
        if shard.group_count() > 0 {
            tracing::info!(%partition, groups = shard.group_count(), "groups are loaded");
        }
        let active = Active {
            shard,
            waiting: BTreeMap::new(),
            waiter_count: 0,
            appended_count: 0,
            committed_count: 0,
            committed_early: BTreeSet::new(),
            unsettled: VecDeque::new(),
            armed: None,
        };
        let gone = match self.state.replace(State::Active(Box::new(active))) {
            State::Loading { gone } => gone,
            State::Active(_) | State::Withdrawn => Vec::new(),
        };
        let mut state = self.state.borrow_mut();
        let State::Active(active) = &mut *state else { return };
        let mut outcome = Outcome::default();
        active.shard.loaded(now(), &mut outcome);
        self.carry_out(core, active, outcome);
        if !gone.is_empty() {
            let mut outcome = Outcome::default();
            active.shard.forget_topics(&gone, &mut outcome);
            self.carry_out(core, active, outcome);
        }
    }

    /// Has the shard looked at when it is next due. A deadline that has moved back is left where it was:
    /// heartbeats move theirs all the time.
    fn arm(self: &Rc<Self>, core: &Rc<Core>, active: &mut Active) {
        let Some(at) = active.shard.next_deadline() else { return };
        if let Some((armed_at, deadline)) = active.armed {
            if armed_at <= at {
                return;
            }
            core.deadlines.cancel(deadline);
        }
        let (shard, core_of) = (Rc::downgrade(self), Rc::downgrade(core));
        let deadline = core.deadlines.schedule(at, move || {
            if let (Some(shard), Some(core)) = (shard.upgrade(), core_of.upgrade()) {
                shard.tick(&core);
            }
        });
        active.armed = Some((at, deadline));
    }

    fn batch_size_bytes_max(&self, core: &Core) -> usize {
        let settings = self.partition.settings();
        settings
            .message_size_bytes_max
            .min(settings.log.segment_size_bytes as usize)
            .min(core.node.memory.batch_size_bytes_max())
    }

    /// One batch of `records`; several where it does not matter that they come together. `None` where
    /// they do not fit.
    fn encode(&self, core: &Core, records: &[GroupRecord]) -> Option<Vec<RecordBatch>> {
        if records.is_empty() {
            return Some(Vec::new());
        }
        let size_bytes_max = self.batch_size_bytes_max(core);
        let now = TimestampMs(reactor::wall_clock());
        let begin = || {
            let compression = self.config.compression;
            BatchBuilder::new(BatchOptions { compression, ..BatchOptions::default() })
        };
        let may_be_split = records.iter().all(GroupRecord::is_tombstone);
        let mut batches = Vec::new();
        let mut builder = begin();
        for record in records {
            let (key, value) = record.encode().ok()?;
            let size_bytes = key.len() + value.as_ref().map_or(0, Bytes::len) + RECORD_SIZE_BYTES;
            if builder.record_count() > 0 && builder.size_bytes() + size_bytes > size_bytes_max {
                if !may_be_split {
                    return None;
                }
                batches.push(std::mem::replace(&mut builder, begin()));
            }
            if HEADER_SIZE_BYTES + size_bytes > size_bytes_max {
                return None;
            }
            builder.append(now, Some(&key), value.as_deref(), &[]);
        }
        batches.push(builder);
        let built = batches.into_iter().map(|batch| RecordBatch::new(batch.build()).ok());
        built.collect()
    }
}

fn now() -> Now {
    Now { monotonic: reactor::now(), wall: TimestampMs(reactor::wall_clock()) }
}

/// What a client is told of an append that has failed. Source:
/// `CoordinatorOperationExceptionHelper.handleOperationException`.
fn told(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge => ErrorCode::UnknownServerError,
        _ => ErrorCode::CoordinatorNotAvailable,
    }
}
