//! `cargo xtask tidy`: every rule of `tests/tidy` at once, then the files that are large.

use std::process::ExitCode;
use tidy::{Tree, rules};

pub fn run() -> anyhow::Result<ExitCode> {
    let tree = Tree::of_workspace()?;
    let mut broken = 0;
    for (name, rule) in rules::ALL {
        let found = rule(&tree);
        println!("{:>6}  {name}", if found.is_empty() { "ok" } else { "BROKEN" });
        for finding in &found {
            println!("        {finding}");
        }
        broken += usize::from(!found.is_empty());
    }
    for (path, lines) in rules::large_files(&tree) {
        println!(" large  {path}: {lines} lines without tests");
    }
    println!("{} rules hold, {broken} broken", rules::ALL.len() - broken);
    Ok(if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
