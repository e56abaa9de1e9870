//! One live broker, millrace or Apache Kafka, from the same `server.properties`.

use crate::process::{run, tail};
use crate::tools::{KafkaTool, Tools, target};
use anyhow::{Context, Result, bail, ensure};
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const START_DEADLINE: Duration = Duration::from_secs(60);
const STOP_DEADLINE: Duration = Duration::from_secs(60);
/// How often a broker that prints nothing is asked again whether it listens.
const LISTEN_RETRY: Duration = Duration::from_millis(20);
/// A port that was free may be taken when the broker comes to it; then another one is chosen.
const START_ATTEMPTS_MAX: usize = 3;

/// Which broker is under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Millrace,
    Kafka,
}

impl Kind {
    pub fn from_environment() -> Result<Self> {
        match std::env::var("MILLRACE_TEST_BROKER").as_deref() {
            Ok("kafka") => Ok(Self::Kafka),
            Ok("millrace") | Err(_) => Ok(Self::Millrace),
            Ok(other) => bail!("MILLRACE_TEST_BROKER={other}: say kafka or millrace"),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Millrace => "millrace",
            Self::Kafka => "kafka",
        }
    }

    /// The program that runs the storage tool, and the one that starts a broker, in Kafka's words.
    fn storage(self, tools: &Tools) -> Command {
        match self {
            Self::Millrace => {
                let mut command = Command::new(millrace());
                command.arg("storage");
                command
            }
            Self::Kafka => tools.kafka(KafkaTool::Storage),
        }
    }

    fn start(self, tools: &Tools, properties: &Path, cores: usize) -> Command {
        match self {
            Self::Millrace => {
                let mut command = Command::new(millrace());
                command.arg("start").arg(properties);
                command.args(["--override", &format!("millrace.cores={cores}")]);
                command
            }
            Self::Kafka => {
                let mut command = tools.kafka(KafkaTool::Broker);
                command.arg(properties);
                command
            }
        }
    }

    /// Whether `status` is how this broker ends when it was asked to: a JVM ends by the signal's code.
    fn stopped_cleanly(self, status: ExitStatus) -> bool {
        match self {
            Self::Millrace => status.success(),
            Self::Kafka => status.success() || status.code() == Some(143),
        }
    }
}

fn millrace() -> PathBuf {
    let given = std::env::var_os("MILLRACE_BIN").map(PathBuf::from);
    given.unwrap_or_else(|| target().join("release/millrace"))
}

/// How the controller's quorum is named: both ways are in use, and each formats differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quorum {
    /// `controller.quorum.voters`.
    Static,
    /// `controller.quorum.bootstrap.servers` and `storage format --standalone` (KIP-853).
    Dynamic,
}

/// What one broker is started as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    pub kind: Kind,
    pub cores: usize,
    pub quorum: Quorum,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quorum = match self.quorum {
            Quorum::Static => "static quorum",
            Quorum::Dynamic => "dynamic quorum",
        };
        match self.kind {
            Kind::Millrace if self.cores == 1 => write!(f, "millrace, 1 core, {quorum}"),
            Kind::Millrace => write!(f, "millrace, {} cores, {quorum}", self.cores),
            // It has no cores to count.
            Kind::Kafka => write!(f, "kafka, {quorum}"),
        }
    }
}

/// A formatted data directory with its configuration; brokers start on it one after the other.
#[derive(Debug)]
pub struct Site {
    pub setting: Setting,
    folder: TempDir,
    port: u16,
}

impl Site {
    pub const PARTITION_COUNT: usize = 8;

    /// Formats a new data directory for a broker on a port that is free now.
    pub fn format(tools: &Tools, setting: Setting) -> Result<Self> {
        let kind = setting.kind;
        let folder = tempfile::Builder::new().prefix("millrace-clients-").tempdir()?;
        let [port, controller_port] = free_ports()?;
        let site = Self { setting, folder, port };
        std::fs::write(site.properties(), site.configuration(port, controller_port, &site.data()))?;
        let mut random = kind.storage(tools);
        let id = run(random.arg("random-uuid"), "", START_DEADLINE)?.success()?;
        // The JVM may warn on the same stream; the id is the last line.
        let id = id.lines().last().context("random-uuid printed nothing")?.trim().to_owned();
        let mut format = kind.storage(tools);
        format.args(["format", "--cluster-id", &id, "--config"]).arg(site.properties());
        if setting.quorum == Quorum::Dynamic {
            format.arg("--standalone");
        }
        run(&mut format, "", START_DEADLINE)?.success().context("storage format")?;
        Ok(site)
    }

    /// Formats and starts. A port may be lost between asking for it and listening, so this retries.
    pub fn format_and_start(tools: &Tools, setting: Setting) -> Result<(Self, Broker)> {
        let mut last = None;
        for _ in 0..START_ATTEMPTS_MAX {
            let site = Self::format(tools, setting)?;
            match site.start(tools) {
                Ok(broker) => return Ok((site, broker)),
                Err(error) => last = Some(error),
            }
        }
        Err(last.context("START_ATTEMPTS_MAX is not 0")?)
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn properties(&self) -> PathBuf {
        self.folder.path().join("server.properties")
    }

    /// Starts a broker and waits until it listens.
    pub fn start(&self, tools: &Tools) -> Result<Broker> {
        let Setting { kind, cores, .. } = self.setting;
        Broker::start(kind, kind.start(tools, &self.properties(), cores), self.port)
    }

    /// Runs a second broker to its end, which must come by itself: on the port of this one with
    /// another data directory, or on another port with the data directory of this one.
    pub fn intruder(&self, tools: &Tools, shares: Shares) -> Result<crate::Finished> {
        let other = Self::format(tools, self.setting)?;
        let [other_port, controller_port] = free_ports()?;
        let (port, data) = match shares {
            Shares::Port => (self.port, other.data()),
            Shares::DataDirectory => (other_port, self.data()),
        };
        std::fs::write(other.properties(), self.configuration(port, controller_port, &data))?;
        let mut command = self.setting.kind.start(tools, &other.properties(), self.setting.cores);
        run(&mut command, "", START_DEADLINE).context("a second broker must refuse to run")
    }

    fn configuration(&self, port: u16, controller_port: u16, data: &Path) -> String {
        let quorum = match self.setting.quorum {
            Quorum::Static => "controller.quorum.voters=1@",
            Quorum::Dynamic => "controller.quorum.bootstrap.servers=",
        };
        format!(
            "process.roles=broker,controller\n\
             node.id=1\n\
             {quorum}127.0.0.1:{controller_port}\n\
             controller.listener.names=CONTROLLER\n\
             listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n\
             log.dirs={data}\n\
             num.partitions={partitions}\n\
             offsets.topic.replication.factor=1\n\
             offsets.topic.num.partitions=1\n",
            data = data.display(),
            partitions = Self::PARTITION_COUNT,
        )
    }
}

/// What a second broker has in common with the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shares {
    Port,
    DataDirectory,
}

/// A running broker. Dropped without [`Broker::stop`], it is killed.
#[derive(Debug)]
pub struct Broker {
    kind: Kind,
    child: Child,
    address: SocketAddr,
    said: Receiver<String>,
    log: String,
}

impl Broker {
    fn start(kind: Kind, mut command: Command, port: u16) -> Result<Self> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = child.spawn().with_context(|| format!("starting {}", kind.name()))?;
        let (sender, said) = channel();
        let streams: [Option<Box<dyn Read + Send>>; 2] = [
            child.stdout.take().map(|stream| Box::new(stream) as _),
            child.stderr.take().map(|stream| Box::new(stream) as _),
        ];
        for stream in streams.into_iter().flatten() {
            let sender = sender.clone();
            thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut broker = Self { kind, child, address, said, log: String::new() };
        broker.await_listening()?;
        Ok(broker)
    }

    fn await_listening(&mut self) -> Result<()> {
        let until = Instant::now() + START_DEADLINE;
        loop {
            if TcpStream::connect_timeout(&self.address, Duration::from_secs(1)).is_ok() {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status}: {}", self.kind.name(), self.log());
            }
            if Instant::now() > until {
                bail!("{} does not listen: {}", self.kind.name(), self.log());
            }
            match self.said.recv_timeout(LISTEN_RETRY) {
                Ok(line) => self.keep(&line),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    // It closed its output, so it is about to end; the loop sees how.
                    thread::park_timeout(LISTEN_RETRY);
                }
            }
        }
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn bootstrap(&self) -> String {
        self.address.to_string()
    }

    /// Memory that the process has resident now.
    pub fn resident_bytes(&self) -> Result<u64> {
        let status = File::open(format!("/proc/{}/status", self.child.id()))?;
        for line in BufReader::new(status).lines() {
            if let Some(size) = line?.strip_prefix("VmRSS:") {
                let kib: u64 = size.trim().trim_end_matches("kB").trim().parse()?;
                return Ok(kib * 1024);
            }
        }
        bail!("the process has no VmRSS: it ended")
    }

    /// The end of what the broker has said so far.
    pub fn log(&mut self) -> &str {
        while let Ok(line) = self.said.try_recv() {
            self.keep(&line);
        }
        tail(&self.log)
    }

    /// An ERROR line means that a person must look, and no client here gives a reason for one.
    fn check_log(&mut self) -> Result<()> {
        self.log();
        let error =
            self.log.lines().find(|line| line.contains("ERROR") || line.contains("panicked"));
        ensure!(error.is_none(), "it said: {}", error.unwrap_or_default());
        Ok(())
    }

    fn keep(&mut self, line: &str) {
        self.log.push_str(line);
        self.log.push('\n');
    }

    /// Asks the broker to stop (SIGTERM) and waits until it has, cleanly.
    pub fn stop(mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("it had ended before, with {status}: {}", self.log());
        }
        let pid = self.child.id().to_string();
        run(Command::new("kill").args(["-TERM", &pid]), "", STOP_DEADLINE)?.success()?;
        let until = Instant::now() + STOP_DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                let clean = self.kind.stopped_cleanly(status);
                ensure!(clean, "stopped with {status}: {}", self.log());
                return self.check_log();
            }
            ensure!(Instant::now() < until, "did not stop in {STOP_DEADLINE:?}: {}", self.log());
            thread::park_timeout(LISTEN_RETRY);
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // Ended already, or ends now; there is nobody left to tell.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
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
