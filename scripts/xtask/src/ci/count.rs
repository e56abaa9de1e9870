//! Runs a command, shows what it prints, and counts the tests that it reports.

use super::outcome::Outcome;
use anyhow::{Context, Result};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// Runs `command`; one check that passes when it exits with 0.
pub fn single(command: &mut Command) -> Result<Outcome> {
    announce(command);
    let status = command.status().with_context(|| describe(command))?;
    Ok(Outcome::single(status.success()))
}

/// Runs `command` and adds up the summary lines of libtest (and of harnesses that print the same).
/// A command that fails without a failed test, because nothing compiled or a test process died, is
/// one failure.
pub fn tests(command: &mut Command) -> Result<Outcome> {
    announce(command);
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| describe(command))?;
    let stdout = child.stdout.take().context("stdout was asked for")?;
    let mut outcome = Outcome::default();
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        println!("{line}");
        count_line(&line, &mut outcome);
    }
    if !child.wait()?.success() && outcome.failed == 0 {
        outcome.failed = 1;
    }
    Ok(outcome)
}

/// `test result: ok. 9 passed; 0 failed; 0 ignored; ...` counts; `skipped NAME: REASON` names.
fn count_line(line: &str, outcome: &mut Outcome) {
    if let Some(reason) = line.strip_prefix("skipped ") {
        outcome.skipped.push(reason.to_owned());
    }
    let Some(result) = line.strip_prefix("test result: ") else { return };
    let counts = result.split_once(". ").map_or(result, |(_, counts)| counts);
    for part in counts.split(';') {
        let Some((count, what)) = part.trim().split_once(' ') else { continue };
        let Ok(count) = count.parse::<usize>() else { continue };
        match what {
            "passed" => outcome.passed += count,
            "failed" => outcome.failed += count,
            _ => {}
        }
    }
}

fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn announce(command: &Command) {
    eprintln!("\n> {}", describe(command));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_add_up() {
        let mut outcome = Outcome::default();
        for line in [
            "test a ... ok",
            "test result: ok. 9 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s",
            "skipped kcat_gzip: kcat is not installed",
            "test result: FAILED. 2 passed; 3 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0s",
        ] {
            count_line(line, &mut outcome);
        }
        let skipped = vec!["kcat_gzip: kcat is not installed".to_owned()];
        assert_eq!(outcome, Outcome { passed: 11, failed: 3, skipped });
    }

    #[test]
    fn a_command_that_dies_without_a_summary_is_a_failure() {
        let outcome = tests(&mut Command::new("false")).expect("false exists");
        assert_eq!(outcome, Outcome { passed: 0, failed: 1, skipped: Vec::new() });
    }
}
