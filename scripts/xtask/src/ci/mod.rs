//! `cargo xtask ci`: every suite, counted. The same here and in CI.

mod count;
mod outcome;
mod setup;
mod suites;

pub use setup::{kafka_jars, root, run as setup, target};
pub use suites::run;
