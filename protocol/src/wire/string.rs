//! A string on the wire: UTF-8 inside a shared buffer.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

use bytes::Bytes;

/// An immutable string that shares the frame it was decoded from; a clone costs a reference count.
/// Its bytes are always valid UTF-8. One that is kept for long should be re-made from its `&str`:
/// a clone keeps the whole frame in memory.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WireString(Bytes);

impl WireString {
    /// The string without any text. Allocates nothing, as does a string from a literal.
    pub const EMPTY: WireString = WireString(Bytes::new());

    /// A string from a literal, not copied.
    pub const fn from_static(text: &'static str) -> Self {
        WireString(Bytes::from_static(text.as_bytes()))
    }

    /// The string in `bytes`. What is not UTF-8 becomes U+FFFD, as in Apache Kafka, which accepts
    /// such strings. (Java has one of them where we have two or three: for an encoded surrogate.)
    pub fn from_utf8_lossy(bytes: Bytes) -> Self {
        match std::str::from_utf8(&bytes) {
            Ok(_) => WireString(bytes),
            Err(_) => WireString::from(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }

    pub fn as_str(&self) -> &str {
        // The bytes were checked when the string was made; checking again costs little next to what
        // strings are used for (map look-ups), and needs no `unsafe`.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }
}

impl Deref for WireString {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

// `Borrow` demands that hashes agree: bytes hash as `[u8]`, not as `str`, so only `[u8]` is offered.
impl Borrow<[u8]> for WireString {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<str> for WireString {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl From<&str> for WireString {
    fn from(text: &str) -> Self {
        WireString(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<String> for WireString {
    fn from(text: String) -> Self {
        WireString(Bytes::from(text.into_bytes()))
    }
}

impl From<&String> for WireString {
    fn from(text: &String) -> Self {
        WireString::from(text.as_str())
    }
}

impl From<WireString> for String {
    fn from(text: WireString) -> Self {
        text.as_str().to_owned()
    }
}

impl PartialEq<str> for WireString {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for WireString {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl fmt::Display for WireString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

impl fmt::Debug for WireString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_utf8_become_replacement_characters() {
        for (bytes, want) in [
            (&b"orders"[..], "orders"),
            (b"", ""),
            (b"a\xffb", "a\u{fffd}b"),
            (b"\xe2\x82", "\u{fffd}"), // a cut sequence is one character, as in Java
            (b"\xc0\xaf", "\u{fffd}\u{fffd}"), // no byte of an overlong one is accepted
        ] {
            assert_eq!(WireString::from_utf8_lossy(Bytes::from_static(bytes)), want, "{bytes:?}");
        }
    }

    #[test]
    fn a_valid_string_is_not_copied() {
        let frame = Bytes::from_static(b"orders");
        let text = WireString::from_utf8_lossy(frame.clone());
        assert_eq!(text.as_bytes().as_ptr(), frame.as_ptr());
    }
}
