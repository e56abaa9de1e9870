//! What stands before a record's message in Kafka's own topics: the frame of a metadata record, and
//! the type or version before a coordinator's key or value.

use bytes::Bytes;

use crate::wire::{DecodeError, Decoder, EncodeError, Encoder, Message};

/// The only frame version there is. Source: KIP-631.
const METADATA_FRAME_VERSION: u32 = 1;

/// The value of a metadata record behind its frame version, type and version.
pub(crate) struct MetadataFrame {
    decoder: Decoder,
}

impl MetadataFrame {
    /// Returns the frame, the record's type and its version.
    pub(crate) fn decode(value: Bytes) -> Result<(Self, i16, i16), DecodeError> {
        let mut decoder = Decoder::new(value);
        let version = decoder.unsigned_varint()?;
        if version != METADATA_FRAME_VERSION {
            return Err(DecodeError::UnknownFrameVersion { version });
        }
        let key = short(&mut decoder)?;
        let version = short(&mut decoder)?;
        Ok((MetadataFrame { decoder }, key, version))
    }

    /// The message, which must fill the rest of the frame.
    pub(crate) fn body<M: Message>(mut self, version: i16) -> Result<M, DecodeError> {
        let message = M::decode(&mut self.decoder, version)?;
        self.decoder.finish()?;
        Ok(message)
    }
}

fn short(decoder: &mut Decoder) -> Result<i16, DecodeError> {
    let position = decoder.position();
    let value = decoder.unsigned_varint()?;
    i16::try_from(value)
        .map_err(|_| DecodeError::InvalidLength { position, length: i64::from(value) })
}

pub(crate) fn encode_metadata(
    key: i16,
    record: &impl Message,
    version: i16,
) -> Result<Bytes, EncodeError> {
    let encoded = Encoder::encode(&|encoder| {
        encoder.unsigned_varint(METADATA_FRAME_VERSION);
        encoder.unsigned_varint(key as u32);
        encoder.unsigned_varint(version as u32);
        record.encode(encoder, version)
    })?;
    Ok(encoded.contiguous())
}

/// The type that stands before a coordinator's key, and the decoder behind it.
pub(crate) fn decode_key_type(key: Bytes) -> Result<(i16, Decoder), DecodeError> {
    let mut decoder = Decoder::new(key);
    let record_type = decoder.i16()?;
    Ok((record_type, decoder))
}

/// A coordinator's value, behind its version. As in Kafka, bytes behind the message are ignored.
pub(crate) fn decode_value<M: Message>(value: Bytes) -> Result<M, DecodeError> {
    let mut decoder = Decoder::new(value);
    let version = decoder.i16()?;
    M::decode(&mut decoder, version)
}

/// A coordinator's key or value with `prefix` (its type or its version) before it.
pub(crate) fn encode_prefixed(
    prefix: i16,
    message: &impl Message,
    version: i16,
) -> Result<Bytes, EncodeError> {
    let encoded = Encoder::encode(&|encoder| {
        encoder.i16(prefix);
        message.encode(encoder, version)
    })?;
    Ok(encoded.contiguous())
}
