//! Why bytes are no message, and why a message has no bytes.

/// Why bytes could not be decoded. `position` counts from the first byte given to the decoder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("{needed} bytes are needed at position {position}, {remaining} are left")]
    Truncated { position: usize, needed: usize, remaining: usize },
    #[error("the varint at position {position} is longer than its type allows")]
    VarintTooLong { position: usize },
    #[error("length {length} at position {position} is out of range")]
    InvalidLength { position: usize, length: i64 },
    #[error("a field that cannot be null is null at position {position}")]
    UnexpectedNull { position: usize },
    #[error("an array claims {count} elements at position {position}, {remaining} bytes are left")]
    ArrayTooLong { position: usize, count: usize, remaining: usize },
    #[error(
        "an array at position {position} takes {size_bytes} bytes in memory, more than allowed"
    )]
    ElementsTooLarge { position: usize, size_bytes: usize },
    #[error("{count} tagged fields at position {position} are too many")]
    TooManyTaggedFields { position: usize, count: usize },
    #[error("tagged field {tag} at position {position} claims {claimed} bytes and has {used}")]
    TaggedFieldSize { position: usize, tag: u32, claimed: usize, used: usize },
    #[error("{remaining} bytes follow the end of the message at position {position}")]
    TrailingBytes { position: usize, remaining: usize },
    #[error("{message} has no version {version}")]
    UnsupportedVersion { message: &'static str, version: i16 },
    #[error("API key {key} is unknown")]
    UnknownApiKey { key: i16 },
    #[error("the frame version of a metadata record is {version}, only 1 is known")]
    UnknownFrameVersion { version: u32 },
    #[error("a {family} record of type {key} is unknown")]
    UnknownRecordType { family: &'static str, key: i16 },
}

/// Why a message could not be encoded. Each is a mistake of the caller, found before a byte is sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    #[error("{message} has no version {version}")]
    UnsupportedVersion { message: &'static str, version: i16 },
    #[error("version {version} of {structure} cannot carry {field}, which is not at its default")]
    UnsupportedField { structure: &'static str, field: &'static str, version: i16 },
    #[error("{field} of {structure} cannot be null in version {version}")]
    UnexpectedNull { structure: &'static str, field: &'static str, version: i16 },
    #[error("a string of {length} bytes is longer than the 32767 that Kafka allows")]
    StringTooLong { length: usize },
    #[error("{length} bytes are more than a message can hold")]
    TooLong { length: usize },
}
