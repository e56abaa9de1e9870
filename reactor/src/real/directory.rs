//! Everything that names a path, on the core's helper thread.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::core::RealCore;
use crate::directory::{Entry, Space};

/// The most that `read` reads.
const READ_SIZE_MAX: u64 = 16 << 20;

pub(crate) async fn create_all(core: &Rc<RealCore>, path: &Path) -> io::Result<()> {
    with(core, path, |path| {
        let missing: Vec<&Path> =
            path.ancestors().take_while(|p| !p.as_os_str().is_empty() && !p.exists()).collect();
        for path in missing.into_iter().rev() {
            match fs::create_dir(path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => made?,
            }
            sync_directory(parent(path))?;
        }
        match fs::metadata(path)?.is_dir() {
            true => Ok(()),
            false => Err(io::ErrorKind::NotADirectory.into()),
        }
    })
    .await
}

pub(crate) async fn list(core: &Rc<RealCore>, path: &Path) -> io::Result<Vec<Entry>> {
    with(core, path, |path| {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            // Of a link, what it leads to; of a link that leads nowhere, itself.
            let metadata = match fs::metadata(entry.path()).or_else(|_| entry.metadata()) {
                Ok(metadata) => metadata,
                // Removed since the directory was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            entries.push(Entry {
                name: entry.file_name().to_string_lossy().into_owned(),
                is_directory: metadata.is_dir(),
                size_bytes: metadata.len(),
            });
        }
        entries.sort();
        Ok(entries)
    })
    .await
}

pub(crate) async fn rename(core: &Rc<RealCore>, from: &Path, to: &Path) -> io::Result<()> {
    let to = to.to_path_buf();
    with(core, from, move |from| fs::rename(from, to)).await
}

pub(crate) async fn remove_file(core: &Rc<RealCore>, path: &Path) -> io::Result<()> {
    with(core, path, |path| fs::remove_file(path)).await
}

pub(crate) async fn remove_all(core: &Rc<RealCore>, path: &Path) -> io::Result<()> {
    with(core, path, |path| fs::remove_dir_all(path)).await
}

pub(crate) async fn sync(core: &Rc<RealCore>, path: &Path) -> io::Result<()> {
    with(core, path, sync_directory).await
}

pub(crate) async fn read(core: &Rc<RealCore>, path: &Path) -> io::Result<Vec<u8>> {
    with(core, path, |path| {
        let mut contents = Vec::new();
        fs::File::open(path)?.take(READ_SIZE_MAX + 1).read_to_end(&mut contents)?;
        if contents.len() as u64 > READ_SIZE_MAX {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("more than {READ_SIZE_MAX} bytes"),
            ));
        }
        Ok(contents)
    })
    .await
}

pub(crate) async fn write_atomic(
    core: &Rc<RealCore>,
    path: &Path,
    contents: &[u8],
) -> io::Result<()> {
    let contents = contents.to_vec();
    with(core, path, move |path| {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".tmp");
        let beside = Path::new(&beside);
        let written = write_flushed(beside, &contents).and_then(|()| fs::rename(beside, path));
        if written.is_err() {
            // Best effort: the error that is reported is the first one.
            let _ = fs::remove_file(beside);
        }
        written?;
        sync_directory(parent(path))
    })
    .await
}

pub(crate) async fn space(core: &Rc<RealCore>, path: &Path) -> io::Result<Space> {
    with(core, path, |path| {
        let path = std::ffi::CString::new(path.as_os_str().as_bytes())?;
        // SAFETY: a statvfs is an array of integers, which the call may write; `path` is a C string.
        let (result, found) = unsafe {
            let mut found: libc::statvfs = std::mem::zeroed();
            (libc::statvfs(path.as_ptr(), &mut found), found)
        };
        match result {
            0 => Ok(Space {
                total_bytes: found.f_blocks.saturating_mul(found.f_frsize),
                free_bytes: found.f_bavail.saturating_mul(found.f_frsize),
            }),
            _ => Err(io::Error::last_os_error()),
        }
    })
    .await
}

/// The lock lives with the open file description, so closing the file releases it.
pub(crate) struct Lock(#[expect(dead_code, reason = "held for its drop")] fs::File);

pub(crate) async fn lock(core: &Rc<RealCore>, path: &Path) -> io::Result<Lock> {
    with(core, path, |path| {
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path.join(".lock"))?;
        // SAFETY: a flock is an array of integers; zero stands for the whole file from its start, and
        // for the process id that F_OFD_SETLK demands. The call only reads it.
        let result = unsafe {
            let mut whole: libc::flock = std::mem::zeroed();
            whole.l_type = libc::F_WRLCK as _;
            whole.l_whence = libc::SEEK_SET as _;
            libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &whole)
        };
        if result == 0 {
            return Ok(Lock(file));
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EACCES) => Err(io::ErrorKind::WouldBlock.into()),
            _ => Err(error),
        }
    })
    .await
}

async fn with<T: Send + 'static>(
    core: &Rc<RealCore>,
    path: &Path,
    job: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let path: PathBuf = path.to_path_buf();
    core.helper().run(move || job(&path)).await
}

fn write_flushed(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut file = fs::File::create(path)?;
    file.write_all(contents)?;
    file.sync_data()
}

fn sync_directory(path: &Path) -> io::Result<()> {
    fs::File::open(path)?.sync_all()
}

/// The directory that holds `path`'s name.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) => Path::new("."),
        None => path,
    }
}
