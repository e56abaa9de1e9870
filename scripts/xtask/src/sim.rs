//! `cargo xtask sim`: the shipped broker in simulated worlds, one for each seed. Arguments, output and
//! exit codes are those of `tests/simulator`.

use std::env;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::Context;
use tidy::Tree;
use tidy::rules::mark_names;

/// Optimised, but with the checks of a development build.
const PROFILE: &str = "sim";

/// The argument that needs a build with planted bugs.
const PLANTED: &str = "--planted";

pub fn run(arguments: &[String]) -> anyhow::Result<ExitCode> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["run", "--quiet", "--profile", PROFILE, "--package", "simulator"]);
    if arguments.iter().any(|argument| argument == PLANTED) {
        command.args(["--features", "simulator/planted-bugs"]);
    }
    let status = command
        .arg("--")
        .args(arguments)
        .current_dir(&root)
        .env("MILLRACE_COMMIT", commit(&root))
        .env("MILLRACE_MARKS", marks(&root)?)
        .status()
        .context("cargo cannot be run")?;
    // Without a code, a signal ended it.
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// All marks that a run may reach, so that it can tell which it never did.
fn marks(root: &Path) -> anyhow::Result<String> {
    let names: Vec<String> = mark_names(&Tree::read(root)?).into_iter().collect();
    Ok(names.join(","))
}

/// What is built: a short hash, with a `+` where the tree has changes of its own.
fn commit(root: &Path) -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).current_dir(root).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let Some(hash) = git(&["rev-parse", "--short", "HEAD"]) else { return "unknown".to_owned() };
    let is_changed = git(&["status", "--porcelain"]).is_some_and(|changes| !changes.is_empty());
    if is_changed { format!("{hash}+") } else { hash }
}
