//! What was seen, as the table of docs/performance.

use super::good::GoodClients;
use crate::{Broker, Kind};
use hdrhistogram::Histogram;

/// One kind of bad clients: memory that was resident before them, the most while they lasted, and when they
/// had gone; and what good clients waited, in microseconds.
#[derive(Debug)]
pub struct Row {
    pub what: &'static str,
    pub rest_bytes: u64,
    pub peak_bytes: u64,
    pub after_bytes: u64,
    /// Sockets that were open still when they had gone.
    pub kept_count: usize,
    pub latencies: Vec<(GoodClients, Histogram<u64>)>,
}

#[derive(Debug)]
pub struct Table {
    kind: Kind,
    lines: Vec<String>,
}

const VERBS: [&str; 3] = ["produce", "fetch", "connect"];

impl Table {
    pub fn new(kind: Kind) -> Self {
        Self { kind, lines: Vec::new() }
    }

    pub fn add(&mut self, row: Row) {
        let waits = VERBS.map(|verb| {
            let of_verb = row.latencies.iter().find(|(client, _)| client.verb() == verb);
            of_verb.map_or_else(|| "-".to_owned(), |(_, waited_us)| in_ms(waited_us))
        });
        let memory = [row.rest_bytes, row.peak_bytes, row.after_bytes];
        let memory = memory.map(|bytes| (bytes >> 20).to_string()).join(" / ");
        let kept = match row.kept_count {
            0 => String::new(),
            count => format!("; {count} sockets still open"),
        };
        self.push(format!("| {} | {memory}{kept} | {} |", row.what, waits.join(" | ")));
    }

    /// Good clients were not served beside them; `broker` is ended, if it has not ended by itself.
    pub fn failed(&mut self, what: &str, broker: Option<Broker>, why: &anyhow::Error) {
        let why = format!("{why:#}").replace(['\n', '|'], " ");
        let why: String = why.chars().take(120).collect();
        let ended = broker.and_then(Broker::ended);
        let ended = ended.map(|status| format!("; the broker ended: {status}")).unwrap_or_default();
        self.push(format!("| {what} | | {why}{ended} | | |"));
    }

    fn push(&mut self, line: String) {
        println!("{line}");
        self.lines.push(line);
    }

    pub fn print(&self) {
        println!("\n| {}, beside | MiB at rest / at most / after | {}, ms |", self.kind.name(), {
            VERBS.join(", ms | ")
        });
        println!("|---|---|---|---|---|");
        for line in &self.lines {
            println!("{line}");
        }
        println!("Times are p50 / p99 / largest, from when a request was due.\n");
    }
}

fn in_ms(waited_us: &Histogram<u64>) -> String {
    let ms = |us: u64| match us {
        0..10_000 => format!("{:.1}", us as f64 / 1e3),
        _ => format!("{}", us / 1000),
    };
    let at = |quantile| ms(waited_us.value_at_quantile(quantile));
    format!("{} / {} / {}", at(0.5), at(0.99), ms(waited_us.max()))
}
