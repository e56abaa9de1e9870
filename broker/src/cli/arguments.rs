//! The commands, and their exit codes: 0 done, 1 failed, 2 misused.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::{start, storage};

/// Apache Kafka's broker and KRaft controller: same protocol, same files, same configuration.
#[derive(Parser)]
#[command(name = "millrace", version, about, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a broker in the foreground until SIGINT or SIGTERM.
    Start(start::Start),
    /// Prepare and inspect log directories.
    #[command(subcommand)]
    Storage(storage::Storage),
}

/// Runs the command that the process was given.
pub fn main() -> ExitCode {
    // Before any thread exists, so that each inherits it.
    reactor::outside::block_stop_signals();
    let outcome = match Arguments::parse().command {
        Command::Start(start) => start.run(),
        Command::Storage(storage) => storage.run().map(|()| ExitCode::SUCCESS),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("millrace: {error:#}");
            ExitCode::FAILURE
        }
    }
}
