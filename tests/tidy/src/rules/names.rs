//! S3: files are split by noun of the domain, and module roots hold no logic.

use crate::{Finding, SourceFile, Tree};

const NAMES_OF_NOTHING: &[&str] = &["utils", "util", "helpers", "helper", "common", "misc"];

/// What a module root may start a line with, at the outermost level.
const LISTING: &[&str] = &[
    "mod ",
    "pub mod ",
    "pub(crate) mod ",
    "use ",
    "pub use ",
    "pub(crate) use ",
    "pub(super) use ",
    "#",
    "pub type ",
    "pub const ",
    "extern crate ",
];

/// No file or folder is called `utils`, `helpers`, `common` or `misc`.
pub fn files_are_named_after_the_domain(tree: &Tree) -> Vec<Finding> {
    let nameless = |file: &&SourceFile| {
        file.path.split('/').any(|part| {
            let stem = part.split('.').next().unwrap_or_default();
            NAMES_OF_NOTHING.contains(&stem)
        })
    };
    let finding = |file: &SourceFile| {
        Finding::new(&file.path, 0, "name it after the noun of the domain that it is about")
    };
    tree.files.iter().filter(nameless).map(finding).collect()
}

/// `lib.rs` and `mod.rs` list modules and what they export; functions and types live in named files.
/// A crate root of the command line (`main.rs`) is no module root.
pub fn module_roots_only_list(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in tree.rust().filter(|file| file.is_shipped_rust() && !file.is_generated()) {
        let name = file.path.rsplit('/').next().unwrap_or_default();
        if name != "lib.rs" && name != "mod.rs" {
            continue;
        }
        for (index, line) in file.shipped_code().lines().enumerate() {
            let outermost = line.starts_with(|c: char| !c.is_whitespace() && !"})]".contains(c));
            if outermost && !LISTING.iter().any(|start| line.starts_with(start)) {
                let message = format!("a module root only lists; move this out: {}", line.trim());
                found.push(Finding::new(&file.path, index + 1, message));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn tree(path: &str, text: &str) -> Tree {
        Tree { root: PathBuf::new(), files: vec![SourceFile::new(path, text)] }
    }

    #[test]
    fn nameless_files_are_found() {
        for (path, count) in [
            ("broker/src/utils.rs", 1),
            ("broker/src/common/a.rs", 1),
            ("tests/clients/src/helpers.go", 1),
            ("broker/src/community.rs", 0),
        ] {
            assert_eq!(files_are_named_after_the_domain(&tree(path, "")).len(), count, "{path}");
        }
    }

    #[test]
    fn logic_in_a_module_root_is_found() {
        for (path, text, count) in [
            ("broker/src/lib.rs", "//! Doc.\nmod a;\npub use a::{\n    B,\n};\n", 0),
            ("broker/src/net/mod.rs", "mod a;\nfn f() {\n    1;\n}\n", 1),
            ("broker/src/net/listener.rs", "fn f() {}\n", 0),
            ("broker/src/lib.rs", "mod a;\n#[cfg(test)]\nmod tests {\nfn f() {}\n}\n", 0),
        ] {
            let found = module_roots_only_list(&tree(path, text));
            assert_eq!(found.len(), count, "{path}: {text}: {found:?}");
        }
    }
}
