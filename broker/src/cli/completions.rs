//! `millrace completions`: what a shell completes of this command line.

use anyhow::Result;
use clap_complete::{Shell, generate};

use super::output::Output;

/// Print the completions of a shell, for the place where it looks for them.
///
/// Example: millrace completions bash > /etc/bash_completion.d/millrace
#[derive(clap::Args)]
pub struct Completions {
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    /// Prints those of `command`, which is the whole command line.
    pub fn run(&self, command: clap::Command) -> Result<()> {
        let mut output = Output::stdout();
        output.write(&script(self.shell, command))?;
        output.flush()
    }
}

fn script(shell: Shell, mut command: clap::Command) -> Vec<u8> {
    let mut script = Vec::new();
    let name = command.get_name().to_owned();
    generate(shell, &mut command, name, &mut script);
    script
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn each_shell_knows_commands_and_options() {
        for shell in Shell::value_variants() {
            let list = clap::Command::new("list").arg(clap::arg!(--internal "all"));
            let command = clap::Command::new("millrace").subcommand(list);
            let script = String::from_utf8(script(*shell, command)).expect("text");
            for word in ["millrace", "list", "internal"] {
                assert!(script.contains(word), "{shell}: no {word}: {script}");
            }
        }
    }
}
