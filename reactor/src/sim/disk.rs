//! Disks of simulated nodes: operations in flight, latency, faults, and what a crash leaves.

mod content;
mod tree;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::rc::{Rc, Weak};

use bytes::Bytes;

pub(super) use self::tree::Inode;
use self::tree::Tree;
use super::core::SimCore;
use super::node::Life;
use super::world::{Trace, World};
use crate::buffer::ALIGNMENT;
use crate::directory::{Entry, Space};
use crate::file::Open;
use crate::sync::oneshot;

/// What is wrong with one disk, beside what the knobs say of all. The default is nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DiskFaults {
    /// Operations start but do not end until this is taken back.
    pub is_stalled: bool,
    /// Probabilities of an I/O error, where higher than the knobs'.
    pub read_error: f64,
    pub write_error: f64,
    pub flush_error: f64,
    /// A flush that fails says that the disk is full, as where blocks are allocated at write-back only.
    pub is_flush_full: bool,
    /// Probability that a write lands at another place of its file, where higher than the knobs'.
    pub misdirected_write: f64,
    /// Size of the disk, in place of the knobs'. What is above it already stays.
    pub capacity_bytes: Option<u64>,
}

/// The disks of one node, by mount point.
pub(super) struct Disks {
    mounts: RefCell<BTreeMap<PathBuf, Rc<Disk>>>,
}

impl Default for Disks {
    fn default() -> Self {
        let disks = Disks { mounts: RefCell::default() };
        disks.mount(Path::new("/"));
        disks
    }
}

impl Disks {
    /// Mounts an empty disk at `path`.
    pub(super) fn mount(&self, path: &Path) {
        self.mounts.borrow_mut().insert(path.to_owned(), Rc::default());
    }

    pub(super) fn all(&self) -> Vec<Rc<Disk>> {
        self.mounts.borrow().values().cloned().collect()
    }

    /// The disk that `path` lies on, and its names from the mount point on. A relative path starts at
    /// the root. Errors: `InvalidInput` for a path with `..` or one that is not UTF-8.
    pub(super) fn resolve(&self, path: &Path) -> io::Result<(Rc<Disk>, Vec<String>)> {
        let path = Path::new("/").join(path);
        let mounts = self.mounts.borrow();
        let (mount, disk) = mounts
            .iter()
            .filter(|(mount, _)| path.starts_with(mount))
            .max_by_key(|(mount, _)| mount.components().count())
            .ok_or(io::ErrorKind::InvalidInput)?;
        let below = path.strip_prefix(mount).map_err(|_| io::ErrorKind::InvalidInput)?;
        let names = below.components().filter(|component| *component != Component::CurDir);
        let names: io::Result<Vec<_>> = names.map(plain_name).collect();
        Ok((disk.clone(), names?))
    }
}

fn plain_name(component: Component<'_>) -> io::Result<String> {
    match component {
        Component::Normal(name) => {
            name.to_str().map(str::to_owned).ok_or_else(|| io::ErrorKind::InvalidInput.into())
        }
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

#[derive(Default)]
pub(super) struct Disk {
    tree: RefCell<Tree>,
    faults: RefCell<DiskFaults>,
    in_flight: RefCell<BTreeMap<u64, Operation>>,
    next_operation: Cell<u64>,
    /// Operations that are due but stalled.
    stalled: RefCell<Vec<u64>>,
    used_blocks: Cell<u64>,
    /// Locked directories, with the process that holds each.
    locks: RefCell<BTreeMap<Vec<String>, Weak<Life>>>,
}

type Effect = dyn FnOnce(&Disk, &World);

struct Operation {
    run: Box<Effect>,
    /// The file and bytes that a write covers.
    writes: Option<(u64, Range<u64>)>,
}

/// What kind of operation draws which kind of error.
#[derive(Clone, Copy)]
enum Access {
    Read,
    Write,
    Flush,
}

impl Disk {
    /// Starts an operation, which takes effect at its end even where the future is dropped. A crash
    /// before that ends it one way or the other.
    pub(super) fn submit<T: 'static>(
        self: &Rc<Self>,
        core: &Rc<SimCore>,
        run: impl FnOnce(&Disk, &World) -> T + 'static,
    ) -> impl Future<Output = T> {
        self.start(core, None, run)
    }

    fn start<T: 'static>(
        self: &Rc<Self>,
        core: &Rc<SimCore>,
        writes: Option<(u64, Range<u64>)>,
        run: impl FnOnce(&Disk, &World) -> T + 'static,
    ) -> impl Future<Output = T> {
        let (sender, receiver) = oneshot();
        // What a dying process still asks for has no effect.
        if core.life.is_alive.get() {
            let id = self.next_operation.get();
            self.next_operation.set(id + 1);
            let run = move |disk: &Disk, world: &World| {
                // Nobody may wait for the result any more.
                let _ = sender.send(run(disk, world));
            };
            self.in_flight.borrow_mut().insert(id, Operation { run: Box::new(run), writes });
            let disk = self.clone();
            core.world.after(latency(&core.world), move |world| disk.due(world, id));
        }
        async move {
            match receiver.await {
                Ok(result) => result,
                // The operation went down with its process, and so will this task.
                Err(_) => std::future::pending().await,
            }
        }
    }

    fn due(&self, world: &World, id: u64) {
        if self.faults.borrow().is_stalled {
            world.count_fault("disk_stalled");
            self.stalled.borrow_mut().push(id);
            return;
        }
        self.complete(world, id);
    }

    fn complete(&self, world: &World, id: u64) {
        let operation = self.in_flight.borrow_mut().remove(&id);
        if let Some(operation) = operation {
            world.trace(Trace::Disk, id, world.now().0);
            world.counters.borrow_mut().disk_operations += 1;
            (operation.run)(self, world);
        }
    }

    pub(super) fn set_faults(&self, world: &World, faults: DiskFaults) {
        let is_stalled = faults.is_stalled;
        self.faults.replace(faults);
        if !is_stalled {
            let mut due = self.stalled.take();
            world.disk_random().shuffle(&mut due);
            due.into_iter().for_each(|id| self.complete(world, id));
        }
    }

    /// The process `life` is gone: what it had in flight has happened or not.
    pub(super) fn process_died(&self, world: &World, life: &Rc<Life>) {
        self.stalled.take();
        let mut ids: Vec<u64> = self.in_flight.borrow().keys().copied().collect();
        world.disk_random().shuffle(&mut ids);
        for id in ids {
            if world.disk_random().chance(0.5) {
                self.complete(world, id);
            } else {
                let operation = self.in_flight.borrow_mut().remove(&id);
                drop(operation);
            }
        }
        let is_other = |holder: &Weak<Life>| !std::ptr::eq(holder.as_ptr(), Rc::as_ptr(life));
        self.locks.borrow_mut().retain(|_, holder| is_other(holder));
    }

    pub(super) fn lose_power(&self, world: &World) {
        let unsynced_lost = world.knobs().unsynced_lost;
        let has_lost = {
            let mut random = world.disk_random();
            self.tree.borrow_mut().lose_power(&mut random, unsynced_lost)
        };
        if has_lost {
            world.count_fault("unsynced_lost");
        }
        let used_blocks = self.tree.borrow().block_count();
        self.used_blocks.set(used_blocks);
        world.trace(Trace::PowerLoss, used_blocks, 0);
    }

    /// Drops what is in flight; the world ends.
    pub(super) fn clear(&self) {
        let in_flight = self.in_flight.take();
        drop(in_flight);
    }

    /// Flips a bit of what is stored at `position` of a file.
    pub(super) fn rot(&self, world: &World, path: &[String], position: u64) -> io::Result<bool> {
        let inode = self.tree.borrow().find(path)?;
        let bit = world.disk_random().below(8) as u8;
        let is_stored = inode.content()?.borrow_mut().rot(position, bit);
        if is_stored {
            world.count_fault("bit_rot");
        }
        Ok(is_stored)
    }

    /// Size of the file at `path`.
    pub(super) fn file_size(&self, path: &[String]) -> io::Result<u64> {
        let inode = self.tree.borrow().find(path)?;
        Ok(inode.content()?.borrow().size())
    }

    /// Paths of all files below the mount point.
    pub(super) fn file_paths(&self) -> Vec<String> {
        self.tree.borrow().files().into_iter().map(|(path, _)| path).collect()
    }

    fn draw_error(&self, world: &World, access: Access) -> io::Result<()> {
        let knobs = world.knobs();
        let (probability, kind, code) = {
            let faults = self.faults.borrow();
            let flush_code = if faults.is_flush_full { libc::ENOSPC } else { libc::EIO };
            let (probability, knob, kind, code) = match access {
                Access::Read => (faults.read_error, knobs.read_error, "read_error", libc::EIO),
                Access::Write => (faults.write_error, knobs.write_error, "write_error", libc::EIO),
                Access::Flush => (faults.flush_error, knobs.flush_error, "flush_error", flush_code),
            };
            (probability.max(knob), kind, code)
        };
        if world.disk_random().chance(probability) {
            world.count_fault(kind);
            return Err(io::Error::from_raw_os_error(code));
        }
        Ok(())
    }

    fn capacity_bytes(&self, world: &World) -> u64 {
        let capacity = self.faults.borrow().capacity_bytes;
        capacity.unwrap_or(world.knobs().disk_capacity_bytes)
    }

    fn free_blocks(&self, world: &World) -> u64 {
        (self.capacity_bytes(world) / ALIGNMENT as u64).saturating_sub(self.used_blocks.get())
    }

    pub(super) fn space(&self, world: &World) -> Space {
        Space {
            total_bytes: self.capacity_bytes(world),
            free_bytes: self.free_blocks(world) * ALIGNMENT as u64,
        }
    }

    /// Runs `action` on the content of `inode`, which may allocate `missing` blocks, and accounts for
    /// what it allocated or freed. Errors: `StorageFull`, and then nothing has changed.
    fn change_content(
        &self,
        world: &World,
        inode: &Inode,
        missing: u64,
        action: impl FnOnce(&mut content::Content),
    ) -> io::Result<()> {
        if missing > 0 && missing > self.free_blocks(world) {
            world.count_fault("disk_full");
            return Err(io::ErrorKind::StorageFull.into());
        }
        let mut content = inode.content()?.borrow_mut();
        let before = content.block_count();
        action(&mut content);
        if !inode.is_unlinked.get() {
            self.used_blocks.set(self.used_blocks.get() + content.block_count() - before);
        }
        Ok(())
    }

    fn free_blocks_of(&self, inode: &Inode) {
        let freed = inode.content().map_or(0, |content| content.borrow().block_count());
        self.used_blocks.set(self.used_blocks.get().saturating_sub(freed));
    }
}

/// Operations on files, for [`super::file`].
impl Disk {
    pub(super) fn open(&self, world: &World, path: &[String], how: Open) -> io::Result<Rc<Inode>> {
        self.draw_error(world, Access::Read)?;
        let mut tree = self.tree.borrow_mut();
        let inode = match (tree.find(path), how) {
            (Ok(_), Open::New) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Ok(inode), Open::Existing | Open::OrCreate) => inode,
            (Err(error), Open::OrCreate | Open::New) if error.kind() == io::ErrorKind::NotFound => {
                tree.create(path, false)?
            }
            (Err(error), _) => return Err(error),
        };
        inode.content()?;
        Ok(inode)
    }

    pub(super) fn size(&self, inode: &Inode) -> u64 {
        inode.content().map_or(0, |content| content.borrow().size())
    }

    pub(super) fn read(
        &self,
        world: &World,
        inode: &Inode,
        position: u64,
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        self.draw_error(world, Access::Read)?;
        Ok(inode.content()?.borrow().read(position, buffer))
    }

    /// Starts to write `data` at `position`; both are block-aligned. No other write to one of these
    /// blocks may be in flight: on a real disk either could win, block by block. Where it succeeds,
    /// `written` is called.
    pub(super) fn start_write(
        self: &Rc<Self>,
        core: &Rc<SimCore>,
        inode: &Rc<Inode>,
        data: Bytes,
        position: u64,
        written: impl FnOnce() + 'static,
    ) -> impl Future<Output = io::Result<()>> {
        let range = position..position + data.len() as u64;
        for operation in self.in_flight.borrow().values() {
            if let Some((other_inode, other)) = &operation.writes {
                let overlaps = range.start < other.end && other.start < range.end;
                assert!(
                    *other_inode != inode.id || !overlaps,
                    "two writes in flight to one block: {range:?} and {other:?}"
                );
            }
        }
        let inode = inode.clone();
        self.start(core, Some((inode.id, range)), move |disk, world| {
            let result = disk.write(world, &inode, &data, position);
            if result.is_ok() {
                written();
            }
            result
        })
    }

    fn write(&self, world: &World, inode: &Inode, data: &Bytes, position: u64) -> io::Result<()> {
        // Copied at the end of the write: what its buffer holds now is what reaches the disk.
        let mut data = Bytes::copy_from_slice(data);
        let size = data.len() as u64;
        let mut position = position;
        let failed = self.draw_error(world, Access::Write);
        if failed.is_err() {
            // Any part may have been written: here, some blocks in a row.
            let mut random = world.disk_random();
            let start = random.index(data.len() / ALIGNMENT + 1) * ALIGNMENT;
            let end = random.index(data.len() / ALIGNMENT + 1) * ALIGNMENT;
            data = data.slice(start.min(end)..start.max(end));
            position += start.min(end) as u64;
        }
        let misdirected = self.faults.borrow().misdirected_write;
        if world.disk_random().chance(misdirected.max(world.knobs().misdirected_write)) {
            let places = (self.size(inode).max(position + size) - size) / ALIGNMENT as u64 + 1;
            position = world.disk_random().below(places) * ALIGNMENT as u64;
            world.count_fault("misdirected_write");
        }
        let missing = inode.content()?.borrow().missing_blocks(position, data.len() as u64);
        world.counters.borrow_mut().disk_written_bytes += data.len() as u64;
        if !data.is_empty() {
            self.change_content(world, inode, missing, |content| content.write(position, data))?;
        }
        failed
    }

    pub(super) fn truncate(&self, world: &World, inode: &Inode, size: u64) -> io::Result<()> {
        self.draw_error(world, Access::Write)?;
        self.change_content(world, inode, 0, |content| content.resize(size))
    }

    pub(super) fn written_from(
        &self,
        world: &World,
        inode: &Inode,
        position: u64,
    ) -> io::Result<Option<u64>> {
        self.draw_error(world, Access::Read)?;
        Ok(inode.content()?.borrow().written_from(position))
    }

    pub(super) fn allocate(
        &self,
        world: &World,
        inode: &Inode,
        range: &Range<u64>,
    ) -> io::Result<()> {
        self.draw_error(world, Access::Write)?;
        let size = range.end.saturating_sub(range.start);
        let missing = inode.content()?.borrow().missing_blocks(range.start, size);
        self.change_content(world, inode, missing, |content| {
            content.allocate(range.start, range.end);
        })
    }

    /// How many changes of the file a flush that starts now must make durable.
    pub(super) fn changes_made(&self, inode: &Inode) -> u64 {
        inode.content().map_or(0, |content| content.borrow().changes_made())
    }

    pub(super) fn flush(&self, world: &World, inode: &Inode, changes_made: u64) -> io::Result<()> {
        world.counters.borrow_mut().flushes += 1;
        let failed = self.draw_error(world, Access::Flush);
        let mut content = inode.content()?.borrow_mut();
        if failed.is_err() {
            content.fail_flush(&mut world.disk_random());
        } else {
            content.flush(changes_made);
        }
        failed
    }

    /// Makes durable what was written within `range`.
    pub(super) fn flush_range(
        &self,
        world: &World,
        inode: &Inode,
        range: &Range<u64>,
    ) -> io::Result<()> {
        world.counters.borrow_mut().flushes += 1;
        let failed = self.draw_error(world, Access::Flush);
        let mut content = inode.content()?.borrow_mut();
        if failed.is_err() {
            content.fail_flush(&mut world.disk_random());
        } else {
            content.flush_range(range);
        }
        failed
    }
}

/// Operations on names, for [`super::directory`].
impl Disk {
    /// Makes one directory, where it is not there.
    pub(super) fn create_directory(&self, world: &World, path: &[String]) -> io::Result<()> {
        self.draw_error(world, Access::Write)?;
        let mut tree = self.tree.borrow_mut();
        match tree.create(path, true) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => tree.list(path).map(drop),
            made => made.map(drop),
        }
    }

    pub(super) fn list(&self, world: &World, path: &[String]) -> io::Result<Vec<Entry>> {
        self.draw_error(world, Access::Read)?;
        self.tree.borrow().list(path)
    }

    pub(super) fn rename(&self, world: &World, from: &[String], to: &[String]) -> io::Result<()> {
        self.draw_error(world, Access::Write)?;
        let replaced = self.tree.borrow_mut().rename(from, to)?;
        if let Some(replaced) = replaced {
            self.free_blocks_of(&replaced);
        }
        Ok(())
    }

    pub(super) fn remove_file(&self, world: &World, path: &[String]) -> io::Result<()> {
        self.draw_error(world, Access::Write)?;
        let removed = self.tree.borrow_mut().remove_file(path)?;
        self.free_blocks_of(&removed);
        Ok(())
    }

    pub(super) fn remove_directory(&self, world: &World, path: &[String]) -> io::Result<()> {
        self.draw_error(world, Access::Write)?;
        self.tree.borrow_mut().remove_directory(path)
    }

    pub(super) fn sync_directory(&self, world: &World, path: &[String]) -> io::Result<()> {
        world.counters.borrow_mut().flushes += 1;
        self.draw_error(world, Access::Flush)?;
        self.tree.borrow_mut().sync(path)
    }

    /// Locks the directory at `path` for the process `life`. Errors: `WouldBlock` while it is held.
    pub(super) fn lock(&self, path: &[String], life: &Rc<Life>) -> io::Result<()> {
        let mut locks = self.locks.borrow_mut();
        if locks.contains_key(path) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        locks.insert(path.to_vec(), Rc::downgrade(life));
        Ok(())
    }

    pub(super) fn unlock(&self, path: &[String]) {
        self.locks.borrow_mut().remove(path);
    }
}

fn latency(world: &World) -> std::time::Duration {
    let knobs = world.knobs();
    let mut random = world.disk_random();
    if random.chance(knobs.disk_slow) {
        random.span(&knobs.disk_slow_latency)
    } else {
        random.span(&knobs.disk_latency)
    }
}

#[cfg(test)]
mod tests;
