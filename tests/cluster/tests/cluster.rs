//! `cargo test --package cluster [-- [--full] FILTER]`: real brokers under what processes and disks suffer.

use clients::{Kind, Report};
use cluster::{Scale, suites};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut report = Report::from_arguments();
    let scale = Scale::from_arguments();
    let kind = match Kind::from_environment() {
        Ok(kind) => kind,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    suites::flush::run(&mut report, kind);
    suites::kill::run(&mut report, kind, scale);
    suites::freeze::run(&mut report, kind, scale);
    suites::power_loss::run(&mut report, kind, scale);
    suites::week::run(&mut report, kind);
    if kind == Kind::Millrace {
        suites::swap::run(&mut report);
        suites::compaction::run(&mut report);
        suites::recover::run(&mut report);
    }
    report.finish()
}
