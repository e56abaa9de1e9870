//! `cargo xtask loom`: the mesh's sleep/wake hand-shake under every schedule that loom finds.
//!
//! Two runs, by hand:
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test -p loom-check --release --target-dir target/loom
//! RUSTFLAGS="--cfg loom --cfg planted_lost_wakeup" cargo test -p loom-check --release --target-dir target/loom
//! ```
//!
//! The first must pass. The second has a wake-up lost on purpose and must fail, or the first shows
//! nothing.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, ensure};

/// The outcome that only loom prints: a thread that sleeps and that no one will wake.
const LOST_WAKEUP: &str = "deadlock; threads =";

pub fn run() -> anyhow::Result<()> {
    println!("loom: the shipped hand-shake");
    let shipped = check("--cfg loom")?;
    ensure!(shipped.status.success(), "the hand-shake loses a wake-up:\n{}", text(&shipped));
    println!("loom: a planted lost wake-up");
    let planted = check("--cfg loom --cfg planted_lost_wakeup")?;
    let found = !planted.status.success() && text(&planted).contains(LOST_WAKEUP);
    ensure!(found, "the planted lost wake-up was not found:\n{}", text(&planted));
    println!("loom: passed, and the planted lost wake-up was found");
    Ok(())
}

fn check(flags: &str) -> anyhow::Result<Output> {
    // A folder of its own: other flags would have the next ordinary build start from nothing.
    let folder = target_folder().join("loom");
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["test", "-p", "loom-check", "--release", "--target-dir"])
        .arg(folder)
        .env("RUSTFLAGS", flags)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .output()
        .context("cargo cannot be run")
}

fn target_folder() -> PathBuf {
    let beside_workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    env::var_os("CARGO_TARGET_DIR").map_or(beside_workspace, PathBuf::from)
}

fn text(output: &Output) -> String {
    let streams = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    streams.concat()
}
