//! The subcommands and how they end.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::ground::Ground;
use crate::bare;

/// Measures millrace beside its peers and its ceilings.
#[derive(Parser)]
#[command(name = "millrace-bench", version, about, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure start, idle footprint and bulk, small and single produce requests, side by side.
    Ground(Ground),
    /// Serve produce requests on 127.0.0.1 and store nothing: the floor that the reactor sets.
    Bare {
        #[arg(long)]
        port: u16,
    },
}

/// Runs the command that the process was given.
pub fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Ground(ground) => ground.run(),
        Command::Bare { port } => bare::run(port),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("millrace-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
