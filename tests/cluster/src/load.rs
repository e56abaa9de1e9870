//! librdkafka under load while its broker dies and comes back: producers and a reader, each a process of
//! its own, and the ledger that compares what they say.

use crate::ledger::{Ledger, Record};
use anyhow::{Context, Result, bail, ensure};
use clients::{Tools, run};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long a client may take for what it does when no fault is on its way.
const QUIET_DEADLINE: Duration = Duration::from_secs(120);
const WAIT: Duration = Duration::from_millis(5);

/// What is sent, and to where.
#[derive(Debug, Clone)]
pub struct Traffic {
    pub bootstrap: String,
    pub topic: String,
    pub partition_count: usize,
    pub producer_count: usize,
    /// Records a second of all producers together.
    pub rate: u64,
    /// After how long an unanswered request is sent again.
    pub request_timeout: Duration,
}

impl Traffic {
    /// Four producers with 5,000 records a second and the clients' own timeout.
    pub fn new(bootstrap: &str, topic: &str, partition_count: usize) -> Self {
        Self {
            bootstrap: bootstrap.to_owned(),
            topic: topic.to_owned(),
            partition_count,
            producer_count: 4,
            rate: 5000,
            request_timeout: Duration::from_secs(30),
        }
    }

    pub fn create_topic(&self, tools: &Tools) -> Result<()> {
        let mut create = self.command(tools, "create");
        run(&mut create, "", QUIET_DEADLINE)?.success().context("creating the topic")?;
        Ok(())
    }

    /// `load.py` with what all its commands start with.
    fn command(&self, tools: &Tools, what: &str) -> Command {
        let mut command = tools.command(Tools::CONFLUENT_KAFKA);
        command.arg(crate::folder().join("confluent-kafka/load.py"));
        command.args([what, &self.bootstrap, &self.topic, &self.partition_count.to_string()]);
        command
    }
}

/// A line that one of the processes has printed, or the end of what it prints.
#[derive(Debug)]
enum Said {
    Acknowledged { record: Record, partition: usize, offset: Option<i64> },
    Sent { producer: u16, partition: usize, count: u32 },
    Read { partition: usize, offset: i64, record: Record },
    Strange(String),
    Ended(&'static str),
}

/// Producers and a reader at work. Dropped, they are killed.
#[derive(Debug)]
pub struct Load {
    traffic: Traffic,
    producing: Process,
    reading: Process,
    said: Receiver<Said>,
    ledger: Ledger,
    sent: BTreeMap<(u16, usize), u32>,
    producers_ended: bool,
}

impl Load {
    /// Creates the topic; starts producers and reader against a broker that listens.
    pub fn start(tools: &Tools, traffic: Traffic) -> Result<Self> {
        traffic.create_topic(tools)?;
        let (sender, said) = channel();
        let mut produce = traffic.command(tools, "produce");
        produce.args([traffic.producer_count.to_string(), traffic.rate.to_string()]);
        produce.arg(traffic.request_timeout.as_millis().to_string());
        let producing = Process::start("producers", produce, sender.clone())?;
        let reading = Process::start("reader", traffic.command(tools, "read"), sender)?;
        let (ledger, sent) = (Ledger::new(traffic.partition_count), BTreeMap::new());
        Ok(Self { traffic, producing, reading, said, ledger, sent, producers_ended: false })
    }

    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Keeps the ledger for `time`.
    pub fn go_on_for(&mut self, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.listen(until.saturating_duration_since(Instant::now()).min(WAIT))?;
        }
        Ok(())
    }

    /// Keeps the ledger until `done` holds for it. Returns how long that took.
    pub fn go_on_until(
        &mut self,
        what: &str,
        deadline: Duration,
        done: impl Fn(&Ledger) -> bool,
    ) -> Result<Duration> {
        let started = Instant::now();
        while !done(&self.ledger) {
            let late = started.elapsed() > deadline;
            ensure!(
                !late,
                "not {what} after {deadline:?}: {} acknowledged, first unread {:?}",
                self.ledger.acknowledged_count(),
                self.ledger.first_unread()
            );
            self.listen(WAIT)?;
        }
        Ok(started.elapsed())
    }

    /// Ends the producers when all that they sent is acknowledged, and the reader when it has read all
    /// that; then a second reader reads everything again. Returns the number of records.
    pub fn finish(mut self, tools: &Tools) -> Result<u64> {
        self.producing.stop();
        let until = Instant::now() + QUIET_DEADLINE;
        while !self.producers_ended {
            ensure!(Instant::now() < until, "the producers did not end in {QUIET_DEADLINE:?}");
            self.listen(WAIT)?;
        }
        self.producing.succeeded()?;
        self.go_on_until("all is read", QUIET_DEADLINE, Ledger::is_read)?;
        self.ledger.check_end(&self.sent)?;
        let count = self.ledger.read_count();
        self.read_again(tools, QUIET_DEADLINE)?;
        self.ledger.check_end(&self.sent)?;
        Ok(count)
    }

    /// Ends the producers where they are: what they had in flight may be stored or not, and nobody sends
    /// it again.
    pub fn abandon(&mut self) -> Result<()> {
        self.producing.stopped = true;
        self.producing.child.kill()?;
        while !self.producers_ended {
            self.listen(WAIT)?;
        }
        Ok(())
    }

    /// A new reader reads everything from offset 0 on, at least what was acknowledged, and wherever the
    /// one before it had read, the same.
    pub fn read_again(&mut self, tools: &Tools, deadline: Duration) -> Result<()> {
        self.reading.stop();
        let (sender, said) = channel();
        let command = self.traffic.command(tools, "read");
        let reading = Process::start("reader", command, sender)?;
        let first = std::mem::replace(&mut self.ledger, Ledger::new(0));
        self.ledger = first.unread();
        (self.reading, self.said) = (reading, said);
        let count = first.read_count();
        let all = |ledger: &Ledger| ledger.read_count() >= count && ledger.is_read();
        self.go_on_until("all read again", deadline, all)?;
        first.check_same_read(&self.ledger)
    }

    fn listen(&mut self, wait: Duration) -> Result<()> {
        let first = match self.said.recv_timeout(wait) {
            Ok(said) => said,
            Err(RecvTimeoutError::Timeout) => return Ok(()),
            Err(RecvTimeoutError::Disconnected) => bail!("the clients have ended"),
        };
        self.keep(first)?;
        while let Ok(said) = self.said.try_recv() {
            self.keep(said)?;
        }
        Ok(())
    }

    fn keep(&mut self, said: Said) -> Result<()> {
        match said {
            Said::Acknowledged { record, partition, offset } => {
                self.ledger.acknowledge(partition, offset, record)
            }
            Said::Read { partition, offset, record } => self.ledger.read(partition, offset, record),
            Said::Sent { producer, partition, count } => {
                self.sent.insert((producer, partition), count);
                Ok(())
            }
            Said::Strange(line) => bail!("a client said {line:?}"),
            Said::Ended("producers") if self.producing.stopped => {
                self.producers_ended = true;
                Ok(())
            }
            Said::Ended(_) if self.reading.stopped => Ok(()),
            Said::Ended("producers") => bail!("the producers ended: {}", self.producing.failure()),
            Said::Ended(name) => bail!("the {name} ended: {}", self.reading.failure()),
        }
    }
}

/// Produces `record_count` records, each when the one before it is acknowledged.
pub fn sequential(tools: &Tools, traffic: &Traffic, record_count: u64) -> Result<()> {
    let mut command = traffic.command(tools, "sequential");
    command.arg(record_count.to_string());
    run(&mut command, "", QUIET_DEADLINE)?.success().context("producing one by one")?;
    Ok(())
}

/// Puts `size_bytes` of random values on the disk of a broker.
pub fn fill(tools: &Tools, traffic: &Traffic, size_bytes: u64) -> Result<()> {
    const DEADLINE: Duration = Duration::from_secs(900);
    let mut command = traffic.command(tools, "fill");
    command.arg(size_bytes.to_string());
    run(&mut command, "", DEADLINE)?.success().context("filling the disk")?;
    Ok(())
}

/// A client that runs until its standard input is closed.
#[derive(Debug)]
struct Process {
    child: Child,
    stopped: bool,
}

impl Process {
    fn start(name: &'static str, mut command: Command, sender: Sender<Said>) -> Result<Self> {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().with_context(|| format!("starting {name}"))?;
        let stdout = child.stdout.take().context("stdout is piped")?;
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let said = parse(&line).unwrap_or(Said::Strange(line));
                if sender.send(said).is_err() {
                    return;
                }
            }
            // Nobody waits any more when this fails.
            let _told = sender.send(Said::Ended(name));
        });
        Ok(Self { child, stopped: false })
    }

    /// Asks it to end.
    fn stop(&mut self) {
        self.stopped = true;
        drop(self.child.stdin.take());
    }

    /// It has closed its output: it ends now, and with 0.
    fn succeeded(&mut self) -> Result<()> {
        let status = self.child.wait()?;
        ensure!(status.success(), "{status}: {}", self.failure());
        Ok(())
    }

    /// What it said of the reason for which it ended.
    fn failure(&mut self) -> String {
        let mut text = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            let _read = stderr.read_to_string(&mut text);
        }
        text.trim().to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Ended already, or ends now; there is nobody left to tell.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

/// The lines of `load.py`, as it documents them.
fn parse(line: &str) -> Option<Said> {
    let mut words = line.split(' ');
    let kind = words.next()?;
    let mut number = || words.next()?.parse::<i64>().ok();
    let said = match kind {
        "acked" => {
            let producer = u16::try_from(number()?).ok()?;
            let partition = usize::try_from(number()?).ok()?;
            let record = Record { producer, sequence: u32::try_from(number()?).ok()? };
            let offset = Some(number()?).filter(|&offset| offset >= 0);
            Said::Acknowledged { record, partition, offset }
        }
        "sent" => Said::Sent {
            producer: u16::try_from(number()?).ok()?,
            partition: usize::try_from(number()?).ok()?,
            count: u32::try_from(number()?).ok()?,
        },
        "read" => {
            let (partition, offset) = (usize::try_from(number()?).ok()?, number()?);
            let producer = u16::try_from(number()?).ok()?;
            let record = Record { producer, sequence: u32::try_from(number()?).ok()? };
            Said::Read { partition, offset, record }
        }
        _ => return None,
    };
    words.next().is_none().then_some(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_clients_print_is_understood() {
        for (line, understood) in [
            ("acked 1 2 3 4", true),
            ("acked 1 2 3 -1", true),
            ("acked 1 2 3", false),
            ("acked 1 2 3 4 5", false),
            ("sent 1 2 3", true),
            ("read 0 7 1 3", true),
            ("read 0 7 one 3", false),
            ("%3|FAIL|", false),
        ] {
            assert_eq!(parse(line).is_some(), understood, "{line}");
        }
    }
}
