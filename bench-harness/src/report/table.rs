//! The table for people: a line for each figure, a column for each subject.

use super::figures::{LoadFigures, Report, ServerFigures};
use super::spread::Spread;
use crate::workloads::Workload;

type OfServer = (&'static str, fn(&ServerFigures) -> f64);
type OfLoad = (&'static str, fn(&LoadFigures) -> f64);

const OF_SERVER: &[OfServer] = &[
    ("start to first answer, ms", |run| run.start_ms),
    ("idle CPU, % of a core", |run| run.idle_cpu_percent),
    ("idle context switches/s", |run| run.idle_context_switches_per_s),
    ("idle RSS, MB", |run| run.idle_resident_mb),
    ("RSS after the loads, MB", |run| run.end_resident_mb),
    ("largest RSS, MB", |run| run.resident_max_mb),
];

const OF_LOAD: &[OfLoad] = &[
    ("MB/s of record values", |load| load.user_mb_per_s),
    ("requests/s", |load| load.requests_per_s),
    ("p50, ms", |load| load.latency_p50_us as f64 / 1e3),
    ("p99, ms", |load| load.latency_p99_us as f64 / 1e3),
    ("p99.9, ms", |load| load.latency_p999_us as f64 / 1e3),
    ("sent late, p99, ms", |load| load.sent_late_p99_us as f64 / 1e3),
    ("CPU, % of a core", |load| load.cpu_percent),
    ("CPU-s per GB", |load| load.cpu_seconds_per_gb),
    ("CPU per request, us", |load| load.cpu_us_per_request),
    ("bytes to disk per byte", |load| load.written_bytes_per_user_byte),
    ("context switches/request", |load| load.context_switches_per_request),
    ("load generator CPU, %", |load| load.load_cpu_percent),
];

/// Renders `report` as lines of Markdown, medians first and least to largest behind.
pub fn table(report: &Report, workloads: &[Workload]) -> String {
    let mut subjects: Vec<&'static str> = Vec::new();
    for run in &report.runs {
        if !subjects.contains(&run.subject) {
            subjects.push(run.subject);
        }
    }
    let mut rows = vec![header(&subjects)];
    for (name, figure) in OF_SERVER {
        rows.push(row(name, &subjects, |subject| {
            Spread::of(report.runs.iter().filter(|run| run.subject == subject).map(figure))
        }));
    }
    for workload in workloads {
        let mut title = vec![format!("**{}**: {}", workload.name, workload.what)];
        title.resize(subjects.len() + 1, String::new());
        rows.push(title);
        for (name, figure) in OF_LOAD {
            rows.push(row(name, &subjects, |subject| {
                let runs = report.runs.iter().filter(|run| run.subject == subject);
                let loads = runs.flat_map(|run| &run.loads);
                Spread::of(loads.filter(|load| load.workload == workload.name).map(figure))
            }));
        }
    }
    aligned(&rows)
}

fn header(subjects: &[&str]) -> Vec<String> {
    let first = "median (least-largest)".to_owned();
    std::iter::once(first).chain(subjects.iter().map(|name| (*name).to_owned())).collect()
}

fn row(
    name: &str,
    subjects: &[&'static str],
    spread_of: impl Fn(&str) -> Option<Spread>,
) -> Vec<String> {
    let cell = |subject: &&str| spread_of(subject).map_or_else(|| "-".to_owned(), cell);
    std::iter::once(name.to_owned()).chain(subjects.iter().map(cell)).collect()
}

fn cell(spread: Spread) -> String {
    let Spread { median, min, max } = spread;
    format!("{} ({}-{})", number(median), number(min), number(max))
}

/// Three digits that mean something.
fn number(value: f64) -> String {
    let decimals = match value.abs() {
        0.0 => 0,
        small if small < 0.1 => 3,
        small if small < 10.0 => 2,
        middle if middle < 100.0 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    // A workload's title may be as long as it likes: it shares its line with nothing.
    let is_title = |row: &Vec<String>| row[1..].iter().all(String::is_empty);
    let width = |column: usize| {
        rows.iter().filter(|row| !is_title(row)).map(|row| row[column].len()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut lines = Vec::with_capacity(rows.len() + 1);
    for (index, row) in rows.iter().enumerate() {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        lines.push(format!("| {} |", cells.collect::<Vec<_>>().join(" | ")));
        if index == 0 {
            let rules = widths.iter().enumerate().map(|(column, &width)| {
                if column == 0 { "-".repeat(width) } else { "-".repeat(width - 1) + ":" }
            });
            lines.push(format!("| {} |", rules.collect::<Vec<_>>().join(" | ")));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_what_means_something() {
        for (value, want) in
            [(0.0, "0"), (0.0123, "0.012"), (1.234, "1.23"), (45.67, "45.7"), (12_345.6, "12346")]
        {
            assert_eq!(number(value), want);
        }
    }

    #[test]
    fn columns_line_up_and_titles_do_not_widen_them() {
        let text = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let rows = [text(["a", "bb"]), text(["a long title", ""]), text(["ccc", "d"])];
        let want = "| a   | bb |\n| --- | -: |\n| a long title |    |\n| ccc |  d |";
        assert_eq!(aligned(&rows), want);
    }
}
