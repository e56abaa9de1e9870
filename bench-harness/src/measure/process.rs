//! What a process has used so far, from `/proc`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// Ticks of `/proc/<pid>/stat`: 100 in a second on every Linux that we run on (USER_HZ).
const TICK: Duration = Duration::from_millis(10);

/// Fields of `/proc/<pid>/stat` behind the command's closing bracket.
const USER_TICKS: usize = 11;
const SYSTEM_TICKS: usize = 12;

/// Counters of a process since it began, to be told apart from later ones.
pub struct Usage {
    cpu: Duration,
    written_bytes: u64,
    /// By the thread's number.
    threads: BTreeMap<OsString, Thread>,
}

#[derive(Clone, Copy, Default)]
struct Thread {
    on_cpu: Duration,
    context_switches: u64,
}

/// What a process used between two looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spent {
    /// Of all threads, ended ones too, in ticks of 10 ms.
    pub cpu: Duration,
    /// Of threads that ran to the end, in nanoseconds: for spans in which hardly anything happens.
    pub cpu_of_running_threads: Duration,
    /// Bytes that went, or are to go, to a disk.
    pub written_bytes: u64,
    /// Times that a thread was taken off its CPU, or gave it up; of threads that ran to the end.
    pub context_switches: u64,
}

impl Usage {
    pub fn of(pid: u32) -> Result<Usage> {
        let mut usage = Usage {
            cpu: cpu_of_stat(&read(pid, "stat")?).context("/proc/<pid>/stat")?,
            written_bytes: number_after(&read(pid, "io")?, "write_bytes:")?,
            threads: BTreeMap::new(),
        };
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            let task = task?;
            // A thread may end between being listed and being read.
            let (Ok(schedule), Ok(status)) = (
                fs::read_to_string(task.path().join("schedstat")),
                fs::read_to_string(task.path().join("status")),
            ) else {
                continue;
            };
            let on_cpu_ns = schedule.split_whitespace().next().context("schedstat")?.parse()?;
            let thread = Thread {
                on_cpu: Duration::from_nanos(on_cpu_ns),
                context_switches: number_after(&status, "voluntary_ctxt_switches:")?
                    + number_after(&status, "nonvoluntary_ctxt_switches:")?,
            };
            usage.threads.insert(task.file_name(), thread);
        }
        Ok(usage)
    }

    /// What the process used since `earlier`.
    pub fn since(&self, earlier: &Usage) -> Spent {
        let mut spent = Spent {
            cpu: self.cpu.saturating_sub(earlier.cpu),
            written_bytes: self.written_bytes.saturating_sub(earlier.written_bytes),
            ..Spent::default()
        };
        for (number, thread) in &self.threads {
            // A thread that began within the span has all of its counters from there.
            let before = earlier.threads.get(number).copied().unwrap_or_default();
            spent.cpu_of_running_threads += thread.on_cpu.saturating_sub(before.on_cpu);
            spent.context_switches +=
                thread.context_switches.saturating_sub(before.context_switches);
        }
        spent
    }
}

/// Resident memory of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    pub resident_bytes: u64,
    pub resident_bytes_max: u64,
}

impl Memory {
    pub fn of(pid: u32) -> Result<Memory> {
        let status = read(pid, "status")?;
        Ok(Memory {
            resident_bytes: number_after(&status, "VmRSS:")? * 1024,
            resident_bytes_max: number_after(&status, "VmHWM:")? * 1024,
        })
    }
}

fn read(pid: u32, name: &str) -> Result<String> {
    let path = format!("/proc/{pid}/{name}");
    fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
}

fn cpu_of_stat(stat: &str) -> Option<Duration> {
    // The command may hold blanks and brackets; the last bracket ends it.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<u32>().ok();
    Some(TICK * (ticks(USER_TICKS)? + ticks(SYSTEM_TICKS)?))
}

/// The number in the line of `text` that begins with `name`.
fn number_after(text: &str, name: &str) -> Result<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .with_context(|| format!("no {name} in /proc"))?;
    let number = line.split_whitespace().next().with_context(|| format!("{name} is empty"))?;
    Ok(number.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_behind_the_command() {
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 1";
        assert_eq!(cpu_of_stat(stat), Some(Duration::from_secs(3)));
        assert_eq!(cpu_of_stat("7 (short) S 1"), None);
    }

    #[test]
    fn our_own_process_can_be_read() {
        let pid = std::process::id();
        let before = Usage::of(pid).unwrap();
        let memory = Memory::of(pid).unwrap();
        assert!(memory.resident_bytes > 0);
        assert!(memory.resident_bytes_max >= memory.resident_bytes);
        let after = Usage::of(pid).unwrap();
        assert!(after.threads.keys().any(|number| before.threads.contains_key(number)));
    }

    #[test]
    fn a_thread_that_ended_takes_nothing_from_the_others() {
        let usage = |threads: &[(&str, u64)]| Usage {
            cpu: Duration::ZERO,
            written_bytes: 0,
            threads: threads
                .iter()
                .map(|&(number, count)| {
                    let on_cpu = Duration::from_nanos(count);
                    (number.into(), Thread { on_cpu, context_switches: count })
                })
                .collect(),
        };
        let before = usage(&[("1", 10), ("2", 1000)]);
        let spent = usage(&[("1", 15), ("3", 7)]).since(&before);
        assert_eq!(spent.context_switches, 5 + 7);
        assert_eq!(spent.cpu_of_running_threads, Duration::from_nanos(12));
    }
}
