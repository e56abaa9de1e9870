//! Placeholder of the crate's contract.
