//! Checks by loom of code that is shipped elsewhere: see `tests/`. Run by `cargo xtask loom`.
