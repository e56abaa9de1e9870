//! `simulator [--seed S] [--seeds N]`: see [`simulator::command`].

use std::process::ExitCode;

fn main() -> ExitCode {
    simulator::command::main()
}
