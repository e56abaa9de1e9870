//! Connections: frames in, responses out in request order.

mod acceptor;
mod connection;
mod frame_memory;
mod frame_reader;

pub use acceptor::{Acceptor, ConnectionCounts};
pub use connection::serve;
pub use frame_memory::FrameMemory;
