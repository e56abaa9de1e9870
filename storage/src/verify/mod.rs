//! Checking a log directory without changing it: every batch, index, snapshot and checkpoint.

mod directory;
mod finding;
mod partition;
mod segment;

pub use directory::{VerifyProgress, verify};
pub use finding::{Finding, Severity, Verified};
