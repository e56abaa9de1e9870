//! Runs another program to its end, bounded in time, with all that it says kept.

use anyhow::{Context, Result, bail, ensure};
use std::io::{Read, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// How long any one client may take; a client that hangs is a failed case, not a hung suite.
pub const CLIENT_DEADLINE: Duration = Duration::from_secs(90);

/// What a program that has ended left behind.
#[derive(Debug)]
pub struct Finished {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// The standard output of a program that ended with 0; else an error with all that it said.
    pub fn success(self) -> Result<String> {
        if self.status.success() {
            return Ok(self.stdout);
        }
        bail!("{}\nstdout: {}\nstderr: {}", self.status, tail(&self.stdout), tail(&self.stderr))
    }
}

/// Runs `command` with `input` on its standard input. Kills it at `deadline`.
pub fn run(command: &mut Command, input: &str, deadline: Duration) -> Result<Finished> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {name}"))?;
    let until = Instant::now() + deadline;
    let mut stdin = child.stdin.take().context("stdin is piped")?;
    let input = input.to_owned();
    // A program that ends before it has read everything is judged by its exit code, not by this.
    let writer = thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let stdout = collect(child.stdout.take().context("stdout is piped")?);
    let stderr = collect(child.stderr.take().context("stderr is piped")?);
    let texts =
        [&stdout, &stderr].map(|texts| texts.recv_timeout(until - Instant::now().min(until)));
    let [Ok(stdout), Ok(stderr)] = texts else {
        child.kill()?;
        child.wait()?;
        bail!("{name} did not end within {deadline:?}");
    };
    let status = child.wait()?;
    writer.join().ok().context("the thread that feeds stdin panicked")?;
    Ok(Finished { status, stdout, stderr })
}

/// Lets this process, and those that it starts, have `count` descriptors. Errors: they may not, and what to do.
pub fn allow_descriptors(count: u64) -> Result<()> {
    let limits = std::fs::read_to_string("/proc/self/limits")?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let mut limits = line.context("no limit of open files")?.split_whitespace().map(|limit| {
        // A limit that is no number is none.
        limit.parse().unwrap_or(u64::MAX)
    });
    let (soft, hard) = (limits.next().unwrap_or(0), limits.next().unwrap_or(0));
    if soft >= count {
        return Ok(());
    }
    ensure!(hard >= count, "{count} descriptors are needed, {hard} allowed: raise `ulimit -Hn`");
    let id = std::process::id().to_string();
    let mut prlimit = Command::new("prlimit");
    prlimit.args(["--pid", &id, &format!("--nofile={count}:")]);
    run(&mut prlimit, "", CLIENT_DEADLINE)?.success().context("raising `ulimit -n`").map(drop)
}

fn collect(mut from: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ended = from.read_to_end(&mut bytes);
        let _nobody_waits = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

/// The end of a long text, which is where programs say what went wrong.
pub fn tail(text: &str) -> &str {
    const KEPT: usize = 2000;
    let start = text.len().saturating_sub(KEPT);
    let start = (start..text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    &text[start..]
}
