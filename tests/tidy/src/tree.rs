//! The files of the repository as the rules see them: tracked ones and new ones, never ignored ones.

use crate::source::{blank_comments_and_strings, without_unit_tests};
use anyhow::{Context, Result, ensure};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One file of the repository. `path` is relative to the root and uses `/`.
#[derive(Debug, Clone)]
pub struct SourceFile {
    pub path: String,
    pub text: String,
}

impl SourceFile {
    pub fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// The first path component, which is where a crate of the workspace lives.
    pub fn top_folder(&self) -> &str {
        self.path.split('/').next().unwrap_or_default()
    }

    /// Rust that ships: what stands in `src/` and is not a test module of its own.
    pub fn is_shipped_rust(&self) -> bool {
        self.is_rust()
            && self.path.split('/').any(|part| part == "src")
            && !self.path.ends_with("/tests.rs")
            && !self.path.contains("/src/tests/")
    }

    /// The text with comments and the contents of strings blanked; lines stay where they were.
    pub fn code(&self) -> String {
        blank_comments_and_strings(&self.text)
    }

    /// [`Self::code`] without the unit tests at the end of the file.
    pub fn shipped_code(&self) -> String {
        without_unit_tests(&self.code())
    }

    pub fn is_generated(&self) -> bool {
        self.path.starts_with("protocol/src/messages/")
            || self.path.starts_with("protocol/src/records/")
    }
}

/// What a rule has to say about one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub path: String,
    /// From 1; 0 when the finding is about the file as a whole.
    pub line: usize,
    pub message: String,
}

impl Finding {
    pub fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.message),
            line => write!(f, "{}:{line}: {}", self.path, self.message),
        }
    }
}

/// All files of one checkout, and the crates that cargo sees in it.
#[derive(Debug)]
pub struct Tree {
    pub root: PathBuf,
    pub files: Vec<SourceFile>,
}

impl Tree {
    /// Reads the checkout that this crate was built in.
    pub fn of_workspace() -> Result<Self> {
        Self::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
    }

    /// Reads the checkout at `root`. Files that are not UTF-8 are left out: no rule reads them.
    pub fn read(root: &Path) -> Result<Self> {
        let listed = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(root)
            .output()
            .context("git lists the files to check; install git")?;
        ensure!(
            listed.status.success(),
            "git ls-files: {}",
            String::from_utf8_lossy(&listed.stderr).trim()
        );
        let mut files = Vec::new();
        for path in String::from_utf8_lossy(&listed.stdout).split_terminator('\0') {
            // A path that is gone was deleted and not yet committed; a link or folder is no text.
            if let Ok(bytes) = std::fs::read(root.join(path))
                && let Ok(text) = String::from_utf8(bytes)
            {
                files.push(SourceFile { path: path.to_owned(), text });
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { root: root.to_owned(), files })
    }

    pub fn rust(&self) -> impl Iterator<Item = &SourceFile> {
        self.files.iter().filter(|file| file.is_rust())
    }
}
