//! What a producer and a consumer are answered, asked by the protocol itself: errors, sessions, bounds and
//! versions that no client library shows. The same from Apache Kafka, whose answers are the expectation.

mod fetch;
mod sessions;
mod subjects;
mod talk;

pub use subjects::serve;
