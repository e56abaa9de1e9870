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
use crate::directory::{Entry, Space};
use crate::file::Open;
use crate::sync::oneshot;

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

/// Runs `steps` to their end even where the caller is dropped, as the real reactor does.
async fn unstoppable<T: 'static>(
    core: &Rc<SimCore>,
    steps: impl Future<Output = io::Result<T>> + 'static,
) -> io::Result<T> {
    let (sender, receiver) = oneshot();
    let running = core.spawn(async move {
        // Nobody may wait for the result any more.
        let _ = sender.send(steps.await);
    });
    running.detach();
    receiver.await.unwrap_or_else(|_| Err(io::ErrorKind::Interrupted.into()))
}

pub(crate) async fn create_all(core: &Rc<SimCore>, path: &Path) -> io::Result<()> {
    let (owned_core, path) = (core.clone(), path.to_owned());
    unstoppable(core, async move { create_ancestors(&owned_core, &path).await }).await
}

/// Each parent is flushed before the next directory is made in it.
async fn create_ancestors(core: &Rc<SimCore>, path: &Path) -> io::Result<()> {
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

pub(crate) async fn remove_all(core: &Rc<SimCore>, path: &Path) -> io::Result<()> {
    let (owned_core, path) = (core.clone(), path.to_owned());
    unstoppable(core, async move { remove_tree(&owned_core, &path).await }).await
}

/// One name after the other, so that a crash may leave a part.
fn remove_tree<'a>(
    core: &'a Rc<SimCore>,
    path: &'a Path,
) -> Pin<Box<dyn Future<Output = io::Result<()>> + 'a>> {
    Box::pin(async move {
        for entry in list(core, path).await? {
            let child = path.join(&entry.name);
            match entry.is_directory {
                true => remove_tree(core, &child).await?,
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
    let mut beside_name = name.to_owned();
    beside_name.push(".tmp");
    let (path, beside) = (path.to_owned(), path.with_file_name(beside_name));
    let (core, contents) = (core.clone(), contents.to_vec());
    unstoppable(&core.clone(), async move {
        let mut written = write_flushed(&core, &beside, &contents).await;
        if written.is_ok() {
            written = rename(&core, &beside, &path).await;
        }
        if written.is_err() {
            // Best effort: the error that is reported is the first one.
            let _ = remove_file(&core, &beside).await;
        }
        written?;
        sync(&core, path.parent().unwrap_or(Path::new("/"))).await
    })
    .await
}

async fn write_flushed(core: &Rc<SimCore>, path: &Path, contents: &[u8]) -> io::Result<()> {
    let file = File::open(core, path, Open::OrCreate).await?;
    file.truncate(0).await?;
    let mut padded = AlignedBuffer::zeroed(contents.len().next_multiple_of(ALIGNMENT));
    padded[..contents.len()].copy_from_slice(contents);
    file.write_at(padded.into_bytes(), 0).await?;
    file.truncate(contents.len() as u64).await?;
    file.flush().await
}

pub(crate) async fn space(core: &Rc<SimCore>, path: &Path) -> io::Result<Space> {
    on_names(core, path, |disk, world, _| Ok(disk.space(world))).await
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
