//! Kafka's wire and the nouns that all crates share. Pure: no socket, no file, no clock.

pub mod model;
pub mod record_batch;
