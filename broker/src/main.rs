//! The `millrace` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    broker::cli::main()
}
