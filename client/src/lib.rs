//! A small blocking client of Kafka's protocol, for commands that ask and print: one request at a time
//! on a connection, in the newest version that both sides speak.
//!
//! It belongs to the command line alone: no core of a broker may block on a socket.

mod cluster;
mod connection;
mod error;
mod session;

pub use cluster::{Cluster, Settings};
pub use connection::Connection;
pub use error::{ClientError, check};
