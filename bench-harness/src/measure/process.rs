//! What a process has used so far, from `/proc`.

use std::fs;
use std::ops::Sub;
use std::time::Duration;

use anyhow::{Context, Result};

/// Ticks of `/proc/<pid>/stat`: 100 in a second on every Linux that we run on (USER_HZ).
const TICK: Duration = Duration::from_millis(10);

/// Fields of `/proc/<pid>/stat` behind the command's closing bracket.
const USER_TICKS: usize = 11;
const SYSTEM_TICKS: usize = 12;

/// Counters of a process since it began. Their difference is what a span cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// All threads, ended ones too, in ticks of 10 ms.
    pub cpu: Duration,
    /// Threads that run now, in nanoseconds: for spans in which hardly anything happens.
    pub cpu_of_running_threads: Duration,
    /// Bytes that went, or are to go, to a disk.
    pub written_bytes: u64,
    /// Times that a running thread was taken off its CPU, or gave it up.
    pub context_switches: u64,
}

impl Usage {
    pub fn of(pid: u32) -> Result<Usage> {
        let mut usage = Usage {
            cpu: cpu_of_stat(&read(pid, "stat")?).context("/proc/<pid>/stat")?,
            written_bytes: number_after(&read(pid, "io")?, "write_bytes:")?,
            ..Usage::default()
        };
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            let task = task?.path();
            // A thread may end between being listed and being read.
            let (Ok(schedule), Ok(status)) = (
                fs::read_to_string(task.join("schedstat")),
                fs::read_to_string(task.join("status")),
            ) else {
                continue;
            };
            let on_cpu_ns = schedule.split_whitespace().next().context("schedstat")?.parse()?;
            usage.cpu_of_running_threads += Duration::from_nanos(on_cpu_ns);
            usage.context_switches += number_after(&status, "voluntary_ctxt_switches:")?
                + number_after(&status, "nonvoluntary_ctxt_switches:")?;
        }
        Ok(usage)
    }
}

impl Sub for Usage {
    type Output = Usage;
    fn sub(self, earlier: Usage) -> Usage {
        Usage {
            cpu: self.cpu.saturating_sub(earlier.cpu),
            cpu_of_running_threads: self
                .cpu_of_running_threads
                .saturating_sub(earlier.cpu_of_running_threads),
            written_bytes: self.written_bytes.saturating_sub(earlier.written_bytes),
            context_switches: self.context_switches.saturating_sub(earlier.context_switches),
        }
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
        assert!(before.cpu_of_running_threads > Duration::ZERO);
        let memory = Memory::of(pid).unwrap();
        assert!(memory.resident_bytes > 0);
        assert!(memory.resident_bytes_max >= memory.resident_bytes);
        let spent = Usage::of(pid).unwrap() - before;
        assert!(spent.written_bytes <= Usage::of(pid).unwrap().written_bytes);
    }
}
