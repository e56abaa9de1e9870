//! The messages and records against themselves, another implementation and Apache Kafka's bytes.

mod golden;
mod kafka_protocol_crate;
mod limits;
mod random;
mod round_trip;
