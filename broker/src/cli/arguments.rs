//! The commands, and their exit codes: 0 done, 1 failed, 2 misused.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::output::ReaderGone;
use super::{consume, produce, start, storage, topic};

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
    /// Create, list, describe, alter and delete topics.
    #[command(subcommand)]
    Topic(topic::Topic),
    Produce(produce::Produce),
    Consume(consume::Consume),
}

/// Runs the command that the process was given.
pub fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Start(start) => {
            // Before any thread exists, so that each inherits it.
            reactor::outside::block_stop_signals();
            start.run()
        }
        Command::Storage(storage) => {
            reactor::outside::block_stop_signals();
            storage.run().map(|()| ExitCode::SUCCESS)
        }
        Command::Topic(topic) => topic.run().map(|()| ExitCode::SUCCESS),
        Command::Produce(produce) => produce.run().map(|()| ExitCode::SUCCESS),
        Command::Consume(consume) => consume.run().map(|()| ExitCode::SUCCESS),
    };
    match outcome {
        Ok(code) => code,
        // As `millrace topic list | head -1`: who read has what it wanted.
        Err(error) if error.is::<ReaderGone>() => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("millrace: {error:#}");
            ExitCode::FAILURE
        }
    }
}
