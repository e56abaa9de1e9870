//! What is known of a log before its segments are looked at, and whether its files agree.

use std::path::Path;

use protocol::model::{LeaderEpoch, Offset, TimestampMs, TopicId};
use protocol::record_batch::{BatchHeader, HEADER_SIZE_BYTES};
use reactor::file::{File, Open};

use super::decision::Stop;
use super::listing::Listing;
use super::load::Context;
use crate::checkpoint::{LogCheckpoint, SegmentCheckpoint};
use crate::error::StorageError;
use crate::index::{AbortedTransaction, SegmentIndexes, WrittenIndexes, transaction_index};
use crate::log::Opening;
use crate::segment::{FileKind, Indexes, Segment, path_of};
use crate::small_file;
use crate::state::{LeaderEpochs, Producers};

/// What earlier runs say of a log.
pub(super) struct Known<'a> {
    pub(super) stop: Stop,
    /// All below was flushed: a log that ends before it has lost what was durable.
    pub(super) flushed_end: Offset,
    /// A truncation has begun, and nobody knows whether it is durable as far as it has come.
    pub(super) was_being_cut: bool,
    /// After an unclean stop the scan begins in the segment that holds this offset, or in it.
    pub(super) scan_from: Offset,
    pub(super) log_start_offset: Offset,
    pub(super) high_watermark: Offset,
    /// Below it the log is compacted.
    pub(super) first_dirty_offset: Offset,
    /// Of the newest entry in the core checkpoint; 0 where there is none.
    pub(super) generation: u64,
    /// Of the log of this very topic.
    checkpoint: Option<&'a LogCheckpoint>,
}

impl<'a> Known<'a> {
    /// Who is believed: the core checkpoint's entry of this incarnation of the topic; without one
    /// Kafka's checkpoints, unless the entry of another incarnation shows that they may be that one's.
    pub(super) fn new(opening: &'a Opening, topic_id: Option<TopicId>) -> Known<'a> {
        let entry = opening
            .checkpoints
            .iter()
            .filter(|entry| topic_id.is_some_and(|topic_id| entry.topic_id == topic_id.0))
            .max_by_key(|entry| entry.generation);
        let nothing = Known {
            stop: if opening.clean { Stop::Clean } else { Stop::Unclean },
            flushed_end: opening.replayed_end,
            was_being_cut: false,
            scan_from: Offset::ZERO,
            log_start_offset: Offset::ZERO,
            high_watermark: Offset::ZERO,
            first_dirty_offset: Offset::ZERO,
            generation: 0,
            checkpoint: None,
        };
        match entry {
            Some(entry) => {
                let log = entry.log.as_ref();
                let of_last_stop =
                    if opening.clean { opening.recovery_point } else { Offset::ZERO };
                Known {
                    flushed_end: Offset(entry.flushed_end)
                        .max(of_last_stop)
                        .max(opening.replayed_end),
                    was_being_cut: log.is_none(),
                    log_start_offset: Offset(entry.log_start_offset),
                    high_watermark: log.map_or(Offset::ZERO, |log| Offset(log.high_watermark)),
                    first_dirty_offset: Offset(entry.first_dirty_offset),
                    generation: entry.generation,
                    checkpoint: log,
                    ..nothing
                }
            }
            None if opening.checkpoints.is_empty() => Known {
                // After a crash Kafka's checkpoint may be that of an earlier topic of this name.
                flushed_end: if opening.clean {
                    opening.recovery_point
                } else {
                    opening.replayed_end
                },
                scan_from: opening.recovery_point,
                log_start_offset: opening.log_start_offset,
                // An earlier topic's would keep a record whose tombstone goes.
                first_dirty_offset: match opening.clean {
                    true => opening.first_dirty_offset,
                    false => Offset::ZERO,
                },
                ..nothing
            },
            None => nothing,
        }
    }

    /// That a log without any segment has never had more.
    pub(super) fn check_empty(&self, directory: &Path) -> Result<(), StorageError> {
        match self.flushed_end > self.log_start_offset {
            true => Err(self.lost_records(directory, self.log_start_offset)),
            false => Ok(()),
        }
    }

    /// That the log ends at `log_end_offset`, before what was flushed.
    pub(super) fn lost_records(&self, directory: &Path, log_end_offset: Offset) -> StorageError {
        StorageError::LostRecords {
            directory: directory.to_owned(),
            log_end_offset,
            recovery_point: self.flushed_end,
        }
    }

    /// The epochs at a recovery point; `None` where the checkpoint has none to tell.
    pub(super) fn leader_epochs(&self) -> Option<LeaderEpochs> {
        let mut epochs = LeaderEpochs::default();
        for &(leader_epoch, start_offset) in &self.checkpoint?.leader_epochs {
            let leader_epoch = LeaderEpoch::from_wire(leader_epoch)?;
            if !epochs.maybe_assign(leader_epoch, Offset(start_offset)) {
                return None;
            }
        }
        Some(epochs)
    }

    /// The aborted transactions of the segment of `base_offset` below a recovery point.
    pub(super) fn aborted_of(&self, base_offset: Offset) -> Option<Vec<AbortedTransaction>> {
        let checkpoint = self.checkpoint?;
        let segment = &checkpoint.segment;
        let recovery_point = Offset(checkpoint.recovery_point);
        let is_this = segment.base_offset == base_offset.0;
        let decode = || transaction_index::decode(base_offset, recovery_point, &segment.aborted);
        is_this.then(decode)?.ok()
    }

    /// The producers at a recovery point; `None` where the checkpoint has none to tell.
    pub(super) fn producers(&self) -> Option<(Producers, Offset)> {
        let checkpoint = self.checkpoint?;
        let producers = Producers::decode_snapshot(&checkpoint.producers).ok()?;
        Some((producers, Offset(checkpoint.recovery_point)))
    }
}

impl Context<'_> {
    /// Compares the checkpoint's entry with the files. Where they agree, the scan begins where the
    /// entry ends, and the segment there is returned as it was, unless its index files are not what
    /// they were. Where they do not, nothing but what was flushed is believed of the entry.
    pub(super) async fn check<'a>(
        &self,
        mut known: Known<'a>,
        listing: &Listing,
    ) -> Result<(Known<'a>, Option<Segment>), StorageError> {
        let Some(checkpoint) = known.checkpoint else {
            return Ok((known, None));
        };
        let file = match self.segment_of(checkpoint, listing).await? {
            Ok(file) => file,
            Err(reason) => {
                tracing::warn!(
                    log = %self.directory.display(), reason,
                    "the files are not what the core checkpoint says: reading the log instead"
                );
                known.checkpoint = None;
                return Ok((known, None));
            }
        };
        // Not behind the recovery point: where a roll came right there, the segment is not complete.
        known.scan_from = Offset(checkpoint.segment.base_offset);
        let recovery_point = Offset(checkpoint.recovery_point);
        let resumed = self.resumed(&checkpoint.segment, recovery_point).await?;
        Ok((known, resumed.map(|segment| Segment { file, ..segment })))
    }

    /// The segment that the entry speaks of, open if it had to be; or why the entry cannot be of these
    /// files.
    async fn segment_of(
        &self,
        checkpoint: &LogCheckpoint,
        listing: &Listing,
    ) -> Result<Result<Option<File>, &'static str>, StorageError> {
        let segment = &checkpoint.segment;
        let Some(&size_bytes) = listing.segments.get(&Offset(segment.base_offset)) else {
            return Ok(Err("its segment is missing"));
        };
        if size_bytes < segment.size_bytes {
            return Ok(Err("its segment is shorter"));
        }
        let Some(last) = segment.last_batch else {
            let is_empty = segment.size_bytes == 0;
            return Ok(if is_empty { Ok(None) } else { Err("it names no batch of its segment") });
        };
        let path = path_of(self.directory, FileKind::Log, Offset(segment.base_offset));
        let file =
            File::open(&path, Open::Existing).await.map_err(StorageError::io("open", &path))?;
        let start = u64::from(last.position);
        let bytes = file
            .read_range(start..start + HEADER_SIZE_BYTES as u64)
            .await
            .map_err(StorageError::io("read", &path))?;
        let is_same = BatchHeader::parse(&bytes).is_ok_and(|header| {
            header.crc == last.crc
                && header.base_offset.0 == last.base_offset
                && header.size_bytes() == last.size_bytes as usize
                && header.next_offset().0 == checkpoint.recovery_point
                && last.position.checked_add(last.size_bytes) == Some(segment.size_bytes)
        });
        Ok(if is_same { Ok(Some(file)) } else { Err("another batch is where its last one was") })
    }

    /// The segment of the entry, ready to go on.
    async fn resumed(
        &self,
        checkpoint: &SegmentCheckpoint,
        next_offset: Offset,
    ) -> Result<Option<Segment>, StorageError> {
        let base_offset = Offset(checkpoint.base_offset);
        let Some((indexes, written_indexes)) = self.restored_indexes(checkpoint).await? else {
            tracing::warn!(
                segment = %path_of(self.directory, FileKind::Log, base_offset).display(),
                "its index files are not what they were: reading the segment instead"
            );
            return Ok(None);
        };
        Ok(Some(Segment {
            next_offset,
            size_bytes: checkpoint.size_bytes,
            first_timestamp: checkpoint.first_timestamp.map(TimestampMs),
            last_batch: checkpoint.last_batch,
            indexes: Indexes::Growing(indexes),
            written_indexes,
            ..Segment::new(base_offset, self.now)
        }))
    }

    async fn restored_indexes(
        &self,
        checkpoint: &SegmentCheckpoint,
    ) -> Result<Option<(SegmentIndexes, WrittenIndexes)>, StorageError> {
        let mut files = [Vec::new(), Vec::new()];
        let parts = [
            (FileKind::OffsetIndex, &checkpoint.offset_index),
            (FileKind::TimeIndex, &checkpoint.time_index),
        ];
        for (file, (kind, extent)) in files.iter_mut().zip(parts) {
            if extent.file_size_bytes > 0 {
                let path = path_of(self.directory, kind, Offset(checkpoint.base_offset));
                *file = small_file::read(&path).await?.unwrap_or_default();
            }
        }
        let [offsets, times] = files;
        Ok(SegmentIndexes::restore(checkpoint, &offsets, &times))
    }
}
