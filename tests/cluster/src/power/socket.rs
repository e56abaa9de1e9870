//! A disk, plugged in and mounted, whose power can be cut and given back.

use super::platter::{Kept, Platter};
use super::served::{FILE_NAME, Served};
use crate::Random;
use crate::disk::{make_ext4, succeed, unmount};
use anyhow::{Context, Result, ensure};
use fuser::BackgroundSession;
use std::fs::OpenOptions;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A process that was killed holds its files for some milliseconds more; a busy host takes longer.
const RELEASE_DEADLINE: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_millis(10);

/// A mounted ext4 on such a disk. Dropped, it is unmounted and gone.
#[derive(Debug)]
pub struct PoweredDisk {
    platter: Arc<Mutex<Platter>>,
    session: Option<BackgroundSession>,
    mounted: bool,
    folder: TempDir,
}

impl PoweredDisk {
    /// Why this host cannot have such a disk; `None` when it can.
    pub fn missing() -> Option<String> {
        let reason =
            |error| format!("no disk of our own can be served and mounted here: {error:#}");
        Self::new(16 << 20).err().map(reason)
    }

    pub fn new(size_bytes: u64) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("millrace-power-").tempdir()?;
        let image = folder.path().join("image");
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&image)?;
        file.set_len(size_bytes)?;
        make_ext4(&image)?;
        for name in ["served", "mounted"] {
            std::fs::create_dir(folder.path().join(name))?;
        }
        let platter = Arc::new(Mutex::new(Platter::new(file)));
        let served = folder.path().join("served");
        let session = fuser::spawn_mount(Served(platter.clone()), served, &Default::default())
            .context("serving a file through FUSE")?;
        let mut disk = Self { platter, session: Some(session), mounted: false, folder };
        disk.mount()?;
        Ok(disk)
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("mounted")
    }

    /// Cuts the power. From here on nothing that is written or flushed reaches the disk, and whoever
    /// tries is told so.
    pub fn cut(&self, kept: Kept, random: &mut Random) -> Result<()> {
        Ok(self.platter().cut(kept, random)?)
    }

    /// From here to the next cut the disk confirms flushes and does none.
    pub fn lie(&self) {
        self.platter().lie();
    }

    /// Sectors that were written, not flushed, and lost, over all cuts.
    pub fn lost_count(&self) -> u64 {
        self.platter().lost_count()
    }

    /// Gives the power back: the file system is mounted anew from what the disk holds. Nobody may use
    /// it any more by then.
    pub fn power_up(&mut self) -> Result<()> {
        self.unmount()?;
        self.platter().power_up();
        self.mount()
    }

    fn mount(&mut self) -> Result<()> {
        let file = self.folder.path().join("served").join(FILE_NAME);
        let mut mount = Command::new("mount");
        succeed(mount.args(["-o", "loop"]).args([&file, &self.path()]))?;
        self.mounted = true;
        Ok(())
    }

    fn unmount(&mut self) -> Result<()> {
        let until = Instant::now() + RELEASE_DEADLINE;
        while self.mounted {
            match unmount(&self.path()) {
                Ok(()) => self.mounted = false,
                Err(error) if Instant::now() > until => return Err(error),
                Err(_) => thread::park_timeout(RETRY),
            }
        }
        // The loop device lets go of the file a moment later; what it still writes must be refused.
        self.await_loop_device_free(until)
    }

    fn await_loop_device_free(&self, until: Instant) -> Result<()> {
        let file = self.folder.path().join("served").join(FILE_NAME);
        loop {
            let mut losetup = Command::new("losetup");
            let users = clients::run(losetup.arg("--associated").arg(&file), "", RELEASE_DEADLINE)?;
            if users.success()?.trim().is_empty() {
                return Ok(());
            }
            ensure!(Instant::now() < until, "a loop device keeps {}", file.display());
            thread::park_timeout(RETRY);
        }
    }

    fn platter(&self) -> MutexGuard<'_, Platter> {
        self.platter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for PoweredDisk {
    fn drop(&mut self) {
        if let Err(error) = self.unmount() {
            eprintln!("{error:#}");
        }
        if let Some(Err(error)) = self.session.take().map(BackgroundSession::umount_and_join) {
            eprintln!("{error}");
        }
    }
}
