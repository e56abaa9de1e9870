//! One partition that this core leads: appends in order, and a high watermark that wakes waiters.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::{Rc, Weak};
use std::sync::Arc;

use protocol::error_code::ErrorCode;
use protocol::model::{LeaderEpoch, Offset, PartitionId, TimestampMs, TopicId};
use protocol::record_batch::{Compression, Depth, RecordBatch};
use reactor::sync::{OneshotReceiver, oneshot};
use reactor::task::Group;
use storage::{
    AppendAsLeader, AppendError, Appended, Origin, PartitionLog, RaiseLogStartError, StorageError,
};

use super::acks::{ProduceResult, ProduceWait};
use super::passed_over::PassedOver;
use super::watch::FetchWatch;
use crate::cores::{Deadlines, ReplyTo};
use crate::metrics::Count;

/// What a topic's configuration means for serving it.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicSettings {
    pub message_size_bytes_max: usize,
    pub log_append_time: bool,
    pub timestamp_before_ms_max: i64,
    pub timestamp_after_ms_max: i64,
    pub compacted: bool,
    /// What batches are stored with; `None` as they come.
    pub compression: Option<Compression>,
    /// How far compressed batches are looked at.
    pub validation: Depth,
    pub log: storage::LogConfig,
}

/// A replica of this core. Its log's durable end drives the high watermark: with one replica the
/// maximal ISR is this one. INV-9: the watermark never goes down within a leader epoch.
pub struct Partition {
    pub topic: Rc<str>,
    pub index: PartitionId,
    /// Which of the node's log directories holds it.
    pub directory: usize,
    log: PartitionLog,
    leader_epoch: Cell<LeaderEpoch>,
    settings: RefCell<Arc<TopicSettings>>,
    high_watermark: Cell<Offset>,
    pub counts: PartitionCounts,
    /// Why it takes and gives nothing more, as clients are told.
    withdrawn: Cell<Option<ErrorCode>>,
    /// Sizes of what was appended above the high watermark: `(next_offset, bytes)`.
    unexposed: RefCell<VecDeque<(Offset, usize)>>,
    acks: RefCell<BTreeMap<Offset, Vec<AckWaiter>>>,
    watches: RefCell<Vec<Rc<FetchWatch>>>,
    /// Appends that wait until the log takes more, in order.
    backlog: RefCell<VecDeque<BacklogEntry>>,
    passed_over: PassedOver,
    tasks: Group,
}

/// What producers have given and readers have taken since the partition was opened.
#[derive(Debug, Default)]
pub struct PartitionCounts {
    pub appended_records: Count,
    pub appended_bytes: Count,
    pub fetched_bytes: Count,
}

/// A part of a produce request that waits for its acknowledgement.
type AckWaiter = (Rc<ProduceWait>, usize);

struct BacklogEntry {
    batches: Vec<RecordBatch>,
    origin: Origin,
    until_durable: bool,
    wait: Rc<ProduceWait>,
    part: usize,
}

/// A partition by what never changes of it.
pub type PartitionKey = (TopicId, PartitionId);

impl Partition {
    /// Takes over `log`, which is open, and lies in the given one of the node's directories. The log's
    /// advances move this partition from here on.
    pub fn new(
        topic: Rc<str>,
        key: PartitionKey,
        leader_epoch: LeaderEpoch,
        log: (PartitionLog, usize),
        settings: Arc<TopicSettings>,
        tasks: Group,
    ) -> Rc<Self> {
        let (_, index) = key;
        let (log, directory) = log;
        let partition = Rc::new(Partition {
            topic,
            index,
            directory,
            high_watermark: Cell::new(log.durable_end_offset()),
            log: log.clone(),
            leader_epoch: Cell::new(leader_epoch),
            settings: RefCell::new(settings),
            withdrawn: Cell::new(None),
            counts: PartitionCounts::default(),
            unexposed: RefCell::default(),
            acks: RefCell::default(),
            watches: RefCell::default(),
            backlog: RefCell::default(),
            passed_over: PassedOver::default(),
            tasks,
        });
        partition.log.set_high_watermark(partition.high_watermark.get());
        let weak = Rc::downgrade(&partition);
        log.on_durable(move |advance| {
            if let Some(partition) = Weak::upgrade(&weak) {
                match advance {
                    Ok(durable_end_offset) => partition.advance(durable_end_offset),
                    Err(error) => partition.go_offline(&error),
                }
            }
        });
        partition
    }

    pub fn log(&self) -> &PartitionLog {
        &self.log
    }

    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch.get()
    }

    /// A new leader epoch begins. Epochs only grow (INV-3); who waited for an older one is told to ask
    /// again.
    pub fn set_leader_epoch(&self, leader_epoch: LeaderEpoch) {
        let before = self.leader_epoch.replace(leader_epoch);
        assert!(leader_epoch >= before, "INV-3: leader epoch {leader_epoch} after {before}");
        if leader_epoch > before {
            self.fail_waiters(ErrorCode::NotLeaderOrFollower);
        }
    }

    pub fn high_watermark(&self) -> Offset {
        self.high_watermark.get()
    }

    /// The bound of `read_committed`.
    pub fn last_stable_offset(&self) -> Offset {
        self.log.last_stable_offset()
    }

    pub fn settings(&self) -> Arc<TopicSettings> {
        self.settings.borrow().clone()
    }

    /// Takes over a changed configuration.
    pub fn set_settings(&self, settings: Arc<TopicSettings>) {
        self.log.set_config(settings.log.clone());
        *self.settings.borrow_mut() = settings;
    }

    /// Fences by the leader epoch that a client says it knows. Source: KIP-320.
    pub fn check(&self, current_leader_epoch: Option<LeaderEpoch>) -> Result<(), ErrorCode> {
        if let Some(error) = self.withdrawn.get() {
            return Err(error);
        }
        match current_leader_epoch {
            Some(epoch) if epoch < self.leader_epoch.get() => Err(ErrorCode::FencedLeaderEpoch),
            Some(epoch) if epoch > self.leader_epoch.get() => Err(ErrorCode::UnknownLeaderEpoch),
            _ => Ok(()),
        }
    }

    /// Appends one part of a produce request, now or when the log takes more, always in the order of
    /// the calls (INV-15). `wait` hears of it: at once unless `until_durable`, else when it is flushed
    /// and below the high watermark, for acks=1 as for acks=all (DESIGN.md section 6, Promise).
    pub fn append(
        self: &Rc<Self>,
        batches: Vec<RecordBatch>,
        until_durable: bool,
        wait: &Rc<ProduceWait>,
        part: usize,
    ) {
        let wait = wait.clone();
        let origin = Origin::Client;
        self.append_or_queue(BacklogEntry { batches, origin, until_durable, wait, part });
    }

    /// Appends what this broker itself has to say, in the same order as all else. The answer comes when it
    /// is flushed and below the high watermark, or never will be. A full disk does not keep it: it takes
    /// its blocks from the reserve (DESIGN.md section 6).
    pub fn append_own(
        self: &Rc<Self>,
        batch: RecordBatch,
        deadlines: Rc<Deadlines>,
    ) -> OneshotReceiver<Vec<ProduceResult>> {
        let (sender, receiver) = oneshot();
        let unset = ProduceResult::refused(ErrorCode::UnknownServerError, None);
        let wait = ProduceWait::new(vec![unset], ReplyTo::Here(sender), deadlines);
        self.append_or_queue(BacklogEntry {
            batches: vec![batch],
            origin: Origin::Coordinator,
            until_durable: true,
            wait,
            part: 0,
        });
        receiver
    }

    fn append_or_queue(self: &Rc<Self>, entry: BacklogEntry) {
        if let Some(error) = self.withdrawn.get() {
            entry.wait.settle(entry.part, ProduceResult::refused(error, None));
            return;
        }
        if self.backlog.borrow().is_empty() {
            let ready = std::pin::pin!(self.log.ready_for_append(size_of(&entry.batches)));
            if let Some(ready) = resolved(ready) {
                return self.append_if_ready(&entry, ready);
            }
        }
        let mut backlog = self.backlog.borrow_mut();
        backlog.push_back(entry);
        if backlog.len() == 1 {
            let partition = self.clone();
            self.tasks.spawn(async move { partition.drain_backlog().await });
        }
    }

    async fn drain_backlog(self: Rc<Self>) {
        loop {
            let next = self.backlog.borrow().front().map(|next| size_of(&next.batches));
            let Some(size_bytes) = next else { return };
            let ready = self.log.ready_for_append(size_bytes).await;
            let mut backlog = self.backlog.borrow_mut();
            let Some(entry) = backlog.pop_front() else { return };
            let is_last = backlog.is_empty();
            drop(backlog);
            self.append_if_ready(&entry, ready);
            if is_last {
                return;
            }
        }
    }

    fn append_if_ready(&self, entry: &BacklogEntry, ready: Result<(), StorageError>) {
        match ready {
            Ok(()) => self.append_now(entry),
            Err(error) if error.is_full() && entry.origin == Origin::Coordinator => {
                reactor::mark!(coordinator_goes_on_while_full);
                self.append_now(entry);
            }
            Err(error) => {
                self.passed_over.refuse(&entry.batches, reactor::now());
                entry.wait.settle(entry.part, refusal(&error.into()));
            }
        }
    }

    fn append_now(&self, entry: &BacklogEntry) {
        let BacklogEntry { batches, origin, until_durable, wait, part } = entry;
        let (until_durable, part) = (*until_durable, *part);
        if let Some(due) =
            self.passed_over.due_before(batches, |id| self.log.checks_sequences_of(id))
        {
            let message = format!("the batch of sequence {due} was refused, and comes first");
            let refused =
                ProduceResult::refused(ErrorCode::OutOfOrderSequenceNumber, Some(message));
            return wait.settle(part, refused);
        }
        let settings = self.settings();
        let now = TimestampMs(reactor::wall_clock());
        let how = AppendAsLeader {
            leader_epoch: self.leader_epoch.get(),
            origin: *origin,
            now,
            log_append_time: settings.log_append_time,
        };
        let appended = self.log.append_as_leader(batches, how);
        let is_duplicate = matches!(appended, Ok(Appended::Duplicate { .. }));
        let (base_offset, next_offset, log_append_time) = match appended {
            Ok(Appended::New { base_offset, next_offset }) => {
                let size_bytes = size_of(batches);
                self.counts.appended_bytes.add(size_bytes as u64);
                self.counts.appended_records.add((next_offset - base_offset).0.unsigned_abs());
                self.unexposed.borrow_mut().push_back((next_offset, size_bytes));
                (base_offset, next_offset, settings.log_append_time.then_some(now))
            }
            Ok(Appended::Duplicate { base_offset, next_offset, timestamp }) => {
                // Kafka tells it whatever the topic's timestamps are.
                (base_offset, next_offset, Some(timestamp))
            }
            Err(error) => {
                wait.settle(part, refusal(&error));
                return;
            }
        };
        wait.note(
            part,
            ProduceResult {
                error: ErrorCode::None,
                base_offset: Some(base_offset),
                log_append_time,
                log_start_offset: Some(self.log.log_start_offset()),
                record_errors: Vec::new(),
                message: None,
            },
        );
        let waits = !(reactor::planted!(duplicate_acknowledged_at_once) && is_duplicate);
        if until_durable && waits && next_offset > self.high_watermark.get() {
            self.acks.borrow_mut().entry(next_offset).or_default().push((wait.clone(), part));
        } else {
            wait.settle_as_is(part);
        }
    }

    /// Moves the log start to `before`, or to the high watermark, unless it is there already. Returns
    /// where it is. Source: Kafka's `Partition.deleteRecordsOnLeader`.
    pub fn delete_records(&self, before: Option<Offset>) -> Result<Offset, ErrorCode> {
        if let Some(error) = self.withdrawn.get() {
            return Err(error);
        }
        let settings = self.settings.borrow().clone();
        if settings.compacted && !settings.log.cleanup_deletes {
            return Err(ErrorCode::PolicyViolation);
        }
        match self.log.raise_log_start(before.unwrap_or(self.high_watermark.get())) {
            Ok(_moved) => Ok(self.log.log_start_offset()),
            Err(RaiseLogStartError::OffsetOutOfRange { .. }) => Err(ErrorCode::OffsetOutOfRange),
            Err(RaiseLogStartError::Storage(_)) => Err(ErrorCode::KafkaStorageError),
        }
    }

    /// Parks `watch` here: it hears of each byte that comes below the high watermark.
    pub fn watch(&self, watch: Rc<FetchWatch>) {
        let mut watches = self.watches.borrow_mut();
        watches.retain(|known| !known.is_finished());
        watches.push(watch);
    }

    /// No more appends or reads; whoever waits gets `error`.
    pub fn retire(&self, error: ErrorCode) {
        self.withdrawn.set(Some(error));
        self.fail_waiters(error);
    }

    /// No more appends or reads, since the broker stops; who waits for a flush still hears of it.
    pub fn withdraw(&self) {
        self.withdrawn.set(Some(ErrorCode::NotLeaderOrFollower));
    }

    /// Ends the waiting of parked fetches: they answer with what is there.
    pub fn finish_watches(&self) {
        for watch in std::mem::take(&mut *self.watches.borrow_mut()) {
            watch.finish();
        }
    }

    /// The durable end moved: with it, at one replica, the high watermark.
    fn advance(&self, durable_end_offset: Offset) {
        let durable_end_offset = match reactor::planted!(high_watermark_from_log_end) {
            true => self.log.log_end_offset(),
            false => durable_end_offset,
        };
        let before = self.high_watermark.get();
        assert!(durable_end_offset >= before, "INV-9: {durable_end_offset} after {before}");
        self.high_watermark.set(durable_end_offset);
        self.log.set_high_watermark(durable_end_offset);
        let mut exposed_bytes = 0;
        {
            let mut unexposed = self.unexposed.borrow_mut();
            while let Some(&(next_offset, bytes)) = unexposed.front()
                && next_offset <= durable_end_offset
            {
                exposed_bytes += bytes;
                unexposed.pop_front();
            }
        }
        let still_waiting = self.acks.borrow_mut().split_off(&durable_end_offset.next());
        let acknowledged = self.acks.replace(still_waiting);
        for (wait, part) in acknowledged.into_values().flatten() {
            wait.settle_as_is(part);
        }
        if exposed_bytes > 0 {
            let watches = self.watches.borrow().clone();
            for watch in watches {
                watch.add(exposed_bytes);
            }
            self.watches.borrow_mut().retain(|watch| !watch.is_finished());
        }
    }

    fn go_offline(&self, error: &StorageError) {
        if !matches!(error, StorageError::Closed { .. }) {
            tracing::error!(topic = %self.topic, partition = %self.index, %error, "partition offline");
        }
        self.retire(self.withdrawn.get().unwrap_or(ErrorCode::KafkaStorageError));
    }

    fn fail_waiters(&self, error: ErrorCode) {
        let backlog = std::mem::take(&mut *self.backlog.borrow_mut());
        for BacklogEntry { wait, part, .. } in backlog {
            wait.settle(part, ProduceResult::refused(error, None));
        }
        let acks = std::mem::take(&mut *self.acks.borrow_mut());
        for (wait, part) in acks.into_values().flatten() {
            wait.settle(part, ProduceResult::refused(error, None));
        }
        self.finish_watches();
    }
}

fn size_of(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::size_bytes).sum()
}

/// What `future` gives where it is ready now; it is dropped where it is not.
fn resolved<F: Future>(mut future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    let waker = std::task::Waker::noop();
    match future.as_mut().poll(&mut std::task::Context::from_waker(waker)) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

/// What a client is told of a refused append.
fn refusal(error: &AppendError) -> ProduceResult {
    let code = match error {
        AppendError::Storage(_) => ErrorCode::KafkaStorageError,
        AppendError::BatchTooLarge { .. } => ErrorCode::RecordListTooLarge,
        AppendError::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
        AppendError::InvalidProducerEpoch { .. } => ErrorCode::InvalidProducerEpoch,
        AppendError::InvalidTxnState { .. } => ErrorCode::InvalidTxnState,
        AppendError::TransactionCoordinatorFenced { .. } => ErrorCode::TransactionCoordinatorFenced,
    };
    ProduceResult::refused(code, Some(error.to_string()))
}
