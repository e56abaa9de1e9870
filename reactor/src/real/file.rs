//! Files on the core's ring.

use std::fs;
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::core::RealCore;
use super::host;
use super::operation::Operation;
use crate::buffer::AlignedBuffer;
use crate::file::Open;

#[derive(Clone)]
pub(crate) struct File {
    core: Rc<RealCore>,
    open: Arc<OpenFile>,
}

/// What operations and helper jobs share: the descriptor closes when the last of them has ended.
pub(crate) struct OpenFile {
    descriptor: OwnedFd,
    size: AtomicU64,
}

impl OpenFile {
    pub(crate) fn descriptor(&self) -> &OwnedFd {
        &self.descriptor
    }

    /// The file is known to reach `end`.
    pub(crate) fn grow_to(&self, end: u64) {
        self.size.fetch_max(end, Ordering::Relaxed);
    }
}

impl File {
    pub(crate) async fn open(core: &Rc<RealCore>, path: &Path, how: Open) -> io::Result<Self> {
        let path = path.to_path_buf();
        let open = core.helper().run(move || open_file(&path, how)).await?;
        Ok(File { core: core.clone(), open: Arc::new(open) })
    }

    pub(crate) fn size(&self) -> u64 {
        self.open.size.load(Ordering::Relaxed)
    }

    pub(crate) async fn read_at(
        &self,
        buffer: AlignedBuffer,
        position: u64,
    ) -> (AlignedBuffer, io::Result<usize>) {
        if buffer.is_empty() {
            return (buffer, Ok(0));
        }
        match self.run(Operation::read(self.open.clone(), buffer, position)).await {
            (Operation::Read { buffer, .. }, result) => (buffer, result),
            _ => unreachable!("an operation stays what it is"),
        }
    }

    pub(crate) async fn write_at(&self, data: Bytes, position: u64) -> io::Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        self.run(Operation::write(self.open.clone(), data, position)).await.1.map(|_| ())
    }

    /// One operation instead of two, where the write is one: the core sleeps once (pwritev2(2),
    /// `RWF_DSYNC`).
    pub(crate) async fn write_durably_at(&self, data: Bytes, position: u64) -> io::Result<()> {
        match Operation::durable_write(&self.open, &data, position) {
            Some(write) if !data.is_empty() => self.run(write).await.1.map(|_| ()),
            _ => {
                self.write_at(data, position).await?;
                self.flush().await
            }
        }
    }

    pub(crate) async fn flush(&self) -> io::Result<()> {
        self.run(Operation::Flush { file: self.open.clone() }).await.1.map(|_| ())
    }

    /// By the helper thread: the ring can do it on the newest kernels only.
    pub(crate) async fn truncate(&self, size: u64) -> io::Result<()> {
        let open = self.open.clone();
        self.core.helper().run(move || truncate(&open, size)).await
    }

    /// By the helper thread: the ring cannot do it.
    pub(crate) async fn written_from(&self, position: u64) -> io::Result<Option<u64>> {
        let open = self.open.clone();
        self.core.helper().run(move || written_from(&open, position)).await
    }

    pub(crate) async fn allocate(&self, range: Range<u64>) -> io::Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        self.run(Operation::Allocate { file: self.open.clone(), range }).await.1.map(|_| ())
    }

    async fn run(&self, operation: Operation) -> (Operation, io::Result<usize>) {
        self.core.ring().start(operation).await
    }
}

fn open_file(path: &Path, how: Open) -> io::Result<OpenFile> {
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).custom_flags(libc::O_CLOEXEC);
    match how {
        Open::Existing => {}
        Open::OrCreate => {
            options.create(true).truncate(false);
        }
        Open::New => {
            options.create_new(true);
        }
    }
    let file = options.open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::Error::from_raw_os_error(libc::EISDIR));
    }
    if !host::is_buffered(metadata.dev()) {
        set_direct(&file)?;
    }
    Ok(OpenFile { descriptor: file.into(), size: AtomicU64::new(metadata.len()) })
}

/// Switches direct I/O on after the open: an open with `O_DIRECT` that is refused leaves the file
/// that it has created behind. Where the file system has none, the file stays buffered.
fn set_direct(file: &fs::File) -> io::Result<()> {
    // SAFETY: the descriptor is open; neither call takes a pointer.
    let result = unsafe {
        match libc::fcntl(file.as_raw_fd(), libc::F_GETFL) {
            -1 => -1,
            flags => libc::fcntl(file.as_raw_fd(), libc::F_SETFL, flags | libc::O_DIRECT),
        }
    };
    match result {
        -1 => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
            error => Err(error),
        },
        _ => Ok(()),
    }
}

fn truncate(open: &OpenFile, size: u64) -> io::Result<()> {
    let length = libc::off_t::try_from(size).map_err(|_| io::ErrorKind::FileTooLarge)?;
    loop {
        // SAFETY: the descriptor is open; the call takes no pointer.
        if unsafe { libc::ftruncate(open.descriptor.as_raw_fd(), length) } == 0 {
            open.size.store(size, Ordering::Relaxed);
            return Ok(());
        }
        match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => {}
            error => return Err(error),
        }
    }
}

/// How a file system refuses `SEEK_DATA`.
const CANNOT_SEEK: [i32; 3] = [libc::EINVAL, libc::EOPNOTSUPP, libc::ENOSYS];

/// Moves the descriptor's own position, which nothing uses.
fn written_from(open: &OpenFile, position: u64) -> io::Result<Option<u64>> {
    let offset = libc::off_t::try_from(position).map_err(|_| io::ErrorKind::FileTooLarge)?;
    // SAFETY: the descriptor is open; the call takes no pointer.
    match unsafe { libc::lseek(open.descriptor.as_raw_fd(), offset, libc::SEEK_DATA) } {
        -1 => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::ENXIO) => Ok(None),
            // A file system that cannot tell.
            error if CANNOT_SEEK.contains(&error.raw_os_error().unwrap_or(0)) => Ok(Some(position)),
            error => Err(error),
        },
        found => Ok(Some(found.unsigned_abs())),
    }
}
