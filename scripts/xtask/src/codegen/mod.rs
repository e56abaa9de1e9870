//! `cargo xtask codegen`: prints Kafka's message schemas as Rust.
//!
//! The schemas are in Kafka's own jars, which `cargo xtask setup` fetches; a build needs neither, since what is
//! printed here is committed. With them come the bytes that Kafka's own classes write, for the tests.
//! Nothing of the schemas' prose is printed, only names and structure.

mod command;
mod emit;
mod files;
mod golden;
mod layout;
mod names;
mod random;
mod schema;
mod sources;

pub use command::run;
