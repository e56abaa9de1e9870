//! `cargo xtask ci`: every suite, counted. The same here and in CI.

mod count;
mod outcome;
mod setup;
mod suites;

pub use setup::run as setup;
pub use suites::run;
