//! What is known of each log, across lives of the process.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{BufMut as _, Bytes, BytesMut};
use protocol::model::{LeaderEpoch, Offset, ProducerId, Sequence, TopicId};
use protocol::record_batch::{Record, RecordBatch, set_base_offset, set_partition_leader_epoch};
use storage::TopicPartition;

use super::compacted::Tombstones;
use super::rot::Rot;
use crate::verdict::Failure;

/// How far a log's existence has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    Absent,
    /// It is being made; a crash leaves it or not.
    Creating,
    Present,
    /// It is being deleted; a crash leaves it or not.
    Deleting,
    /// It refuses what is asked of it, as bits of it were flipped. Someone removes it after this life.
    Refusing,
}

/// A batch of a log, as it was appended.
#[derive(Clone)]
pub struct KnownBatch {
    pub base_offset: Offset,
    pub next_offset: Offset,
    pub leader_epoch: LeaderEpoch,
    pub batch: RecordBatch,
}

impl KnownBatch {
    /// Its bytes as they stand in the segment.
    pub fn stored(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(self.batch.size_bytes());
        bytes.put_slice(self.batch.bytes());
        set_base_offset(&mut bytes, self.base_offset);
        set_partition_leader_epoch(&mut bytes, self.leader_epoch);
        bytes.freeze()
    }
}

/// One log, from its creation to its deletion and in all its incarnations.
#[derive(Clone)]
pub struct LogModel {
    pub name: TopicPartition,
    pub presence: Presence,
    /// Of the incarnation that is there, or was last.
    pub topic_id: TopicId,
    /// In the order of their offsets, without gaps.
    pub batches: Vec<KnownBatch>,
    /// Everything below was told to be durable.
    pub durable: Offset,
    /// A cut down to here is under way.
    pub cut_to: Option<Offset>,
    /// As far as the high watermark was set.
    pub high_watermark: Offset,
    /// The log may begin anywhere up to here.
    pub start_asked: Offset,
    /// Everything below was told to be flushed in the segments.
    pub in_segments: Offset,
    /// Everything below was there at the last clean stop: storage knows so, whatever crashes.
    pub stopped_at: Offset,
    pub rot: Rot,
    /// Records may be gone, as compaction has it.
    pub is_compacted: bool,
    pub tombstones: Tombstones,
}

impl LogModel {
    pub fn new(name: TopicPartition) -> Self {
        LogModel {
            name,
            presence: Presence::Absent,
            topic_id: TopicId::ZERO,
            batches: Vec::new(),
            durable: Offset::ZERO,
            cut_to: None,
            high_watermark: Offset::ZERO,
            start_asked: Offset::ZERO,
            in_segments: Offset::ZERO,
            stopped_at: Offset::ZERO,
            rot: Rot::default(),
            is_compacted: false,
            tombstones: Tombstones::default(),
        }
    }

    /// Another log of this name begins.
    pub fn begin(&mut self, topic_id: TopicId) {
        *self = LogModel {
            presence: Presence::Creating,
            topic_id,
            is_compacted: self.is_compacted,
            ..LogModel::new(self.name.clone())
        };
    }

    /// The end of what was appended.
    pub fn end(&self) -> Offset {
        self.batches.last().map_or(Offset::ZERO, |last| last.next_offset)
    }

    /// Below this everything must be there, whatever crashed.
    fn due_end(&self) -> Offset {
        let cut_end = self.cut_to.map(|to| {
            let holding = self.batches.iter().find(|batch| batch.next_offset > to);
            holding.map_or(to, |batch| batch.base_offset.min(to))
        });
        let due = cut_end.map_or(self.durable, |end| end.min(self.durable));
        self.rot.may_end_at(self).map_or(due, |end| end.min(due))
    }

    /// The log ends at `end` for good: after a crash, or because it was cut.
    pub fn ends_at(&mut self, end: Offset) {
        self.batches.retain(|batch| batch.base_offset < end);
        self.durable = end;
        self.in_segments = self.in_segments.min(end);
        self.stopped_at = self.stopped_at.min(end);
        // Bits that flipped have taken what was exposed, and may have superseded what is gone.
        self.tombstones.is_unknown |= self.rot.is_in_segments() && end < self.high_watermark;
        self.high_watermark = self.high_watermark.min(end);
        self.rot.ends_at(end);
        self.tombstones.ends_at(end);
        self.cut_to = None;
    }

    /// A log was opened after a crash or a clean stop, and begins and ends there.
    pub fn check_bounds(&self, start: Offset, end: Offset) -> Result<(), Failure> {
        let due = self.due_end();
        if end < due {
            let what =
                format!("{}: durable up to {due}, found up to {end}; {:?}", self.name, self.rot);
            return Err(Failure::broken(4, what));
        }
        let is_known = end == Offset::ZERO
            || end == start
            || self.batches.iter().any(|batch| batch.next_offset == end);
        if !is_known {
            let what = format!(
                "{}: {start}..{end}, where no batch ends; appended up to {}",
                self.name,
                self.end()
            );
            return Err(Failure::broken(2, what));
        }
        if start > self.start_asked {
            let what = format!("{}: begins at {start}, asked for {}", self.name, self.start_asked);
            return Err(Failure::broken(4, what));
        }
        Ok(())
    }

    /// A batch was read: it is the one that was appended there, or what compaction may have left of that.
    /// Returns the records of one that may be compacted.
    pub fn check_batch(&self, found: &RecordBatch) -> Result<Vec<Record>, Failure> {
        let base_offset = found.header().base_offset;
        let index = self.batches.partition_point(|batch| batch.base_offset < base_offset);
        let known = self.batches.get(index).filter(|batch| batch.base_offset == base_offset);
        match known {
            Some(known) if self.is_compacted => self.check_compacted(known, found),
            Some(known) if known.stored() == *found.bytes() => Ok(Vec::new()),
            _ => {
                let what = format!("{}: another batch at {base_offset} than appended", self.name);
                Err(Failure::broken(2, what))
            }
        }
    }

    /// The batches from `base_offset` on as one segment holds them, up to the next segment's.
    pub fn image(&self, base_offset: Offset, next: Option<Offset>) -> Bytes {
        let mut image = BytesMut::new();
        let is_inside = |batch: &&KnownBatch| {
            batch.base_offset >= base_offset && next.is_none_or(|next| batch.base_offset < next)
        };
        self.batches.iter().filter(is_inside).for_each(|batch| image.put_slice(&batch.stored()));
        image.freeze()
    }

    /// The batch at `position` of the segment between two base offsets, and which of its bytes.
    pub fn batch_at(
        &self,
        (base_offset, next): (Offset, Option<Offset>),
        position: u64,
    ) -> Option<(&KnownBatch, u64)> {
        let mut start = 0;
        for batch in self.batches.iter().filter(|batch| batch.base_offset >= base_offset) {
            let end = start + batch.batch.size_bytes() as u64;
            if next.is_some_and(|next| batch.base_offset >= next) {
                return None;
            }
            if position < end {
                return Some((batch, position - start));
            }
            start = end;
        }
        None
    }

    /// What its batches are made of, and no other log's.
    pub fn label(&self) -> String {
        format!("{}@{}", self.name, self.topic_id)
    }

    pub fn producers(&self) -> BTreeSet<ProducerId> {
        self.batches.iter().filter_map(|known| known.batch.header().producer_id).collect()
    }

    /// The sequence that each producer's next batch has.
    pub fn next_sequences(&self) -> BTreeMap<ProducerId, Sequence> {
        let mut next = BTreeMap::new();
        for known in &self.batches {
            let header = known.batch.header();
            if let (Some(id), Some(base)) = (header.producer_id, header.base_sequence) {
                next.insert(id, Sequence(base.0 + header.last_offset_delta + 1));
            }
        }
        next
    }
}
