//! What all messages have in common.

use std::ops::RangeInclusive;

use bytes::Bytes;

use super::{DecodeError, Decoder, EncodeError, Encoded, Encoder};
use crate::api::ApiKey;

/// A structure with versions: the body of a request or response, a record's key or value.
pub trait Message: Sized {
    /// The schema's name.
    const NAME: &'static str;
    /// The versions that Apache Kafka 4.3 reads and writes.
    const VERSIONS: RangeInclusive<i16>;

    /// Reads one message; bytes behind it stay in the decoder.
    fn decode(decoder: &mut Decoder, version: i16) -> Result<Self, DecodeError>;

    /// Writes one message. A field that `version` cannot carry is an error unless it has its default
    /// value or the schema calls it ignorable.
    fn encode(&self, encoder: &mut Encoder, version: i16) -> Result<(), EncodeError>;

    /// Reads one message that must fill `bytes`.
    fn decode_all(bytes: Bytes, version: i16) -> Result<Self, DecodeError> {
        let mut decoder = Decoder::new(bytes);
        let message = Self::decode(&mut decoder, version)?;
        decoder.finish()?;
        Ok(message)
    }

    /// The message's bytes, without any header.
    fn to_encoded(&self, version: i16) -> Result<Encoded, EncodeError> {
        Encoder::encode(&|encoder| self.encode(encoder, version))
    }

    /// How many bytes `to_encoded` gives.
    fn size_bytes(&self, version: i16) -> Result<usize, EncodeError> {
        Encoder::size(&|encoder| self.encode(encoder, version))
    }

    #[doc(hidden)]
    fn check_decode_version(version: i16) -> Result<(), DecodeError> {
        if Self::VERSIONS.contains(&version) {
            return Ok(());
        }
        Err(DecodeError::UnsupportedVersion { message: Self::NAME, version })
    }

    #[doc(hidden)]
    fn check_encode_version(version: i16) -> Result<(), EncodeError> {
        if Self::VERSIONS.contains(&version) {
            return Ok(());
        }
        Err(EncodeError::UnsupportedVersion { message: Self::NAME, version })
    }
}

/// The body of a request or of a response.
pub trait ApiMessage: Message {
    const API_KEY: ApiKey;

    /// Calls `visit` with each error code that a response says, `NONE` included; a request has none.
    fn error_codes(&self, _visit: &mut dyn FnMut(i16)) {}
}

/// The body of a request.
pub trait Request: ApiMessage {
    type Response: ApiMessage;
}
