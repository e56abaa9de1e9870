//! S27, S39: nothing unfinished lands, and the files speak of the project alone.

use crate::{Finding, Tree};

/// In code. Each is written in two halves, so that this file does not find itself.
const UNDONE: &[(&str, &str)] = &[
    (concat!("#[ig", "nore"), "a test runs or is deleted"),
    (concat!("to", "do!("), "finish it or leave it out"),
    (concat!("unimpl", "emented!("), "finish it or leave it out"),
    (concat!("thread::sl", "eep("), "a test waits for a condition, not for time"),
];

/// In any text, comments and documents included.
const UNDONE_ANYWHERE: &[(&str, &str)] = &[
    (concat!("FIX", "ME"), "fix it, or name an issue"),
    (concat!("XX", "X:"), "say what is meant"),
];

/// Paths that exist on one machine only.
const MACHINE_PATHS: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/tmp/mv", "nk"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
];

/// Hosts that serve packages: a checkout takes them from the machine's own configuration.
const REGISTRY_HOSTS: &[&str] = &[
    concat!("repo1.ma", "ven.org"),
    concat!("repo.maven.ap", "ache.org"),
    concat!("registry.np", "mjs.org"),
    concat!("files.pytho", "nhosted.org"),
    concat!("proxy.gol", "ang.org"),
    concat!("artifac", "tory"),
    concat!("index.cr", "ates.io"),
];

/// Where waiting for time is the subject, not a test's crutch.
const MAY_SLEEP: &[&str] = &["client/src/", "reactor/", "bench-harness/"];

pub fn nothing_is_left_undone(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in &tree.files {
        if file.is_rust() {
            for (index, line) in file.code().lines().enumerate() {
                for (word, why) in UNDONE {
                    let sleeps = word.starts_with("thread");
                    if sleeps && MAY_SLEEP.iter().any(|path| file.path.starts_with(path)) {
                        continue;
                    }
                    if line.contains(word) {
                        let message = format!("`{word}`: {why}");
                        found.push(Finding::new(&file.path, index + 1, message));
                    }
                }
            }
        }
        for (index, line) in file.text.lines().enumerate() {
            for (word, why) in UNDONE_ANYWHERE {
                if line.contains(word) {
                    found.push(Finding::new(&file.path, index + 1, format!("`{word}`: {why}")));
                }
            }
        }
    }
    found
}

pub fn nothing_names_the_machine(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in &tree.files {
        for (index, line) in file.text.lines().enumerate() {
            for path in MACHINE_PATHS {
                if starts_a_path(line, path) {
                    let message = format!("`{path}` exists on one machine only");
                    found.push(Finding::new(&file.path, index + 1, message));
                }
            }
            for host in REGISTRY_HOSTS {
                if line.contains(host) {
                    let message = format!("`{host}`: where packages come from is the machine's");
                    found.push(Finding::new(&file.path, index + 1, message));
                }
            }
        }
    }
    found
}

/// Whether `path` stands in `line` as the start of an absolute path, not inside a longer one.
fn starts_a_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "._-}*".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SourceFile;
    use std::path::PathBuf;

    fn tree(path: &str, text: &str) -> Tree {
        Tree { root: PathBuf::new(), files: vec![SourceFile::new(path, text)] }
    }

    #[test]
    fn undone_work_is_found() {
        for (path, text, count) in [
            ("broker/src/a.rs", concat!("#[ig", "nore = \"slow\"]"), 1),
            ("broker/src/a.rs", concat!("// to", "do!()"), 0),
            ("broker/tests/a.rs", concat!("std::thread::sl", "eep(second)"), 1),
            ("reactor/src/a.rs", concat!("std::thread::sl", "eep(second)"), 0),
            ("README.md", concat!("FIX", "ME later"), 1),
        ] {
            let found = nothing_is_left_undone(&tree(path, text));
            assert_eq!(found.len(), count, "{path}: {text}: {found:?}");
        }
    }

    #[test]
    fn machine_paths_are_found() {
        for (text, count) in [
            (concat!("cd /wo", "rk/main"), 1),
            (concat!("cd net/wo", "rk/main"), 0),
            (concat!("\"/ro", "ot/.cargo\""), 1),
        ] {
            let found = nothing_names_the_machine(&tree("README.md", text));
            assert_eq!(found.len(), count, "{text}: {found:?}");
        }
    }
}
