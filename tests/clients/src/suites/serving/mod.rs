//! What a producer and a consumer are answered, asked by the protocol itself: errors, sessions, bounds and
//! versions that no client library shows. The same from Apache Kafka, whose answers are the expectation.

mod batches;
mod every_version;
mod fetch;
mod offsets;
mod produce;
mod sessions;
mod subjects;
pub mod talk;
pub mod traps;

pub use subjects::serve;
pub use traps::fall_into;
