//! Connections: frames in, responses out in request order.

mod acceptor;
mod connection;
mod connection_counts;
mod frame_memory;
mod frame_reader;

pub use acceptor::Acceptor;
pub use connection::serve;
pub use connection_counts::ConnectionCounts;
pub use frame_memory::FrameMemory;
