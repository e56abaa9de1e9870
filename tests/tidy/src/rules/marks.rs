//! S33: a mark on a rare branch and the one test that shows it reached belong together.

use crate::{Finding, SourceFile, Tree};
use std::collections::{BTreeMap, BTreeSet};

const MARK: &str = "mark!(";

/// Every `mark!(name)` in code that ships is named, as `"name"`, by exactly one line of the tests; and
/// each name marks one branch only.
pub fn marks_have_their_test(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut marked: BTreeMap<String, &str> = BTreeMap::new();
    for file in tree.rust().filter(|file| file.is_shipped_rust()) {
        for (index, line) in file.shipped_code().lines().enumerate() {
            for name in marks_in(line) {
                let checks = checks_of(tree, &name);
                if checks != 1 {
                    let message = format!("mark {name} is checked by {checks} tests, not by one");
                    found.push(Finding::new(&file.path, index + 1, message));
                }
                if let Some(first) = marked.insert(name.clone(), &file.path) {
                    let message = format!("mark {name} is in {first} too");
                    found.push(Finding::new(&file.path, index + 1, message));
                }
            }
        }
    }
    found
}

/// Names of the marks in code that runs in simulated worlds.
pub fn mark_names(tree: &Tree) -> BTreeSet<String> {
    let is_simulated = |file: &&SourceFile| {
        file.is_shipped_rust() && ["broker", "controller", "storage"].contains(&file.top_folder())
    };
    let marks =
        |file: &SourceFile| file.shipped_code().lines().flat_map(marks_in).collect::<Vec<_>>();
    tree.rust().filter(is_simulated).flat_map(marks).collect()
}

/// Where the simulator lists the bugs that are planted.
const BUGS: &str = "tests/simulator/src/planted.rs";
const PLANTED: &str = "planted!(";

/// Every `planted!(name)` in code that ships is listed, as `"name"`, by the simulator, which is to
/// catch it.
pub fn planted_bugs_are_listed(tree: &Tree) -> Vec<Finding> {
    let list = tree.files.iter().find(|file| file.path == BUGS);
    let is_listed =
        |name: &str| list.is_some_and(|list| list.text.contains(&format!("\"{name}\"")));
    let mut found = Vec::new();
    for file in tree.rust().filter(|file| file.is_shipped_rust()) {
        for (index, line) in file.shipped_code().lines().enumerate() {
            for name in names_in(line, PLANTED).into_iter().filter(|name| !is_listed(name)) {
                let message = format!("planted bug {name} is not in {BUGS}");
                found.push(Finding::new(&file.path, index + 1, message));
            }
        }
    }
    found
}

fn marks_in(line: &str) -> Vec<String> {
    names_in(line, MARK)
}

/// The arguments of the macro calls in `line` that begin with `call`.
fn names_in(line: &str, call: &str) -> Vec<String> {
    let name = |(at, _): (usize, &str)| {
        let rest = &line[at + call.len()..];
        rest.find(')').map(|end| rest[..end].trim().to_owned())
    };
    let is_name = |name: &String| name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    line.match_indices(call).filter_map(name).filter(is_name).collect()
}

/// Lines of test code that name the mark.
fn checks_of(tree: &Tree, name: &str) -> usize {
    let quoted = format!("\"{name}\"");
    tree.rust().map(|file| test_lines(file).filter(|line| line.contains(&quoted)).count()).sum()
}

/// All lines of a test file; of one that ships, those after its shipped part.
fn test_lines(file: &SourceFile) -> impl Iterator<Item = &str> {
    let shipped = if file.is_shipped_rust() { file.shipped_code().lines().count() } else { 0 };
    file.text.lines().skip(shipped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn a_mark_needs_one_test() {
        let shipped = SourceFile::new("storage/src/a.rs", "fn f() {\n    mark!(torn_tail);\n}\n");
        let test = |name, text| SourceFile::new(name, text);
        let once = test("storage/tests/a.rs", "assert_eq!(marks[\"torn_tail\"], 1);\n");
        let twice = test("storage/tests/b.rs", "assert_eq!(marks[\"torn_tail\"], 1);\n");
        for (files, count) in [
            (vec![shipped.clone()], 1),
            (vec![shipped.clone(), once.clone()], 0),
            (vec![shipped.clone(), once.clone(), twice], 1),
            (vec![once], 0),
        ] {
            let tree = Tree { root: PathBuf::new(), files };
            let found = marks_have_their_test(&tree);
            assert_eq!(found.len(), count, "{found:?}");
        }
    }

    #[test]
    fn marks_of_simulated_code_have_names() {
        let file = |path| SourceFile::new(path, "fn f() {\n    mark!(torn_tail);\n}\n");
        for (path, count) in
            [("storage/src/a.rs", 1), ("storage/tests/a.rs", 0), ("reactor/src/a.rs", 0)]
        {
            let tree = Tree { root: PathBuf::new(), files: vec![file(path)] };
            assert_eq!(mark_names(&tree).len(), count, "{path}");
        }
    }

    #[test]
    fn a_planted_bug_is_listed() {
        let shipped = SourceFile::new("storage/src/a.rs", "if planted!(no_flush) {\n}\n");
        let listed = SourceFile::new(BUGS, "(\"no_flush\", \"\"),\n");
        for (files, count) in [(vec![shipped.clone()], 1), (vec![shipped, listed], 0)] {
            let tree = Tree { root: PathBuf::new(), files };
            assert_eq!(planted_bugs_are_listed(&tree).len(), count);
        }
    }
}
