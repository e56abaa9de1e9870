//! Commands that a person ends before they have ended.

use crate::broker::millrace;
use crate::process::run;
use anyhow::{Result, ensure};
use std::fs::{DirEntry, OpenOptions, read_dir, read_link};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(20);
const SIGINT: i32 = 2;

/// `millrace storage verify` ends by Ctrl-C: here while it reads its configuration, which never comes.
pub fn storage() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("server.properties");
    run(Command::new("mkfifo").arg(&config), "", DEADLINE)?.success()?;
    // Held open for writing, and nothing is written.
    let never = OpenOptions::new().read(true).write(true).open(&config)?;
    let mut command = Command::new(millrace());
    command.args(["storage", "verify", "--config"]).arg(&config);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let ended = interrupt(&mut child, &config);
    // Where it goes on, it goes no further than this.
    drop(never);
    let _ended = child.kill();
    child.wait()?;
    let status = ended?;
    ensure!(status.signal() == Some(SIGINT), "{status}");
    Ok(())
}

/// Sends SIGINT to `child` once it has opened `config`, and waits for its end.
fn interrupt(child: &mut Child, config: &Path) -> Result<ExitStatus> {
    let descriptors = format!("/proc/{}/fd", child.id());
    let is_config = |entry: std::io::Result<DirEntry>| {
        entry.is_ok_and(|entry| read_link(entry.path()).is_ok_and(|path| path == config))
    };
    wait("it does not read its configuration", || {
        Ok(read_dir(&descriptors)?.any(is_config).then_some(()))
    })?;
    let id = child.id().to_string();
    run(Command::new("kill").args(["-INT", &id]), "", DEADLINE)?.success()?;
    wait("it goes on after SIGINT", || Ok(child.try_wait()?))
}

fn wait<T>(what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let until = Instant::now() + DEADLINE;
    loop {
        if let Some(seen) = look()? {
            return Ok(seen);
        }
        ensure!(Instant::now() < until, "{what}");
        thread::park_timeout(Duration::from_millis(5));
    }
}
