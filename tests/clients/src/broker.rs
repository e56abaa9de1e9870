//! One live broker, millrace or Apache Kafka, from the same `server.properties`.

use crate::process::{run, tail};
use crate::tools::{KafkaTool, Tools, target};
use anyhow::{Context, Result, bail, ensure};
use std::fmt;
use std::fs::{DirEntry, File};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

const START_DEADLINE: Duration = Duration::from_secs(60);
const STOP_DEADLINE: Duration = Duration::from_secs(60);
/// The storage tool may have to read all that lies on disk.
const STORAGE_DEADLINE: Duration = Duration::from_secs(300);
/// How often a broker that prints nothing is asked again whether it listens.
const LISTEN_RETRY: Duration = Duration::from_millis(2);
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

    fn start(self, tools: &Tools, properties: &Path, cores: usize, layout: &Layout) -> Command {
        let command = match self {
            Self::Millrace => {
                let mut command = Command::new(millrace());
                command.arg("start").arg(properties);
                command.args(["--override", &format!("millrace.cores={cores}")]);
                command.args(&layout.arguments);
                command.envs(layout.environment.iter().cloned());
                command
            }
            Self::Kafka => {
                let mut command = tools.kafka(KafkaTool::Broker);
                command.arg(properties);
                command
            }
        };
        match layout.descriptor_count_max {
            None => command,
            Some(count) => with_descriptors(&command, count),
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

/// `command` with a limit of its own for descriptors.
fn with_descriptors(command: &Command, count: usize) -> Command {
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n \"$0\" && exec \"$@\"", &count.to_string()]);
    limited.arg(command.get_program()).args(command.get_args());
    limited.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    limited
}

/// The release binary, or the one that is named.
pub fn millrace() -> PathBuf {
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

/// What the configuration of a site says beyond what every one says.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    /// `log.dirs`; none means one of the site's own.
    pub log_dirs: Vec<PathBuf>,
    /// More lines of `server.properties`.
    pub lines: Vec<String>,
    /// Before them stands what Apache Kafka ships, but for ports and `log.dirs`, instead of our own.
    pub is_stock: bool,
    /// What `millrace start` is given beside, and what stands in its environment.
    pub arguments: Vec<String>,
    pub environment: Vec<(String, String)>,
    /// Whoever would read what the broker says has gone before its first line.
    pub is_unread: bool,
    /// File descriptors that the broker may have; none means as many as this process.
    pub descriptor_count_max: Option<usize>,
}

/// A formatted data directory with its configuration; brokers start on it one after the other.
#[derive(Debug)]
pub struct Site {
    pub setting: Setting,
    layout: Layout,
    folder: TempDir,
    port: u16,
}

impl Site {
    pub const PARTITION_COUNT: usize = 8;

    /// Formats a new data directory for a broker on a port that is free now.
    pub fn format(tools: &Tools, setting: Setting) -> Result<Self> {
        Self::format_as(tools, setting, Layout::default())
    }

    /// The same, laid out as `layout` says.
    pub fn format_as(tools: &Tools, setting: Setting, mut layout: Layout) -> Result<Self> {
        let kind = setting.kind;
        let folder = tempfile::Builder::new().prefix("millrace-clients-").tempdir()?;
        let [port, controller_port] = free_ports()?;
        if layout.log_dirs.is_empty() {
            layout.log_dirs.push(folder.path().join("data"));
        }
        let site = Self { setting, layout, folder, port };
        let log_dirs = &site.layout.log_dirs;
        std::fs::write(site.properties(), site.configuration(port, controller_port, log_dirs))?;
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
        Self::format_and_start_as(tools, setting, &Layout::default())
    }

    /// The same, laid out as `layout` says; a log directory of its own must be empty.
    pub fn format_and_start_as(
        tools: &Tools,
        setting: Setting,
        layout: &Layout,
    ) -> Result<(Self, Broker)> {
        let mut last = None;
        for _ in 0..START_ATTEMPTS_MAX {
            let site = Self::format_as(tools, setting, layout.clone())?;
            match site.start(tools) {
                Ok(broker) => return Ok((site, broker)),
                Err(error) => last = Some(error),
            }
        }
        Err(last.context("START_ATTEMPTS_MAX is not 0")?)
    }

    /// Where a broker of this site listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// The first log directory.
    pub fn data(&self) -> PathBuf {
        self.layout.log_dirs[0].clone()
    }

    pub fn log_dirs(&self) -> &[PathBuf] {
        &self.layout.log_dirs
    }

    pub fn properties(&self) -> PathBuf {
        self.folder.path().join("server.properties")
    }

    /// Starts a broker and waits until it listens.
    pub fn start(&self, tools: &Tools) -> Result<Broker> {
        self.start_of(self.setting.kind, tools)
    }

    /// Starts a broker of `kind`, whichever formatted the directory, and waits until it listens.
    pub fn start_of(&self, kind: Kind, tools: &Tools) -> Result<Broker> {
        let mut broker = self.start_unseen(kind, tools)?;
        broker.await_listening()?;
        Ok(broker)
    }

    /// Starts a broker of `kind` and does not wait.
    pub fn start_unseen(&self, kind: Kind, tools: &Tools) -> Result<Broker> {
        let command = kind.start(tools, &self.properties(), self.setting.cores, &self.layout);
        Broker::start(kind, command, self.address(), !self.layout.is_unread)
    }

    /// Runs a broker of `kind` that is expected to refuse, to its end.
    pub fn refusal(&self, kind: Kind, tools: &Tools) -> Result<crate::Finished> {
        let mut command = kind.start(tools, &self.properties(), self.setting.cores, &self.layout);
        run(&mut command, "", START_DEADLINE).context("the broker must refuse to run")
    }

    /// Runs a command of the storage tool of `kind` on this site's configuration.
    pub fn storage(&self, kind: Kind, tools: &Tools, command: &str) -> Result<crate::Finished> {
        let mut storage = kind.storage(tools);
        storage.arg(command).arg("--config").arg(self.properties());
        run(&mut storage, "", STORAGE_DEADLINE)
    }

    /// `millrace storage verify` finds no damage in what lies there while no broker runs. Apache Kafka
    /// has no such command.
    pub fn verify(&self, tools: &Tools) -> Result<()> {
        if self.setting.kind == Kind::Millrace {
            self.storage(Kind::Millrace, tools, "verify")?.success().context("storage verify")?;
        }
        Ok(())
    }

    /// Runs a second broker to its end, which must come by itself: on the port of this one with
    /// another data directory, or on another port with the data directory of this one.
    pub fn intruder(&self, tools: &Tools, shares: Shares) -> Result<crate::Finished> {
        let other = Self::format(tools, self.setting)?;
        let [other_port, controller_port] = free_ports()?;
        let (port, data) = match shares {
            Shares::Port => (self.port, other.log_dirs()),
            Shares::DataDirectory => (other_port, self.log_dirs()),
        };
        std::fs::write(other.properties(), self.configuration(port, controller_port, data))?;
        other.refusal(self.setting.kind, tools)
    }

    /// Runs a second broker that shares nothing but what `lines` of its configuration name.
    pub fn intruder_with(&self, tools: &Tools, lines: &[String]) -> Result<crate::Finished> {
        let layout = Layout { lines: lines.to_vec(), ..Layout::default() };
        Self::format_as(tools, self.setting, layout)?.refusal(self.setting.kind, tools)
    }

    fn configuration(&self, port: u16, controller_port: u16, log_dirs: &[PathBuf]) -> String {
        let log_dirs: Vec<_> = log_dirs.iter().map(|path| path.to_string_lossy()).collect();
        let (log_dirs, lines) = (log_dirs.join(","), self.layout.lines.join("\n"));
        if self.layout.is_stock {
            return include_str!("../kafka/server.properties")
                .replace(":9092", &format!(":{port}"))
                .replace(":9093", &format!(":{controller_port}"))
                .replace("/tmp/kraft-combined-logs", &log_dirs)
                + &lines;
        }
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
             log.dirs={log_dirs}\n\
             num.partitions={partitions}\n\
             offsets.topic.replication.factor=1\n\
             offsets.topic.num.partitions=1\n\
             {lines}\n",
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
    started: Instant,
}

impl Broker {
    fn start(kind: Kind, mut command: Command, address: SocketAddr, is_read: bool) -> Result<Self> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = Instant::now();
        let mut child = child.spawn().with_context(|| format!("starting {}", kind.name()))?;
        let (sender, said) = channel();
        let streams: [Option<Box<dyn Read + Send>>; 2] = [
            child.stdout.take().map(|stream| Box::new(stream) as _),
            child.stderr.take().map(|stream| Box::new(stream) as _),
        ];
        // One that is not read is closed at this end.
        for stream in streams.into_iter().flatten().filter(|_| is_read) {
            let sender = sender.clone();
            thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        Ok(Self { kind, child, address, said, log: String::new(), started })
    }

    /// For how long a thread of the process has been ready to run and had no CPU, at most: what a busy
    /// host adds to the time that a start takes.
    pub fn waited_for_a_cpu(&self) -> Result<Duration> {
        let mut longest = Duration::ZERO;
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let stat = std::fs::read_to_string(thread?.path().join("schedstat"))?;
            let waited = stat.split(' ').nth(1).context("time on the run queue")?.parse()?;
            longest = longest.max(Duration::from_nanos(waited));
        }
        Ok(longest)
    }

    /// Waits until the broker answers. Returns how long after its start it did.
    pub fn await_listening(&mut self) -> Result<Duration> {
        let until = Instant::now() + START_DEADLINE;
        loop {
            if answers(self.address).is_ok() {
                return Ok(self.started.elapsed());
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
        self.status_bytes("VmRSS:")
    }

    /// The most that it had resident, since its start or since [`Broker::forget_peak`].
    pub fn peak_resident_bytes(&self) -> Result<u64> {
        self.status_bytes("VmHWM:")
    }

    /// Has the peak begin anew. Source: proc(5), clear_refs.
    pub fn forget_peak(&self) -> Result<()> {
        Ok(std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5")?)
    }

    /// Sockets that the process has open now.
    pub fn socket_count(&self) -> Result<usize> {
        let descriptors = std::fs::read_dir(format!("/proc/{}/fd", self.child.id()))?;
        let is_socket = |entry: &DirEntry| {
            // One that was closed meanwhile is none.
            let target = std::fs::read_link(entry.path()).unwrap_or_default();
            target.as_os_str().as_encoded_bytes().starts_with(b"socket:")
        };
        Ok(descriptors.flatten().filter(is_socket).count())
    }

    fn status_bytes(&self, name: &str) -> Result<u64> {
        let status = File::open(format!("/proc/{}/status", self.child.id()))?;
        for line in BufReader::new(status).lines() {
            if let Some(size) = line?.strip_prefix(name) {
                let kib: u64 = size.trim().trim_end_matches("kB").trim().parse()?;
                return Ok(kib * 1024);
            }
        }
        bail!("the process has no {name} it ended")
    }

    /// The end of what the broker has said so far.
    pub fn log(&mut self) -> &str {
        while let Ok(line) = self.said.try_recv() {
            self.keep(&line);
        }
        tail(&self.log)
    }

    /// An ERROR line means that a person must look, and no client here gives a reason for one. Apache
    /// Kafka's own are not judged.
    pub fn check_log(&mut self) -> Result<()> {
        if self.kind == Kind::Kafka {
            return Ok(());
        }
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

    /// Sends a signal by its name, as kill(1) does.
    fn signal(&self, name: &str) -> Result<()> {
        let pid = self.child.id().to_string();
        run(Command::new("kill").args([name, &pid]), "", STOP_DEADLINE)?.success()?;
        Ok(())
    }

    /// Freezes the process (SIGSTOP): its sockets stay open, nobody answers.
    pub fn freeze(&self) -> Result<()> {
        self.signal("-STOP")
    }

    /// Lets a frozen process go on (SIGCONT).
    pub fn thaw(&self) -> Result<()> {
        self.signal("-CONT")
    }

    /// How the process has ended by itself, a second from now at the latest; if it goes on, it is killed.
    pub fn ended(mut self) -> Option<ExitStatus> {
        let until = Instant::now() + Duration::from_secs(1);
        loop {
            match self.child.try_wait() {
                Ok(None) if Instant::now() < until => thread::park_timeout(LISTEN_RETRY),
                status => return status.ok().flatten(),
            }
        }
    }

    /// Ends the process where it is (SIGKILL). An error when it had ended before, or said ERROR.
    pub fn kill(mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("it had ended before, with {status}: {}", self.log());
        }
        self.child.kill()?;
        self.child.wait()?;
        self.check_log()
    }

    /// Asks the broker to stop (SIGTERM) and waits until it has, cleanly.
    pub fn stop(self) -> Result<()> {
        self.stop_and_say().map(drop)
    }

    /// The same; returns all that it has said from its start to its end.
    pub fn stop_and_say(mut self) -> Result<String> {
        if let Some(status) = self.child.try_wait()? {
            bail!("it had ended before, with {status}: {}", self.log());
        }
        self.signal("-TERM")?;
        let until = Instant::now() + STOP_DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                let clean = self.kind.stopped_cleanly(status);
                ensure!(clean, "stopped with {status}: {}", self.log());
                // To the end of what it has written.
                while let Ok(line) = self.said.recv_timeout(STOP_DEADLINE) {
                    self.keep(&line);
                }
                self.check_log()?;
                return Ok(std::mem::take(&mut self.log));
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

/// Asks for the versions of the APIs. A connection alone shows nothing: the kernel accepts it for a broker
/// that is not there yet, and for some milliseconds for one that was killed.
fn answers(address: SocketAddr) -> std::io::Result<()> {
    const DEADLINE: Duration = Duration::from_secs(1);
    // Length, ApiVersions (18), version 0, correlation id 0x4d4d, no client id.
    const REQUEST: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0x4d, 0x4d, 0xff, 0xff];
    let mut stream = TcpStream::connect_timeout(&address, DEADLINE)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.write_all(&REQUEST)?;
    let mut answer = [0; 8];
    stream.read_exact(&mut answer)?;
    let same = answer[4..] == REQUEST[8..12];
    same.then_some(()).ok_or_else(|| ErrorKind::InvalidData.into())
}

/// An address that nobody listens on.
pub fn free_port() -> Result<SocketAddr> {
    let [port] = free_ports()?;
    Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

/// Ports that nobody listens on, below those from which a client's own end is chosen: a client that
/// tries to reach a broker which is away could otherwise be given that very port, and keep it.
fn free_ports<const N: usize>() -> Result<[u16; N]> {
    const FIRST: u16 = 10_000;
    const COUNT: u16 = 22_000;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.subsec_nanos();
    let start = now.wrapping_add(std::process::id()) % u32::from(COUNT);
    let mut candidates = (0..COUNT).map(|step| FIRST + (start as u16 + step) % COUNT);
    // All are held until all are known, so that they differ.
    let mut listeners = Vec::with_capacity(N);
    let mut ports = [0; N];
    for port in &mut ports {
        let bound = candidates.find_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok());
        let listener = bound.context("no port is free")?;
        *port = listener.local_addr()?.port();
        listeners.push(listener);
    }
    Ok(ports)
}
