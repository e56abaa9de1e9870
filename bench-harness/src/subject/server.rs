//! One running server on an empty directory, pinned to its CPU.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use super::kind::Kind;
use crate::workloads::Client;

const START_DEADLINE: Duration = Duration::from_secs(60);
const STOP_DEADLINE: Duration = Duration::from_secs(60);

/// How often a server that starts is asked whether it answers: what its start time is exact to.
const START_RETRY: Duration = Duration::from_millis(1);
const STOP_RETRY: Duration = Duration::from_millis(10);

const SIGTERM: i32 = 15;
/// How a JVM says that SIGTERM ended it.
const TERMINATED_JVM: i32 = 128 + SIGTERM;

/// A server under measurement. Dropped without [`Server::stop`], it is killed.
pub struct Server {
    kind: Kind,
    child: Child,
    pub address: SocketAddr,
    /// From `exec` to the first answer to ApiVersions.
    pub start_time: Duration,
    folder: TempDir,
}

impl Server {
    /// Formats an empty directory below `scratch` and starts `kind` on it, on `cpu` only.
    /// On return it answers.
    pub fn start(kind: Kind, cpu: usize, scratch: &Path) -> Result<Server> {
        let folder = tempfile::Builder::new().prefix("millrace-bench-").tempdir_in(scratch)?;
        let [port, controller_port] = free_ports()?;
        let properties = folder.path().join("server.properties");
        let data = folder.path().join("data");
        std::fs::write(&properties, kind.properties(port, controller_port, &data))?;
        let said = File::create(folder.path().join("said"))?;
        if let Some(mut format) = kind.format(&properties) {
            let status = format
                .stdout(said.try_clone()?)
                .stderr(said.try_clone()?)
                .status()
                .with_context(|| format!("cannot run the storage tool of {}", kind.name()))?;
            ensure!(status.success(), "formatting: {status}: {}", words(folder.path()));
        }
        let serve = kind.serve(&properties, port)?;
        let mut pinned = Command::new("taskset");
        pinned.args(["--cpu-list", &cpu.to_string()]);
        pinned.arg(serve.get_program()).args(serve.get_args());
        let begun = Instant::now();
        let child = pinned
            .stdin(Stdio::null())
            .stdout(said.try_clone()?)
            .stderr(said)
            .spawn()
            .context("cannot run taskset (package util-linux)")?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut server = Server { kind, child, address, start_time: Duration::ZERO, folder };
        server.await_first_answer(begun)?;
        server.start_time = begun.elapsed();
        Ok(server)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn await_first_answer(&mut self, begun: Instant) -> Result<()> {
        loop {
            let answered = Client::connect(self.address).and_then(|mut c| c.api_versions());
            let Err(error) = answered else { return Ok(()) };
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended with {status}: {}", words(self.folder.path()));
            }
            if begun.elapsed() > START_DEADLINE {
                return Err(error).context("it does not answer");
            }
            thread::sleep(START_RETRY);
        }
    }

    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// What the server has said so far: it explains a failure.
    pub fn said(&self) -> String {
        words(self.folder.path())
    }

    /// Asks the server to stop and waits until it has, cleanly; its directory goes too.
    pub fn stop(mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("it had ended before, with {status}: {}", self.said());
        }
        let pid = self.pid().to_string();
        let status = Command::new("kill").args(["-TERM", &pid]).status()?;
        ensure!(status.success(), "kill: {status}");
        let until = Instant::now() + STOP_DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                ensure!(self.stopped_cleanly(status), "stopped with {status}: {}", self.said());
                return Ok(());
            }
            ensure!(Instant::now() < until, "it does not stop: {}", self.said());
            thread::sleep(STOP_RETRY);
        }
    }

    fn stopped_cleanly(&self, status: ExitStatus) -> bool {
        match self.kind {
            Kind::Bare => status.signal() == Some(SIGTERM),
            Kind::Millrace { .. } => status.success(),
            Kind::Kafka { .. } => status.success() || status.code() == Some(TERMINATED_JVM),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Ended already, or ends now; there is nobody left to tell.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

/// The end of what a server wrote, where programs say what went wrong.
fn words(folder: &Path) -> String {
    const KEPT: usize = 2000;
    let said = std::fs::read(folder.join("said")).unwrap_or_default();
    String::from_utf8_lossy(&said[said.len().saturating_sub(KEPT)..]).into_owned()
}

fn free_ports<const N: usize>() -> Result<[u16; N]> {
    // All are held until all are known, so that they differ.
    let mut listeners = Vec::with_capacity(N);
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        *port = listener.local_addr()?.port();
        listeners.push(listener);
    }
    Ok(ports)
}
