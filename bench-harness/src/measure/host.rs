//! The machine that a run was on, and which of its CPUs do what.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

/// What figures are worth nothing without.
#[derive(Debug, Clone, Serialize)]
pub struct Host {
    pub cpu: String,
    pub cpu_count: usize,
    pub memory_mib: u64,
    pub kernel: String,
    /// Processes that ran or waited, over the minute before: 0 on a machine that is ours alone.
    pub load_1_minute: f64,
    /// Of the source that the harness was run in.
    pub commit: String,
}

impl Host {
    pub fn look() -> Result<Host> {
        let cpus = fs::read_to_string("/proc/cpuinfo")?;
        let memory = fs::read_to_string("/proc/meminfo")?;
        let load = fs::read_to_string("/proc/loadavg")?;
        Ok(Host {
            cpu: field(&cpus, "model name").unwrap_or("unknown").to_owned(),
            cpu_count: thread::available_parallelism()?.get(),
            memory_mib: field(&memory, "MemTotal")
                .and_then(|text| text.split(' ').next()?.parse::<u64>().ok())
                .context("MemTotal")?
                / 1024,
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            load_1_minute: load.split(' ').next().context("loadavg")?.parse()?,
            commit: commit().unwrap_or_else(|| "unknown".to_owned()),
        })
    }
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim())
}

fn commit() -> Option<String> {
    let output = Command::new("git")
        .args(["describe", "--always", "--dirty"])
        .stderr(Stdio::null())
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

/// Has all threads of this process, and those to come, run on `cpu` only.
pub fn pin_own_threads(cpu: usize) -> Result<()> {
    let status = Command::new("taskset")
        .args(["--all-tasks", "--cpu-list", "--pid", &cpu.to_string()])
        .arg(std::process::id().to_string())
        .stdout(Stdio::null())
        .status()
        .context("cannot run taskset (package util-linux)")?;
    ensure!(status.success(), "taskset cannot pin the load to CPU {cpu}: {status}");
    Ok(())
}
