//! `cargo xtask COMMAND`: the project's own tools, one module each. This file only dispatches.

mod ci;
mod codegen;
mod loom;
mod sim;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask COMMAND

  ci [SUITE...]   run the suites (all of them by default) and count what passed
  setup [NAME...] fetch what the client suites need into the target folder
  codegen         print Kafka's message schemas as Rust (--check, --jars DIR)
  loom            check the mesh's hand-shake under every schedule
  sim             run the broker in simulated worlds (--seed S, --seeds N, --world W, --planted BUG)
  tidy            check the tree's structure and list its large files";

fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((command, rest)) = arguments.split_first() else {
        eprintln!("{USAGE}");
        return Ok(ExitCode::from(2));
    };
    match command.as_str() {
        "ci" => ci::run(rest),
        "setup" => ci::setup(rest),
        "codegen" => codegen::run(rest),
        "loom" => loom::run().map(|()| ExitCode::SUCCESS),
        "sim" => sim::run(rest),
        "tidy" => tidy::run(),
        unknown => {
            eprintln!("cargo xtask: no command `{unknown}`\n{USAGE}");
            Ok(ExitCode::from(2))
        }
    }
}
