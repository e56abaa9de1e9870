//! What was found, how bad it is, and what to do.

use serde_json::json;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Fine,
    /// It works, but not as well or as safely as it could.
    Warning,
    /// It does not work, or will not start.
    Broken,
}

impl Severity {
    fn name(self) -> &'static str {
        match self {
            Severity::Fine => "ok",
            Severity::Warning => "warning",
            Severity::Broken => "broken",
        }
    }
}

#[derive(Debug)]
struct Finding {
    severity: Severity,
    what: String,
    remedy: Option<String>,
}

/// What was found in one area, in the order of the checks.
#[derive(Debug, Default)]
pub struct Findings(Vec<Finding>);

impl Findings {
    pub fn fine(&mut self, what: impl Into<String>) {
        self.0.push(Finding { severity: Severity::Fine, what: what.into(), remedy: None });
    }

    pub fn warning(&mut self, what: impl Into<String>, remedy: impl Into<String>) {
        self.wrong(Severity::Warning, what.into(), remedy.into());
    }

    pub fn broken(&mut self, what: impl Into<String>, remedy: impl Into<String>) {
        self.wrong(Severity::Broken, what.into(), remedy.into());
    }

    fn wrong(&mut self, severity: Severity, what: String, remedy: String) {
        self.0.push(Finding { severity, what, remedy: Some(remedy) });
    }

    pub fn count(&self, severity: Severity) -> usize {
        self.0.iter().filter(|finding| finding.severity == severity).count()
    }

    /// For people: the area, then a line for each finding and one for what to do.
    pub fn text(&self, area: &str) -> String {
        let mut text = format!("{area}\n");
        for Finding { severity, what, remedy } in &self.0 {
            let what = what.replace('\n', "\n           ");
            text.push_str(&format!("  {:<7}  {what}\n", severity.name()));
            if let Some(remedy) = remedy {
                text.push_str(&format!(
                    "           do: {}\n",
                    remedy.replace('\n', "\n           ")
                ));
            }
        }
        text
    }

    /// For programs: an object a line.
    pub fn json(&self, area: &str) -> String {
        let mut text = String::new();
        for Finding { severity, what, remedy } in &self.0 {
            let severity = severity.name();
            let line = json!({ "area": area, "severity": severity, "what": what, "do": remedy });
            text.push_str(&format!("{line}\n"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_comes_with_what_to_do() {
        let mut findings = Findings::default();
        findings.fine("all is well");
        findings.warning("it is slow", "wait");
        findings.broken("two\nlines", "mend it");
        let want = "host\n  ok       all is well\n  warning  it is slow\n           do: wait\n  \
                    broken   two\n           lines\n           do: mend it\n";
        assert_eq!(findings.text("host"), want);
        let counts = [Severity::Fine, Severity::Warning, Severity::Broken]
            .map(|severity| findings.count(severity));
        assert_eq!(counts, [1, 1, 1]);
        let lines: Vec<serde_json::Value> = findings
            .json("host")
            .lines()
            .map(|line| serde_json::from_str(line).expect(line))
            .collect();
        assert_eq!(
            lines[0],
            json!({ "area": "host", "severity": "ok", "what": "all is well", "do": null })
        );
        assert_eq!(lines[2]["do"], "mend it");
    }
}
