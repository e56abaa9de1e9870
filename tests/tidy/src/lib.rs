//! Structure as a test: what the style asks of the tree's shape, checked by a program.
//!
//! Each rule is a function from the tree to its findings; `tests/tidy.rs` runs each as a test and
//! `cargo xtask tidy` prints all of them at once, with the list of large files.

pub mod rules;
mod source;
mod tree;

pub use source::blank_comments_and_strings;
pub use tree::{Finding, SourceFile, Tree};
