//! Flipped bits: where, and what may be lost by them.
//!
//! What is hit may be refused, and a log that needs it to open may be refused as a whole: never is
//! anything else served in its place. What is not hit stays, with three exceptions that no single copy
//! can do without:
//!
//! - After a crash the end of a log that is torn and one that has rotted look alike: the log may end at
//!   the first batch that was hit, but for what a checkpoint knows to have been flushed.
//! - After a crash the journal may be all that holds the end of a log: hit, it may lack records of any
//!   log that are not in segments yet.
//! - `partition.metadata` says whose a log is: hit, nobody can.
//!
//! Base offset and leader epoch of a batch are outside of its CRC, by Kafka's format: they are not hit.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;
use std::rc::Rc;

use protocol::model::Offset;
use reactor::sim::{NodeId, Random, Simulation};

use super::life::{DIRECTORY, Known};
use super::model::LogModel;

/// What was hit of one log.
#[derive(Clone, Debug, Default)]
pub struct Rot {
    /// Base offsets of batches in segments.
    batches: BTreeSet<Offset>,
    /// Where segments end behind whose last batch something was hit.
    paddings: BTreeSet<Offset>,
    /// `partition.metadata`.
    identity: bool,
    /// The journal, since the log was opened last: what only that holds may be gone.
    journal: bool,
    /// The last stop was a crash.
    pub after_crash: bool,
}

const SEGMENT: &str = ".log";
const IDENTITY: &str = "partition.metadata";
const CHECKPOINT: &str = "millrace-checkpoint-";
const JOURNAL: &str = "millrace-journal-";
/// The kinds of files, by how their names begin or end; each is hit as often as the others.
const KINDS: [&str; 14] = [
    SEGMENT,
    ".index",
    ".timeindex",
    ".snapshot",
    "leader-epoch-checkpoint",
    IDENTITY,
    "recovery-point-offset-checkpoint",
    "log-start-offset-checkpoint",
    "replication-offset-checkpoint",
    ".kafka_cleanshutdown",
    "millrace-clean-stop",
    CHECKPOINT,
    JOURNAL,
    "millrace-reserve",
];

impl Rot {
    /// The log may refuse to be opened, or to do what needs all of it.
    pub fn may_refuse(&self) -> bool {
        self.identity || self.journal || !self.batches.is_empty() || !self.paddings.is_empty()
    }

    /// Whether its segments hold bytes that nobody appended.
    pub fn is_in_segments(&self) -> bool {
        !self.batches.is_empty() || !self.paddings.is_empty()
    }

    /// Whether a read of the batch at `offset` may be refused: it was hit, or it lies behind one that was,
    /// in the same segment, and is found by walking over that.
    pub fn may_hide(&self, log: &LogModel, offset: Offset, segment_size_bytes: u64) -> bool {
        // Where batches lie that compaction has moved is not known here.
        let is_anywhere = log.is_compacted && !self.batches.is_empty();
        is_anywhere
            || self.batches.range(..=offset).next_back().is_some_and(|&hit| {
                let between = log
                    .batches
                    .iter()
                    .filter(|it| it.base_offset >= hit && it.base_offset < offset);
                let size_bytes: u64 = between.map(|it| it.batch.size_bytes() as u64).sum();
                size_bytes < segment_size_bytes
            })
    }

    /// Where the log may end at the earliest, for all that was hit.
    pub fn may_end_at(&self, log: &LogModel) -> Option<Offset> {
        if !self.after_crash {
            return None;
        }
        let known = log.stopped_at;
        let in_journal = self.journal.then_some(log.in_segments.max(known));
        let hit = self.batches.iter().chain(&self.paddings).find(|hit| **hit >= known).copied();
        in_journal.into_iter().chain(hit).min()
    }

    /// The log was opened, and ends there.
    pub fn ends_at(&mut self, end: Offset) {
        self.batches.retain(|hit| *hit < end);
        self.paddings.retain(|hit| *hit < end);
    }

    /// The journal has nothing of the log any more but what is appended from now on.
    pub fn is_open(&mut self) {
        self.journal = false;
    }
}

/// Flips a few bits of one file of `node`, on which no process runs, and notes what they may cost.
/// Returns what kind of file it was, if any was hit.
pub fn flip(
    simulation: &Simulation,
    node: NodeId,
    known: &Known,
    random: &mut Random,
) -> Option<&'static str> {
    let files = files_by_kind(simulation, node);
    if files.is_empty() {
        return None;
    }
    let (kind, of_kind) = &files[random.index(files.len())];
    let (path, size_bytes) = &of_kind[random.index(of_kind.len())];
    let mut flipped = None;
    for _ in 0..random.within(1..4) {
        let position = random.below(*size_bytes);
        if *kind == SEGMENT && is_outside_crc(known, path, position, &files) {
            continue;
        }
        if simulation.rot(node, Path::new(path), position).unwrap_or_default() {
            flipped = Some(*kind);
            tracing::info!(path, position, "flipped");
            note(known, kind, path, position, &files);
        }
    }
    flipped
}

/// Paths and sizes of files that are not empty, by kind.
type Files = Vec<(&'static str, Vec<(String, u64)>)>;

fn files_by_kind(simulation: &Simulation, node: NodeId) -> Files {
    let paths = simulation.file_paths(node, Path::new(DIRECTORY)).unwrap_or_default();
    let mut files: Files = KINDS.iter().map(|&kind| (kind, Vec::new())).collect();
    for path in paths.into_iter().filter(|path| !path.contains("-delete/")) {
        let name = path.rsplit('/').next().unwrap_or_default();
        let is_of = |kind: &str| name.ends_with(kind) || name.starts_with(kind);
        let size_bytes = simulation.file_size(node, Path::new(&path)).unwrap_or_default();
        if let Some((_, of_kind)) = files.iter_mut().find(|(kind, _)| is_of(kind))
            && size_bytes > 0
        {
            of_kind.push((path, size_bytes));
        }
    }
    files.retain(|(_, of_kind)| !of_kind.is_empty());
    files
}

/// What a flipped bit at `position` of the file `path` may cost.
fn note(known: &Known, kind: &str, path: &str, position: u64, files: &Files) {
    match kind {
        JOURNAL => known.logs.iter().for_each(|log| log.borrow_mut().rot.journal = true),
        // What is known of each log to have been flushed is known no more.
        CHECKPOINT | ".kafka_cleanshutdown" | "millrace-clean-stop" => {
            known.logs.iter().for_each(|log| log.borrow_mut().stopped_at = Offset::ZERO);
        }
        IDENTITY => {
            if let Some(log) = log_of(known, path) {
                log.borrow_mut().rot.identity = true;
            }
        }
        SEGMENT => {
            let (Some(log), Some(segment)) = (log_of(known, path), segment_of(path, files)) else {
                return;
            };
            let mut log = log.borrow_mut();
            let hit = log.batch_at(segment, position).map(|(batch, _)| batch.base_offset);
            match hit {
                Some(hit) => log.rot.batches.insert(hit),
                // Behind the last batch: it may be taken for one that a crash has torn.
                None => {
                    let end = segment.1.unwrap_or(log.end());
                    log.rot.paddings.insert(end)
                }
            };
        }
        _ => {}
    }
}

fn log_of<'a>(known: &'a Known, path: &str) -> Option<&'a Rc<RefCell<LogModel>>> {
    let (directory, _) = path.rsplit_once('/')?;
    known.logs.iter().find(|log| directory.ends_with(&format!("/{}", log.borrow().name)))
}

/// The base offset of the segment in the file `path`, and the one of the segment behind it.
fn segment_of(path: &str, files: &Files) -> Option<(Offset, Option<Offset>)> {
    let (directory, name) = path.rsplit_once('/')?;
    let base_offset_of = |name: &str| name.strip_suffix(SEGMENT)?.parse().ok().map(Offset);
    let base_offset = base_offset_of(name)?;
    let segments = files.iter().filter(|(kind, _)| *kind == SEGMENT).flat_map(|(_, files)| files);
    let next = segments
        .filter_map(|(path, _)| base_offset_of(path.strip_prefix(directory)?.strip_prefix('/')?))
        .filter(|found| *found > base_offset)
        .min();
    Some((base_offset, next))
}

/// Whether the byte is of a batch's base offset or leader epoch.
fn is_outside_crc(known: &Known, path: &str, position: u64, files: &Files) -> bool {
    let (Some(log), Some(segment)) = (log_of(known, path), segment_of(path, files)) else {
        return false;
    };
    let log = log.borrow();
    let batch = log.batch_at(segment, position);
    batch.is_some_and(|(_, within)| within < 8 || (12..16).contains(&within))
}
