//! Every figure of a run, each repeat for itself: what the JSON file holds.

use serde::Serialize;

use crate::measure::{DiskCeiling, Host};

#[derive(Debug, Serialize)]
pub struct Report {
    pub host: Host,
    pub setting: Setting,
    pub disk: DiskCeiling,
    /// In the order in which they were run.
    pub runs: Vec<ServerFigures>,
    /// Answers with errors, records that were lost, servers that did not start or stop. Empty in a
    /// run that counts.
    pub failures: Vec<String>,
}

/// How the run was done.
#[derive(Debug, Clone, Serialize)]
pub struct Setting {
    pub server_cpu: usize,
    pub load_cpu: usize,
    pub repeats: usize,
    pub warm_up_seconds: u64,
    pub measured_seconds: u64,
    pub idle_seconds: u64,
}

/// One server from start to stop.
#[derive(Debug, Serialize)]
pub struct ServerFigures {
    pub subject: &'static str,
    pub repeat: usize,
    pub start_ms: f64,
    /// Of one CPU.
    pub idle_cpu_percent: f64,
    pub idle_context_switches_per_s: f64,
    pub idle_resident_mb: f64,
    pub end_resident_mb: f64,
    pub resident_max_mb: f64,
    pub loads: Vec<LoadFigures>,
}

/// One workload against one server.
#[derive(Debug, Serialize)]
pub struct LoadFigures {
    pub workload: &'static str,
    pub requests_per_s: f64,
    /// Of record values, in 10^6 bytes.
    pub user_mb_per_s: f64,
    pub latency_p50_us: u64,
    pub latency_p99_us: u64,
    pub latency_p999_us: u64,
    pub latency_max_us: u64,
    /// At a fixed rate, how long after their time requests left; latency counts it in.
    pub sent_late_p99_us: u64,
    pub cpu_percent: f64,
    pub cpu_seconds_per_gb: f64,
    pub cpu_us_per_request: f64,
    pub written_bytes_per_user_byte: f64,
    pub context_switches_per_request: f64,
    /// Of the load generator: near 100 it is what was measured.
    pub load_cpu_percent: f64,
}
