//! Opening a log: which segments there are, how far they are good, and where the log ends.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use protocol::model::{Offset, TimestampMs, TopicId};
use protocol::record_batch::BatchError;
use reactor::buffer::ALIGNMENT;
use reactor::file::{File, Open};

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
use crate::small_file;
use crate::state::{LeaderEpochs, Producers, partition_metadata};
use crate::volume::Volume;

/// A log as its files tell it.
pub(crate) struct Loaded {
    pub(crate) topic_id: Option<TopicId>,
    pub(crate) segments: BTreeMap<Offset, Segment>,
    pub(crate) tail: Tail,
    pub(crate) end: Cursor,
    pub(crate) log_start_offset: Offset,
    pub(crate) epochs: LeaderEpochs,
    pub(crate) epochs_changed: bool,
    pub(crate) producers: Producers,
    pub(crate) snapshot_offset: Option<Offset>,
    pub(crate) high_watermark: Offset,
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
    let mut epochs = read_epochs(directory).await?;
    let known_epochs = epochs.clone();
    let known = Known::new(opening, topic_id);
    let was_empty = listing.segments.is_empty();
    if was_empty {
        known.check_end(directory, known.log_start_offset)?;
        create_segment(directory, known.log_start_offset).await?;
        listing.segments.insert(known.log_start_offset, 0);
    }
    let context = Context { volume, directory, config, now };
    let (known, resumed) = context.check(known, &listing).await?;
    let scan = Scan { from: (!opening.clean).then_some(known.scan_from), known: &known };
    let (segments, tail) = context.load_segments(&listing, scan, resumed, &mut epochs).await?;
    let (first, end) = bounds(&segments);
    let log_start_offset = known.log_start_offset.clamp(first, end.offset);
    epochs.truncate_from_end(end.offset);
    epochs.truncate_from_start(log_start_offset);
    let (producers, snapshot_offset) =
        load_producers(&context, &segments, listing.snapshots, end.offset, &known).await?;
    Ok(Loaded {
        topic_id,
        log_start_offset,
        segments,
        tail,
        end,
        epochs_changed: epochs != known_epochs,
        epochs,
        producers,
        snapshot_offset,
        high_watermark: known.high_watermark.clamp(log_start_offset, end.offset),
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

async fn read_epochs(directory: &Path) -> Result<LeaderEpochs, StorageError> {
    let path = directory.join("leader-epoch-checkpoint");
    let what = "leader epoch checkpoint";
    match small_file::read_text(&path, what).await? {
        None => Ok(LeaderEpochs::default()),
        Some(text) => LeaderEpochs::decode(&text).map_err(|reason| StorageError::Malformed {
            path,
            what,
            reason,
        }),
    }
}

/// Which part of a log is scanned.
struct Scan<'a> {
    /// `None` after a clean stop: nothing is.
    from: Option<Offset>,
    known: &'a Known<'a>,
}

/// What the steps of loading have in common.
pub(super) struct Context<'a> {
    volume: &'a Volume,
    pub(super) directory: &'a Path,
    pub(super) config: &'a LogConfig,
    pub(super) now: TimestampMs,
}

impl Context<'_> {
    /// All segments in order, and the tail of the last one. Those that hold the start of the scan or
    /// follow it are scanned; `resumed` is one whose front needs no scan.
    async fn load_segments(
        &self,
        listing: &Listing,
        scan: Scan<'_>,
        mut resumed: Option<Segment>,
        epochs: &mut LeaderEpochs,
    ) -> Result<(BTreeMap<Offset, Segment>, Tail), StorageError> {
        let mut segments = BTreeMap::new();
        let files: Vec<(Offset, u32)> =
            listing.segments.iter().map(|(&offset, &size_bytes)| (offset, size_bytes)).collect();
        let mut tail = Tail::new(self.volume, Offset::ZERO, 0, Vec::new());
        for (index, &(base_offset, size_bytes)) in files.iter().enumerate() {
            let next = files.get(index + 1).map(|&(next, _)| next);
            let is_scanned = scan.from.is_some_and(|from| next.is_none_or(|next| next > from));
            if let (Some(next), false) = (next, is_scanned) {
                segments.insert(base_offset, self.rolled(base_offset, size_bytes, next));
                continue;
            }
            let path = path_of(self.directory, FileKind::Log, base_offset);
            let file =
                File::open(&path, Open::Existing).await.map_err(StorageError::io("open", &path))?;
            let resumed = resumed.take_if(|segment| segment.base_offset == base_offset);
            let (segment, bad) = match (is_scanned, resumed) {
                (true, resumed) => {
                    let begun = resumed.unwrap_or_else(|| Segment::new(base_offset, self.now));
                    self.recover(&file, path, begun, size_bytes, epochs, scan.known).await?
                }
                (false, Some(segment)) if segment.size_bytes == size_bytes => (segment, false),
                (false, _) => (self.resume(&file, path, base_offset, size_bytes).await?, false),
            };
            // A segment is good up to the next one, or the log ends in it.
            let follows = next.filter(|&next| !bad && segment.next_offset <= next);
            if let Some(next) = follows {
                segments.insert(base_offset, self.seal_recovered(segment, next).await?);
                continue;
            }
            scan.known.check_end(self.directory, segment.next_offset)?;
            self.remove_from(files.get(index + 1..).unwrap_or_default()).await?;
            tail = self.tail_of(&file, &segment).await?;
            segments.insert(base_offset, Segment { on_disk: true, ..segment });
            break;
        }
        Ok((segments, tail))
    }

    fn rolled(&self, base_offset: Offset, size_bytes: u32, next: Offset) -> Segment {
        Segment {
            next_offset: next,
            size_bytes,
            indexes: Indexes::Written(None),
            on_disk: true,
            ..Segment::new(base_offset, self.now)
        }
    }

    /// The active segment after a clean stop: its indexes are read, and from their last entry on its
    /// batches.
    async fn resume(
        &self,
        file: &File,
        path: PathBuf,
        base_offset: Offset,
        size_bytes: u32,
    ) -> Result<Segment, StorageError> {
        let decoded = decode_files(self.directory, base_offset, size_bytes).await?;
        let is_decoded = decoded.is_some();
        let mut indexes = decoded.unwrap_or_else(|| SegmentIndexes::new(base_offset));
        let mut segment = Segment::new(base_offset, self.now);
        if indexes.offsets.last_position() > 0 {
            let mut first = Scanner::new(file.clone(), path.clone(), 0, size_bytes, base_offset);
            if let Ok(first) = first.next().await? {
                segment.first_timestamp = Some(first.batch.header().max_timestamp);
            }
        }
        let from = indexes.offsets.last_position();
        let mut scanner = Scanner::new(file.clone(), path.clone(), from, size_bytes, base_offset);
        loop {
            match scanner.next().await? {
                Ok(scanned) => {
                    let header = scanned.batch.header();
                    segment.first_timestamp.get_or_insert(header.max_timestamp);
                    let last = LastBatch::new(scanned.position, header.base_offset, header);
                    segment.last_batch = Some(last);
                    if is_decoded {
                        indexes.resume(indexed(&scanned));
                    } else {
                        indexes.append(indexed(&scanned), self.config.index_interval_bytes);
                    }
                }
                Err(ScanEnd::Whole) => break,
                Err(ScanEnd::Bad(source)) => {
                    let position = u64::from(scanner.position());
                    return Err(StorageError::CorruptBatch { path, position, source });
                }
            }
        }
        if is_decoded {
            segment.written_indexes = indexes.all_written();
        }
        segment.size_bytes = size_bytes;
        segment.next_offset = scanner.next_offset();
        segment.indexes = Indexes::Growing(indexes);
        Ok(segment)
    }

    /// A segment that a crash may have left in any state: scanned from where `segment` ends, cut behind
    /// the last good batch. Returns whether something was cut that was no padding.
    async fn recover(
        &self,
        file: &File,
        path: PathBuf,
        mut segment: Segment,
        size_bytes: u32,
        epochs: &mut LeaderEpochs,
        known: &Known<'_>,
    ) -> Result<(Segment, bool), StorageError> {
        let base_offset = segment.base_offset;
        let (position, next_offset) = (segment.size_bytes, segment.next_offset);
        let mut scanner =
            Scanner::new(file.clone(), path.clone(), position, size_bytes, next_offset);
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
                epochs.maybe_assign(leader_epoch, header.base_offset);
            }
            segment.push(header.base_offset, header, self.config.index_interval_bytes);
        };
        let mut is_cut = false;
        if let ScanEnd::Bad(reason) = end {
            let cut_bytes = size_bytes - segment.size_bytes;
            if segment.next_offset < known.flushed_end {
                let position = u64::from(segment.size_bytes);
                return Err(StorageError::CorruptBatch { path, position, source: reason });
            }
            is_cut = !self.is_padding(file, &path, segment.size_bytes, size_bytes).await?;
            if is_cut {
                tracing::warn!(
                    segment = %path.display(), position = segment.size_bytes, cut_bytes,
                    next_offset = segment.next_offset.0, %reason,
                    "the log ends at the first batch that the crash has left incomplete"
                );
            }
            let end = u64::from(segment.size_bytes);
            file.truncate(end).await.map_err(StorageError::io("truncate", &path))?;
        }
        // What was found need not have been flushed.
        file.flush().await.map_err(StorageError::io("flush", &path))?;
        Ok((segment, is_cut))
    }

    /// Whether the bytes from `start` on are the zeros that pad a segment's last block.
    async fn is_padding(
        &self,
        file: &File,
        path: &Path,
        start: u32,
        end: u32,
    ) -> Result<bool, StorageError> {
        if (end - start) as usize >= ALIGNMENT {
            return Ok(false);
        }
        let range = u64::from(start)..u64::from(end);
        let bytes = file.read_range(range).await.map_err(StorageError::io("read", path))?;
        Ok(bytes.iter().all(|&byte| byte == 0))
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
        let path = path_of(directory, kind, base_offset);
        match reactor::directory::remove_file(&path).await {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(StorageError::io("remove", &path)(error)),
        }
    }
    remove(&path_of(directory, FileKind::Log, base_offset)).await?;
    reactor::directory::sync(directory).await.map_err(StorageError::io("flush", directory))
}
