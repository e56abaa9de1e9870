//! Files of simulated nodes, as [`crate::file`] uses them.

use std::cell::Cell;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;

use bytes::Bytes;

use super::core::SimCore;
use super::disk::{Disk, Inode};
use crate::buffer::AlignedBuffer;
use crate::file::Open;

#[derive(Clone)]
pub(crate) struct File {
    core: Rc<SimCore>,
    disk: Rc<Disk>,
    inode: Rc<Inode>,
    /// Shared by clones, and by operations that outlive them.
    size: Rc<Cell<u64>>,
}

impl File {
    pub(crate) async fn open(core: &Rc<SimCore>, path: &Path, how: Open) -> io::Result<Self> {
        let (disk, names) = core.node.disks.resolve(path)?;
        let opened = disk.submit(core, move |disk, world| {
            let inode = disk.open(world, &names, how)?;
            io::Result::Ok((disk.size(&inode), inode))
        });
        let (size, inode) = opened.await?;
        Ok(File { core: core.clone(), disk, inode, size: Rc::new(Cell::new(size)) })
    }

    pub(crate) fn size(&self) -> u64 {
        self.size.get()
    }

    pub(crate) async fn read_at(
        &self,
        mut buffer: AlignedBuffer,
        position: u64,
    ) -> (AlignedBuffer, io::Result<usize>) {
        if buffer.is_empty() {
            return (buffer, Ok(0));
        }
        let inode = self.inode.clone();
        let read = self.disk.submit(&self.core, move |disk, world| {
            let result = disk.read(world, &inode, position, &mut buffer);
            (buffer, result)
        });
        read.await
    }

    pub(crate) async fn write_at(&self, data: Bytes, position: u64) -> io::Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        let end = position + data.len() as u64;
        let size = self.size.clone();
        let written = move || size.set(size.get().max(end));
        self.disk.start_write(&self.core, &self.inode, data, position, written).await
    }

    pub(crate) async fn write_durably_at(&self, data: Bytes, position: u64) -> io::Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        let range = position..position + data.len() as u64;
        self.write_at(data, position).await?;
        let inode = self.inode.clone();
        let flushed = self
            .disk
            .submit(&self.core, move |disk, world| disk.flush_range(world, &inode, &range));
        flushed.await
    }

    pub(crate) async fn flush(&self) -> io::Result<()> {
        // Writes that end after this call began are not covered, also where they end before it does.
        let changes_made = self.disk.changes_made(&self.inode);
        let inode = self.inode.clone();
        let flushed = self
            .disk
            .submit(&self.core, move |disk, world| disk.flush(world, &inode, changes_made));
        flushed.await
    }

    pub(crate) async fn truncate(&self, size: u64) -> io::Result<()> {
        let (inode, handle_size) = (self.inode.clone(), self.size.clone());
        let truncated = self.disk.submit(&self.core, move |disk, world| {
            disk.truncate(world, &inode, size)?;
            handle_size.set(size);
            Ok(())
        });
        truncated.await
    }

    pub(crate) async fn written_from(&self, position: u64) -> io::Result<Option<u64>> {
        let inode = self.inode.clone();
        let found = self
            .disk
            .submit(&self.core, move |disk, world| disk.written_from(world, &inode, position));
        found.await
    }

    pub(crate) async fn allocate(&self, range: Range<u64>) -> io::Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        let (inode, size) = (self.inode.clone(), self.size.clone());
        let allocated = self.disk.submit(&self.core, move |disk, world| {
            disk.allocate(world, &inode, &range)?;
            size.set(size.get().max(range.end));
            Ok(())
        });
        allocated.await
    }
}
