//! S37: decisions are found by number, so each number is given once.

use crate::{Finding, Tree};
use std::collections::BTreeMap;

/// `docs/adr/NNNN-title.md`: four digits, each number once, and the title repeated in the file.
pub fn decisions_are_numbered_once(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut by_number: BTreeMap<&str, &str> = BTreeMap::new();
    for file in &tree.files {
        let Some(name) = file.path.strip_prefix("docs/adr/") else { continue };
        if name == "README.md" {
            continue;
        }
        let (number, title) = name.split_once('-').unwrap_or((name, ""));
        let numbered = number.len() == 4 && number.bytes().all(|byte| byte.is_ascii_digit());
        if !numbered || !title.ends_with(".md") {
            found.push(Finding::new(&file.path, 0, "name it NNNN-title.md"));
            continue;
        }
        if let Some(first) = by_number.insert(number, &file.path) {
            found.push(Finding::new(&file.path, 0, format!("has the number of {first}")));
        }
        if !file.text.starts_with("# ") {
            found.push(Finding::new(&file.path, 1, "starts without its title"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SourceFile;
    use std::path::PathBuf;

    #[test]
    fn numbers_are_unique_and_well_formed() {
        let files = ["0001-a.md", "0001-b.md", "2-c.md", "0003-d.md"]
            .map(|name| SourceFile::new(&format!("docs/adr/{name}"), "# Title\n"));
        let found =
            decisions_are_numbered_once(&Tree { root: PathBuf::new(), files: files.into() });
        let paths: Vec<&str> = found.iter().map(|finding| finding.path.as_str()).collect();
        assert_eq!(paths, ["docs/adr/0001-b.md", "docs/adr/2-c.md"]);
    }
}
