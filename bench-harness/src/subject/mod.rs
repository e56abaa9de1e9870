//! Who is measured: each is started in the same way, on the same port and an empty directory.

mod kind;
mod server;

pub use kind::Kind;
pub use server::Server;
