//! Fetch, in the order of its steps: what is wanted, alone or in a session; what it asks of whom, the
//! rounds of asking, and one answer.

mod merge;
mod plan;
mod rounds;
mod serve;
mod session;
mod sessions;
mod wanted;

pub use serve::{VERSIONS, serve};
pub use sessions::FetchSessions;
