//! The admin thread: metrics and the node's state over HTTP, off the cores.

mod answer;
mod process;
mod rounds;
mod server;
mod shown;

pub use server::AdminServer;
pub use shown::NodeFacts;
