//! The question "read this, or tell me when there is something", for all partitions of one fetch that
//! one core owns. Reading and registering what is missing happen in the same turn, so that no append
//! can slip between them.

use std::rc::Rc;

use bytes::Bytes;
use protocol::error_code::ErrorCode;
use protocol::model::{LeaderEpoch, Offset};
use reactor::CoreIndex;
use storage::{AbortedTransaction, ReadError};

use super::partition::{Partition, PartitionKey};
use super::watch::FetchWatch;
use crate::cores::{Ask, Core, CoreReply, CoreRequest, ReplyTo};

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
            diverging: None,
        }
    }

    /// Whether the answer may not wait for more: it tells of an error, or a read has stopped at a limit
    /// of its own and the next fetch goes on from there.
    pub fn is_urgent(&self) -> bool {
        self.error != ErrorCode::None || self.diverging.is_some() || self.has_more
    }
}

impl Ask for FetchParts {
    type Answer = Vec<FetchResult>;

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

async fn read_or_watch(core: Rc<Core>, fetch: FetchParts, reply: ReplyTo<Vec<FetchResult>>) {
    // Known before it reads: a word to end may come while it waits for a disk.
    let watch = Rc::new(FetchWatch::default());
    if fetch.wait.is_some() {
        core.remember_fetch(fetch.key, watch.clone());
    }
    loop {
        let before = high_watermarks(&core, &fetch.parts);
        let results = read(&core, &fetch).await;
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
            return reply.send(results);
        };
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
    reply: ReplyTo<Vec<FetchResult>>,
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
        let core = Rc::downgrade(core);
        move || {
            let Some(core) = core.upgrade() else { return };
            core.deadlines.cancel(deadline);
            core.forget_fetch(key);
            let reading = {
                let core = core.clone();
                async move { reply.send(read(&core, &fetch).await) }
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

/// Reads the parts in order, within the size limits; the first batch found is returned whatever its
/// size, or a reader with small limits would never get past it.
async fn read(core: &Core, fetch: &FetchParts) -> Vec<FetchResult> {
    let mut results = Vec::with_capacity(fetch.parts.len());
    let mut size_bytes_left = fetch.size_bytes_max;
    let mut nothing_yet = true;
    for part in &fetch.parts {
        let result = match core.partition(&part.partition) {
            None => FetchResult::refused(ErrorCode::NotLeaderOrFollower),
            Some(owned) => {
                let size_bytes_max = part.size_bytes_max.min(size_bytes_left);
                let limits = Limits {
                    size_bytes_max,
                    min_one_batch: nothing_yet,
                    read_committed: fetch.read_committed,
                };
                read_part(&owned, part, limits).await
            }
        };
        size_bytes_left = size_bytes_left.saturating_sub(result.size_bytes);
        nothing_yet &= result.size_bytes == 0;
        results.push(result);
    }
    results
}

/// How far one part is read.
struct Limits {
    size_bytes_max: usize,
    min_one_batch: bool,
    read_committed: bool,
}

async fn read_part(owned: &Partition, part: &FetchPart, limits: Limits) -> FetchResult {
    if let Err(error) = owned.check(part.current_leader_epoch) {
        return FetchResult::refused(error);
    }
    let high_watermark = owned.high_watermark();
    let nothing = || FetchResult {
        high_watermark: Some(high_watermark),
        last_stable_offset: Some(owned.last_stable_offset().min(high_watermark)),
        log_start_offset: Some(owned.log().log_start_offset()),
        ..FetchResult::refused(ErrorCode::None)
    };
    if let Some(diverging) = divergence(owned, part) {
        return FetchResult { diverging: Some(diverging), ..nothing() };
    }
    let bound = if limits.read_committed { owned.last_stable_offset() } else { high_watermark };
    // A consumer sees nothing above its bound; an offset beyond the log's end is out of its range.
    if part.from > bound && part.from <= owned.log().log_end_offset() {
        return nothing();
    }
    let read = owned.read(part.from, limits.size_bytes_max, limits.min_one_batch, bound).await;
    let read = match read {
        Ok(read) if limits.read_committed && read.size_bytes > 0 => {
            let log = owned.log();
            let aborted = log.aborted_transactions(part.from, read.next_offset).await;
            aborted.map(|aborted| (read, aborted)).map_err(ReadError::Storage)
        }
        read => read.map(|read| (read, Vec::new())),
    };
    match read {
        Ok((read, aborted)) => FetchResult {
            has_more: read.next_offset < bound,
            slices: read.slices,
            size_bytes: read.size_bytes,
            aborted,
            ..nothing()
        },
        Err(ReadError::OffsetOutOfRange { .. }) => {
            FetchResult::refused(ErrorCode::OffsetOutOfRange)
        }
        Err(ReadError::Storage(error)) => {
            tracing::error!(
                topic = %owned.topic, partition = %owned.index, from = %part.from, %error,
                "cannot read"
            );
            FetchResult::refused(ErrorCode::KafkaStorageError)
        }
    }
}

/// Where the reader's log, whose last record has `last_fetched_epoch`, leaves ours. Source: KIP-595.
fn divergence(owned: &Partition, part: &FetchPart) -> Option<(LeaderEpoch, Offset)> {
    let last_fetched_epoch = part.last_fetched_epoch?;
    let end = owned.log().end_offset_for_epoch(last_fetched_epoch)?;
    let agrees = end.leader_epoch == last_fetched_epoch && part.from <= end.end_offset;
    (!agrees).then_some((end.leader_epoch, end.end_offset))
}
