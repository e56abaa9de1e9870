//! `cargo test --package clients [-- FILTER]`: every client against brokers of one, two and four cores.

use clients::{Kind, Report, suites};
use std::process::ExitCode;

/// Four cores on a smaller host share its CPUs: what is tested is who owns what, not speed.
const CORE_COUNTS: [usize; 3] = [1, 2, 4];

fn main() -> ExitCode {
    let mut report = Report::from_arguments();
    let kind = match Kind::from_environment() {
        Ok(kind) => kind,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    // Apache Kafka has no cores to count: one round says what it does.
    let core_counts = match kind {
        Kind::Millrace => &CORE_COUNTS[..],
        Kind::Kafka => &CORE_COUNTS[..1],
    };
    for &cores in core_counts {
        suites::run(&mut report, kind, cores);
    }
    report.finish()
}
