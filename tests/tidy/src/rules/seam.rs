//! S1, DESIGN 3: clocks, files, sockets and threads are reached through `reactor`, or not at all.

use crate::{Finding, SourceFile, Tree};

/// Crates that run in the simulator, or are pure: none of the world's names may stand in them.
const BEHIND_THE_SEAM: &[&str] = &["protocol", "controller", "storage", "broker"];

/// The exceptions by path: the command line and the admin thread are no core's work.
const OUTSIDE_THE_SEAM: &[&str] =
    &["broker/src/cli/", "broker/src/cli.rs", "broker/src/main.rs", "broker/src/admin_http/"];

const WORLD: &[&str] = &[
    "std::fs",
    // Addresses of `std::net` are plain values; what opens a socket or asks a resolver is not.
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::UdpSocket",
    "std::net::ToSocketAddrs",
    "std::net::{",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::env",
    "std::process",
    "glommio",
    "io_uring",
    "tokio",
];

/// State that all simulated nodes of a thread would share.
const SHARED_STATE: &[&str] = &["OnceLock", "LazyLock", "thread_local!", "static mut"];

pub fn the_world_is_reached_through_reactor(tree: &Tree) -> Vec<Finding> {
    let behind = tree.rust().filter(|file| {
        file.is_shipped_rust()
            && BEHIND_THE_SEAM.contains(&file.top_folder())
            && !OUTSIDE_THE_SEAM.iter().any(|path| file.path.starts_with(path))
    });
    let mut found = Vec::new();
    for file in behind {
        let code = file.shipped_code();
        for word in WORLD {
            report(file, &code, word, "is the world's; it is reached through reactor", &mut found);
        }
        if ["storage", "broker"].contains(&file.top_folder()) {
            for word in SHARED_STATE {
                let why = "is state that simulated nodes would share; put it into the core";
                report(file, &code, word, why, &mut found);
            }
        }
    }
    found
}

/// `unsafe` stands in `reactor/` alone, and each block says why it is sound.
pub fn unsafe_stays_in_reactor(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in tree.rust() {
        let code = file.code();
        if file.top_folder() != "reactor" {
            report(file, &code, "unsafe", "is for reactor/ alone", &mut found);
            continue;
        }
        let lines: Vec<&str> = file.text.lines().collect();
        for (index, line) in code.lines().enumerate() {
            let opens = contains_word(line, "unsafe")
                && !contains_word(line, "unsafe_code")
                && !line.contains("unsafe fn")
                && !line.contains("unsafe extern");
            let explained =
                (index.saturating_sub(8)..=index).any(|at| lines[at].contains("SAFETY:"));
            if opens && !explained {
                let message = "unsafe without a `// SAFETY:` comment above it";
                found.push(Finding::new(&file.path, index + 1, message));
            }
        }
    }
    found
}

fn report(file: &SourceFile, code: &str, word: &str, why: &str, found: &mut Vec<Finding>) {
    for (index, line) in code.lines().enumerate() {
        if contains_word(line, word) {
            found.push(Finding::new(&file.path, index + 1, format!("`{word}` {why}")));
        }
    }
}

/// Whether `word` stands in `line` and is not a part of a longer name.
fn contains_word(line: &str, word: &str) -> bool {
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let whole = !word.ends_with(part_of_name) || !after.is_some_and(part_of_name);
        !before.is_some_and(part_of_name) && whole
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn tree(path: &str, text: &str) -> Tree {
        Tree { root: PathBuf::new(), files: vec![SourceFile::new(path, text)] }
    }

    #[test]
    fn the_world_is_seen_where_it_must_not_be() {
        for (path, text, count) in [
            ("protocol/src/a.rs", "use std::fs;", 1),
            ("protocol/src/a.rs", "// std::fs", 0),
            ("protocol/src/a.rs", "fn a() {}\n#[cfg(test)]\nmod tests {\n use std::fs;\n}", 0),
            ("protocol/src/a/tests.rs", "use std::fs;", 0),
            ("protocol/tests/a.rs", "use std::fs;", 0),
            ("reactor/src/a.rs", "use std::fs;", 0),
            ("broker/src/cli/start.rs", "use std::fs;", 0),
            ("broker/src/net/mod.rs", "std::net::TcpStream::connect(a)", 1),
            ("broker/src/net/mod.rs", "use std::net::{SocketAddr, TcpStream};", 1),
            ("broker/src/net/mod.rs", "use std::net::SocketAddr;", 0),
            ("broker/src/net/mod.rs", "static TABLE: OnceLock<u8> = OnceLock::new();", 1),
            ("storage/src/a.rs", "my_std::fs_like()", 0),
        ] {
            let found = the_world_is_reached_through_reactor(&tree(path, text));
            assert_eq!(found.len(), count, "{path}: {text}: {found:?}");
        }
    }

    #[test]
    fn unsafe_needs_its_place_and_its_reason() {
        for (path, text, count) in [
            ("broker/src/a.rs", "unsafe { f() }", 1),
            ("broker/src/a.rs", "#![expect(unsafe_code)]", 0),
            ("reactor/src/a.rs", "unsafe { f() }", 1),
            ("reactor/src/a.rs", "// SAFETY: f is sound\nunsafe { f() }", 0),
        ] {
            let found = unsafe_stays_in_reactor(&tree(path, text));
            assert_eq!(found.len(), count, "{path}: {text}: {found:?}");
        }
    }
}
