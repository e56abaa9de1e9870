//! A file system of the test's own: ext4 in a file, on a loop device.

use anyhow::{Context, Result, bail, ensure};
use clients::run;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(30);

/// A mounted file system. Dropped, it is unmounted and gone.
#[derive(Debug)]
pub struct Disk {
    folder: TempDir,
}

impl Disk {
    /// Why this host gives us no file system of our own; `None` when it does.
    pub fn missing() -> Option<String> {
        match Self::new(16 << 20) {
            Ok(_) => None,
            Err(error) => Some(format!("no file system can be mounted here: {error:#}")),
        }
    }

    /// Makes and mounts a file system of `size_bytes`, of which the file in the temporary folder
    /// takes what is written.
    pub fn new(size_bytes: u64) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("millrace-disk-").tempdir()?;
        let image = folder.path().join("image");
        File::create(&image)?.set_len(size_bytes)?;
        make_ext4(&image)?;
        let at = folder.path().join("mounted");
        std::fs::create_dir(&at)?;
        let mut mount = Command::new("mount");
        succeed(mount.args(["-o", "loop"]).args([&image, &at]))?;
        Ok(Self { folder })
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("mounted")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Err(error) = unmount(&self.path()) {
            eprintln!("{error:#}");
        }
    }
}

pub fn make_ext4(image: &Path) -> Result<()> {
    // Nothing is left for the kernel to initialise later, and no blocks are kept for root.
    let options = "lazy_itable_init=0,lazy_journal_init=0";
    let mut mkfs = Command::new("mkfs.ext4");
    succeed(mkfs.args(["-q", "-F", "-m", "0", "-E", options]).arg(image))
}

pub fn unmount(at: &Path) -> Result<()> {
    succeed(Command::new("umount").arg(at))
}

/// Runs a command of the system that must end with 0 in time.
pub fn succeed(command: &mut Command) -> Result<()> {
    run(command, "", DEADLINE)?.success().with_context(|| format!("{command:?}"))?;
    Ok(())
}

/// Bytes that may still be written to the file system of `path`.
pub fn free_bytes(path: &Path) -> Result<u64> {
    let mut df = Command::new("df");
    let text = run(df.args(["--output=avail", "-B1"]).arg(path), "", DEADLINE)?.success()?;
    let bytes = text.lines().last().unwrap_or_default().trim();
    bytes.parse().with_context(|| format!("df says {text:?}"))
}

/// The flushes that the device below `path` has completed since the host started, as /proc/diskstats
/// counts them. An error where it does not list the device.
pub fn flush_count(path: &Path) -> Result<u64> {
    use std::os::linux::fs::MetadataExt;
    /// Position of "flush requests completed successfully", counted from the device's major number.
    const FLUSHES_AT: usize = 18;
    let device = std::fs::metadata(path)?.st_dev();
    // As gnu_dev_major and gnu_dev_minor take a device's number apart.
    let major = (device >> 8) & 0xfff | (device >> 32) & !0xfff;
    let minor = device & 0xff | (device >> 12) & !0xff;
    for line in std::fs::read_to_string("/proc/diskstats")?.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let field = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok());
        if (field(0), field(1)) == (Some(major), Some(minor)) {
            return field(FLUSHES_AT).context("this kernel counts no flushes");
        }
    }
    bail!("/proc/diskstats has no device {major}:{minor}, which holds {}", path.display())
}

/// Whether flushes of files below `path` are seen in [`flush_count`].
pub fn check_flushes_are_counted(path: &Path) -> Result<()> {
    const FLUSHES: u64 = 20;
    let probe = path.join("flush-probe");
    let mut file = File::create(&probe)?;
    let before = flush_count(path)?;
    for _ in 0..FLUSHES {
        use std::io::Write;
        file.write_all(b"to be flushed")?;
        file.sync_all()?;
    }
    let counted = flush_count(path)? - before;
    std::fs::remove_file(probe)?;
    ensure!(counted >= FLUSHES, "the device counts {counted} of {FLUSHES} flushes");
    Ok(())
}
