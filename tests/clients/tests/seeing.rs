//! `cargo test --package clients --test seeing [-- FILTER]`: what an operator sees of a broker.

use clients::{Report, suites};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut report = Report::from_arguments();
    // Apache Kafka has no such pages.
    suites::seeing::run(&mut report);
    report.finish()
}
