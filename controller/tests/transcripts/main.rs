//! Conversations with a controller, as text: `testdata/transcripts/*.txt`. A block is commands, a line
//! `----`, and what came of them. `UPDATE_EXPECT=1` rewrites the files, to be reviewed as a diff.

#![expect(clippy::disallowed_methods, reason = "a test reads its transcripts from files")]

mod cluster;
mod configs;
mod quotas;
mod show;
mod walk;

use std::fs;
use std::path::Path;

use cluster::Cluster;

#[test]
fn transcripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/transcripts");
    let mut paths: Vec<_> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "no transcripts in {}", folder.display());
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let mut wrong = Vec::new();
    for path in paths {
        let expected = fs::read_to_string(&path).unwrap();
        let actual = replay(&expected);
        if actual == expected {
            continue;
        }
        if update {
            fs::write(&path, actual).unwrap();
        } else {
            wrong.push(format!("{}:\n{}", path.display(), first_difference(&expected, &actual)));
        }
    }
    assert!(wrong.is_empty(), "UPDATE_EXPECT=1 accepts this\n{}", wrong.join("\n"));
}

/// The transcript with what comes of its commands now.
fn replay(text: &str) -> String {
    let mut cluster = Cluster::default();
    let blocks = text.split("\n\n").map(|block| {
        let commands = block.split("\n----").next().unwrap_or_default().trim_end();
        let mut output = String::new();
        for command in commands.lines().filter(|line| !line.starts_with('#')) {
            cluster.execute(command, &mut output);
        }
        if commands.lines().all(|line| line.starts_with('#')) {
            return commands.to_owned();
        }
        format!("{commands}\n----\n{output}").trim_end().to_owned()
    });
    let mut replayed = blocks.collect::<Vec<_>>().join("\n\n");
    replayed.push('\n');
    replayed
}

fn first_difference(expected: &str, actual: &str) -> String {
    let lines = expected.lines().zip(actual.lines()).enumerate();
    let differs = lines.into_iter().find(|(_, (expected, actual))| expected != actual);
    match differs {
        Some((index, (expected, actual))) => {
            format!("line {}\n  expected: {expected}\n  actual:   {actual}", index + 1)
        }
        None => "one is longer than the other".to_owned(),
    }
}
