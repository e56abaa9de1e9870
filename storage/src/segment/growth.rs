//! One segment, as its log knows it.

use std::rc::Rc;

use protocol::model::{Offset, OffsetDelta, TimestampMs};
use protocol::record_batch::BatchHeader;
use reactor::file::File;

use crate::checkpoint::LastBatch;
use crate::config::LogConfig;
use crate::index::{AbortedTransaction, IndexedBatch, OffsetIndex, SegmentIndexes, WrittenIndexes};
use crate::space::Grant;

/// One segment. Its bytes lie in its file, those appended last in memory.
pub(crate) struct Segment {
    pub(crate) base_offset: Offset,
    /// Where the next batch goes; the base offset of the next segment, once there is one.
    pub(crate) next_offset: Offset,
    pub(crate) size_bytes: u32,
    /// When it was made or opened, by the wall clock.
    pub(crate) created: TimestampMs,
    /// By which its age at a roll is less than that of others, so that not all roll at once.
    pub(crate) roll_jitter_ms: u64,
    /// The largest timestamp of the first batch, by which the segment ages.
    pub(crate) first_timestamp: Option<TimestampMs>,
    /// Absent where the segment is empty, or rolled when it was opened.
    pub(crate) last_batch: Option<LastBatch>,
    /// By which retention judges a rolled segment, once its indexes have been read.
    pub(crate) largest_timestamp: Option<TimestampMs>,
    pub(crate) indexes: Indexes,
    /// Transactions whose abort marker it holds; `None` where they are in their file alone.
    pub(crate) aborted: Option<Vec<AbortedTransaction>>,
    /// What the index files hold while the indexes are growing.
    pub(crate) written_indexes: WrittenIndexes,
    /// Its file is there, durably by name.
    pub(crate) on_disk: bool,
    /// Open while the segment is written or read.
    pub(crate) file: Option<File>,
    /// Its file has blocks up to here, as far as is known.
    pub(crate) allocated_bytes: u64,
    /// Room that was promised before there was a file.
    pub(crate) grant: Option<Grant>,
    /// Room for the files that complete it.
    pub(crate) completion: Option<Grant>,
}

/// Where a segment's indexes are.
pub(crate) enum Indexes {
    /// Growing in memory; the files are written when the segment is rolled or the log closed.
    Growing(SegmentIndexes),
    /// In their files, and in memory while the segment is being read.
    Written(Option<Rc<SegmentIndexes>>),
}

impl Segment {
    /// An empty segment.
    pub(crate) fn new(base_offset: Offset, created: TimestampMs) -> Self {
        Segment {
            base_offset,
            next_offset: base_offset,
            size_bytes: 0,
            created,
            roll_jitter_ms: 0,
            first_timestamp: None,
            last_batch: None,
            largest_timestamp: None,
            indexes: Indexes::Growing(SegmentIndexes::new(base_offset)),
            aborted: Some(Vec::new()),
            written_indexes: WrittenIndexes::default(),
            on_disk: false,
            file: None,
            allocated_bytes: 0,
            grant: None,
            completion: None,
        }
    }

    /// A roll has begun it, and it has no file yet.
    pub(crate) fn is_unmade(&self) -> bool {
        !self.on_disk
    }

    /// The indexes, where they are in memory.
    pub(crate) fn loaded_indexes(&self) -> Option<&SegmentIndexes> {
        match &self.indexes {
            Indexes::Growing(indexes) => Some(indexes),
            Indexes::Written(indexes) => indexes.as_deref(),
        }
    }

    /// Draws the jitter of its roll. Source: Kafka's `LogConfig.randomSegmentJitter`.
    pub(crate) fn draw_roll_jitter(&mut self, config: &LogConfig) {
        let bound = config.segment_jitter_ms.min(config.segment_ms);
        if bound > 0 {
            let mut drawn = [0; 8];
            reactor::random::fill(&mut drawn);
            self.roll_jitter_ms = u64::from_le_bytes(drawn) % bound;
        }
    }

    /// The largest timestamp of its records; where they have none, when it was made or opened. `None`
    /// while it is not known. Source: Kafka's `LogSegment.largestTimestamp`.
    pub(crate) fn largest_timestamp(&self) -> Option<TimestampMs> {
        let found = self.loaded_indexes().map(|indexes| {
            let largest = indexes.max_timestamp().map(|(timestamp, _)| timestamp);
            largest.filter(|timestamp| timestamp.0 >= 0).unwrap_or(self.created)
        });
        found.or(self.largest_timestamp)
    }

    /// Whether a batch belongs into the next segment. Source: Kafka's `LogSegment.shouldRoll`.
    pub(crate) fn should_roll(&self, batch: &NextBatch, config: &LogConfig) -> bool {
        if self.size_bytes == 0 {
            return false;
        }
        let size_bytes = self.size_bytes as usize + batch.size_bytes;
        size_bytes > config.segment_size_bytes as usize
            || self.waited_ms(batch) > config.segment_ms.saturating_sub(self.roll_jitter_ms)
            || self.loaded_indexes().is_some_and(|it| it.is_full(config.index_size_bytes_max))
            || !OffsetIndex::can_hold(self.base_offset, batch.last_offset)
    }

    /// Age, by the records' times where they have any, else by the clock.
    fn waited_ms(&self, batch: &NextBatch) -> u64 {
        let waited = match self.first_timestamp {
            Some(first) if first.0 >= 0 => batch.max_timestamp.0.saturating_sub(first.0),
            Some(_) | None => batch.now.0.saturating_sub(self.created.0),
        };
        u64::try_from(waited).unwrap_or(0)
    }

    /// Counts in a transaction whose abort marker was put at the end of the segment.
    pub(crate) fn push_aborted(&mut self, transaction: AbortedTransaction) {
        let aborted = self.aborted.as_mut().expect("a segment that grows knows what it holds");
        aborted.push(transaction);
    }

    /// Counts in a batch that was put at the end of the segment, at `base_offset`.
    pub(crate) fn push(&mut self, base_offset: Offset, header: &BatchHeader, interval_bytes: u32) {
        let last_offset = base_offset + OffsetDelta(i64::from(header.last_offset_delta));
        let batch = IndexedBatch {
            last_offset,
            max_timestamp: header.max_timestamp,
            position: self.size_bytes,
            size_bytes: header.size_bytes() as u32,
        };
        match &mut self.indexes {
            Indexes::Growing(indexes) => indexes.append(batch, interval_bytes),
            Indexes::Written(_) => panic!("append to the rolled segment {}", self.base_offset),
        }
        self.first_timestamp.get_or_insert(header.max_timestamp);
        self.last_batch = Some(LastBatch::new(self.size_bytes, base_offset, header));
        self.size_bytes += batch.size_bytes;
        self.next_offset = last_offset.next();
    }
}

/// What is known of a batch before it has its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NextBatch {
    pub(crate) size_bytes: usize,
    pub(crate) last_offset: Offset,
    pub(crate) max_timestamp: TimestampMs,
    pub(crate) now: TimestampMs,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rolls_by_size_time_and_offset() {
        let config = LogConfig {
            segment_size_bytes: 1000,
            segment_ms: 60,
            segment_jitter_ms: 10,
            ..LogConfig::default()
        };
        let mut segment = Segment::new(Offset(10), TimestampMs(5000));
        let batch = |size_bytes, last_offset, max_timestamp, now| NextBatch {
            size_bytes,
            last_offset: Offset(last_offset),
            max_timestamp: TimestampMs(max_timestamp),
            now: TimestampMs(now),
        };
        assert!(!segment.should_roll(&batch(2000, 12, 0, 9999), &config), "an empty one never");
        segment.size_bytes = 600;
        segment.roll_jitter_ms = 10;
        let far = 10 + i64::from(i32::MAX);
        for (first_timestamp, batch, want) in [
            (Some(1000), batch(400, 20, 1050, 0), false),
            (Some(1000), batch(401, 20, 1050, 0), true),
            (Some(1000), batch(1, 20, 1051, 0), true),
            (Some(1000), batch(1, 20, 10, 9999), false), // an older record does not age it
            (Some(-1), batch(1, 20, -1, 5050), false),
            (Some(-1), batch(1, 20, -1, 5051), true),
            (Some(1000), batch(1, far, 1000, 0), false),
            (Some(1000), batch(1, far + 1, 1000, 0), true),
        ] {
            segment.first_timestamp = first_timestamp.map(TimestampMs);
            assert_eq!(segment.should_roll(&batch, &config), want, "{first_timestamp:?} {batch:?}");
        }
    }
}
