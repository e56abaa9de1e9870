//! Prometheus' text format, version 0.0.4: a block for each family, in the order of the table.

use std::fmt::{Display, Write};
use std::sync::Arc;

use reactor::latencies::{BOUNDS_NS, LatencyCounts};

use super::families::{FAMILIES, Family};
use super::node_report::NodeReport;

pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A report as text, made a family at a time when the next is asked for.
pub struct Exposition {
    report: Arc<NodeReport>,
    families: std::slice::Iter<'static, Family>,
}

/// The kinds of metrics. What each means to a reader: a counter only grows while the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// The lines of one family.
pub struct Rows<'a> {
    family: &'static Family,
    text: &'a mut String,
}

impl Exposition {
    pub fn new(report: Arc<NodeReport>) -> Self {
        Exposition { report, families: FAMILIES.iter() }
    }
}

impl Iterator for Exposition {
    type Item = String;

    /// The next family that has any rows.
    fn next(&mut self) -> Option<String> {
        self.families.find_map(|family| {
            let mut text = String::new();
            (family.rows)(&self.report, &mut Rows { family, text: &mut text });
            (!text.is_empty()).then(|| {
                let Family { name, kind, help, .. } = family;
                format!("# HELP {name} {}\n# TYPE {name} {}\n{text}", Help(help), kind.word())
            })
        })
    }
}

impl Kind {
    pub fn word(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

impl Rows<'_> {
    /// One row; `labels` are the values of the family's labels, in their order (asserted).
    pub fn value(&mut self, labels: &[&dyn Display], value: impl Display) {
        assert!(self.family.kind != Kind::Histogram, "{} has buckets", self.family.name);
        self.row("", labels, None, value);
    }

    /// The rows of a histogram of seconds.
    pub fn latencies(&mut self, labels: &[&dyn Display], latencies: &LatencyCounts) {
        assert!(self.family.kind == Kind::Histogram, "{} has no buckets", self.family.name);
        let mut count = 0;
        for (bucket, more) in latencies.counts.iter().enumerate() {
            count += more;
            let bound = BOUNDS_NS.get(bucket).map_or(f64::INFINITY, |bound| seconds(*bound));
            self.row("_bucket", labels, Some(bound), count);
        }
        self.row("_sum", labels, None, seconds(latencies.sum_ns));
        self.row("_count", labels, None, count);
    }

    fn row(
        &mut self,
        suffix: &str,
        labels: &[&dyn Display],
        bound: Option<f64>,
        value: impl Display,
    ) {
        let Family { name, labels: names, .. } = *self.family;
        assert_eq!(labels.len(), names.len(), "{name} has the labels {names:?}");
        self.write(format_args!("{name}{suffix}"));
        let mut separator = '{';
        for (label, value) in names.iter().zip(labels) {
            self.write(format_args!("{separator}{label}=\"{}\"", LabelValue(value)));
            separator = ',';
        }
        match bound {
            Some(bound) if bound.is_infinite() => {
                self.write(format_args!("{separator}le=\"+Inf\"}}"));
            }
            Some(bound) => self.write(format_args!("{separator}le=\"{bound}\"}}")),
            None if separator == ',' => self.text.push('}'),
            None => {}
        }
        self.write(format_args!(" {value}\n"));
    }

    fn write(&mut self, arguments: std::fmt::Arguments<'_>) {
        self.text.write_fmt(arguments).expect("a text takes what is written to it");
    }
}

pub fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

/// A help text as the format has it: backslashes and line breaks escaped.
struct Help<'a>(&'a str);

/// The value of a label: quotation marks too.
struct LabelValue<'a>(&'a dyn Display);

impl Display for Help<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Escaping { to: f, quotes: false }.write_str(self.0)
    }
}

impl Display for LabelValue<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(Escaping { to: f, quotes: true }, "{}", self.0)
    }
}

struct Escaping<'a, 'b> {
    to: &'a mut std::fmt::Formatter<'b>,
    quotes: bool,
}

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        text.chars().try_for_each(|character| match character {
            '\\' => self.to.write_str("\\\\"),
            '\n' => self.to.write_str("\\n"),
            '"' if self.quotes => self.to.write_str("\\\""),
            other => self.to.write_char(other),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::MemoryShares;

    /// A node of one core, which does not answer.
    fn silent_node(log_dir: &str) -> NodeReport {
        NodeReport {
            version: "1.2.3",
            node_id: 7,
            uptime: Duration::from_millis(2_500),
            process: None,
            watchdog_kicks: 0,
            log_dirs: vec![log_dir.into()],
            memory: MemoryShares {
                frames: 1,
                chunks: 2,
                answers: 3,
                parked: 4,
                compaction: 5,
                groups: 6,
            },
            cores: vec![None],
        }
    }

    fn block(node: NodeReport, name: &str) -> String {
        let is_of = |block: &String| block.starts_with(&format!("# HELP {name} "));
        let mut blocks = Exposition::new(Arc::new(node));
        blocks.find(is_of).unwrap_or_else(|| panic!("{name} is shown"))
    }

    #[test]
    fn a_core_that_does_not_answer_is_shown_as_such() {
        let up = block(silent_node("/data"), "millrace_core_up");
        assert!(
            up.ends_with("# TYPE millrace_core_up gauge\nmillrace_core_up{core=\"0\"} 0\n"),
            "{up}"
        );
        let uptime = block(silent_node("/data"), "millrace_uptime_seconds");
        assert!(uptime.ends_with("\nmillrace_uptime_seconds 2.5\n"), "{uptime}");
        let names: Vec<String> = Exposition::new(Arc::new(silent_node("/data"))).collect();
        assert!(!names.iter().any(|block| block.contains("millrace_core_cpu")), "{names:?}");
    }

    #[test]
    fn labels_are_escaped() {
        let up = block(silent_node("/a \"b\" c\\d\ne"), "millrace_log_directory_up");
        let want = "millrace_log_directory_up{directory=\"/a \\\"b\\\" c\\\\d\\ne\"} 1\n";
        assert!(up.ends_with(want), "{up}");
    }

    #[test]
    fn buckets_are_cumulative() {
        let latencies = reactor::latencies::Latencies::default();
        for took_us in [50, 90, 300, 20_000_000] {
            latencies.record(Duration::from_micros(took_us));
        }
        let family = FAMILIES.iter().find(|family| family.kind == Kind::Histogram);
        let family = family.expect("there is a histogram");
        let mut text = String::new();
        Rows { family, text: &mut text }.latencies(&[&"a"], &latencies.counts());
        let lines: Vec<&str> = text.lines().collect();
        for (line, le, count) in
            [(0, "0.0001", 2), (1, "0.00025", 2), (2, "0.0005", 3), (15, "10", 3), (16, "+Inf", 4)]
        {
            let want = format!("{}_bucket{{api=\"a\",le=\"{le}\"}} {count}", family.name);
            assert_eq!(lines[line], want);
        }
        assert_eq!(
            lines[17..],
            [
                format!("{}_sum{{api=\"a\"}} 20.00044", family.name),
                format!("{}_count{{api=\"a\"}} 4", family.name),
            ]
        );
    }
}
