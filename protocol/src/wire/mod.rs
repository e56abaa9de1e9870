//! How Kafka writes values: the runtime below the generated messages and records.
//!
//! Decoding never copies: strings, bytes and records are slices of the frame they came in. Encoding
//! computes the size first and then writes each byte once; record slices are not written at all but
//! spliced between the written bytes, so that a fetch response carries the log's own memory.
//! Source: Kafka's protocol guide, KIP-482 (flexible versions and tagged fields).

mod decoder;
mod encoder;
mod error;
mod message;
mod records;
mod string;

pub use decoder::{ARRAY_LENGTH_MAX, Decoder, TAGGED_FIELDS_MAX};
pub use encoder::{Encoded, Encoder, TagMark};
pub use error::{DecodeError, EncodeError};
pub use message::{ApiMessage, Message, Request};
pub use records::Records;
pub use string::WireString;
