//! The commands, and their exit codes: 0 done, 1 failed, 2 misused.

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use super::output::ReaderGone;
use super::{
    completions, config, consume, doctor, group, log_dirs, produce, quorum, start, storage, topic,
};

/// Apache Kafka's broker and KRaft controller: same protocol, same files, same configuration.
#[derive(Parser)]
#[command(name = "millrace", version, about, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Start(start::Start),
    /// Prepare and inspect log directories.
    #[command(subcommand)]
    Storage(storage::Storage),
    /// Create, list, describe, alter and delete topics.
    #[command(subcommand)]
    Topic(topic::Topic),
    /// List, describe and delete groups, and reset their offsets.
    #[command(subcommand)]
    Group(group::Group),
    Produce(produce::Produce),
    Consume(consume::Consume),
    /// Show and alter configurations of topics and brokers while they run.
    #[command(subcommand)]
    Config(config::Config),
    LogDirs(log_dirs::LogDirs),
    Quorum(quorum::Quorum),
    Doctor(doctor::Doctor),
    Completions(completions::Completions),
}

/// Runs the command that the process was given.
pub fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Start(start) => {
            // Before any thread exists, so that each inherits it.
            reactor::outside::block_stop_signals();
            start.run()
        }
        // Whatever it does, it may end anywhere: what it writes is whole or done again.
        Command::Storage(storage) => storage.run().map(|()| ExitCode::SUCCESS),
        Command::Topic(topic) => topic.run().map(|()| ExitCode::SUCCESS),
        Command::Group(group) => group.run().map(|()| ExitCode::SUCCESS),
        Command::Produce(produce) => produce.run().map(|()| ExitCode::SUCCESS),
        Command::Consume(consume) => consume.run().map(|()| ExitCode::SUCCESS),
        Command::Config(config) => config.run().map(|()| ExitCode::SUCCESS),
        Command::LogDirs(log_dirs) => log_dirs.run().map(|()| ExitCode::SUCCESS),
        Command::Quorum(quorum) => quorum.run().map(|()| ExitCode::SUCCESS),
        Command::Doctor(doctor) => doctor.run().map(|()| ExitCode::SUCCESS),
        Command::Completions(completions) => {
            completions.run(Arguments::command()).map(|()| ExitCode::SUCCESS)
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound_and_each_command_has_an_example() {
        let mut command = Arguments::command();
        command.build();
        command.clone().debug_assert();
        let mut commands = vec![command];
        let mut leaves = 0;
        while let Some(mut command) = commands.pop() {
            commands
                .extend(command.get_subcommands().filter(|it| it.get_name() != "help").cloned());
            if !command.has_subcommands() {
                leaves += 1;
                let help = command.render_long_help().to_string();
                let example = help.split_once("Example: ").map(|(_, example)| example);
                assert!(example.is_some_and(|it| it.contains("millrace ")), "{help}");
            }
        }
        assert!(leaves > 10, "{leaves} commands were looked at");
    }
}
