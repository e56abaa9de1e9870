//! What a suite came to, and the table of all of them.

use std::time::Duration;

/// What one suite came to. A suite that could not run at all is one skipped check with its reason.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub passed: usize,
    pub failed: usize,
    /// What did not run, each with its reason.
    pub skipped: Vec<String>,
}

impl Outcome {
    /// One check, passed or failed.
    pub fn single(passed: bool) -> Self {
        Self { passed: usize::from(passed), failed: usize::from(!passed), skipped: Vec::new() }
    }

    pub fn skipped(reason: impl Into<String>) -> Self {
        Self { skipped: vec![reason.into()], ..Self::default() }
    }

    pub fn add(&mut self, other: Outcome) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped.extend(other.skipped);
    }
}

/// One line of the table.
#[derive(Debug)]
pub struct Row {
    pub suite: &'static str,
    pub outcome: Outcome,
    pub elapsed: Duration,
}

/// The table of all suites, what was skipped and why, and the closing line.
pub fn report(rows: &[Row]) -> String {
    let mut text = format!(
        "\n{:<12} {:>8} {:>8} {:>8} {:>9}\n",
        "suite", "passed", "failed", "skipped", "time"
    );
    let mut total = Outcome::default();
    for Row { suite, outcome, elapsed } in rows {
        text += &format!(
            "{suite:<12} {:>8} {:>8} {:>8} {:>7} s\n",
            outcome.passed,
            outcome.failed,
            outcome.skipped.len(),
            elapsed.as_secs()
        );
        total.passed += outcome.passed;
        total.failed += outcome.failed;
        total.skipped.extend(outcome.skipped.iter().map(|reason| format!("{suite}: {reason}")));
    }
    for reason in &total.skipped {
        text += &format!("skipped {reason}\n");
    }
    text += &format!("\n{} passed, {} failed", total.passed, total.failed);
    if !total.skipped.is_empty() {
        text += &format!(", {} skipped", total.skipped.len());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_counts_everything() {
        let row = |suite, outcome| Row { suite, outcome, elapsed: Duration::from_secs(3) };
        let unit = Outcome { passed: 40, failed: 1, skipped: Vec::new() };
        let mut rows = vec![row("fmt", Outcome::single(true)), row("unit", unit)];
        assert!(report(&rows).ends_with("\n41 passed, 1 failed"));
        rows.push(row("clients", Outcome::skipped("no kcat")));
        let text = report(&rows);
        assert!(text.contains("\nskipped clients: no kcat\n"), "{text}");
        assert!(text.ends_with("\n41 passed, 1 failed, 1 skipped"), "{text}");
    }
}
