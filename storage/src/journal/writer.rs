//! Writing the journal: one group at a time, file after file.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use protocol::model::{PartitionId, TopicId};
use reactor::buffer::{ALIGNMENT, AlignedBuffer};
use reactor::task::Group as Tasks;

use super::file::{FileUse, HEADER_BLOCK_SIZE_BYTES, JournalFile};
use super::group::Group;
use super::guard;
use super::record::{Kind, Place};
use super::spare::{Ready, Spares};
use crate::error::StorageError;
use crate::settings::Settings;

/// A file that runs over before the next one is ready grows by this at a time.
const GROWTH_SIZE_BYTES: u64 = 1 << 20;
/// How long a disk without room for another file is left alone.
const RETRY_AFTER_FULL: Duration = Duration::from_secs(1);

/// A core's journal in one log directory. Clones are one journal.
///
/// A group is on the device when `write` returns, and durable when `flush` does. One write is in flight
/// at a time, and one flush (asserted): the next group gathers meanwhile. A future of these that is
/// dropped half way leaves the journal unusable.
#[derive(Clone)]
pub struct Journal {
    inner: Rc<Inner>,
}

/// A position between two records of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    sequence: u64,
}

/// How far a group is brought.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    Written,
    Durable,
}

struct Inner {
    directory: PathBuf,
    state: RefCell<State>,
    tasks: Tasks,
}

struct State {
    spares: Spares,
    /// Files before the current one that hold records, the oldest first.
    older: VecDeque<Live>,
    /// The file that groups are written to; `None` only while the disk has no room for one.
    current: Option<Live>,
    next: Next,
    /// Of the next record.
    next_sequence: u64,
    /// Records below are on the device; and flushed.
    written_sequence: u64,
    flushed_sequence: u64,
    /// Each partition's last fence, while older records may be on disk.
    fences: BTreeMap<(TopicId, PartitionId), u64>,
    /// The next group begins another file, if one is ready.
    leave_current: bool,
    is_guarded: bool,
    is_writing: bool,
    is_flushing: bool,
    is_recycling: bool,
    failed: Option<Arc<StorageError>>,
}

/// A file that holds records, or is about to.
struct Live {
    file: JournalFile,
    file_use: FileUse,
    /// Where the next group goes.
    end_position: u64,
    /// Of its first record; and of the first one behind it.
    first_sequence: u64,
    end_sequence: u64,
}

/// The file after the current one.
enum Next {
    Missing { retry_at: reactor::Instant },
    Preparing,
    Ready(Ready),
}

impl Journal {
    /// The journal of `core` in `directory`, with a file ready for the first group. What an earlier run
    /// left there is void: [`super::Replay`] comes first (asserted).
    pub async fn open(
        directory: &Path,
        core: u32,
        settings: &Settings,
    ) -> Result<Journal, StorageError> {
        let mut spares = Spares::open(directory, core, settings).await?;
        let source = spares.take();
        let next_sequence = source.file_use().sequence_min();
        let current = match source.prepare(next_sequence).await {
            Ok(ready) => Some(Live::begin(ready, next_sequence)),
            // Groups are refused until there is room; reads and deletions are not.
            Err(error) if error.is_full() => None,
            Err(error) => return Err(error),
        };
        let state = State {
            spares,
            older: VecDeque::new(),
            current,
            next: Next::Missing { retry_at: reactor::Instant::default() },
            next_sequence,
            written_sequence: next_sequence,
            flushed_sequence: next_sequence,
            fences: BTreeMap::new(),
            leave_current: false,
            is_guarded: false,
            is_writing: false,
            is_flushing: false,
            is_recycling: false,
            failed: None,
        };
        let inner = Inner {
            directory: directory.to_owned(),
            state: RefCell::new(state),
            tasks: Tasks::new(),
        };
        Ok(Journal { inner: Rc::new(inner) })
    }

    /// Writes `group`, in one operation with its flush where no other group waits for one: on return it
    /// is durable, and so are all before it. Errors: as [`Journal::write`]'s.
    pub async fn commit(&self, group: Group) -> Result<(), StorageError> {
        let is_next = {
            let state = self.inner.state.borrow();
            state.flushed_sequence == state.next_sequence
        };
        if is_next {
            self.put(group, Until::Durable).await
        } else {
            self.put(group, Until::Written).await?;
            self.flush().await
        }
    }

    /// Writes `group`. On return the device has it, and a killed process does not lose it; only
    /// [`Journal::flush`] makes it durable.
    ///
    /// Errors: one of a full disk ([`StorageError::is_full`]) has written nothing, and the journal goes on
    /// where there is room again. Any other one ends it, a failed flush whatever it says: it, and every
    /// later call, is refused, and the records may or may not be found by a replay.
    pub async fn write(&self, group: Group) -> Result<(), StorageError> {
        self.put(group, Until::Written).await
    }

    async fn put(&self, group: Group, until: Until) -> Result<(), StorageError> {
        self.inner.check_usable()?;
        if group.is_empty() {
            return Ok(());
        }
        let was_writing = std::mem::replace(&mut self.inner.state.borrow_mut().is_writing, true);
        assert!(!was_writing, "two groups are written at once");
        let written = self.inner.write(group, until).await;
        self.inner.state.borrow_mut().is_writing = false;
        self.inner.prepare_next();
        written
    }

    /// Makes all groups durable whose `write` had returned before the call. Errors: the journal ends.
    pub async fn flush(&self) -> Result<(), StorageError> {
        self.inner.check_usable()?;
        let was_flushing = std::mem::replace(&mut self.inner.state.borrow_mut().is_flushing, true);
        assert!(!was_flushing, "two flushes at once");
        let flushed = self.inner.flush().await.map_err(|error| self.inner.poison(error));
        self.inner.state.borrow_mut().is_flushing = false;
        flushed
    }

    /// A position that only groups stand before that were given to `write` so far. Where the current file
    /// is half full, later groups go to another one, so that it can be given back.
    pub fn mark(&self) -> Mark {
        let mut state = self.inner.state.borrow_mut();
        let is_half_full = state.current.as_ref().is_some_and(Live::is_half_full);
        state.leave_current = is_half_full;
        Mark { sequence: state.next_sequence }
    }

    /// Gives back the files whose records all stand before `mark`, the oldest first: a replay does not
    /// see them any more. Everything before the mark is in flushed segments, and the checkpoint that
    /// says so is durable. Not to be called again before it returns (asserted).
    pub async fn recycle_before(&self, mark: Mark) -> Result<(), StorageError> {
        self.inner.check_usable()?;
        let inner = &self.inner;
        let was = std::mem::replace(&mut inner.state.borrow_mut().is_recycling, true);
        assert!(!was, "two recyclings at once");
        let recycled = inner.recycle_before(mark).await.map_err(|error| inner.poison(error));
        inner.state.borrow_mut().is_recycling = false;
        inner.prepare_next();
        recycled
    }

    /// Bytes that a replay would read.
    pub fn size_bytes(&self) -> u64 {
        let state = self.inner.state.borrow();
        state.older.iter().chain(&state.current).map(Live::used_size_bytes).sum()
    }

    /// Empties the journal for a clean stop: everything in it is in flushed segments. On return all
    /// files are void, durably, and stay for the next start; nothing is written here any more.
    pub async fn clear(&self) -> Result<(), StorageError> {
        self.inner.check_usable()?;
        self.inner.tasks.ended().await;
        self.inner.check_usable()?;
        self.inner.clear().await.map_err(|error| self.inner.poison(error))
    }
}

impl Inner {
    fn check_usable(&self) -> Result<(), StorageError> {
        match &self.state.borrow().failed {
            None => Ok(()),
            Some(source) => Err(self.offline(source.clone())),
        }
    }

    fn offline(&self, source: Arc<StorageError>) -> StorageError {
        StorageError::Offline { directory: self.directory.clone(), source }
    }

    /// Ends the journal because of `error`. Returns what the caller hears of it.
    fn poison(&self, error: StorageError) -> StorageError {
        let source = Arc::new(error);
        self.state.borrow_mut().failed.get_or_insert_with(|| source.clone());
        self.offline(source)
    }

    async fn write(&self, group: Group, until: Until) -> Result<(), StorageError> {
        let prepared = match self.guard().await {
            Ok(()) => self.make_room(group.size_bytes() as u64).await,
            Err(error) => Err(error),
        };
        match prepared {
            Ok(()) => {}
            Err(error) if error.is_full() => return Err(error),
            Err(error) => return Err(self.poison(error)),
        }
        let (file, bytes, position) = self.state.borrow_mut().place(group);
        let written = match until {
            Until::Written => file.write(bytes, position).await,
            Until::Durable => file.write_durably(bytes, position).await,
        };
        written.map_err(|error| self.poison(error))?;
        let mut state = self.state.borrow_mut();
        state.written_sequence = state.next_sequence;
        if until == Until::Durable {
            state.flushed_sequence = state.next_sequence;
        }
        Ok(())
    }

    /// On return the guard stands, durably.
    async fn guard(&self) -> Result<(), StorageError> {
        let is_guarded = self.state.borrow().is_guarded;
        if !is_guarded {
            guard::create(&self.directory).await?;
            self.state.borrow_mut().is_guarded = true;
        }
        Ok(())
    }

    async fn flush(&self) -> Result<(), StorageError> {
        let (file, sequence) = {
            let state = self.state.borrow();
            let file = state.current.as_ref().map(|current| current.file.clone());
            (file, state.written_sequence)
        };
        if let Some(file) = file {
            file.flush().await?;
        }
        let mut state = self.state.borrow_mut();
        state.flushed_sequence = state.flushed_sequence.max(sequence);
        Ok(())
    }

    /// On return there is a current file, with blocks for a group of `size_bytes`. Errors: after one of
    /// a full disk nothing has changed.
    async fn make_room(&self, size_bytes: u64) -> Result<(), StorageError> {
        self.maybe_leave(size_bytes).await?;
        let current = self.state.borrow().current.as_ref().map(|current| {
            let file = current.file.clone();
            (file, current.end_position + size_bytes)
        });
        let Some((file, end)) = current else {
            let full = io::ErrorKind::StorageFull.into();
            return Err(StorageError::io("make a journal file in", &self.directory)(full));
        };
        let size = file.file.size();
        if end <= size {
            return Ok(());
        }
        // It runs over before the next one is ready: it grows, and pays with slower flushes.
        reactor::mark!(journal_file_grown);
        let ahead = end.next_multiple_of(GROWTH_SIZE_BYTES.min(size));
        let mut allocated = file.file.allocate(size..ahead).await;
        if allocated.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::StorageFull) {
            allocated = file.file.allocate(size..end).await;
        }
        allocated.map_err(StorageError::io("allocate", &file.path))
    }

    /// Goes on to the next file where the current one has no room for `size_bytes`, or is better left,
    /// or is missing, if the next one is ready.
    async fn maybe_leave(&self, size_bytes: u64) -> Result<(), StorageError> {
        let left = {
            let state = self.state.borrow();
            if !matches!(state.next, Next::Ready(_)) {
                return Ok(());
            }
            state.current.as_ref().map(|current| {
                let is_over = current.end_position + size_bytes > current.file.file.size();
                let leaves = current.end_sequence > current.first_sequence
                    && (state.leave_current || is_over);
                (current.file.clone(), leaves, state.flushed_sequence < state.next_sequence)
            })
        };
        if let Some((file, leaves, is_unflushed)) = left {
            if !leaves {
                return Ok(());
            }
            // All records of a file are flushed before the next file has any.
            if is_unflushed {
                file.flush().await?;
            }
        }
        self.state.borrow_mut().leave();
        Ok(())
    }

    /// Has the next file made when the current one is half full.
    fn prepare_next(self: &Rc<Self>) {
        let (source, oldest_sequence) = {
            let mut state = self.state.borrow_mut();
            let is_due = state.current.as_ref().is_none_or(Live::is_half_full);
            let Next::Missing { retry_at } = state.next else {
                return;
            };
            if !is_due || state.failed.is_some() || reactor::now() < retry_at {
                return;
            }
            state.next = Next::Preparing;
            (state.spares.take(), state.oldest_sequence())
        };
        let inner = self.clone();
        self.tasks.spawn(async move {
            let prepared = source.prepare(oldest_sequence).await;
            let next = match prepared {
                Ok(ready) => Next::Ready(ready),
                // Not needed yet: the current file grows.
                Err(error) if error.is_full() => {
                    Next::Missing { retry_at: reactor::now() + RETRY_AFTER_FULL }
                }
                Err(error) => {
                    inner.poison(error);
                    return;
                }
            };
            let late = match &next {
                Next::Ready(ready) => Some(ready.file.clone()),
                Next::Missing { .. } | Next::Preparing => None,
            };
            inner.state.borrow_mut().next = next;
            if reactor::planted!(journal_zeroed_while_in_use)
                && let Some(file) = late
            {
                let zeros = AlignedBuffer::zeroed(ALIGNMENT).into_bytes();
                // Whatever comes of it.
                let _ = file.write(zeros, HEADER_BLOCK_SIZE_BYTES).await;
            }
        });
    }

    async fn recycle_before(&self, mark: Mark) -> Result<(), StorageError> {
        self.maybe_leave_done(mark).await?;
        loop {
            let oldest = {
                let mut state = self.state.borrow_mut();
                let is_done = state.older.front().is_some_and(|oldest| oldest.is_before(mark));
                if is_done { state.older.pop_front() } else { None }
            };
            let Some(oldest) = oldest else {
                break;
            };
            oldest.file.make_void(oldest.file_use.file_epoch).await?;
            reactor::mark!(journal_file_recycled);
            let is_wanted = self.state.borrow().spares.wants(oldest.file.file.size());
            if is_wanted {
                self.state.borrow_mut().spares.give(oldest.file);
            } else {
                oldest.file.remove().await?;
            }
        }
        let mut state = self.state.borrow_mut();
        let oldest_sequence = state.oldest_sequence();
        // All records that the others made void are void by themselves now.
        state.fences.retain(|_, fence| *fence >= oldest_sequence);
        Ok(())
    }

    /// Goes on to the next file where the current one is half full and all of it stands before `mark`:
    /// no group may come for long that would leave it.
    async fn maybe_leave_done(&self, mark: Mark) -> Result<(), StorageError> {
        loop {
            let file = {
                let mut state = self.state.borrow_mut();
                let is_done = |live: &Live| live.is_before(mark) && live.is_half_full();
                let is_ready = matches!(state.next, Next::Ready(_)) && !state.is_writing;
                match state.current.as_ref().filter(|current| is_ready && is_done(current)) {
                    None => return Ok(()),
                    Some(_) if state.flushed_sequence == state.next_sequence => {
                        reactor::mark!(journal_file_left);
                        state.leave();
                        return Ok(());
                    }
                    Some(current) => current.file.clone(),
                }
            };
            // As ever, all records of a file are flushed before the next file has any. A group that was
            // written meanwhile keeps the file.
            let written_sequence = self.state.borrow().written_sequence;
            file.flush().await?;
            let mut state = self.state.borrow_mut();
            state.flushed_sequence = state.flushed_sequence.max(written_sequence);
        }
    }

    async fn clear(&self) -> Result<(), StorageError> {
        let live: Vec<Live> = {
            let mut state = self.state.borrow_mut();
            state.failed =
                Some(Arc::new(StorageError::Closed { directory: self.directory.clone() }));
            let next = std::mem::replace(
                &mut state.next,
                Next::Missing { retry_at: reactor::Instant::default() },
            );
            let next = match next {
                Next::Ready(ready) => Some(Live::begin(ready, state.next_sequence)),
                Next::Preparing | Next::Missing { .. } => None,
            };
            let older = std::mem::take(&mut state.older);
            older.into_iter().chain(state.current.take()).chain(next).collect()
        };
        for Live { file, file_use, .. } in live {
            file.make_void(file_use.file_epoch).await?;
        }
        Ok(())
    }
}

impl State {
    /// Records below are in files that were given back.
    fn oldest_sequence(&self) -> u64 {
        let mut live = self.older.iter().chain(&self.current);
        live.next().map_or(self.next_sequence, |oldest| oldest.first_sequence)
    }

    /// Goes on to the next file, if it is ready.
    fn leave(&mut self) {
        let missing = Next::Missing { retry_at: reactor::Instant::default() };
        match std::mem::replace(&mut self.next, missing) {
            Next::Ready(ready) => {
                let next = Live::begin(ready, self.next_sequence);
                self.older.extend(self.current.replace(next));
                self.flushed_sequence = self.next_sequence;
                self.leave_current = false;
            }
            other => self.next = other,
        }
    }

    /// Gives the records of `group` their places, at the end of the current file.
    fn place(&mut self, group: Group) -> (JournalFile, Bytes, u64) {
        let oldest_sequence = self.oldest_sequence();
        let current = self.current.as_mut().expect("there is room in it");
        let (start, file_use) = (current.end_position, current.file_use);
        let first_sequence = current.first_sequence;
        let flushed_sequence = self.flushed_sequence;
        let (fences, sequence) = (&mut self.fences, &mut self.next_sequence);
        let bytes = group.seal(|position, kind, share| {
            let partition = (share.topic_id, share.partition);
            match kind {
                Kind::Fence(_) => {
                    fences.insert(partition, *sequence);
                }
                Kind::Batches => {}
            }
            let place = Place {
                file_use,
                position: start + position,
                sequence: *sequence,
                first_sequence,
                oldest_sequence,
                flushed_sequence,
                fenced_sequence: fences.get(&partition).copied().unwrap_or(0),
                following_count: 0,
            };
            *sequence += 1;
            place
        });
        current.end_position += bytes.len() as u64;
        current.end_sequence = *sequence;
        (current.file.clone(), bytes, start)
    }
}

impl Live {
    fn begin(ready: Ready, first_sequence: u64) -> Live {
        Live {
            file: ready.file,
            file_use: ready.file_use,
            end_position: HEADER_BLOCK_SIZE_BYTES,
            first_sequence,
            end_sequence: first_sequence,
        }
    }

    /// Whether it has records, all of them before `mark`.
    fn is_before(&self, mark: Mark) -> bool {
        self.first_sequence < self.end_sequence && self.end_sequence <= mark.sequence
    }

    fn is_half_full(&self) -> bool {
        2 * self.end_position >= self.file.file.size()
    }

    fn used_size_bytes(&self) -> u64 {
        self.end_position - HEADER_BLOCK_SIZE_BYTES
    }
}
