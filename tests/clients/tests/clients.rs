//! `cargo test --package clients [-- FILTER]`: every client against brokers of one, two and four cores.

use clients::{Kind, Quorum, Report, Setting, suites};
use std::process::ExitCode;

/// Four cores on a smaller host share its CPUs: what is tested is who owns what, not speed.
const ROUNDS: [(usize, Quorum); 3] =
    [(1, Quorum::Static), (2, Quorum::Dynamic), (4, Quorum::Static)];

fn main() -> ExitCode {
    let mut report = Report::from_arguments();
    let kind = match Kind::from_environment() {
        Ok(kind) => kind,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    // Apache Kafka has no cores to count: one round for each kind of quorum.
    let rounds = match kind {
        Kind::Millrace => &ROUNDS[..],
        Kind::Kafka => &ROUNDS[..2],
    };
    for &(cores, quorum) in rounds {
        suites::run(&mut report, Setting { kind, cores, quorum });
    }
    suites::stock::run(&mut report, kind);
    report.finish()
}
