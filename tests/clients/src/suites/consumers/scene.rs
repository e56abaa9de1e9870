//! The members of one group, and what is seen of them.

use super::clients::{Consumer, Said};
use crate::process::{CLIENT_DEADLINE, run};
use crate::{Broker, Tools};
use anyhow::{Context, Result, bail, ensure};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long what is waited for may take: a few sessions, and the start of a few JVMs.
const SOON: Duration = Duration::from_secs(60);
/// How many lines of a member are kept for whoever has to look.
const LINES_KEPT: usize = 12;

/// A member that runs. Dropped, it is killed.
#[derive(Debug)]
struct Member {
    child: Child,
    /// It is to end by itself.
    is_asked: bool,
    owned: BTreeSet<i32>,
    last_lines: VecDeque<String>,
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

#[derive(Debug)]
pub struct Scene {
    consumer: Consumer,
    topic: String,
    group: String,
    partition_count: i32,
    /// By their numbers, which nobody gets twice.
    members: BTreeMap<usize, Member>,
    next_member: usize,
    /// How often each value was read.
    read: BTreeMap<String, usize>,
    sender: Sender<(usize, String)>,
    lines: Receiver<(usize, String)>,
}

impl Scene {
    pub fn new(consumer: Consumer, partition_count: i32) -> Self {
        let (sender, lines) = channel();
        let name = consumer.name();
        Self {
            consumer,
            topic: format!("read-by-{name}"),
            group: format!("group-of-{name}"),
            partition_count,
            members: BTreeMap::new(),
            next_member: 0,
            read: BTreeMap::new(),
            sender,
            lines,
        }
    }

    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Starts so many members.
    pub fn start(&mut self, tools: &Tools, broker: &Broker, count: usize) -> Result<()> {
        let bootstrap = broker.bootstrap();
        for _ in 0..count {
            let index = self.next_member;
            self.next_member += 1;
            let (group, topic) = (&self.group, &self.topic);
            let mut command = self.consumer.command(tools, &bootstrap, group, topic, index);
            self.members.insert(index, self.spawn(&mut command, index)?);
        }
        Ok(())
    }

    fn spawn(&self, command: &mut Command, index: usize) -> Result<Member> {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("starting {}", self.consumer))?;
        let streams: [Option<Box<dyn Read + Send>>; 2] = [
            child.stdout.take().map(|stream| Box::new(stream) as _),
            child.stderr.take().map(|stream| Box::new(stream) as _),
        ];
        for stream in streams.into_iter().flatten() {
            let sender = self.sender.clone();
            thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    if sender.send((index, line)).is_err() {
                        break;
                    }
                }
            });
        }
        Ok(Member { child, is_asked: false, owned: BTreeSet::new(), last_lines: VecDeque::new() })
    }

    /// Waits until each partition has one owner, and each member one partition at least.
    pub fn await_shared(&mut self) -> Result<()> {
        self.until("each partition has one owner", Self::is_shared)
    }

    fn is_shared(&self) -> bool {
        let owned = self.members.values().flat_map(|it| it.owned.iter().copied());
        let owned: Vec<i32> = owned.collect();
        let once: BTreeSet<i32> = owned.iter().copied().collect();
        let all: BTreeSet<i32> = (0..self.partition_count).collect();
        let each_has_some = self.members.values().all(|member| !member.owned.is_empty());
        owned.len() == once.len() && once == all && each_has_some
    }

    /// Waits until all `values` were read. Nobody's share changes meanwhile, so that none was read twice.
    pub fn await_read_once(&mut self, values: &[String]) -> Result<()> {
        self.await_read(values)?;
        ensure!(self.is_shared(), "the shares have changed: {}", self.seen());
        let twice = values.iter().find(|value| self.read.get(*value) != Some(&1));
        ensure!(twice.is_none(), "read more than once: {twice:?}");
        Ok(())
    }

    /// Waits until all `values` were read, once at least.
    pub fn await_read(&mut self, values: &[String]) -> Result<()> {
        self.until("all is read", |scene| values.iter().all(|value| scene.read.contains_key(value)))
    }

    /// Forgets what was read: what is read from now on was not committed before.
    pub fn forget_read(&mut self) {
        self.read.clear();
    }

    pub fn has_read(&self) -> BTreeSet<&str> {
        self.read.keys().map(String::as_str).collect()
    }

    /// Kills the first member, who says nothing to anybody.
    pub fn kill_one(&mut self) -> Result<()> {
        let (_, mut member) = self.members.pop_first().context("there is a member")?;
        member.child.kill()?;
        member.child.wait()?;
        Ok(())
    }

    /// Has all leave, and waits until they have.
    pub fn stop(&mut self) -> Result<()> {
        for member in self.members.values_mut() {
            member.is_asked = true;
            if self.consumer.leaves_at_end_of_input() {
                drop(member.child.stdin.take());
            } else {
                let id = member.child.id().to_string();
                run(Command::new("kill").args(["-TERM", &id]), "", CLIENT_DEADLINE)?.success()?;
            }
        }
        let until = Instant::now() + SOON;
        while let Some(mut first) = self.members.first_entry() {
            if first.get_mut().child.try_wait()?.is_some() {
                let (index, mut member) = first.remove_entry();
                let status = member.child.wait()?;
                self.take(Duration::from_millis(50))?;
                let is_clean = status.success() || !self.consumer.leaves_at_end_of_input();
                ensure!(is_clean, "member {index} ended with {status}: {:?}", member.last_lines);
                continue;
            }
            ensure!(Instant::now() < until, "they do not stop: {}", self.seen());
            self.take(Duration::from_millis(50))?;
        }
        Ok(())
    }

    fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) -> Result<()> {
        let until = Instant::now() + SOON;
        while !is_so(self) {
            ensure!(Instant::now() < until, "not within {SOON:?}: {what}: {}", self.seen());
            self.take(Duration::from_millis(100))?;
        }
        Ok(())
    }

    /// Takes what members have said, and waits so long for something to be.
    fn take(&mut self, wait: Duration) -> Result<()> {
        match self.lines.recv_timeout(wait) {
            Ok((index, line)) => self.hear(index, line),
            Err(RecvTimeoutError::Timeout) => {
                for (index, member) in &mut self.members {
                    if !member.is_asked
                        && let Some(status) = member.child.try_wait()?
                    {
                        bail!("member {index} ended with {status}: {:?}", member.last_lines);
                    }
                }
            }
            Err(RecvTimeoutError::Disconnected) => bail!("this end keeps a sender"),
        }
        Ok(())
    }

    fn hear(&mut self, index: usize, line: String) {
        let said = self.consumer.understand(&line);
        if let Said::Record { value, .. } = &said {
            *self.read.entry(value.clone()).or_default() += 1;
        }
        let Some(member) = self.members.get_mut(&index) else { return };
        match said {
            Said::Owns(partitions) => member.owned = partitions.into_iter().collect(),
            Said::Gains(partitions) => member.owned.extend(partitions),
            Said::Loses(partitions) => {
                member.owned.retain(|it| !partitions.contains(it));
            }
            Said::Record { .. } => return,
            Said::Else => {}
        }
        member.last_lines.push_back(line);
        if member.last_lines.len() > LINES_KEPT {
            member.last_lines.pop_front();
        }
    }

    fn seen(&self) -> String {
        let member = |(index, member): (&usize, &Member)| {
            format!("\n  member {index} owns {:?}, said {:?}", member.owned, member.last_lines)
        };
        let members: String = self.members.iter().map(member).collect();
        format!("{} values were read{members}", self.read.len())
    }
}
