//! One life of the process: opens all logs, checks them, works on them until it is killed or stopped.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use protocol::model::{LeaderEpoch, Offset, TimestampMs, Uuid};
use protocol::record_batch::{Batches, Record};
use reactor::sim::Random;
use reactor::task::Group;
use storage::{
    AppendAsLeader, AppendError, Appended, ChunkPool, Compaction, CompactionMemory, LogConfig,
    LogDirectory, LogOffsets, Origin, Pace, PartitionLog, ReadError, Settings, StorageError,
    Volume,
};

use super::batches::BatchMaker;
use super::model::{KnownBatch, LogModel, Presence};
use super::raw::check_segments;
use crate::verdict::{Failure, Kind};

pub const DIRECTORY: &str = "/data";
/// A retry is known of as many batches of a producer (Kafka's NUM_BATCHES_TO_RETAIN).
const RETAINED_BATCH_COUNT: usize = 5;

/// What lives hand on, and the run looks at.
pub struct Known {
    pub logs: Vec<Rc<RefCell<LogModel>>>,
    pub failure: RefCell<Option<Failure>>,
    pub appended_batches: Cell<u64>,
    pub compared_batches: Cell<u64>,
    pub cuts: Cell<u64>,
    pub deletions: Cell<u64>,
    pub deleted_segments: Cell<u64>,
    /// Rounds that ended.
    pub compactions: Cell<u64>,
    /// Of logs and batches that were hit by rot.
    pub refusals: Cell<u64>,
    /// The disk refuses things in this life.
    pub disk_fails: Cell<bool>,
    /// The process is to stop in good order; and has.
    pub is_stopping: Cell<bool>,
    pub has_stopped: Cell<bool>,
}

impl Known {
    /// A disk that fails may have anything refused; what it lets through is right.
    fn fail(&self, failure: Failure) {
        if self.disk_fails.get() && failure.kind == Kind::Crash {
            return;
        }
        self.failure.borrow_mut().get_or_insert(failure);
    }

    pub fn has_failed(&self) -> bool {
        self.failure.borrow().is_some()
    }
}

/// How the process works.
#[derive(Clone, Debug)]
pub struct LifePlan {
    pub core_count: u32,
    pub settings: Settings,
    pub config: LogConfig,
    pub batch_size_bytes_max: u64,
    pub mix: Mix,
    pub compaction: Option<Compacting>,
    /// Opens and checks only.
    pub is_last: bool,
}

/// Memory for a log's compaction: more than it takes.
const COMPACTION_SIZE_BYTES: usize = 64 << 20;

/// How logs are compacted.
#[derive(Clone, Debug)]
pub struct Compacting {
    pub key_count: u64,
    pub map_size_bytes_max: usize,
    pub delete_retention_ms: u64,
    pub is_deleted_too: bool,
    /// Between two rounds of one log, at most.
    pub pause_us: u64,
}

impl Compacting {
    /// Of one in three worlds.
    pub fn of_seed(seed: u64) -> Option<Compacting> {
        let random = &mut Random::new(seed, "log compaction");
        random.chance(0.35).then(|| Compacting {
            key_count: [3, 20, 300][random.index(3)],
            // For a handful of keys, or for all.
            map_size_bytes_max: [300, 1_000, 100_000][random.index(3)],
            delete_retention_ms: [0, 100, 2_000][random.index(3)],
            is_deleted_too: random.chance(0.3),
            pause_us: [1_000, 20_000, 300_000][random.index(3)],
        })
    }

    pub fn configure(&self, config: &mut LogConfig) {
        config.cleanup_compacts = true;
        config.cleanup_deletes = self.is_deleted_too;
        config.min_cleanable_dirty_ratio = 0.0;
        config.delete_retention_ms = self.delete_retention_ms;
    }
}

/// How many of a thousand things that are done to a log are what; the rest are appends.
#[derive(Clone, Debug)]
pub struct Mix {
    pub cuts: u64,
    pub deletions: u64,
    pub retentions: u64,
    pub exposures: u64,
    pub reads: u64,
    pub pauses: u64,
}

impl Mix {
    fn draw(&self, random: &mut Random) -> Act {
        let mut left = random.below(1_000);
        for (count, act) in [
            (self.cuts, Act::Cut),
            (self.deletions, Act::Delete),
            (self.retentions, Act::Retain),
            (self.exposures, Act::Expose),
            (self.reads, Act::Read),
            (self.pauses, Act::Pause),
        ] {
            if left < count {
                return act;
            }
            left -= count;
        }
        Act::Append
    }
}

#[derive(Clone, Copy)]
enum Act {
    Cut,
    Delete,
    Retain,
    Expose,
    Read,
    Pause,
    Append,
}

struct Life {
    known: Rc<Known>,
    plan: LifePlan,
    directory: LogDirectory,
    volumes: Vec<Rc<Volume>>,
    logs: RefCell<Vec<Option<PartitionLog>>>,
}

/// Lives until killed, or told to stop. What goes wrong is in `known`.
pub async fn live(known: Rc<Known>, plan: LifePlan, random: Random) {
    if let Err(failure) = try_live(known.clone(), plan, random).await {
        known.fail(failure);
    }
}

fn refused(what: &str) -> impl FnOnce(StorageError) -> Failure {
    let what = what.to_owned();
    move |error| {
        let what = format!("{what}: {error}");
        let is_of_disk = error.is_io() || matches!(error, StorageError::Full { .. });
        if is_of_disk { Failure::crash(what) } else { Failure::broken(4, what) }
    }
}

async fn try_live(known: Rc<Known>, plan: LifePlan, mut random: Random) -> Result<(), Failure> {
    let path = Path::new(DIRECTORY);
    for log in &known.logs {
        let log = log.borrow().clone();
        check_segments(path, &log).await?;
    }
    let mut directory =
        LogDirectory::open(path).await.map_err(refused("the directory does not open"))?;
    directory.prepare_space(&plan.settings).await;
    let chunks = ChunkPool::new(64 << 20);
    let bare = Volume::new(path, plan.settings.clone(), chunks.clone());
    let config = plan.config.clone();
    let replayed = directory
        .replay_journals(&bare, &|_| config.clone(), &mut |_| {})
        .await
        .map_err(refused("the journals are not replayed"))?;
    for (name, reason) in &replayed.offline {
        if known.disk_fails.get() {
            return Err(Failure::crash(format!("{name} is offline: {reason}")));
        }
        let is_known = |log: &&Rc<RefCell<LogModel>>| log.borrow().name == *name;
        let log = known.logs.iter().find(is_known);
        if !log.is_some_and(|log| log.borrow().rot.may_refuse()) {
            let damages = &replayed.damages;
            return Err(Failure::broken(4, format!("{name} is offline: {reason}; {damages:?}")));
        }
    }
    directory.claim().await.map_err(refused("the directory is not claimed"))?;
    let volumes: Vec<_> = (0..plan.core_count)
        .map(|core| Volume::of_core(path, core, plan.settings.clone(), chunks.clone()))
        .collect();
    let slots = RefCell::new(vec![None; known.logs.len()]);
    let life = Rc::new(Life { known, plan, directory, volumes, logs: slots });
    for slot in 0..life.known.logs.len() {
        life.open(slot, &mut random).await?;
    }
    if life.plan.is_last {
        life.known.has_stopped.set(true);
        return Ok(());
    }
    let drivers = Group::new();
    for slot in 0..life.known.logs.len() {
        let (life, random) = (life.clone(), Random::new(random.next_u64(), "log"));
        drivers.spawn(async move {
            if let Err(failure) = life.drive(slot, random).await {
                life.known.fail(failure);
            }
        });
    }
    for slot in 0..life.known.logs.len() {
        if let Some(compaction) = life.plan.compaction.clone() {
            let (life, random) = (life.clone(), Random::new(random.next_u64(), "compaction"));
            drivers.spawn(async move {
                if let Err(failure) = life.compact(slot, &compaction, random).await {
                    life.known.fail(failure);
                }
            });
        }
    }
    drivers.ended().await;
    life.stop().await
}

impl Life {
    /// The volume of the core that owns the log in this life.
    fn volume(&self, random: &mut Random) -> &Rc<Volume> {
        &self.volumes[random.index(self.volumes.len())]
    }

    fn model(&self, slot: usize) -> &Rc<RefCell<LogModel>> {
        &self.known.logs[slot]
    }

    /// Opens and checks a log as the life before has left it.
    async fn open(&self, slot: usize, random: &mut Random) -> Result<(), Failure> {
        let (name, presence) = {
            let model = self.model(slot).borrow();
            (model.name.clone(), model.presence)
        };
        let is_there = self.directory.partitions().any(|found| *found == name);
        match (presence, is_there) {
            (Presence::Absent, true) => {
                return Err(Failure::broken(5, format!("{name} was deleted and is there")));
            }
            (Presence::Present, false) => {
                return Err(Failure::broken(4, format!("{name} is not there")));
            }
            (_, false) => {
                self.model(slot).borrow_mut().presence = Presence::Absent;
                return Ok(());
            }
            (Presence::Creating | Presence::Deleting | Presence::Refusing, true) => {
                // It may be there in part; whoever began it, begins again.
                return self.remove(slot).await;
            }
            (Presence::Present, true) => {}
        }
        let volume = self.volume(random);
        let opened = self.directory.open_partition(volume, &name, self.plan.config.clone()).await;
        let log = match opened {
            Ok(log) => log,
            Err(error) => {
                self.refuses(slot, &format!("{name} does not open: {error}"))?;
                return self.remove(slot).await;
            }
        };
        let is_anothers = log.topic_id() != Some(self.model(slot).borrow().topic_id);
        if is_anothers {
            self.refuses(slot, &format!("{name} is of topic {:?}", log.topic_id()))?;
            drop(log);
            return self.remove(slot).await;
        }
        tracing::debug!(slot, start = %log.log_start_offset(), end = %log.log_end_offset(), "opened");
        self.check(slot, &log).await?;
        self.listen(slot, &log);
        self.logs.borrow_mut()[slot] = Some(log);
        Ok(())
    }

    /// Takes a refusal of what was hit by rot; any other is a failure, or the disk's.
    fn refuses(&self, slot: usize, what: &str) -> Result<(), Failure> {
        if self.known.disk_fails.get() {
            return Err(Failure::crash(what.to_owned()));
        }
        let mut model = self.model(slot).borrow_mut();
        if !model.rot.may_refuse() {
            return Err(Failure::broken(4, what.to_owned()));
        }
        model.presence = Presence::Refusing;
        self.known.refusals.set(self.known.refusals.get() + 1);
        Ok(())
    }

    /// Removes what is there of a log that is not open.
    async fn remove(&self, slot: usize) -> Result<(), Failure> {
        let name = self.model(slot).borrow().name.clone();
        let path = self.directory.partition_path(&name);
        let failed = |error| Failure::crash(format!("{name}: {error}"));
        reactor::directory::remove_all(&path).await.map_err(failed)?;
        reactor::directory::sync(self.directory.path()).await.map_err(failed)?;
        self.model(slot).borrow_mut().presence = Presence::Absent;
        Ok(())
    }

    async fn check(&self, slot: usize, log: &PartitionLog) -> Result<(), Failure> {
        let (start, end) = (log.log_start_offset(), log.log_end_offset());
        {
            let model = self.model(slot).borrow();
            model.check_bounds(start, end)?;
        }
        if log.durable_end_offset() != end {
            let what = format!("durable_end_offset={} of {end}", log.durable_end_offset());
            return Err(Failure::broken(4, what));
        }
        let found = self.read_all(slot, log, (start, end), 20_000).await?;
        self.model(slot).borrow_mut().ends_at(end);
        self.model(slot).borrow_mut().rot.is_open();
        // Of what was hit, not all is read.
        if self.plan.compaction.is_some() && !self.model(slot).borrow().rot.is_in_segments() {
            self.model(slot).borrow().check_deleted(start, &found)?;
        }
        self.check_epochs(slot, log, start)?;
        self.check_retries(slot, log)
    }

    /// Reads `start..end`, which ends where a batch does: every batch there is the one that was
    /// appended, and none is left out but by compaction. Returns the records of a compacted log.
    async fn read_all(
        &self,
        slot: usize,
        log: &PartitionLog,
        (start, end): (Offset, Offset),
        size_bytes_max: usize,
    ) -> Result<Vec<Record>, Failure> {
        let mut records = Vec::new();
        let mut from = start;
        while from < end {
            let read = log.read(from, size_bytes_max, true, end).await;
            let model = self.model(slot).borrow();
            let read = match read {
                Ok(read) => read,
                Err(error) => {
                    from = self.skips(&model, from, &error)?;
                    continue;
                }
            };
            let mut next = from;
            for batch in Batches::new(read.contiguous()) {
                let batch = batch.map_err(|error| {
                    Failure::broken(2, format!("{}: no batch at {from}: {error}", model.name))
                })?;
                records.extend(model.check_batch(&batch)?);
                let header = batch.header();
                if model.is_compacted && header.base_offset > next {
                    model.check_gap(next, header.base_offset)?;
                    next = header.base_offset;
                }
                let is_due = if next == from {
                    header.base_offset <= from
                } else {
                    header.base_offset == next
                };
                if !is_due || header.next_offset() <= next {
                    let what = format!(
                        "{}: a read at {from} gives a batch at {} where {next} was due",
                        model.name, header.base_offset
                    );
                    return Err(Failure::broken(2, what));
                }
                next = header.next_offset();
                self.known.compared_batches.set(self.known.compared_batches.get() + 1);
            }
            if next == from && model.is_compacted {
                model.check_gap(from, end)?;
                break;
            }
            if next == from {
                let what = format!("{}: a read at {from} of {end} gives nothing", model.name);
                return Err(Failure::broken(4, what));
            }
            from = next;
        }
        Ok(records)
    }

    /// A read of the batch at `from` was refused. Returns where the next one begins, if it may be.
    fn skips(&self, model: &LogModel, from: Offset, error: &ReadError) -> Result<Offset, Failure> {
        if let ReadError::Storage(error) = error
            && error.is_io()
        {
            return Err(Failure::crash(format!("{}: {error}", model.name)));
        }
        let holding = model.batches.partition_point(|batch| batch.next_offset <= from);
        let segment_size_bytes = u64::from(self.plan.config.segment_size_bytes);
        match model.batches.get(holding) {
            Some(batch) if model.rot.may_hide(model, batch.base_offset, segment_size_bytes) => {
                self.known.refusals.set(self.known.refusals.get() + 1);
                Ok(batch.next_offset)
            }
            _ => Err(Failure::broken(4, format!("{}: {error}", model.name))),
        }
    }

    /// Reads a few batches from anywhere, from memory or from disk.
    async fn read_some(
        &self,
        slot: usize,
        log: &PartitionLog,
        random: &mut Random,
    ) -> Result<(), Failure> {
        let range = {
            let model = self.model(slot).borrow();
            let start = log.log_start_offset();
            let there = model.batches.partition_point(|batch| batch.next_offset <= start);
            let there = &model.batches[there..];
            if there.is_empty() {
                return Ok(());
            }
            let first = random.index(there.len());
            let last = (first + random.index(20)).min(there.len() - 1);
            (there[first].base_offset.max(start), there[last].next_offset)
        };
        self.read_all(slot, log, range, 1 << random.within(6..18)).await.map(drop)
    }

    /// Epochs of all records, as far as the log still has them. Those of records that were given up go
    /// at once, and a crash may bring the records back.
    fn check_epochs(&self, slot: usize, log: &PartitionLog, start: Offset) -> Result<(), Failure> {
        let model = self.model(slot).borrow();
        let start = start.max(model.start_asked);
        for batch in model.batches.iter().filter(|batch| batch.base_offset >= start) {
            let found = log.leader_epoch_at(batch.base_offset);
            if found != Some(batch.leader_epoch) {
                let what = format!(
                    "{}: epoch {found:?} at {}, appended in {}",
                    model.name, batch.base_offset, batch.leader_epoch
                );
                return Err(Failure::broken(3, what));
            }
        }
        Ok(())
    }

    /// INV-6: the last batches of each producer are known as such when they are sent again.
    fn check_retries(&self, slot: usize, log: &PartitionLog) -> Result<(), Failure> {
        let start = log.log_start_offset();
        let model = self.model(slot).borrow();
        for producer in model.producers() {
            let of_producer = model.batches.iter().rev().filter(|known| {
                known.batch.header().producer_id == Some(producer) && known.base_offset >= start
            });
            // Where the checkpoint is lost, what compaction has left is all that is known.
            let count = if model.is_compacted { 1 } else { RETAINED_BATCH_COUNT };
            for known in of_producer.take(count) {
                let appended = log.append_as_leader(
                    std::slice::from_ref(&known.batch),
                    how(log.latest_leader_epoch().unwrap_or(known.leader_epoch)),
                );
                if let Err(AppendError::Storage(error)) = appended {
                    return Err(refused("a retry")(error));
                }
                let is_same = matches!(
                    appended,
                    Ok(Appended::Duplicate { base_offset, .. }) if base_offset == known.base_offset
                );
                if !is_same {
                    let what = format!(
                        "{}: a retry of the batch at {} of producer {producer} gives {appended:?}",
                        model.name, known.base_offset
                    );
                    return Err(Failure::broken(6, what));
                }
            }
        }
        Ok(())
    }

    fn listen(&self, slot: usize, log: &PartitionLog) {
        let (model, known) = (self.model(slot).clone(), self.known.clone());
        log.on_durable(move |news| {
            let mut model = model.borrow_mut();
            match news {
                Ok(offset) if offset > model.end() => {
                    let what = format!("{}: {offset} of {} is durable", model.name, model.end());
                    known.fail(Failure::broken(1, what));
                }
                Ok(offset) => model.durable = model.durable.max(offset),
                Err(_) if known.disk_fails.get() => {}
                Err(_) if model.rot.may_refuse() => model.presence = Presence::Refusing,
                Err(error) => known.fail(Failure::broken(4, format!("{}: {error}", model.name))),
            }
        });
    }

    /// Works on one log until the process is to stop.
    async fn drive(&self, slot: usize, mut random: Random) -> Result<(), Failure> {
        let key_count = self.plan.compaction.as_ref().map(|it| it.key_count);
        // What a cut leaves of a compacted log need not have the last batch of a producer.
        let is_idempotent = self.plan.compaction.is_none() || self.plan.mix.cuts == 0;
        let new_maker = || BatchMaker::new(key_count, is_idempotent);
        let mut maker = new_maker();
        maker.resume(self.model(slot).borrow().next_sequences());
        while !self.known.is_stopping.get() && !self.known.has_failed() {
            if self.model(slot).borrow().presence == Presence::Refusing {
                self.logs.borrow_mut()[slot] = None;
                return Ok(());
            }
            let log = self.logs.borrow()[slot].clone();
            let Some(log) = log else {
                reactor::sleep(Duration::from_millis(random.below(50))).await;
                self.create(slot, &mut random).await?;
                maker = new_maker();
                continue;
            };
            match self.plan.mix.draw(&mut random) {
                Act::Cut => {
                    self.cut(slot, &log, &mut random).await?;
                    maker.resume(self.model(slot).borrow().next_sequences());
                }
                Act::Delete => self.delete(slot, &log).await?,
                Act::Retain => self.retain(slot, &log).await?,
                Act::Expose => self.expose(slot, &log, &mut random)?,
                Act::Read => self.read_some(slot, &log, &mut random).await?,
                Act::Pause => {
                    reactor::sleep(Duration::from_micros(random.below(20_000))).await;
                }
                Act::Append => self.append(slot, &log, &mut maker, &mut random).await?,
            }
        }
        Ok(())
    }

    async fn create(&self, slot: usize, random: &mut Random) -> Result<(), Failure> {
        let mut bytes = [0; 16];
        random.fill(&mut bytes);
        let topic_id = Uuid::from_random(bytes);
        let name = self.model(slot).borrow().name.clone();
        self.model(slot).borrow_mut().begin(topic_id);
        let volume = self.volume(random);
        let config = self.plan.config.clone();
        let log = self
            .directory
            .create_partition(volume, &name, config, topic_id)
            .await
            .map_err(refused(&format!("{name} is not made")))?;
        self.model(slot).borrow_mut().presence = Presence::Present;
        self.listen(slot, &log);
        self.logs.borrow_mut()[slot] = Some(log);
        Ok(())
    }

    async fn delete(&self, slot: usize, log: &PartitionLog) -> Result<(), Failure> {
        log.on_durable(|_| {});
        self.logs.borrow_mut()[slot] = None;
        self.model(slot).borrow_mut().presence = Presence::Deleting;
        log.delete().await.map_err(refused("a deletion fails"))?;
        self.model(slot).borrow_mut().presence = Presence::Absent;
        self.known.deletions.set(self.known.deletions.get() + 1);
        Ok(())
    }

    async fn cut(
        &self,
        slot: usize,
        log: &PartitionLog,
        random: &mut Random,
    ) -> Result<(), Failure> {
        let (low, high) = {
            let model = self.model(slot).borrow();
            // What was exposed may be compacted: no replica cuts that, though a crash forgets how far it was.
            let exposed = if model.is_compacted { model.high_watermark } else { Offset::ZERO };
            (log.log_start_offset().max(log.high_watermark()).max(exposed), model.end())
        };
        let to = Offset(random.within(low.0 as u64..high.0 as u64 + 1) as i64);
        self.model(slot).borrow_mut().cut_to = Some(to);
        if let Err(error) = log.truncate_to(to).await {
            return self.refuses(slot, &format!("a cut fails: {error}"));
        }
        let end = log.log_end_offset();
        tracing::debug!(slot, %to, %end, "cut");
        if end > to {
            return Err(Failure::broken(2, format!("a log cut to {to} ends at {end}")));
        }
        let mut model = self.model(slot).borrow_mut();
        model.ends_at(end);
        // A cut takes back what the checkpoint knew of the log.
        model.stopped_at = Offset::ZERO;
        self.known.cuts.set(self.known.cuts.get() + 1);
        Ok(())
    }

    /// The high watermark follows what is durable; some of what is below it is given up.
    fn expose(&self, slot: usize, log: &PartitionLog, random: &mut Random) -> Result<(), Failure> {
        let mut model = self.model(slot).borrow_mut();
        let high_watermark = log.durable_end_offset();
        log.set_high_watermark(high_watermark);
        model.high_watermark = high_watermark;
        if random.chance(0.2) {
            let offset = Offset(random.below(high_watermark.0 as u64 + 1) as i64);
            model.start_asked = model.start_asked.max(offset);
            log.raise_log_start(offset)
                .map_err(|error| Failure::crash(format!("{}: {error}", model.name)))?;
        }
        Ok(())
    }

    /// Old segments go, as the configuration has it.
    async fn retain(&self, slot: usize, log: &PartitionLog) -> Result<(), Failure> {
        {
            let mut model = self.model(slot).borrow_mut();
            model.start_asked = model.start_asked.max(log.high_watermark());
        }
        let now = TimestampMs(reactor::wall_clock());
        let count = match log.delete_old_segments(now).await {
            Ok(count) => count,
            Err(error) => return self.refuses(slot, &format!("retention: {error}")),
        };
        self.known.deleted_segments.set(self.known.deleted_segments.get() + count as u64);
        Ok(())
    }

    /// Compacts one log again and again, until the process is to stop.
    async fn compact(
        &self,
        slot: usize,
        compaction: &Compacting,
        mut random: Random,
    ) -> Result<(), Failure> {
        let pace = Pace::new(f64::MAX);
        let memory = CompactionMemory::new(COMPACTION_SIZE_BYTES);
        let how = Compaction {
            map_size_bytes_max: compaction.map_size_bytes_max,
            memory: &memory,
            pace: &pace,
        };
        while !self.known.is_stopping.get() && !self.known.has_failed() {
            reactor::sleep(Duration::from_micros(random.below(compaction.pause_us))).await;
            let log = self.logs.borrow()[slot].clone();
            let Some(log) = log else { continue };
            // Some rounds come much later than others, so that tombstones have had their time.
            let now = reactor::wall_clock() + random.below(2_000) as i64;
            let retention_ms = compaction.delete_retention_ms as i64;
            self.model(slot).borrow_mut().round_begins(now, retention_ms);
            let round = log.compact(TimestampMs(now), &how).await;
            self.model(slot).borrow_mut().round_ends();
            match round {
                Ok(Some(_)) => self.known.compactions.set(self.known.compactions.get() + 1),
                Ok(None) => {}
                Err(error) => return self.refuses(slot, &format!("compaction: {error}")),
            }
        }
        Ok(())
    }

    async fn append(
        &self,
        slot: usize,
        log: &PartitionLog,
        maker: &mut BatchMaker,
        random: &mut Random,
    ) -> Result<(), Failure> {
        let size_bytes_max = match random.below(10) {
            0 => self.plan.batch_size_bytes_max,
            _ => self.plan.batch_size_bytes_max / 20,
        };
        let label = self.model(slot).borrow().label();
        let batch = maker.next(&label, random, size_bytes_max);
        log.ready_for_append(batch.size_bytes()).await.map_err(refused("an append waits"))?;
        let latest = log.latest_leader_epoch().unwrap_or(LeaderEpoch(0));
        let leader_epoch = if random.chance(0.02) { LeaderEpoch(latest.0 + 1) } else { latest };
        let appended = log.append_as_leader(std::slice::from_ref(&batch), how(leader_epoch));
        let end = {
            let mut model = self.model(slot).borrow_mut();
            let (base_offset, next_offset) = match appended {
                Ok(Appended::New { base_offset, next_offset }) if base_offset == model.end() => {
                    (base_offset, next_offset)
                }
                Err(AppendError::Storage(error)) => return Err(refused("an append")(error)),
                other => {
                    let what =
                        format!("{}: an append at {} gives {other:?}", model.name, model.end());
                    return Err(Failure::broken(6, what));
                }
            };
            model.is_appended(KnownBatch { base_offset, next_offset, leader_epoch, batch });
            next_offset
        };
        self.known.appended_batches.set(self.known.appended_batches.get() + 1);
        if random.chance(0.3) {
            if let Err(error) = log.wait_durable(end).await {
                return self.refuses(slot, &format!("an append is not durable: {error}"));
            }
            let mut model = self.model(slot).borrow_mut();
            model.durable = model.durable.max(end);
        }
        let mut model = self.model(slot).borrow_mut();
        model.in_segments = model.in_segments.max(log.recovery_point());
        Ok(())
    }

    /// A clean stop, as a broker does it.
    async fn stop(&self) -> Result<(), Failure> {
        if self.known.disk_fails.get() {
            return Ok(());
        }
        let mut offsets = Vec::new();
        let logs: Vec<_> = self.logs.borrow().clone();
        for (slot, log) in logs.iter().enumerate() {
            let Some(log) = log else { continue };
            if let Err(error) = log.close().await {
                self.refuses(slot, &format!("a clean stop: {error}"))?;
                // No clean stop.
                return Ok(());
            }
            let mut model = self.model(slot).borrow_mut();
            model.durable = model.end();
            model.in_segments = model.end();
            offsets.push(LogOffsets {
                name: model.name.clone(),
                recovery_point: log.recovery_point(),
                log_start_offset: log.log_start_offset(),
                first_dirty_offset: log.first_dirty_offset(),
                high_watermark: log.log_end_offset().min(model.high_watermark),
            });
        }
        let logs: Vec<_> = logs.into_iter().flatten().collect();
        for volume in &self.volumes {
            volume.close().await.map_err(refused("a journal is not emptied"))?;
        }
        for volume in &self.volumes {
            // Each writes what it has.
            volume.write_checkpoint(&logs).await.map_err(refused("a checkpoint"))?;
        }
        self.directory.write_checkpoints(&offsets).await.map_err(refused("checkpoints"))?;
        self.directory.mark_clean(7).await.map_err(refused("the mark of a clean stop"))?;
        for log in &self.known.logs {
            let mut model = log.borrow_mut();
            model.stopped_at = model.end();
        }
        self.known.has_stopped.set(true);
        Ok(())
    }
}

fn how(leader_epoch: LeaderEpoch) -> AppendAsLeader {
    AppendAsLeader {
        leader_epoch,
        origin: Origin::Client,
        now: TimestampMs(reactor::wall_clock()),
        log_append_time: false,
    }
}
