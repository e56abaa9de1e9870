//! S2: a file that a reader can hold in mind. Only the hard limit fails; the aim is a list.

use crate::{Finding, SourceFile, Tree};

/// Lines without tests that a file should stay under.
const LINES_AIM: usize = 600;
/// Lines without tests above which tidy fails.
const LINES_MAX: usize = 900;

const _: () = assert!(LINES_AIM < LINES_MAX);

pub fn files_stay_readable(tree: &Tree) -> Vec<Finding> {
    sized(tree, LINES_MAX)
        .map(|(file, lines)| {
            Finding::new(&file.path, 0, format!("{lines} lines without tests; split it"))
        })
        .collect()
}

/// Files over the aim, largest first, with their lines.
pub fn large_files(tree: &Tree) -> Vec<(String, usize)> {
    let mut large: Vec<_> =
        sized(tree, LINES_AIM).map(|(file, lines)| (file.path.clone(), lines)).collect();
    large.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    large
}

fn sized(tree: &Tree, over: usize) -> impl Iterator<Item = (&SourceFile, usize)> {
    tree.rust()
        .filter(|file| !file.is_generated())
        .map(|file| (file, file.shipped_code().lines().count()))
        .filter(move |(_, lines)| *lines > over)
}
