//! Opening a log: which segments there are, how far they are good, and where the log ends.

use std::collections::BTreeMap;
use std::path::Path;

use protocol::model::{Offset, TimestampMs, TopicId};
use protocol::record_batch::BatchError;
use reactor::buffer::ALIGNMENT;
use reactor::file::{File, Open};

use super::decision::{Action, Claim, End, Place, Stop, decide};
use super::epochs::{read_epochs, rebuild_epochs};
use super::indexes::{decode_files, indexed, write_indexes};
use super::known::Known;
use super::listing::{Listing, list, remove};
use super::producers::load_producers;
use crate::checkpoint::LastBatch;
use crate::chunk::{Cursor, Tail};
use crate::config::LogConfig;
use crate::error::StorageError;
use crate::index::{OffsetIndex, SegmentIndexes};
use crate::log::Opening;
use crate::segment::{FileKind, Indexes, ScanEnd, Scanner, Segment, path_of};
use crate::state::{LeaderEpochs, Producers, partition_metadata};
use crate::volume::Volume;

/// What is read at once where zeros are expected.
const ZEROS_READ_BYTES: u64 = 1 << 20;

/// A log as its files tell it.
pub(crate) struct Loaded {
    pub(crate) topic_id: Option<TopicId>,
    pub(crate) segments: BTreeMap<Offset, Segment>,
    pub(crate) tail: Tail,
    pub(crate) end: Cursor,
    pub(crate) log_start_offset: Offset,
    pub(crate) epochs: LeaderEpochs,
    /// Their file does not say so yet.
    pub(crate) epochs_changed: bool,
    pub(crate) producers: Producers,
    pub(crate) snapshot_offset: Option<Offset>,
    pub(crate) high_watermark: Offset,
    /// Below it the log is compacted; at most its end.
    pub(crate) first_dirty_offset: Offset,
    /// Of the checkpoint's entry.
    pub(crate) checkpoint_generation: u64,
    /// The files are not what a clean stop leaves behind.
    pub(crate) touched: bool,
}

/// Loads the log in `directory`. After an unclean stop, what lies behind the recovery point is scanned;
/// at the first batch that is not whole and in order the log ends, and what follows is cut off, durably.
/// A bad batch below the recovery point, or after a clean stop, is corruption: an error, and nothing is
/// cut.
pub(crate) async fn load(
    volume: &Volume,
    directory: &Path,
    config: &LogConfig,
    opening: &Opening,
    now: TimestampMs,
) -> Result<Loaded, StorageError> {
    let topic_id = partition_metadata::read(directory).await?;
    let mut listing = list(directory).await?;
    let known = Known::new(opening, topic_id);
    let was_empty = listing.segments.is_empty();
    if was_empty {
        known.check_empty(directory)?;
        create_segment(directory, known.log_start_offset).await?;
        listing.segments.insert(known.log_start_offset, 0);
    }
    let context = Context { volume, directory, config, now };
    let (known, resumed) = context.check(known, &listing).await?;
    if known.was_being_cut {
        // Segments that are gone must not come back.
        reactor::directory::sync(directory).await.map_err(StorageError::io("flush", directory))?;
    }
    let first = listing.segments.keys().next().copied();
    let is_all_scanned = known.stop == Stop::Unclean
        && resumed.is_none()
        && first.is_none_or(|first| known.scan_from <= first);
    let last = listing.segments.last_key_value();
    // Else it is an older entry: the newest one is damaged.
    let is_of_end = resumed
        .as_ref()
        .is_some_and(|segment| last == Some((&segment.base_offset, &segment.size_bytes)));
    let known_epochs = match known.leader_epochs() {
        // A clean stop leaves in the file what it puts into the checkpoint.
        Some(epochs) if opening.clean && is_of_end => Some(epochs),
        Some(_) | None => read_epochs(directory).await?,
    };
    // Those of the checkpoint are whole up to where the scan begins; the file may lack the latest. After a
    // clean stop the file lacks nothing, and nothing is scanned.
    let mut epochs = match opening.clean {
        true => known_epochs.clone(),
        false => known.leader_epochs().or_else(|| known_epochs.clone()),
    };
    let mut scanned_epochs = epochs.clone().unwrap_or_default();
    let (mut segments, tail) =
        context.load_segments(&listing, &known, resumed, &mut scanned_epochs).await?;
    let is_empty = segments.values().all(|segment| segment.size_bytes == 0);
    if epochs.is_some() || is_empty || is_all_scanned {
        epochs = Some(scanned_epochs);
    }
    let mut epochs = match epochs {
        Some(epochs) => epochs,
        None => rebuild_epochs(directory, &segments).await?,
    };
    let (first, end) = bounds(&segments);
    let log_start_offset = known.log_start_offset.clamp(first, end.offset);
    epochs.truncate_from_end(end.offset);
    epochs.truncate_from_start(log_start_offset);
    let (producers, snapshot_offset) =
        load_producers(&context, &mut segments, listing, end.offset, &known).await?;
    Ok(Loaded {
        topic_id,
        log_start_offset,
        segments,
        tail,
        end,
        epochs_changed: known_epochs.unwrap_or_default() != epochs,
        epochs,
        producers,
        snapshot_offset,
        high_watermark: known.high_watermark.clamp(log_start_offset, end.offset),
        first_dirty_offset: match known.first_dirty_offset <= end.offset {
            true => known.first_dirty_offset,
            // Of what is gone nothing can be said: all is looked at again, as in Kafka.
            false => Offset::ZERO,
        },
        checkpoint_generation: known.generation,
        touched: was_empty || !opening.clean,
    })
}

/// Makes the empty segment file of `base_offset`; its name is durable on return.
pub(crate) async fn create_segment(
    directory: &Path,
    base_offset: Offset,
) -> Result<(), StorageError> {
    let path = path_of(directory, FileKind::Log, base_offset);
    File::open(&path, Open::OrCreate).await.map_err(StorageError::io("create", &path))?;
    reactor::directory::sync(directory).await.map_err(StorageError::io("flush", directory))
}

/// The first offset of a log and where it ends.
fn bounds(segments: &BTreeMap<Offset, Segment>) -> (Offset, Cursor) {
    let first = segments.keys().next().copied().unwrap_or(Offset::ZERO);
    let nothing = Cursor { segment: Offset::ZERO, position: 0, offset: Offset::ZERO };
    let end = segments.values().next_back().map_or(nothing, |active| Cursor {
        segment: active.base_offset,
        position: active.size_bytes,
        offset: active.next_offset,
    });
    (first, end)
}

/// What the steps of loading have in common.
pub(super) struct Context<'a> {
    volume: &'a Volume,
    pub(super) directory: &'a Path,
    pub(super) config: &'a LogConfig,
    pub(super) now: TimestampMs,
}

impl Context<'_> {
    /// All segments in order, and the tail of the last one. After an unclean stop those that hold the
    /// start of the scan or follow it are scanned; `resumed` is one whose front needs no scan.
    async fn load_segments(
        &self,
        listing: &Listing,
        known: &Known<'_>,
        mut resumed: Option<Segment>,
        epochs: &mut LeaderEpochs,
    ) -> Result<(BTreeMap<Offset, Segment>, Tail), StorageError> {
        let mut segments = BTreeMap::new();
        let files: Vec<(Offset, u32)> =
            listing.segments.iter().map(|(&offset, &size_bytes)| (offset, size_bytes)).collect();
        let mut tail = Tail::new(self.volume, Offset::ZERO, 0, Vec::new());
        for (index, &(base_offset, size_bytes)) in files.iter().enumerate() {
            let next = files.get(index + 1).map(|&(next, _)| next);
            // A file that ends with a block was perhaps not cut to its size yet: Kafka's recovery point
            // does not say so, where it is that of an earlier topic of this name.
            let may_be_padded = size_bytes > 0 && (size_bytes as usize).is_multiple_of(ALIGNMENT);
            let is_in_doubt = next.is_none_or(|next| next > known.scan_from);
            let is_scanned = known.stop == Stop::Unclean && (may_be_padded || is_in_doubt);
            if let (Some(next), false) = (next, is_scanned) {
                segments.insert(base_offset, self.rolled(base_offset, size_bytes, next));
                continue;
            }
            // Of a segment that is looked at for its padding alone, the ones behind need not be: what is
            // known of their epochs stays.
            let mut known_already = LeaderEpochs::default();
            let epochs = if is_in_doubt { &mut *epochs } else { &mut known_already };
            let path = path_of(self.directory, FileKind::Log, base_offset);
            let mut resumed = resumed.take_if(|segment| segment.base_offset == base_offset);
            let file = match resumed.as_mut().and_then(|segment| segment.file.take()) {
                Some(file) => file,
                None => File::open(&path, Open::Existing)
                    .await
                    .map_err(StorageError::io("open", &path))?,
            };
            let (segment, end) = match (known.stop, resumed) {
                (Stop::Unclean, Some(segment)) => {
                    self.scan(&file, &path, segment, size_bytes, epochs).await?
                }
                (Stop::Unclean, None) => {
                    let empty = Segment::new(base_offset, self.now);
                    self.scan(&file, &path, empty, size_bytes, epochs).await?
                }
                (Stop::Clean, Some(segment)) if segment.size_bytes == size_bytes => {
                    (segment, ScanEnd::Whole)
                }
                (Stop::Clean, _) => {
                    self.resume(&file, &path, base_offset, size_bytes, epochs).await?
                }
            };
            let behind = files.get(index + 1..).unwrap_or_default();
            let follows = self.settle(&file, &path, &segment, end, behind, known).await?;
            if let Some(next) = follows {
                segments.insert(base_offset, self.seal_recovered(segment, next).await?);
                continue;
            }
            tail = self.tail_of(&file, &segment).await?;
            segments.insert(base_offset, Segment { on_disk: true, ..segment });
            break;
        }
        Ok((segments, tail))
    }

    /// Does what the decision table says about a segment whose good batches are known: `size_bytes` of
    /// it, then `end`; `behind` are the segments after it. Returns the one that follows, or none where
    /// the log ends here.
    async fn settle(
        &self,
        file: &File,
        path: &Path,
        segment: &Segment,
        end: ScanEnd,
        behind: &[(Offset, u32)],
        known: &Known<'_>,
    ) -> Result<Option<Offset>, StorageError> {
        let position = u64::from(segment.size_bytes);
        let next = behind.first().map(|&(next, _)| next);
        let place = match next {
            None => Place::Last,
            Some(next) if segment.next_offset <= next => Place::Followed,
            Some(_) => Place::Overlapped,
        };
        let is_more_flushed = segment.next_offset < known.flushed_end;
        let claim = if is_more_flushed { Claim::More } else { Claim::NoMore };
        let found = match &end {
            ScanEnd::Whole => End::Whole,
            ScanEnd::Bad(_) if is_zeros(file, path, position).await? => End::Zeros,
            ScanEnd::Bad(_) => End::Bad,
        };
        let stop = known.stop;
        match (decide(stop, found, place, claim), end) {
            (Action::Refuse, ScanEnd::Bad(source)) if found == End::Bad || stop == Stop::Clean => {
                return Err(StorageError::CorruptBatch { path: path.to_owned(), position, source });
            }
            (Action::Refuse, _) => {
                return Err(known.lost_records(self.directory, segment.next_offset));
            }
            (Action::Keep, _) => {}
            (Action::Trim, _) => cut(file, path, position).await?,
            (Action::EndHere, end) => {
                let cut_bytes = file.size() - position;
                tracing::warn!(
                    segment = %path.display(), position, cut_bytes,
                    removed_segments = behind.len(), next_offset = segment.next_offset.0, ?end,
                    "the log ends at the first batch that the stop has left incomplete"
                );
                // The last first, and before the cut: so that a crash leaves no gap.
                self.remove_from(behind).await?;
                cut(file, path, position).await?;
                return Ok(None);
            }
        }
        let may_be_unflushed = segment.next_offset > known.flushed_end || known.was_being_cut;
        if stop == Stop::Unclean && may_be_unflushed {
            file.flush().await.map_err(StorageError::io("flush", path))?;
        }
        Ok(next)
    }

    fn rolled(&self, base_offset: Offset, size_bytes: u32, next: Offset) -> Segment {
        Segment {
            next_offset: next,
            size_bytes,
            indexes: Indexes::Written(None),
            aborted: None,
            on_disk: true,
            ..Segment::new(base_offset, self.now)
        }
    }

    /// The active segment after a clean stop: its indexes are read, and from their last entry on its
    /// batches. Where the indexes are missing or do not lead to a batch, all of it is read.
    async fn resume(
        &self,
        file: &File,
        path: &Path,
        base_offset: Offset,
        size_bytes: u32,
        epochs: &mut LeaderEpochs,
    ) -> Result<(Segment, ScanEnd), StorageError> {
        let decoded = decode_files(self.directory, base_offset, size_bytes).await?;
        if let Some(indexes) = decoded
            && let Some(segment) = self.resume_with(file, path, indexes, size_bytes).await?
        {
            return Ok((segment, ScanEnd::Whole));
        }
        if size_bytes > 0 {
            tracing::warn!(segment = %path.display(), "rebuilding missing or invalid indexes");
        }
        let empty = Segment::new(base_offset, self.now);
        self.scan(file, path, empty, size_bytes, epochs).await
    }

    /// `None` where what the indexes lead to is not the batch that they name, or one behind it is bad.
    async fn resume_with(
        &self,
        file: &File,
        path: &Path,
        mut indexes: SegmentIndexes,
        size_bytes: u32,
    ) -> Result<Option<Segment>, StorageError> {
        let base_offset = indexes.offsets.base_offset();
        let scan =
            |from| Scanner::new(file.clone(), path.to_owned(), from, size_bytes, base_offset);
        let mut segment = Segment::new(base_offset, self.now);
        let mut named = indexes.offsets.last();
        if named.is_some()
            && let Ok(first) = scan(0).next().await?
        {
            segment.first_timestamp = Some(first.batch.header().max_timestamp);
        }
        let mut scanner = scan(indexes.offsets.last_position());
        loop {
            match scanner.next().await? {
                Ok(scanned) => {
                    let header = scanned.batch.header();
                    if named.take().is_some_and(|(offset, _)| offset != header.last_offset()) {
                        return Ok(None);
                    }
                    segment.first_timestamp.get_or_insert(header.max_timestamp);
                    let last = LastBatch::new(scanned.position, header.base_offset, header);
                    segment.last_batch = Some(last);
                    indexes.resume(indexed(&scanned));
                }
                Err(ScanEnd::Whole) => break,
                Err(ScanEnd::Bad(_)) => return Ok(None),
            }
        }
        let is_behind = |(_, offset): (TimestampMs, Offset)| offset >= scanner.next_offset();
        if indexes.times.last().is_some_and(is_behind) {
            return Ok(None);
        }
        segment.written_indexes = indexes.all_written();
        segment.size_bytes = size_bytes;
        segment.next_offset = scanner.next_offset();
        segment.indexes = Indexes::Growing(indexes);
        Ok(Some(segment))
    }

    /// Adds to `segment` what its file holds behind it, up to the first batch that is not good.
    async fn scan(
        &self,
        file: &File,
        path: &Path,
        mut segment: Segment,
        size_bytes: u32,
        epochs: &mut LeaderEpochs,
    ) -> Result<(Segment, ScanEnd), StorageError> {
        let base_offset = segment.base_offset;
        let (position, next_offset) = (segment.size_bytes, segment.next_offset);
        let mut scanner =
            Scanner::new(file.clone(), path.to_owned(), position, size_bytes, next_offset);
        let end = loop {
            let scanned = match scanner.next().await? {
                Ok(scanned) => scanned,
                Err(end) => break end,
            };
            let header = scanned.batch.header();
            if !OffsetIndex::can_hold(base_offset, header.last_offset()) {
                break ScanEnd::Bad(BatchError::OffsetRange {
                    base_offset: header.base_offset.0,
                    last_offset_delta: header.last_offset_delta,
                });
            }
            if let Some(leader_epoch) = header.partition_leader_epoch {
                epochs.found(leader_epoch, header.base_offset..header.next_offset());
            }
            segment.push(header.base_offset, header, self.config.index_interval_bytes);
        };
        Ok((segment, end))
    }

    /// A recovered segment that another one follows: its index files are written anew.
    async fn seal_recovered(
        &self,
        mut segment: Segment,
        next: Offset,
    ) -> Result<Segment, StorageError> {
        if let Indexes::Growing(indexes) = &mut segment.indexes {
            indexes.add_time_entry();
            write_indexes(self.directory, segment.base_offset, indexes).await?;
        }
        Ok(self.rolled(segment.base_offset, segment.size_bytes, next))
    }

    /// Removes segments behind the end of the log, the last first, so that a crash leaves no gap.
    async fn remove_from(&self, files: &[(Offset, u32)]) -> Result<(), StorageError> {
        for &(base_offset, _) in files.iter().rev() {
            remove_segment(self.directory, base_offset).await?;
        }
        Ok(())
    }

    async fn tail_of(&self, file: &File, segment: &Segment) -> Result<Tail, StorageError> {
        let position = segment.size_bytes / ALIGNMENT as u32 * ALIGNMENT as u32;
        let path = path_of(self.directory, FileKind::Log, segment.base_offset);
        let range = u64::from(position)..u64::from(segment.size_bytes);
        let bytes = file.read_range(range).await.map_err(StorageError::io("read", &path))?;
        Ok(Tail::new(self.volume, segment.base_offset, position, bytes.to_vec()))
    }
}

async fn cut(file: &File, path: &Path, size_bytes: u64) -> Result<(), StorageError> {
    file.truncate(size_bytes).await.map_err(StorageError::io("truncate", path))?;
    file.flush().await.map_err(StorageError::io("flush", path))
}

/// Whether the bytes from `start` on are zeros.
pub(crate) async fn is_zeros(
    file: &File,
    path: &Path,
    mut start: u64,
) -> Result<bool, StorageError> {
    while let Some(written) =
        file.written_from(start).await.map_err(StorageError::io("read", path))?
    {
        let range = written..file.size().min(written + ZEROS_READ_BYTES);
        start = range.end;
        let bytes = file.read_range(range).await.map_err(StorageError::io("read", path))?;
        // No early end within a block, so that the compiler takes many bytes at once.
        let is_zero = |block: &[u8]| block.iter().fold(0, |all, byte| all | byte) == 0;
        if !bytes.chunks(ALIGNMENT).all(is_zero) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Removes the files of one segment, durably.
pub(crate) async fn remove_segment(
    directory: &Path,
    base_offset: Offset,
) -> Result<(), StorageError> {
    tracing::warn!(
        segment = %path_of(directory, FileKind::Log, base_offset).display(),
        "removing a segment behind the end of its log"
    );
    for kind in [FileKind::OffsetIndex, FileKind::TimeIndex, FileKind::TransactionIndex] {
        remove(&path_of(directory, kind, base_offset)).await?;
    }
    remove(&path_of(directory, FileKind::Log, base_offset)).await?;
    reactor::directory::sync(directory).await.map_err(StorageError::io("flush", directory))
}
