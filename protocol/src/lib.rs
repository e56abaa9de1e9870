//! Kafka's wire and the nouns that all crates share. Pure: no socket, no file, no clock.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::indexing_slicing))]

pub mod api;
pub mod error_code;
pub mod frame;
pub mod header;
pub mod messages;
pub mod model;
pub mod record_batch;
mod record_frame;
pub mod records;
pub mod wire;
