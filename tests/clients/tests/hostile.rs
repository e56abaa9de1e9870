//! `cargo test --package clients --test hostile [-- FILTER]`: clients that want more than there is, beside
//! clients that do as they should. The last thing it prints is a table of the broker's memory and of what
//! the latter waited; `MILLRACE_TEST_BROKER=kafka` prints Apache Kafka's.

use clients::{Kind, Report, suites};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut report = Report::from_arguments();
    match Kind::from_environment() {
        Ok(kind) => {
            suites::attacked::run(&mut report, kind);
            if kind == Kind::Millrace {
                suites::wide_requests::run(&mut report);
            }
        }
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    }
    report.finish()
}
