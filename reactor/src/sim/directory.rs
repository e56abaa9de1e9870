//! Directories and whole small files of simulated nodes, as [`crate::directory`] uses them.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;

use super::core::SimCore;
use super::disk::Disk;
use super::file::File;
use super::world::World;
use crate::buffer::{ALIGNMENT, AlignedBuffer};
use crate::directory::Entry;
use crate::file::Open;

/// The largest file that [`read`] takes.
const READ_BYTES_MAX: u64 = 16 << 20;

/// Runs one operation on the names at `path`.
async fn on_names<T: 'static>(
    core: &Rc<SimCore>,
    path: &Path,
    run: impl FnOnce(&Disk, &World, &[String]) -> io::Result<T> + 'static,
) -> io::Result<T> {
    let (disk, names) = core.node.disks.resolve(path)?;
    disk.submit(core, move |disk, world| run(disk, world, &names)).await
}

/// Each parent is flushed before the next directory is made in it.
pub(crate) async fn create_all(core: &Rc<SimCore>, path: &Path) -> io::Result<()> {
    let (_, names) = core.node.disks.resolve(path)?;
    let mut ancestors: Vec<PathBuf> =
        path.ancestors().take(names.len()).map(Path::to_owned).collect();
    ancestors.reverse();
    for directory in ancestors {
        if list(core, &directory).await.is_ok() {
            continue;
        }
        on_names(core, &directory, Disk::create_directory).await?;
        let parent = directory.parent().unwrap_or(Path::new("/"));
        sync(core, parent).await?;
    }
    Ok(())
}

pub(crate) async fn list(core: &Rc<SimCore>, path: &Path) -> io::Result<Vec<Entry>> {
    on_names(core, path, Disk::list).await
}

pub(crate) async fn rename(core: &Rc<SimCore>, from: &Path, to: &Path) -> io::Result<()> {
    let (disk, from) = core.node.disks.resolve(from)?;
    let (to_disk, to) = core.node.disks.resolve(to)?;
    if !Rc::ptr_eq(&disk, &to_disk) {
        return Err(io::ErrorKind::CrossesDevices.into());
    }
    disk.submit(core, move |disk, world| disk.rename(world, &from, &to)).await
}

pub(crate) async fn remove_file(core: &Rc<SimCore>, path: &Path) -> io::Result<()> {
    on_names(core, path, Disk::remove_file).await
}

/// One name after the other, so that a crash may leave a part.
pub(crate) fn remove_all<'a>(
    core: &'a Rc<SimCore>,
    path: &'a Path,
) -> Pin<Box<dyn Future<Output = io::Result<()>> + 'a>> {
    Box::pin(async move {
        for entry in list(core, path).await? {
            let child = path.join(&entry.name);
            match entry.is_directory {
                true => remove_all(core, &child).await?,
                false => remove_file(core, &child).await?,
            }
        }
        on_names(core, path, Disk::remove_directory).await
    })
}

pub(crate) async fn sync(core: &Rc<SimCore>, path: &Path) -> io::Result<()> {
    on_names(core, path, Disk::sync_directory).await
}

pub(crate) async fn read(core: &Rc<SimCore>, path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(core, path, Open::Existing).await?;
    if file.size() > READ_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let size = file.size() as usize;
    let buffer = AlignedBuffer::zeroed(size.next_multiple_of(ALIGNMENT));
    let (buffer, read) = file.read_at(buffer, 0).await;
    Ok(buffer[..read?.min(size)].to_vec())
}

/// Made of the steps that it promises, so that a crash may fall between any two of them.
pub(crate) async fn write_atomic(
    core: &Rc<SimCore>,
    path: &Path,
    contents: &[u8],
) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut temporary_name = name.to_owned();
    temporary_name.push(".tmp");
    let temporary = path.with_file_name(temporary_name);
    let file = File::open(core, &temporary, Open::OrCreate).await?;
    file.truncate(0).await?;
    let mut padded = AlignedBuffer::zeroed(contents.len().next_multiple_of(ALIGNMENT));
    padded[..contents.len()].copy_from_slice(contents);
    file.write_at(padded.into_bytes(), 0).await?;
    file.truncate(contents.len() as u64).await?;
    file.flush().await?;
    rename(core, &temporary, path).await?;
    sync(core, path.parent().unwrap_or(Path::new("/"))).await
}

pub(crate) async fn free_bytes(core: &Rc<SimCore>, path: &Path) -> io::Result<u64> {
    on_names(core, path, |disk, world, _| Ok(disk.free_bytes(world))).await
}

/// Held until dropped, or until its process is gone.
pub(crate) struct Lock {
    core: Rc<SimCore>,
    disk: Rc<Disk>,
    names: Vec<String>,
}

pub(crate) async fn lock(core: &Rc<SimCore>, path: &Path) -> io::Result<Lock> {
    // Kept open by the lock in the real world; here the name is what other programs may see.
    File::open(core, &path.join(".lock"), Open::OrCreate).await?;
    let (disk, names) = core.node.disks.resolve(path)?;
    disk.lock(&names, &core.life)?;
    Ok(Lock { core: core.clone(), disk, names })
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The locks of a dead process are gone, and the next one may hold this one.
        if self.core.life.is_alive.get() {
            self.disk.unlock(&self.names);
        }
    }
}
