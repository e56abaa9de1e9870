//! The question "read this, or tell me when there is something", for all partitions of one fetch that
//! one core owns. Reading and registering what is missing happen in the same turn, so that no append
//! can slip between them.

use std::rc::Rc;

use bytes::Bytes;
use protocol::error_code::ErrorCode;
use protocol::model::{LeaderEpoch, Offset};
use reactor::CoreIndex;
use storage::{AbortedTransaction, ReadError, ReadResult};

use super::epoch_end::end_of;
use super::partition::{Partition, PartitionKey};
use super::watch::FetchWatch;
use crate::cores::{Ask, Core, CoreReply, CoreRequest, ReplyTo};
use crate::memory::Lent;

/// What a read takes from a disk at once: enough for its full speed.
const READ_BUFFER_SIZE_BYTES_MAX: usize = 1 << 20;

/// What a buffer has room for beyond what is wanted: from where an index leads to the batch wanted, and
/// whole blocks.
const READ_BUFFER_SPARE_BYTES: usize = 16 << 10;

/// Names a fetch that may be parked, to end its waiting early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FetchKey {
    pub asker: CoreIndex,
    pub number: u64,
}

#[derive(Clone, Debug)]
pub struct FetchPart {
    pub partition: PartitionKey,
    pub from: Offset,
    pub size_bytes_max: usize,
    pub current_leader_epoch: Option<LeaderEpoch>,
    /// The epoch of the last record that the reader has. Source: KIP-595.
    pub last_fetched_epoch: Option<LeaderEpoch>,
}

/// How long a fetch may be parked, and for how many bytes.
#[derive(Clone, Copy, Debug)]
pub struct FetchWait {
    pub deadline: reactor::Instant,
    pub threshold_bytes: usize,
}

#[derive(Clone, Debug)]
pub struct FetchParts {
    pub key: FetchKey,
    pub parts: Vec<FetchPart>,
    pub size_bytes_max: usize,
    /// The bound is the last stable offset, and the answer tells of aborted transactions.
    pub read_committed: bool,
    /// `None`: answer with what is there.
    pub wait: Option<FetchWait>,
}

/// What one core has for a fetch: a result for each part, and the memory that they keep.
#[derive(Debug)]
pub struct FetchAnswer {
    pub results: Vec<FetchResult>,
    pub lent: Lent,
}

/// What was read of one partition.
#[derive(Clone, Debug)]
pub struct FetchResult {
    pub error: ErrorCode,
    pub high_watermark: Option<Offset>,
    pub last_stable_offset: Option<Offset>,
    pub log_start_offset: Option<Offset>,
    /// Whole batches, in order.
    pub slices: Vec<Bytes>,
    pub size_bytes: usize,
    /// Those of which the batches may have records. Source: KIP-98.
    pub aborted: Vec<AbortedTransaction>,
    /// There is more below the reader's bound than was read.
    pub has_more: bool,
    /// There is no memory to read it now, or to wait for more.
    pub is_starved: bool,
    /// Where the reader's log and ours part: it must truncate. Source: KIP-595.
    pub diverging: Option<(LeaderEpoch, Offset)>,
}

impl FetchResult {
    pub fn refused(error: ErrorCode) -> Self {
        FetchResult {
            error,
            high_watermark: None,
            last_stable_offset: None,
            log_start_offset: None,
            slices: Vec::new(),
            size_bytes: 0,
            aborted: Vec::new(),
            has_more: false,
            is_starved: false,
            diverging: None,
        }
    }

    /// Whether the answer may not wait for more: it tells of an error, or a read has stopped at a limit
    /// of its own and the next fetch goes on from there.
    pub fn is_urgent(&self) -> bool {
        self.error != ErrorCode::None
            || self.diverging.is_some()
            || self.has_more
            || self.is_starved
    }
}

impl Ask for FetchParts {
    type Answer = FetchAnswer;

    fn serve(self, core: &Rc<Core>, reply: ReplyTo<Self::Answer>) {
        let serving = read_or_watch(core.clone(), self, reply);
        core.run_now_or_spawn(Box::pin(serving));
    }

    fn into_request(self) -> CoreRequest {
        CoreRequest::Fetch(self)
    }

    fn into_reply(answer: Self::Answer) -> CoreReply {
        CoreReply::Fetch(answer)
    }

    fn from_reply(reply: CoreReply) -> Option<Self::Answer> {
        match reply {
            CoreReply::Fetch(answer) => Some(answer),
            _ => None,
        }
    }
}

async fn read_or_watch(core: Rc<Core>, fetch: FetchParts, reply: ReplyTo<FetchAnswer>) {
    // Known before it reads: a word to end may come while it waits for a disk.
    let watch = Rc::new(FetchWatch::default());
    if fetch.wait.is_some() {
        core.remember_fetch(fetch.key, watch.clone());
    }
    loop {
        let before = high_watermarks(&core, &fetch.parts);
        let answer = read(&core, &fetch).await;
        let results = &answer.results;
        let size_bytes: usize = results.iter().map(|result| result.size_bytes).sum();
        let parkable = fetch.wait.filter(|wait| {
            size_bytes < wait.threshold_bytes
                && wait.deadline > reactor::now()
                && !watch.is_hurried()
                && !core.stop.is_set()
                && !results.iter().any(FetchResult::is_urgent)
        });
        let Some(wait) = parkable else {
            core.forget_fetch(fetch.key);
            return answer_fetch(&core, &fetch, answer, reply);
        };
        // What is parked keeps nothing.
        core.give_back(vec![answer.lent]);
        // Reading may have waited for a disk: what came meanwhile must not be slept through.
        if before == high_watermarks(&core, &fetch.parts) {
            return park(&core, fetch, wait, &watch, size_bytes, reply);
        }
    }
}

fn high_watermarks(core: &Core, parts: &[FetchPart]) -> Vec<Option<Offset>> {
    parts
        .iter()
        .map(|part| core.partition(&part.partition).map(|owned| owned.high_watermark()))
        .collect()
}

/// Keeps the fetch as data until enough bytes are below the high watermarks, or its time is over.
fn park(
    core: &Rc<Core>,
    fetch: FetchParts,
    wait: FetchWait,
    watch: &Rc<FetchWatch>,
    gathered_bytes: usize,
    reply: ReplyTo<FetchAnswer>,
) {
    let key = fetch.key;
    let watched: Vec<PartitionKey> = fetch.parts.iter().map(|part| part.partition).collect();
    let deadline = core.deadlines.schedule(wait.deadline, {
        let core = Rc::downgrade(core);
        move || {
            if let Some(core) = core.upgrade() {
                core.finish_fetch(key);
            }
        }
    });
    let on_ready = {
        // The core's partitions keep the watch: it must not keep the core.
        let (core, watch) = (Rc::downgrade(core), Rc::downgrade(watch));
        move || {
            let Some(core) = core.upgrade() else { return };
            core.deadlines.cancel(deadline);
            core.forget_fetch(key);
            let is_ended = watch.upgrade().is_some_and(|watch| watch.is_ended());
            let reading = {
                let core = core.clone();
                async move {
                    let mut answer = read(&core, &fetch).await;
                    // Who asked shall not ask for more before it answers.
                    answer.results.iter_mut().for_each(|result| result.is_starved |= is_ended);
                    answer_fetch(&core, &fetch, answer, reply);
                }
            };
            core.run_now_or_spawn(Box::pin(reading));
        }
    };
    watch.park(wait.threshold_bytes, gathered_bytes, Box::new(on_ready));
    for partition in watched {
        if let Some(owned) = core.partition(&partition) {
            owned.watch(watch.clone());
        }
    }
}

fn answer_fetch(core: &Core, fetch: &FetchParts, answer: FetchAnswer, reply: ReplyTo<FetchAnswer>) {
    for (part, result) in fetch.parts.iter().zip(&answer.results) {
        if result.size_bytes > 0
            && let Some(owned) = core.partition(&part.partition)
        {
            owned.counts.fetched_bytes.add(result.size_bytes as u64);
        }
    }
    reply.send(answer);
}

/// Reads the parts in order, within the size limits; the first batch found is returned whatever its
/// size, or a reader with small limits would never get past it. The more memory is lent, the less is
/// read.
async fn read(core: &Core, fetch: &FetchParts) -> FetchAnswer {
    let mut reading = Reading {
        core,
        lent: core.answers.nothing(),
        read_committed: fetch.read_committed,
        size_bytes_left: fetch.size_bytes_max.min(core.answers.read_size_bytes_max()),
        nothing_yet: true,
    };
    let mut results = Vec::with_capacity(fetch.parts.len());
    for part in &fetch.parts {
        results.push(match core.partition(&part.partition) {
            None => FetchResult::refused(ErrorCode::NotLeaderOrFollower),
            Some(owned) => reading.part(&owned, part).await,
        });
    }
    if results.iter().any(|result| result.is_starved) && reading.nothing_yet {
        core.end_stuck_sends();
    }
    FetchAnswer { results, lent: reading.lent }
}

/// One fetch's reading on one core.
struct Reading<'a> {
    core: &'a Core,
    lent: Lent,
    read_committed: bool,
    size_bytes_left: usize,
    nothing_yet: bool,
}

impl Reading<'_> {
    async fn part(&mut self, owned: &Partition, part: &FetchPart) -> FetchResult {
        if let Err(error) = owned.check(part.current_leader_epoch) {
            return FetchResult::refused(error);
        }
        // All of one moment: while a disk is waited for, the log may begin behind this high watermark
        // (INV-1). Source: `Partition.readRecords`.
        let high_watermark = owned.high_watermark();
        let last_stable_offset = owned.last_stable_offset().min(high_watermark);
        let log_start_offset = owned.log().log_start_offset();
        let nothing = || FetchResult {
            high_watermark: Some(high_watermark),
            last_stable_offset: Some(last_stable_offset),
            log_start_offset: Some(log_start_offset),
            ..FetchResult::refused(ErrorCode::None)
        };
        match divergence(owned, part) {
            Ok(None) => {}
            Ok(Some(diverging)) => return FetchResult { diverging: Some(diverging), ..nothing() },
            Err(error) => return FetchResult::refused(error),
        }
        let bound = if self.read_committed { last_stable_offset } else { high_watermark };
        // A consumer sees nothing above its bound; an offset beyond the log's end is out of its range.
        if part.from > bound && part.from <= owned.log().log_end_offset() {
            return nothing();
        }
        let held_bytes = self.lent.bytes();
        let read = self.read_with_aborted(owned, part, bound).await;
        if !matches!(read, Ok(Some(_))) {
            // What was lent for a read that came to nothing is not kept for the others.
            self.lent.shrink_to(held_bytes.min(self.lent.bytes()));
        }
        match read {
            Ok(Some((read, aborted))) => {
                self.size_bytes_left = self.size_bytes_left.saturating_sub(read.size_bytes);
                self.nothing_yet &= read.size_bytes == 0;
                FetchResult {
                    has_more: read.next_offset < bound,
                    slices: read.slices,
                    size_bytes: read.size_bytes,
                    aborted,
                    ..nothing()
                }
            }
            Ok(None) => FetchResult { is_starved: true, ..nothing() },
            Err(ReadError::OffsetOutOfRange { .. }) => {
                FetchResult::refused(ErrorCode::OffsetOutOfRange)
            }
            Err(error @ (ReadError::Storage(_) | ReadError::BufferTooSmall { .. })) => {
                tracing::error!(
                    topic = %owned.topic, partition = %owned.index, from = %part.from, %error,
                    "cannot read"
                );
                FetchResult::refused(ErrorCode::KafkaStorageError)
            }
        }
    }

    /// As [`Reading::read`], with the aborted transactions that a `read_committed` reader must know of.
    async fn read_with_aborted(
        &mut self,
        owned: &Partition,
        part: &FetchPart,
        bound: Offset,
    ) -> Result<Option<(ReadResult, Vec<AbortedTransaction>)>, ReadError> {
        let Some(read) = self.read(owned, part, bound).await? else { return Ok(None) };
        if !self.read_committed || read.size_bytes == 0 {
            return Ok(Some((read, Vec::new())));
        }
        let aborted = owned.log().aborted_transactions(part.from, read.next_offset).await;
        aborted.map(|aborted| Some((read, aborted))).map_err(ReadError::Storage)
    }

    /// Reads with memory lent before a disk is read; what is in memory already is only kept from going.
    /// `None`: there is no memory for it now. Who holds some already does not wait for more.
    async fn read(
        &mut self,
        owned: &Partition,
        part: &FetchPart,
        upper_bound: Offset,
    ) -> Result<Option<ReadResult>, ReadError> {
        let memory = &self.core.answers;
        let size_bytes_max = part.size_bytes_max.min(self.size_bytes_left);
        let min_one_batch = self.nothing_yet;
        let log = owned.log();
        let mut buffer_size_bytes =
            (size_bytes_max + READ_BUFFER_SPARE_BYTES).min(READ_BUFFER_SIZE_BYTES_MAX);
        // Of `lent`, what is for this read and not for those before it.
        let held_bytes = self.lent.bytes();
        loop {
            let own_bytes = self.lent.bytes() - held_bytes;
            let read = log.read_memory(part.from, size_bytes_max, min_one_batch, upper_bound)?;
            let needed = match &read {
                Some(read) => read.pinned_bytes,
                None if !min_one_batch && size_bytes_max == 0 => {
                    return Ok(Some(ReadResult { next_offset: part.from, ..Default::default() }));
                }
                None => buffer_size_bytes,
            };
            if needed > memory.read_bound_bytes() {
                return Err(ReadError::BufferTooSmall { size_bytes: needed });
            }
            let missing = needed.saturating_sub(own_bytes);
            if missing > 0 && !memory.grow(&mut self.lent, missing) {
                drop(read);
                if held_bytes > 0 {
                    return Ok(None);
                }
                // Waiting begins with nothing in hand; then it is looked at anew.
                self.lent.shrink_to(0);
                if !memory.wait(&mut self.lent, needed).await {
                    return Ok(None);
                }
                continue;
            }
            let is_in_memory = read.is_some();
            let read = match read {
                Some(read) => read,
                None => {
                    let from = part.from;
                    let reading = log.read_within(
                        from,
                        size_bytes_max,
                        min_one_batch,
                        upper_bound,
                        buffer_size_bytes,
                    );
                    match reading.await {
                        Err(ReadError::BufferTooSmall { size_bytes }) => {
                            buffer_size_bytes = size_bytes;
                            continue;
                        }
                        other => other?,
                    }
                }
            };
            // Meanwhile it may have come to memory, where a chunk is larger than the buffer.
            let kept_bytes = held_bytes + read.pinned_bytes;
            if kept_bytes <= self.lent.bytes() {
                self.lent.shrink_to(kept_bytes);
                if read.size_bytes > 0 {
                    self.core.counts.read(is_in_memory, read.size_bytes);
                }
                return Ok(Some(read));
            }
        }
    }
}

/// Where the reader's log, whose last record has `last_fetched_epoch`, leaves ours. Errors: the epoch is
/// one that this leader has not heard of. Source: KIP-595, `Partition.readRecords`.
fn divergence(
    owned: &Partition,
    part: &FetchPart,
) -> Result<Option<(LeaderEpoch, Offset)>, ErrorCode> {
    let Some(last_fetched_epoch) = part.last_fetched_epoch else { return Ok(None) };
    let end = end_of(owned, last_fetched_epoch).ok_or(ErrorCode::OffsetOutOfRange)?;
    let agrees = end.leader_epoch == last_fetched_epoch && part.from <= end.end_offset;
    Ok((!agrees).then_some((end.leader_epoch, end.end_offset)))
}
