//! What the message targets share: which message some bytes are, and what must hold for it.

use bytes::Bytes;
use protocol::api::ApiKey;
use protocol::wire::Message;

/// The API key and its version, at the front of a request's header.
pub const API_SIZE_BYTES: usize = 4;

/// `data` with the key and version in front replaced by the ones of an API that exists, which bytes at
/// random seldom are. `None` for an API that Kafka removed, and where there is nothing to read.
pub fn with_known_api(data: &[u8]) -> Option<(Bytes, ApiKey, i16)> {
    let &[key_high, key_low, version_high, version_low] = data.first_chunk()?;
    let apis: Vec<ApiKey> = ApiKey::all().collect();
    let key = usize::from(u16::from_be_bytes([key_high, key_low]));
    let api = apis[key % apis.len()];
    let versions = api.versions()?;
    let span = versions.end() - versions.start() + 1;
    let version = i16::from_be_bytes([version_high, version_low]);
    let version = versions.start() + version.rem_euclid(span);
    let mut frame = data.to_vec();
    frame[..2].copy_from_slice(&i16::from(api).to_be_bytes());
    frame[2..API_SIZE_BYTES].copy_from_slice(&version.to_be_bytes());
    Some((frame.into(), api, version))
}

/// What decodes encodes, in the size that was foretold, and comes back the same. Compares bytes, since
/// a float that is no number does not equal itself. Returns whether `body` decoded.
pub fn check<M: Message>(body: Bytes, version: i16) -> bool {
    let Ok(message) = M::decode_all(body, version) else { return false };
    let encoded = message.to_encoded(version).expect("it was read in this version").contiguous();
    assert_eq!(message.size_bytes(version), Ok(encoded.len()), "{}", M::NAME);
    let again = M::decode_all(encoded.clone(), version).expect("our own bytes");
    let again = again.to_encoded(version).expect("it was read in this version").contiguous();
    assert_eq!(again, encoded, "{} {version}", M::NAME);
    true
}
