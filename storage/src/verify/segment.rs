//! One segment and its indexes, read side by side.

use std::path::Path;

use protocol::model::{Offset, TimestampMs};
use reactor::file::{File, Open};

use super::directory::Check;
use super::finding::Severity;
use crate::error::StorageError;
use crate::index::{OffsetIndex, TimeIndex};
use crate::segment::{FileKind, ScanEnd, Scanned, Scanner, path_of};
use crate::small_file;
use crate::state::LeaderEpochs;

pub(super) struct SegmentCheck<'a> {
    pub(super) directory: &'a Path,
    pub(super) base_offset: Offset,
    pub(super) size_bytes: u64,
    /// Base offset of the segment behind it.
    pub(super) next: Option<Offset>,
    /// A crash has left it as it was growing: zeros and torn batches at its end are no damage, and its
    /// indexes need not be whole.
    pub(super) is_growing: bool,
    /// All below was flushed once.
    pub(super) flushed_end: Offset,
}

const REBUILT: &str = "delete it: the next start rebuilds it";
const RESTORE: &str = "restore it from a copy; docs/storage.md says what else can be done";

/// Reads all batches. Returns where the good ones end; behind bad bytes it goes on where the index
/// leads to a batch.
pub(super) async fn verify_segment(
    segment: &SegmentCheck<'_>,
    epochs: &mut LeaderEpochs,
    check: &mut Check<'_>,
) -> Result<Offset, StorageError> {
    let path = path_of(segment.directory, FileKind::Log, segment.base_offset);
    let limit = u32::try_from(segment.size_bytes).unwrap_or(u32::MAX);
    let file = File::open(&path, Open::Existing).await.map_err(StorageError::io("open", &path))?;
    let mut offsets = Walk::offsets(segment, check).await?;
    let mut times = Walk::times(segment, check).await?;
    let mut scanner = Scanner::new(file.clone(), path.clone(), 0, limit, segment.base_offset);
    loop {
        let before = scanner.position();
        match scanner.next().await? {
            Ok(scanned) => {
                let header = scanned.batch.header();
                check.verified.batches += 1;
                check.verified.records += header.record_count.max(0) as u64;
                check.verified.size_bytes += header.size_bytes() as u64;
                if let Some(leader_epoch) = header.partition_leader_epoch {
                    epochs.maybe_assign(leader_epoch, header.base_offset);
                }
                offsets.meet(&scanned);
                times.meet(&scanned);
                check.advance(header.size_bytes() as u64);
            }
            Err(ScanEnd::Whole) => break,
            Err(ScanEnd::Bad(reason)) => {
                let resumes = offsets.next_position_behind(before);
                let end = scanner.next_offset();
                let what = match resumes {
                    Some(position) => format!(
                        "what begins at offset {end} is bad up to position {position}: {reason}"
                    ),
                    None => format!("what begins at offset {end} is bad up to the end: {reason}"),
                };
                check.advance(u64::from(resumes.unwrap_or(limit) - before));
                let at = (path.as_path(), Some(u64::from(before)));
                let Some(position) = resumes else {
                    find_bad_end(segment, (&file, at), end, what, check).await?;
                    break;
                };
                let (severity, help) = segment.torn_or_damaged(end);
                check.verified.find(severity, at, what, help);
                scanner = Scanner::new(file.clone(), path.clone(), position, limit, end);
            }
        }
    }
    let end = scanner.next_offset();
    if let Some(next) = segment.next.filter(|&next| next < end) {
        let what = format!("its batches reach offset {end}, but the next segment begins at {next}");
        check.verified.find(Severity::Damage, (&path, None), what, RESTORE);
    }
    offsets.finish(segment, check);
    times.finish(segment, check);
    Ok(end)
}

/// Bytes at the end of a segment that are no batch.
async fn find_bad_end(
    segment: &SegmentCheck<'_>,
    (file, at): (&File, (&Path, Option<u64>)),
    end: Offset,
    what: String,
    check: &mut Check<'_>,
) -> Result<(), StorageError> {
    let position = at.1.unwrap_or_default();
    let (severity, help) = segment.torn_or_damaged(end);
    let is_torn = severity == Severity::Mended;
    if !(is_torn && crate::recovery::is_zeros(file, at.0, position).await?) {
        check.verified.find(severity, at, what, help);
    }
    Ok(())
}

impl SegmentCheck<'_> {
    /// What bad bytes behind `end` are, and what to do about them.
    fn torn_or_damaged(&self, end: Offset) -> (Severity, &'static str) {
        if self.is_growing && end >= self.flushed_end {
            return (
                Severity::Mended,
                "the next start ends the log there: what follows was not flushed in the segment",
            );
        }
        (Severity::Damage, RESTORE)
    }
}

/// An index being compared with the batches that its entries lead to.
struct Walk {
    kind: FileKind,
    entries: Vec<Expected>,
    met: usize,
    wrong: Option<(Severity, String)>,
    max_timestamp: TimestampMs,
}

/// What an entry says.
#[derive(Clone, Copy)]
enum Expected {
    /// A batch that ends with `last_offset` begins at `position`.
    Batch { last_offset: Offset, position: u32 },
    /// Up to `offset` no timestamp is larger.
    Time { timestamp: TimestampMs, offset: Offset },
}

impl Walk {
    async fn offsets(
        segment: &SegmentCheck<'_>,
        check: &mut Check<'_>,
    ) -> Result<Walk, StorageError> {
        let mut walk = Walk::new(FileKind::OffsetIndex);
        if let Some(bytes) = walk.read(segment, check).await? {
            match OffsetIndex::decode(segment.base_offset, segment.size_bytes, &bytes) {
                Ok(entries) => {
                    let expected =
                        |(last_offset, position)| Expected::Batch { last_offset, position };
                    walk.entries = entries.iter().map(expected).collect();
                }
                Err(error) => walk.wrong = Some((Severity::Mended, error.to_string())),
            }
        }
        Ok(walk)
    }

    async fn times(
        segment: &SegmentCheck<'_>,
        check: &mut Check<'_>,
    ) -> Result<Walk, StorageError> {
        let mut walk = Walk::new(FileKind::TimeIndex);
        if let Some(bytes) = walk.read(segment, check).await? {
            match TimeIndex::decode(segment.base_offset, &bytes) {
                Ok(entries) => {
                    let expected = |(timestamp, offset)| Expected::Time { timestamp, offset };
                    walk.entries = entries.iter().map(expected).collect();
                }
                Err(error) => walk.wrong = Some((Severity::Mended, error.to_string())),
            }
        }
        Ok(walk)
    }

    fn new(kind: FileKind) -> Walk {
        let max_timestamp = TimestampMs(i64::MIN);
        Walk { kind, entries: Vec::new(), met: 0, wrong: None, max_timestamp }
    }

    async fn read(
        &self,
        segment: &SegmentCheck<'_>,
        check: &mut Check<'_>,
    ) -> Result<Option<Vec<u8>>, StorageError> {
        let path = path_of(segment.directory, self.kind, segment.base_offset);
        let bytes = small_file::read(&path).await?;
        if bytes.is_none() && !segment.is_growing && segment.size_bytes > 0 {
            let help = "the next start rebuilds it";
            check.verified.find(Severity::Mended, (&path, None), "the file is missing", help);
        }
        Ok(bytes)
    }

    fn meet(&mut self, scanned: &Scanned) {
        let header = scanned.batch.header();
        self.max_timestamp = self.max_timestamp.max(header.max_timestamp);
        while let Some(&entry) = self.entries.get(self.met) {
            let wrong = match entry {
                Expected::Batch { position, .. } if position > scanned.position => return,
                Expected::Batch { position, last_offset } => {
                    position != scanned.position || last_offset != header.last_offset()
                }
                Expected::Time { offset, .. } if offset > header.last_offset() => return,
                Expected::Time { timestamp, .. } => timestamp != self.max_timestamp,
            };
            if wrong && self.wrong.is_none() {
                let what = format!("its entry {} is not what the batches say", self.met);
                self.wrong = Some((Severity::Damage, what));
            }
            self.met += 1;
        }
    }

    /// The first batch behind `position` that an entry leads to.
    fn next_position_behind(&self, position: u32) -> Option<u32> {
        self.entries.iter().find_map(|entry| match *entry {
            Expected::Batch { position: at, .. } if at > position => Some(at),
            Expected::Batch { .. } | Expected::Time { .. } => None,
        })
    }

    fn finish(self, segment: &SegmentCheck<'_>, check: &mut Check<'_>) {
        let is_left = self.met < self.entries.len();
        let behind = || (Severity::Damage, "it leads behind the end".to_owned());
        let wrong = self.wrong.or_else(|| is_left.then(behind));
        // A growing one is brought up to its segment by the next start.
        if let Some((severity, what)) = wrong.filter(|_| !segment.is_growing) {
            let path = path_of(segment.directory, self.kind, segment.base_offset);
            check.verified.find(severity, (&path, None), what, REBUILT);
        }
    }
}
