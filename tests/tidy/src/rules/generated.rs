//! Generated files say that they are, so that nobody edits one.

use crate::{Finding, SourceFile, Tree};

/// The folders that hold nothing but what the generator writes.
const FOLDERS: &[&str] = &["protocol/src/messages/", "protocol/src/records/"];

pub fn generated_files_say_so(tree: &Tree) -> Vec<Finding> {
    let unmarked = |file: &&SourceFile| {
        FOLDERS.iter().any(|folder| file.path.starts_with(folder)) && !file.is_generated()
    };
    let finding = |file: &SourceFile| {
        let header = SourceFile::GENERATED_HEADER;
        Finding::new(&file.path, 1, format!("starts without `{header}`; write it elsewhere"))
    };
    tree.rust().filter(unmarked).map(finding).collect()
}
