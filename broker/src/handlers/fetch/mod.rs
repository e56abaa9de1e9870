//! Fetch, in the order of its steps: what it asks of whom, the rounds of asking, and one answer.

mod merge;
mod plan;
mod rounds;
mod serve;

pub use serve::{VERSIONS, serve};
