//! What a check has found.

use std::path::{Path, PathBuf};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing is wrong; a person may want to know.
    Note,
    /// The next start mends it by itself.
    Mended,
    /// Records are damaged or missing, or a start refuses it.
    Damage,
}

/// One thing that is not as a clean stop leaves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    pub path: PathBuf,
    /// Byte in the file.
    pub position: Option<u64>,
    pub what: String,
    /// What to do about it.
    pub help: &'static str,
}

/// What was checked, and found.
#[derive(Clone, Debug, Default)]
pub struct Verified {
    pub partitions: u64,
    pub segments: u64,
    pub batches: u64,
    pub records: u64,
    pub size_bytes: u64,
    pub findings: Vec<Finding>,
}

impl Verified {
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    pub(super) fn find(
        &mut self,
        severity: Severity,
        (path, position): (&Path, Option<u64>),
        what: impl Into<String>,
        help: &'static str,
    ) {
        let (path, what) = (path.to_owned(), what.into());
        self.findings.push(Finding { severity, path, position, what, help });
    }
}
