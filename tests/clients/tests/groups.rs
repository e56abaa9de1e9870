//! `cargo test --package clients --test groups [-- FILTER]`: groups on brokers of one, two and four cores.

use clients::{Kind, Quorum, Report, Setting, suites};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut report = Report::from_arguments();
    let kind = match Kind::from_environment() {
        Ok(kind) => kind,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    // Apache Kafka has no cores to count.
    let cores: &[usize] = match kind {
        Kind::Millrace => &[1, 2, 4],
        Kind::Kafka => &[1],
    };
    for &cores in cores {
        suites::groups::run(&mut report, Setting { kind, cores, quorum: Quorum::Static });
    }
    let setting = Setting { kind, cores: 2, quorum: Quorum::Static };
    suites::consumers::run(&mut report, setting);
    report.finish()
}
