//! Files: direct I/O on the core's own ring, with buffers that belong to the I/O until it completes.

use std::io;
use std::ops::Range;
use std::path::Path;

use bytes::Bytes;

use crate::buffer::{ALIGNMENT, AlignedBuffer};
use crate::environment::{Environment, current};
use crate::{real, sim};

/// How a file is opened. It is always readable and writable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// It must be there.
    Existing,
    /// It is made when it is not there.
    OrCreate,
    /// It must not be there.
    New,
}

/// An open file. Clones are the same file; the last one closes it. A future of this type may be
/// dropped at any time: the I/O still completes and its buffer lives until then.
#[derive(Clone)]
pub struct File(Inner);

#[derive(Clone)]
enum Inner {
    Real(real::file::File),
    Sim(sim::file::File),
}

impl File {
    /// Opens with `O_DIRECT`, or buffered where the file system has no direct I/O (see
    /// [`crate::host`]). A created file is durable by name only after [`crate::directory::sync`].
    pub async fn open(path: &Path, how: Open) -> io::Result<File> {
        Ok(File(match current() {
            Environment::Real(core) => Inner::Real(real::file::File::open(&core, path, how).await?),
            Environment::Sim(core) => Inner::Sim(sim::file::File::open(&core, path, how).await?),
        }))
    }

    /// Size in bytes: as found at open, then as this handle's own writes and `truncate` made it.
    pub fn size(&self) -> u64 {
        match &self.0 {
            Inner::Real(file) => file.size(),
            Inner::Sim(file) => file.size(),
        }
    }

    /// Reads into all of `buffer` from `position`; both are multiples of [`ALIGNMENT`]. Returns the
    /// buffer and how many of its bytes lie inside the file: bytes past its end are zero, never
    /// stale.
    pub async fn read_at(
        &self,
        buffer: AlignedBuffer,
        position: u64,
    ) -> (AlignedBuffer, io::Result<usize>) {
        assert!(position.is_multiple_of(ALIGNMENT as u64), "unaligned read at {position}");
        match &self.0 {
            Inner::Real(file) => file.read_at(buffer, position).await,
            Inner::Sim(file) => file.read_at(buffer, position).await,
        }
    }

    /// The bytes of `range` whatever its alignment; shorter where the file ends earlier.
    pub async fn read_range(&self, range: Range<u64>) -> io::Result<Bytes> {
        let end = range.end.min(self.size());
        if range.start >= end {
            return Ok(Bytes::new());
        }
        let alignment = ALIGNMENT as u64;
        let aligned_start = range.start / alignment * alignment;
        let aligned_size = (end - aligned_start).next_multiple_of(alignment) as usize;
        let (buffer, read) = self.read_at(AlignedBuffer::zeroed(aligned_size), aligned_start).await;
        let available = read?.min((end - aligned_start) as usize);
        let skip = ((range.start - aligned_start) as usize).min(available);
        Ok(buffer.into_bytes().slice(skip..available))
    }

    /// Where, from `position` on, the next byte is that may not be zero; `None` where the file has none.
    /// What was allocated and never written is so passed over without a read, as far as the file system
    /// can tell: any position may be named that has a zero.
    pub async fn written_from(&self, position: u64) -> io::Result<Option<u64>> {
        let found = match &self.0 {
            Inner::Real(file) => file.written_from(position).await?,
            Inner::Sim(file) => file.written_from(position).await?,
        };
        Ok(found.filter(|found| *found < self.size()))
    }

    /// Writes all of `data` at `position`. Address and length of `data`, and `position`, are multiples
    /// of [`ALIGNMENT`] (asserted). On return the device has the bytes; only [`File::flush`] makes
    /// them durable. On an error any part of the range may have been written.
    pub async fn write_at(&self, data: Bytes, position: u64) -> io::Result<()> {
        check_aligned(&data, position);
        match &self.0 {
            Inner::Real(file) => file.write_at(data, position).await,
            Inner::Sim(file) => file.write_at(data, position).await,
        }
    }

    /// As [`File::write_at`]; on return the bytes are durable, and the size with them. What other writes
    /// have brought before is not.
    pub async fn write_durably_at(&self, data: Bytes, position: u64) -> io::Result<()> {
        check_aligned(&data, position);
        match &self.0 {
            Inner::Real(file) => file.write_durably_at(data, position).await,
            Inner::Sim(file) => file.write_durably_at(data, position).await,
        }
    }

    /// `fdatasync`: on return everything written before the call is durable, and the size with it.
    pub async fn flush(&self) -> io::Result<()> {
        match &self.0 {
            Inner::Real(file) => file.flush().await,
            Inner::Sim(file) => file.flush().await,
        }
    }

    /// Makes the file exactly `size` bytes long; durable after [`File::flush`].
    pub async fn truncate(&self, size: u64) -> io::Result<()> {
        match &self.0 {
            Inner::Real(file) => file.truncate(size).await,
            Inner::Sim(file) => file.truncate(size).await,
        }
    }

    /// Allocates blocks for `range`, growing the file to its end where that is further.
    /// Errors: `StorageFull` changes nothing.
    pub async fn allocate(&self, range: Range<u64>) -> io::Result<()> {
        match &self.0 {
            Inner::Real(file) => file.allocate(range).await,
            Inner::Sim(file) => file.allocate(range).await,
        }
    }
}

fn check_aligned(data: &Bytes, position: u64) {
    assert!(position.is_multiple_of(ALIGNMENT as u64), "unaligned write at {position}");
    assert!(data.len().is_multiple_of(ALIGNMENT), "unaligned write of {} bytes", data.len());
    assert!(data.as_ptr().addr().is_multiple_of(ALIGNMENT), "write from an unaligned buffer");
}
