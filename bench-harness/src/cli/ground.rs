//! `millrace-bench ground`: start, idle footprint, P1, P2, P4 and P5, side by side in one run.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use protocol::model::TimestampMs;

use crate::measure::{Host, Memory, Usage, disk_ceiling, pin_own_threads};
use crate::report::{LoadFigures, Report, ServerFigures, Setting, table};
use crate::subject::{Kind, Server};
use crate::workloads::{Client, Load, Topic, WORKLOADS, Window, Workload, run};

/// A server that has just answered first still settles; its idle time begins after this.
const SETTLE: Duration = Duration::from_secs(2);

/// Measure start, idle footprint and bulk, small and single produce requests, side by side.
///
/// Servers run one after the other on the first CPU, the load on the last. Example:
/// millrace-bench ground --millrace target/release/millrace --json ground.json
#[derive(clap::Args)]
pub struct Ground {
    /// The broker to measure.
    #[arg(long, default_value = "target/release/millrace")]
    millrace: PathBuf,
    /// A directory with the jars of Apache Kafka: it is measured too, as shipped and with
    /// flush.messages=1.
    #[arg(long, value_name = "DIR")]
    kafka_jars: Option<PathBuf>,
    /// Where data directories are made, and removed again; by default the system's for such.
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
    /// Only these workloads (P1, P1b/8, P1b/64, P2/32, P2/128, P4/small, P4/batches, P5), separated by
    /// commas.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    #[arg(long, default_value_t = 3)]
    repeats: usize,
    #[arg(long, value_name = "SECONDS", default_value_t = 2)]
    warm_up: u64,
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    measured: u64,
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    idle: u64,
    /// Write all figures of all repeats to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Ground {
    pub fn run(&self) -> Result<()> {
        let host = Host::look()?;
        ensure!(
            host.cpu_count >= 2,
            "this needs two CPUs: one for the server, one for the load that must not disturb it"
        );
        ensure!(self.millrace.is_file(), "{} is no file", self.millrace.display());
        let workloads = self.workloads()?;
        let scratch = self.scratch.clone().unwrap_or_else(std::env::temp_dir);
        let setting = Setting {
            server_cpu: 0,
            load_cpu: host.cpu_count - 1,
            repeats: self.repeats,
            warm_up_seconds: self.warm_up,
            measured_seconds: self.measured,
            idle_seconds: self.idle,
        };
        pin_own_threads(setting.load_cpu)?;
        eprintln!("measuring the disk under {}", scratch.display());
        let disk = disk_ceiling(&scratch)?;
        let mut report = Report { host, setting, disk, runs: Vec::new(), failures: Vec::new() };
        for repeat in 0..self.repeats {
            let mut kinds = self.kinds();
            if repeat % 2 == 1 {
                kinds.reverse();
            }
            for kind in kinds {
                let name = kind.name();
                eprintln!("repeat {} of {}: {name}", repeat + 1, self.repeats);
                match measure_server(kind, repeat, &report.setting, &scratch, &workloads) {
                    Ok((run, failures)) => {
                        report.runs.push(run);
                        report.failures.extend(failures);
                    }
                    Err(error) => report.failures.push(format!("{name}: {error:#}")),
                }
            }
        }
        self.print(&report, &workloads)
    }

    fn workloads(&self) -> Result<Vec<Workload>> {
        for name in &self.only {
            ensure!(Workload::named(name).is_some(), "there is no workload {name}");
        }
        let is_wanted = |workload: &&Workload| {
            self.only.is_empty() || self.only.iter().any(|name| name == workload.name)
        };
        Ok(WORKLOADS.iter().filter(is_wanted).copied().collect())
    }

    fn kinds(&self) -> Vec<Kind> {
        let mut kinds = vec![Kind::Bare, Kind::Millrace { binary: self.millrace.clone() }];
        if let Some(jars) = &self.kafka_jars {
            kinds.push(Kind::Kafka { jars: jars.clone(), flushes: false });
            kinds.push(Kind::Kafka { jars: jars.clone(), flushes: true });
        }
        kinds
    }

    fn print(&self, report: &Report, workloads: &[Workload]) -> Result<()> {
        let Report { host, disk, setting, .. } = report;
        println!(
            "{}, {} CPUs, {} MiB, Linux {}, load average {} at the start, commit {}",
            host.cpu, host.cpu_count, host.memory_mib, host.kernel, host.load_1_minute, host.commit
        );
        println!(
            "Server on CPU {}, load on CPU {}; {} repeats of {} s after at least {} s of warm-up.",
            setting.server_cpu,
            setting.load_cpu,
            setting.repeats,
            setting.measured_seconds,
            setting.warm_up_seconds
        );
        println!(
            "Disk: direct writes {:.0} MB/s; 4 KiB write and flush p50 {} us, p99 {} us\n",
            disk.write_mb_per_s, disk.flushed_write_p50_us, disk.flushed_write_p99_us
        );
        println!("{}", table(report, workloads));
        if let Some(path) = &self.json {
            std::fs::write(path, serde_json::to_string_pretty(report)?)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        if !report.failures.is_empty() {
            bail!("this run does not count:\n{}", report.failures.join("\n"));
        }
        Ok(())
    }
}

/// One server from start to stop, and the workloads that do not count: what is asked of all servers may
/// be too much for one.
fn measure_server(
    kind: Kind,
    repeat: usize,
    setting: &Setting,
    scratch: &Path,
    workloads: &[Workload],
) -> Result<(ServerFigures, Vec<String>)> {
    let mut server =
        Server::start(kind.clone(), setting.server_cpu, scratch).context("starting")?;
    thread::sleep(SETTLE);
    let idle_time = Duration::from_secs(setting.idle_seconds);
    let before = Usage::of(server.pid())?;
    thread::sleep(idle_time);
    let idle = Usage::of(server.pid())?.since(&before);
    let idle_memory = Memory::of(server.pid())?;
    let mut loads = Vec::with_capacity(workloads.len());
    let mut failures = Vec::new();
    for workload in workloads {
        let load = match measure_load(&kind, &server, setting, workload) {
            Ok(load) => load,
            Err(error) => {
                let (name, what) = (kind.name(), workload.name);
                eprintln!("  {what}: {error:#}");
                ensure!(
                    server.is_running()?,
                    "{what}: {error:#}; the server said: {}",
                    server.said()
                );
                failures.push(format!("{name}: {what}: {error:#}"));
                // What it still has to do is not the next one's.
                thread::sleep(SETTLE);
                continue;
            }
        };
        eprintln!(
            "  {}: {:.0} requests/s, {:.0} MB/s, p99 {} us",
            load.workload, load.requests_per_s, load.user_mb_per_s, load.latency_p99_us
        );
        loads.push(load);
    }
    let end_memory = Memory::of(server.pid())?;
    let start_ms = server.start_time.as_secs_f64() * 1e3;
    server.stop().context("stopping")?;
    let idle_seconds = idle_time.as_secs_f64();
    let figures = ServerFigures {
        subject: kind.name(),
        repeat,
        start_ms,
        idle_cpu_percent: percent(idle.cpu_of_running_threads, idle_time),
        idle_context_switches_per_s: idle.context_switches as f64 / idle_seconds,
        idle_resident_mb: idle_memory.resident_bytes as f64 / 1e6,
        end_resident_mb: end_memory.resident_bytes as f64 / 1e6,
        resident_max_mb: end_memory.resident_bytes_max as f64 / 1e6,
        loads,
    };
    Ok((figures, failures))
}

/// One workload on a topic of its own, and the count of what is there afterwards.
fn measure_load(
    kind: &Kind,
    server: &Server,
    setting: &Setting,
    workload: &Workload,
) -> Result<LoadFigures> {
    // The floor has no topics; any name will do.
    let name = format!("ground-{}", workload.name.replace('/', "-"));
    let topic = if kind.stores() {
        Topic::create(name, workload.partition_count, server.address)?
    } else {
        Topic { name, partition_count: workload.partition_count }
    };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let load = Load {
        workload: *workload,
        broker: server.address,
        topic: &topic,
        stores: kind.stores(),
        now: TimestampMs(i64::try_from(now.as_millis())?),
    };
    let measured = Duration::from_secs(setting.measured_seconds);
    let from = Instant::now() + kind.warm_up(Duration::from_secs(setting.warm_up_seconds));
    let window = Window { from, until: from + measured };
    let usage_at = |at: Instant| -> Result<(Usage, Usage)> {
        thread::sleep(at.saturating_duration_since(Instant::now()));
        Ok((Usage::of(server.pid())?, Usage::of(std::process::id())?))
    };
    let (outcome, usage) = run(&load, window, || -> Result<_> {
        Ok((usage_at(window.from)?, usage_at(window.until)?))
    })?;
    let ((server_before, own_before), (server_after, own_after)) = usage?;
    if kind.stores() {
        let stored = topic.record_count(&mut Client::connect(server.address)?)?;
        let acknowledged = outcome.acknowledged_records;
        ensure!(
            stored == acknowledged,
            "{stored} records are there, {acknowledged} were acknowledged"
        );
    }
    ensure!(outcome.requests > 0, "no request was answered within {measured:?}");
    let spent = server_after.since(&server_before);
    let user_bytes = workload.user_bytes(outcome.records);
    let (requests, seconds) = (outcome.requests as f64, measured.as_secs_f64());
    let latency = |quantile| outcome.latency_us.value_at_quantile(quantile);
    Ok(LoadFigures {
        workload: workload.name,
        requests_per_s: requests / seconds,
        user_mb_per_s: user_bytes / 1e6 / seconds,
        latency_p50_us: latency(0.5),
        latency_p99_us: latency(0.99),
        latency_p999_us: latency(0.999),
        latency_max_us: outcome.latency_us.max(),
        sent_late_p99_us: outcome.sent_late_us.value_at_quantile(0.99),
        cpu_percent: percent(spent.cpu, measured),
        cpu_seconds_per_gb: spent.cpu.as_secs_f64() / (user_bytes / 1e9),
        cpu_us_per_request: spent.cpu.as_secs_f64() * 1e6 / requests,
        written_bytes_per_user_byte: spent.written_bytes as f64 / user_bytes,
        context_switches_per_request: spent.context_switches as f64 / requests,
        load_cpu_percent: percent(own_after.since(&own_before).cpu, measured),
    })
}

fn percent(part: Duration, whole: Duration) -> f64 {
    part.as_secs_f64() / whole.as_secs_f64() * 100.0
}
