//! Idempotent and transactional producers as one partition sees them: a pure machine (KIP-98).
//!
//! `check` looks at an append without changing anything; `replay` takes in what the log holds, be it
//! just appended or read again at start. Source: Kafka's `ProducerStateManager` and
//! `ProducerAppendInfo`.

use std::collections::{BTreeMap, BTreeSet};

use protocol::model::{Offset, OffsetDelta, ProducerEpoch, ProducerId, Sequence, TimestampMs};

use crate::error::AppendError;
use crate::index::AbortedTransaction;
use crate::log::Origin;

/// Batches remembered per producer: a client has at most as many requests in flight, and may send
/// each of them again.
pub(crate) const BATCHES_RETAINED: usize = 5;

/// What this machine needs to know of a batch that has a producer id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProducerBatch {
    pub(crate) producer_id: ProducerId,
    pub(crate) producer_epoch: ProducerEpoch,
    pub(crate) base_offset: Offset,
    pub(crate) last_offset: Offset,
    pub(crate) max_timestamp: TimestampMs,
    pub(crate) content: ProducerContent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProducerContent {
    /// Records. Those that coordinators write for a producer carry no sequence.
    Data { sequences: Option<(Sequence, Sequence)>, transactional: bool },
    /// The end of a transaction.
    EndMarker { coordinator_epoch: i32, is_abort: bool },
    /// A control batch that compaction has emptied: nothing to learn.
    EmptyControl,
}

/// A batch that was appended, as its retry must be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RetainedBatch {
    pub(crate) last_sequence: Option<Sequence>,
    pub(crate) last_offset: Offset,
    pub(crate) offset_delta: i32,
    pub(crate) timestamp: TimestampMs,
}

impl RetainedBatch {
    pub(crate) fn base_offset(&self) -> Offset {
        Offset(self.last_offset.0 - i64::from(self.offset_delta))
    }

    fn first_sequence(&self) -> Option<Sequence> {
        // One below 0 is `i32::MAX`: what `Sequence::plus` counts up, this counts down.
        let span = i64::from(i32::MAX) + 1;
        self.last_sequence.map(|last| {
            Sequence((i64::from(last.0) - i64::from(self.offset_delta)).rem_euclid(span) as i32)
        })
    }
}

/// One producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Producer {
    pub(crate) producer_epoch: Option<ProducerEpoch>,
    /// Of the last transaction marker; -1 before the first.
    pub(crate) coordinator_epoch: i32,
    pub(crate) last_timestamp: TimestampMs,
    pub(crate) current_txn_first_offset: Option<Offset>,
    /// Of the current epoch, oldest first, at most [`BATCHES_RETAINED`].
    pub(crate) batches: Vec<RetainedBatch>,
}

/// What a log knows of one producer. Source: KIP-664.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActiveProducer {
    pub producer_id: ProducerId,
    pub producer_epoch: Option<ProducerEpoch>,
    /// Of its last batch; `None` where only a transaction marker is known.
    pub last_sequence: Option<Sequence>,
    pub last_timestamp: TimestampMs,
    /// Of the last transaction marker; -1 before the first.
    pub coordinator_epoch: i32,
    /// Where its open transaction begins.
    pub current_txn_first_offset: Option<Offset>,
}

impl Producer {
    pub(crate) fn describe(&self, producer_id: ProducerId) -> ActiveProducer {
        ActiveProducer {
            producer_id,
            producer_epoch: self.producer_epoch,
            last_sequence: self.batches.last().and_then(|batch| batch.last_sequence),
            last_timestamp: self.last_timestamp,
            coordinator_epoch: self.coordinator_epoch,
            current_txn_first_offset: self.current_txn_first_offset,
        }
    }

    fn unknown() -> Self {
        Producer {
            producer_epoch: None,
            coordinator_epoch: -1,
            last_timestamp: TimestampMs(-1),
            current_txn_first_offset: None,
            batches: Vec::new(),
        }
    }

    fn begin_epoch(&mut self, producer_epoch: ProducerEpoch) {
        if self.producer_epoch != Some(producer_epoch) {
            self.producer_epoch = Some(producer_epoch);
            self.batches.clear();
        }
    }

    fn duplicate_of(&self, batch: &ProducerBatch) -> Option<RetainedBatch> {
        let ProducerContent::Data { sequences: Some((first, last)), .. } = batch.content else {
            return None;
        };
        if self.producer_epoch != Some(batch.producer_epoch) {
            return None;
        }
        let is_same = |kept: &&RetainedBatch| {
            kept.first_sequence() == Some(first) && kept.last_sequence == Some(last)
        };
        self.batches.iter().find(is_same).copied()
    }

    fn check(&self, batch: &ProducerBatch, origin: Origin) -> Result<(), AppendError> {
        let producer_id = batch.producer_id;
        if let Some(current) = self.producer_epoch
            && batch.producer_epoch < current
        {
            let producer_epoch = batch.producer_epoch;
            return Err(AppendError::InvalidProducerEpoch { producer_id, producer_epoch, current });
        }
        match batch.content {
            ProducerContent::Data { sequences, transactional } => {
                if let (Origin::Client, Some((first, _))) = (origin, sequences) {
                    self.check_sequence(batch, first)?;
                }
                if self.current_txn_first_offset.is_some() && !transactional {
                    return Err(AppendError::InvalidTxnState { producer_id });
                }
            }
            ProducerContent::EndMarker { coordinator_epoch: requested, .. } => {
                let current = self.coordinator_epoch;
                if requested < current {
                    return Err(AppendError::TransactionCoordinatorFenced {
                        producer_id,
                        requested,
                        current,
                    });
                }
            }
            ProducerContent::EmptyControl => {}
        }
        Ok(())
    }

    fn check_sequence(&self, batch: &ProducerBatch, first: Sequence) -> Result<(), AppendError> {
        let expected = match self.producer_epoch {
            // Retention or DeleteRecords may have taken all that this producer wrote: it goes on
            // with any sequence.
            None => return Ok(()),
            Some(current) if current != batch.producer_epoch => Sequence(0),
            Some(_) => self
                .batches
                .last()
                .and_then(|last| last.last_sequence)
                .map_or(Sequence(0), |last| last.plus(1)),
        };
        if first == expected {
            return Ok(());
        }
        Err(AppendError::OutOfOrderSequence {
            producer_id: batch.producer_id,
            sequence: first,
            expected,
        })
    }

    fn apply(&mut self, batch: &ProducerBatch) {
        match batch.content {
            ProducerContent::Data { sequences, transactional } => {
                self.begin_epoch(batch.producer_epoch);
                let window =
                    if reactor::planted!(duplicate_window_of_four) { 4 } else { BATCHES_RETAINED };
                if self.batches.len() >= window {
                    self.batches.remove(0);
                }
                self.batches.push(RetainedBatch {
                    last_sequence: sequences.map(|(_, last)| last),
                    last_offset: batch.last_offset,
                    offset_delta: (batch.last_offset - batch.base_offset).0 as i32,
                    timestamp: batch.max_timestamp,
                });
                self.last_timestamp = batch.max_timestamp;
                if transactional && self.current_txn_first_offset.is_none() {
                    self.current_txn_first_offset = Some(batch.base_offset);
                }
            }
            ProducerContent::EndMarker { coordinator_epoch, .. } => {
                self.begin_epoch(batch.producer_epoch);
                self.coordinator_epoch = coordinator_epoch;
                self.current_txn_first_offset = None;
                self.last_timestamp = batch.max_timestamp;
            }
            ProducerContent::EmptyControl => {}
        }
    }

    fn is_expired(&self, now: TimestampMs, expiration_ms: u64) -> bool {
        let idle_ms = now.0.saturating_sub(self.last_timestamp.0);
        self.current_txn_first_offset.is_none()
            && u64::try_from(idle_ms).is_ok_and(|idle_ms| idle_ms >= expiration_ms)
    }
}

/// The answer of [`Producers::check`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All batches may be appended; each is to be replayed when it is.
    New(Vec<ProducerBatch>),
    /// One of them is a retry of this batch: none is to be appended.
    Duplicate(RetainedBatch),
}

/// The producers of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Producers {
    producers: BTreeMap<ProducerId, Producer>,
    /// First offsets of transactions that have no marker yet.
    ongoing: BTreeSet<Offset>,
    /// First offsets of transactions whose marker, at the other offset, is not below the high
    /// watermark yet.
    unreplicated: BTreeMap<Offset, Offset>,
}

impl Producers {
    pub(crate) fn from_map(producers: BTreeMap<ProducerId, Producer>) -> Self {
        let firsts = producers.values().filter_map(|producer| producer.current_txn_first_offset);
        Producers { ongoing: firsts.collect(), unreplicated: BTreeMap::new(), producers }
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (&ProducerId, &Producer)> {
        self.producers.iter()
    }

    pub(crate) fn get(&self, producer_id: ProducerId) -> Option<&Producer> {
        self.producers.get(&producer_id)
    }

    /// Whether `batches`, in order, may be appended. Errors and answers change nothing.
    pub(crate) fn check(
        &self,
        batches: Vec<ProducerBatch>,
        origin: Origin,
    ) -> Result<Verdict, AppendError> {
        // A batch is checked against what the ones before it in this append have made of its
        // producer.
        let mut changed: BTreeMap<ProducerId, Producer> = BTreeMap::new();
        for (index, batch) in batches.iter().enumerate() {
            let known = self.producers.get(&batch.producer_id);
            if let (Origin::Client, Some(retained)) =
                (origin, known.and_then(|producer| producer.duplicate_of(batch)))
            {
                return Ok(Verdict::Duplicate(retained));
            }
            let unknown = Producer::unknown();
            let current = changed.get(&batch.producer_id).or(known).unwrap_or(&unknown);
            current.check(batch, origin)?;
            if index + 1 < batches.len() {
                let mut current = current.clone();
                current.apply(batch);
                changed.insert(batch.producer_id, current);
            }
        }
        Ok(Verdict::New(batches))
    }

    /// Takes in a batch that the log holds. Returns the transaction that it aborts, if it does. A
    /// marker without records before it ends none. Source: KIP-98, `ProducerStateManager.completeTxn`.
    #[must_use = "its segment keeps an aborted transaction"]
    pub(crate) fn replay(&mut self, batch: &ProducerBatch) -> Option<AbortedTransaction> {
        if batch.content == ProducerContent::EmptyControl {
            return None;
        }
        let producer = self.producers.entry(batch.producer_id).or_insert_with(Producer::unknown);
        let before = producer.current_txn_first_offset;
        producer.apply(batch);
        let after = producer.current_txn_first_offset;
        self.ongoing.extend(after);
        let first_offset = before.filter(|_| after.is_none())?;
        self.ongoing.remove(&first_offset);
        self.unreplicated.insert(first_offset, batch.last_offset);
        let is_abort = matches!(batch.content, ProducerContent::EndMarker { is_abort: true, .. });
        is_abort.then_some(AbortedTransaction {
            producer_id: batch.producer_id,
            first_offset,
            last_offset: batch.last_offset,
            last_stable_offset: self.ongoing.first().copied().unwrap_or(batch.last_offset.next()),
        })
    }

    /// The first offset of which it is not decided below the high watermark whether a `read_committed`
    /// reader may see it.
    pub(crate) fn first_unstable_offset(&self) -> Option<Offset> {
        let unreplicated = self.unreplicated.keys().next();
        self.ongoing.first().into_iter().chain(unreplicated).min().copied()
    }

    /// The markers below `high_watermark` are on every replica that counts.
    pub(crate) fn advance_high_watermark(&mut self, high_watermark: Offset) {
        if !self.unreplicated.is_empty() {
            self.unreplicated.retain(|_, marker| *marker >= high_watermark);
        }
    }

    /// Forgets producers that have been idle for `expiration_ms` and have no open transaction.
    pub(crate) fn expire(&mut self, now: TimestampMs, expiration_ms: u64) {
        self.producers.retain(|_, producer| !producer.is_expired(now, expiration_ms));
    }
}

impl ProducerBatch {
    /// The same batch where the log will hold it.
    pub(crate) fn at(mut self, base_offset: Offset) -> Self {
        let span = OffsetDelta((self.last_offset - self.base_offset).0);
        self.base_offset = base_offset;
        self.last_offset = base_offset + span;
        self
    }
}

#[cfg(test)]
mod tests;
