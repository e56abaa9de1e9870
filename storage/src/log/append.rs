//! Appending: offsets, epochs and producers, then a copy into the tail chunk. All in one turn.

use std::rc::Rc;

use protocol::model::{LeaderEpoch, Offset, OffsetDelta, TimestampMs};
use protocol::record_batch::{
    BatchHeader, RecordBatch, set_base_offset, set_log_append_time, set_partition_leader_epoch,
};

use super::state::{Inner, State};
use super::{AppendAsLeader, Appended};
use crate::error::{AppendError, StorageError};
use crate::segment::NextBatch;
use crate::state::{Verdict, producer_batch};

impl Inner {
    pub(super) fn append_as_leader(
        self: &Rc<Self>,
        batches: &[RecordBatch],
        how: AppendAsLeader,
    ) -> Result<Appended, AppendError> {
        let appended = {
            let mut state = self.state.borrow_mut();
            self.check_open(&state)?;
            state.append_as_leader(batches, how)?
        };
        if let Appended::New { base_offset, next_offset } = appended
            && base_offset < next_offset
        {
            self.submit();
            self.appended.notify_all();
        }
        Ok(appended)
    }

    pub(super) fn append_replayed(
        self: &Rc<Self>,
        batch: &RecordBatch,
    ) -> Result<(), StorageError> {
        let now = TimestampMs(reactor::wall_clock());
        {
            let mut state = self.state.borrow_mut();
            self.check_open(&state)?;
            state.append_replayed(batch, now);
        }
        self.submit();
        Ok(())
    }
}

impl State {
    fn append_as_leader(
        &mut self,
        batches: &[RecordBatch],
        how: AppendAsLeader,
    ) -> Result<Appended, AppendError> {
        self.check_sizes(batches)?;
        assert!(
            self.epochs.latest().is_none_or(|latest| latest <= how.leader_epoch),
            "INV-3: leader epoch {} after {:?}",
            how.leader_epoch,
            self.epochs.latest()
        );
        let base_offset = self.log_end_offset();
        let producer_batches = place(batches, base_offset, how);
        let new = match self.producers.check(producer_batches, how.origin)? {
            Verdict::New(new) => new,
            Verdict::Duplicate(retained) => {
                return Ok(Appended::Duplicate {
                    base_offset: retained.base_offset(),
                    next_offset: retained.last_offset.next(),
                    timestamp: retained.timestamp,
                });
            }
        };
        for batch in batches {
            // Before the batch's own producer counts: a snapshot at a roll ends where it begins.
            let placed = new.iter().find(|placed| placed.base_offset == self.log_end_offset());
            let placed = placed.copied();
            self.append_batch(batch, how);
            if let Some(placed) = placed {
                let aborted = self.producers.replay(&placed);
                aborted.into_iter().for_each(|aborted| self.active_mut().push_aborted(aborted));
            }
        }
        self.check_invariants();
        Ok(Appended::New { base_offset, next_offset: self.log_end_offset() })
    }

    fn check_sizes(&self, batches: &[RecordBatch]) -> Result<(), AppendError> {
        let segment_size_bytes = self.config.segment_size_bytes;
        match batches.iter().find(|batch| batch.size_bytes() > segment_size_bytes as usize) {
            None => Ok(()),
            Some(batch) => {
                let size_bytes = batch.size_bytes();
                Err(AppendError::BatchTooLarge { size_bytes, segment_size_bytes })
            }
        }
    }

    fn append_batch(&mut self, batch: &RecordBatch, how: AppendAsLeader) {
        let header = stamped(batch.header(), how);
        let base_offset = self.log_end_offset();
        self.put(header, how.leader_epoch, how.now, |bytes, header| {
            bytes.copy_from_slice(batch.bytes());
            set_base_offset(bytes, base_offset);
            set_partition_leader_epoch(bytes, how.leader_epoch);
            if how.log_append_time {
                set_log_append_time(bytes, how.now);
                header.crc = BatchHeader::parse(bytes).map_or(header.crc, |stamped| stamped.crc);
            }
        });
    }

    /// Takes a batch of this log's that a crash has kept from its segment, as it was. The caller has
    /// checked that it continues the log. The file of epochs is left as it is: no checkpoint says of the
    /// log that it reaches here before it is opened anew, and that finds the epochs in the batches.
    pub(super) fn append_replayed(&mut self, batch: &RecordBatch, now: TimestampMs) {
        let (header, end) = (batch.header(), self.log_end_offset());
        assert_eq!(header.base_offset, end, "a replay appends at the log end, and nowhere else");
        let leader_epoch = header.partition_leader_epoch.or(self.epochs.latest());
        let leader_epoch = leader_epoch.unwrap_or(LeaderEpoch(0));
        let placed = producer_batch(batch).map(|placed| placed.at(end));
        self.put(*header, leader_epoch, now, |bytes, _| bytes.copy_from_slice(batch.bytes()));
        self.epochs_changed = false;
        if let Some(placed) = placed {
            let aborted = self.producers.replay(&placed);
            aborted.into_iter().for_each(|aborted| self.active_mut().push_aborted(aborted));
        }
        self.check_invariants();
    }

    /// Puts a batch with `header` at the end of the log; `fill` makes its bytes, and the header as they
    /// have it.
    fn put(
        &mut self,
        mut header: BatchHeader,
        leader_epoch: LeaderEpoch,
        now: TimestampMs,
        fill: impl FnOnce(&mut [u8], &mut BatchHeader),
    ) {
        let (base_offset, size_bytes) = (self.log_end_offset(), header.size_bytes());
        self.maybe_roll(&header, base_offset, now);
        if self.epochs.maybe_assign(leader_epoch, base_offset) {
            self.epochs_changed = true;
        }
        let (segment, position) = (self.active().base_offset, self.active().size_bytes);
        self.tail.append(segment, position, base_offset, size_bytes, |bytes| {
            fill(bytes, &mut header);
        });
        let interval_bytes = self.config.index_interval_bytes;
        self.active_mut().push(base_offset, &header, interval_bytes);
        self.dirty.add(size_bytes as u64);
        self.touched = true;
    }

    /// Begins the next segment where the batch does not belong into the active one. Its file is made
    /// by the segments' writer: no append waits for it.
    fn maybe_roll(&mut self, header: &BatchHeader, base_offset: Offset, now: TimestampMs) -> bool {
        let next = NextBatch {
            size_bytes: header.size_bytes(),
            last_offset: base_offset + OffsetDelta(i64::from(header.last_offset_delta)),
            max_timestamp: header.max_timestamp,
            now,
        };
        let should_roll = self.active().should_roll(&next, &self.config);
        if should_roll {
            self.roll(now);
        }
        should_roll
    }
}

/// The header as it will be in the log, but for its offset and epoch.
fn stamped(header: &BatchHeader, how: AppendAsLeader) -> BatchHeader {
    let max_timestamp = if how.log_append_time { how.now } else { header.max_timestamp };
    BatchHeader { max_timestamp, ..*header }
}

/// What the producers' machine needs to know of `batches`, when they get the offsets from
/// `base_offset` on.
fn place(
    batches: &[RecordBatch],
    base_offset: Offset,
    how: AppendAsLeader,
) -> Vec<crate::state::ProducerBatch> {
    let mut next_offset = base_offset;
    let mut placed = Vec::new();
    for batch in batches {
        if let Some(mut batch) = producer_batch(batch) {
            if how.log_append_time {
                batch.max_timestamp = how.now;
            }
            placed.push(batch.at(next_offset));
        }
        next_offset += OffsetDelta(i64::from(batch.header().last_offset_delta) + 1);
    }
    placed
}
