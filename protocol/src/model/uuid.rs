//! Kafka's UUIDs: 16 bytes, printed as 22 characters of URL-safe base64 without padding.

use std::fmt;
use std::str::FromStr;

/// A UUID as Kafka prints it. Source: `org.apache.kafka.common.Uuid`.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid(pub [u8; 16]);

/// Identifies one incarnation of a topic: another one after a deletion and re-creation.
pub type TopicId = Uuid;

/// Identifies one log directory: `directory.id` of `meta.properties`.
pub type DirectoryId = Uuid;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl Uuid {
    pub const ZERO: Uuid = Uuid([0; 16]);
    /// `Uuid.ONE_UUID`: the topic id of `__cluster_metadata`.
    pub const ONE: Uuid = Uuid([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

    /// A version 4 UUID from 16 random bytes.
    pub fn from_random(mut bytes: [u8; 16]) -> Self {
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        Uuid(bytes)
    }

    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }

    /// Reserved ids (Kafka's zero, one, and the three directory markers) that no topic may have, and
    /// ids whose text starts with `-`, which command lines mistake for an option.
    pub fn is_reserved(&self) -> bool {
        (self.0[..15] == [0; 15] && self.0[15] < 100) || self.to_string().starts_with('-')
    }
}

impl fmt::Display for Uuid {
    #[expect(clippy::indexing_slicing, reason = "six bits index 64 characters")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = u128::from_be_bytes(self.0);
        let mut text = [0; 22];
        // 128 bits are 21 groups of six and one of two, which base64 shifts up by four.
        for (index, character) in text.iter_mut().enumerate() {
            let bits = if index < 21 { number >> (122 - 6 * index) } else { number << 4 };
            *character = ALPHABET[(bits & 0x3f) as usize];
        }
        text.iter().try_for_each(|&character| write!(f, "{}", char::from(character)))
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no UUID: expected 22 characters of URL-safe base64, such as `millrace storage random-uuid` prints"
)]
pub struct ParseUuidError {
    text: String,
}

impl FromStr for Uuid {
    type Err = ParseUuidError;

    fn from_str(text: &str) -> Result<Self, ParseUuidError> {
        let error = || ParseUuidError { text: text.to_owned() };
        let bare = text.trim_end_matches('=');
        if bare.len() != 22 {
            return Err(error());
        }
        let mut number: u128 = 0;
        for (index, character) in bare.bytes().enumerate() {
            let value =
                ALPHABET.iter().position(|&known| known == character).ok_or_else(error)? as u128;
            number = if index < 21 { (number << 6) | value } else { (number << 2) | (value >> 4) };
        }
        Ok(Uuid(number.to_be_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_and_parses_as_kafka_does() {
        assert_eq!(Uuid::ONE.to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
        for bytes in [[0; 16], [0xff; 16], *b"0123456789abcdef"] {
            let text = Uuid(bytes).to_string();
            assert_eq!(text.parse::<Uuid>(), Ok(Uuid(bytes)), "{text}");
        }
        assert!("AAAA".parse::<Uuid>().is_err());
        assert!("AAAAAAAAAAAAAAAAAAAA*A".parse::<Uuid>().is_err());
    }
}
