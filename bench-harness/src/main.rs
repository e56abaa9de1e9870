//! The `millrace-bench` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    bench_harness::cli::main()
}
