//! Runs cases in order and counts them, in libtest's words so that one parser reads both.

use crate::tools::Tools;
use anyhow::Result;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

/// The running count. Cases are named `group: what is true`.
#[derive(Debug)]
pub struct Report {
    pub tools: Tools,
    filter: Option<String>,
    passed: usize,
    failed: Vec<String>,
    skipped: usize,
    filtered: usize,
}

impl Report {
    /// A report over all cases, or over those whose name contains the first argument.
    pub fn from_arguments() -> Self {
        let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
        let (passed, skipped, filtered) = (0, 0, 0);
        Self { tools: Tools::find(), filter, passed, failed: Vec::new(), skipped, filtered }
    }

    /// Runs `case` when the tools that it `needs` are there and its name passes the filter.
    /// Returns what it came to; `None` when it failed or did not run.
    pub fn case<T>(
        &mut self,
        name: &str,
        needs: &[&str],
        case: impl FnOnce(&Tools) -> Result<T>,
    ) -> Option<T> {
        if self.filter.as_ref().is_some_and(|filter| !name.contains(filter.as_str())) {
            self.filtered += 1;
            return None;
        }
        if let Some(reason) = needs.iter().find_map(|need| self.tools.missing(need)) {
            self.skip(name, &reason);
            return None;
        }
        self.always(name, case)
    }

    /// Runs `case` whatever the filter says: other cases stand on it.
    pub fn always<T>(&mut self, name: &str, case: impl FnOnce(&Tools) -> Result<T>) -> Option<T> {
        let started = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| case(&self.tools)));
        let elapsed = started.elapsed().as_secs_f64();
        let error = match outcome {
            Ok(Ok(value)) => {
                println!("test {name} ... ok ({elapsed:.1} s)");
                self.passed += 1;
                return Some(value);
            }
            Ok(Err(error)) => format!("{error:#}"),
            Err(_) => "panicked; see above".to_owned(),
        };
        println!("test {name} ... FAILED ({elapsed:.1} s)\n{error}\n");
        self.failed.push(name.to_owned());
        None
    }

    /// Counts a case that cannot run here. The reason is part of the result.
    pub fn skip(&mut self, name: &str, reason: &str) {
        println!("skipped {name}: {reason}");
        self.skipped += 1;
    }

    pub fn finish(self) -> ExitCode {
        if !self.failed.is_empty() {
            println!("\nfailures:");
            for name in &self.failed {
                println!("    {name}");
            }
        }
        let verdict = if self.failed.is_empty() { "ok" } else { "FAILED" };
        println!(
            "\ntest result: {verdict}. {} passed; {} failed; {} ignored; 0 measured; {} filtered out",
            self.passed,
            self.failed.len(),
            self.skipped,
            self.filtered
        );
        if self.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
