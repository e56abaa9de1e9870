//! Bytes from strangers: claims that the bytes do not keep, and bytes that are nothing.

use bytes::Bytes;
use protocol::api::ApiKey;
use protocol::header::{decode_request_header, encode_request, encode_response};
use protocol::messages::{ApiVersionsRequest, FetchResponse, MetadataRequest, MetadataResponse};
use protocol::records::group::{GroupKey, GroupValue};
use protocol::records::metadata::MetadataRecord;
use protocol::records::share::{ShareKey, ShareValue};
use protocol::records::transaction::{TransactionKey, TransactionValue};
use protocol::wire::{DecodeError, Decoder, EncodeError, Message};
use protocol::{for_each_api, for_each_record, messages, records};

use crate::random::Random;

const ROUNDS: u64 = 400;

/// Bytes that look a little like a message: small numbers are more frequent than chance has them,
/// since they are what lengths and counts are made of.
fn noise(random: &mut Random) -> Bytes {
    let length = random.below(200);
    let byte = |random: &mut Random| match random.below(3) {
        0 => 0,
        1 => random.below(8) as u8,
        _ => random.u64() as u8,
    };
    (0..length).map(|_| byte(random)).collect()
}

/// Decodes noise; what is accepted can be written again.
fn survive<M: Message>() -> usize {
    for version in M::VERSIONS {
        for seed in 0..ROUNDS {
            let bytes = noise(&mut Random::new(seed));
            if let Ok(message) = M::decode(&mut Decoder::new(bytes), version) {
                // A replaced character is longer than the byte that it stands for.
                let encoded = message.to_encoded(version);
                assert!(
                    matches!(encoded, Ok(_) | Err(EncodeError::StringTooLong { .. })),
                    "{} v{version}, seed {seed}: {encoded:?}",
                    M::NAME
                );
            }
        }
    }
    1
}

macro_rules! survive_apis {
    ($($api:ident: $request:ident, $response:ident;)*) => {
        [$(survive::<messages::$request>(), survive::<messages::$response>()),*].len()
    };
}

macro_rules! survive_records {
    ($($($segment:ident)::+;)*) => { [$(survive::<records::$($segment)::+>()),*].len() };
}

#[test]
fn noise_is_refused_or_read() {
    assert!(for_each_api!(survive_apis) + for_each_record!(survive_records) > 200);
    for seed in 0..100 * ROUNDS {
        let bytes = noise(&mut Random::new(seed));
        _ = decode_request_header(&mut Decoder::new(bytes.clone()));
        _ = MetadataRecord::decode(bytes.clone());
        _ = (GroupKey::decode(bytes.clone()), ShareKey::decode(bytes.clone()));
        _ = TransactionKey::decode(bytes.clone());
        for record_type in -1..30 {
            _ = GroupValue::decode(record_type, bytes.clone());
            _ = (
                ShareValue::decode(record_type, bytes.clone()),
                TransactionValue::decode(record_type, bytes.clone()),
            );
        }
    }
}

#[test]
fn an_array_cannot_claim_what_is_not_there() {
    for (version, claim, rest, want) in [
        // A million topics in 20 bytes; each takes two at least.
        (8, &1_000_000_i32.to_be_bytes()[..], 16, Err((1_000_000, 16))),
        (8, &9_i32.to_be_bytes(), 16, Err((9, 16))),
        (8, &i32::MAX.to_be_bytes(), 16, Err((i32::MAX as usize, 16))),
        // More than a million is refused whatever follows.
        (8, &1_000_001_i32.to_be_bytes(), 4_000_000, Err((1_000_001, 4_000_000))),
        // One more than the count, as a varint.
        (9, b"\xff\xff\xff\xff\x0f", 16, Err((u32::MAX as usize - 1, 16))),
        (8, &(-1_i32).to_be_bytes(), 3, Ok(())),
        (8, &i32::MIN.to_be_bytes(), 3, Ok(())), // Kafka takes every negative length for null
    ] {
        let bytes = [claim, &vec![0; rest]].concat();
        let want = want.map_err(|(count, remaining)| DecodeError::ArrayTooLong {
            position: claim.len(),
            count,
            remaining,
        });
        let got = MetadataRequest::decode(&mut Decoder::new(bytes.into()), version);
        assert_eq!(got.map(|_| ()), want, "version {version}, claim {claim:?}, {rest} bytes");
    }
}

#[test]
fn tagged_fields_are_bounded_and_sized() {
    // ApiVersionsRequest v3 knows no tag: two empty names, then the tagged fields.
    let truncated =
        |position, needed, remaining| Err(DecodeError::Truncated { position, needed, remaining });
    for (tags, want) in [
        (&b"\0"[..], Ok(())),
        (b"\x01\x05\x02ab", Ok(())),
        (b"\x02\x05\0\x04\0", Ok(())), // Kafka reads tags in any order
        (b"\x01\x05\x03ab", truncated(5, 3, 2)),
        (b"\xff\xff\x7f", Err(DecodeError::TooManyTaggedFields { position: 5, count: 0x1f_ffff })),
        (b"\xff\xff\xff\xff\x1f", Err(DecodeError::VarintTooLong { position: 2 })),
        (b"\xff\xff\xff\xff\xff\x01", Err(DecodeError::VarintTooLong { position: 2 })),
    ] {
        let bytes = [b"\x01\x01", tags].concat();
        let got = ApiVersionsRequest::decode_all(bytes.into(), 3).map(|_| ());
        assert_eq!(got, want, "{tags:?}");
    }
    // FetchResponse v16 knows tag 0, the endpoints: an empty array takes one byte, not two.
    let body = b"\0\0\0\0\0\0\0\0\0\0\x01";
    for (tags, want) in [
        (&b"\x01\0\x01\x01"[..], Ok(())),
        (b"\x02\0\x01\x01\0\x01\x01", Ok(())), // the last of two wins, as in Kafka
        (
            b"\x01\0\x02\x01\0",
            Err(DecodeError::TaggedFieldSize { position: 14, tag: 0, claimed: 2, used: 1 }),
        ),
    ] {
        let bytes = [&body[..], tags].concat();
        let got = FetchResponse::decode_all(bytes.into(), 16).map(|_| ());
        assert_eq!(got, want, "{tags:?}");
    }
}

#[test]
fn a_version_that_is_none_is_refused() {
    let message = "MetadataRequest";
    for version in [-1, 14, i16::MAX, i16::MIN] {
        let error = DecodeError::UnsupportedVersion { message, version };
        assert_eq!(MetadataRequest::decode_all(Bytes::new(), version), Err(error));
        let error = EncodeError::UnsupportedVersion { message, version };
        assert_eq!(MetadataRequest::default().to_encoded(version), Err(error));
    }
}

#[test]
fn a_value_that_a_version_cannot_carry_is_not_lost_silently() {
    let request = MetadataRequest { allow_auto_topic_creation: false, ..Default::default() };
    let error = EncodeError::UnsupportedField {
        structure: "MetadataRequest",
        field: "allow_auto_topic_creation",
        version: 3,
    };
    assert_eq!(request.size_bytes(3), Err(error));
    assert!(request.to_encoded(4).is_ok());

    let request = MetadataRequest { topics: None, ..Default::default() };
    let error =
        EncodeError::UnexpectedNull { structure: "MetadataRequest", field: "topics", version: 0 };
    assert_eq!(request.to_encoded(0), Err(error));

    // Ignorable: an older version goes without it.
    let response = MetadataResponse { throttle_time_ms: 5, ..Default::default() };
    assert!(response.to_encoded(2).is_ok());

    let long = MetadataRequest {
        topics: Some(vec![messages::metadata::MetadataRequestTopic {
            name: Some("x".repeat(32_768).into()),
            ..Default::default()
        }]),
        ..Default::default()
    };
    assert_eq!(long.to_encoded(4), Err(EncodeError::StringTooLong { length: 32_768 }));
}

#[test]
fn a_header_is_chosen_by_key_and_version() {
    let request = ApiVersionsRequest::default();
    for (version, header_size) in [(0, 4 + 8 + 2 + 2), (3, 4 + 8 + 2 + 2 + 1)] {
        let frame = encode_request(7, Some("me"), &request, version).unwrap().contiguous();
        let body_size = request.size_bytes(version).unwrap();
        assert_eq!(frame.len(), header_size + body_size);
        assert_eq!(frame[..4], (frame.len() as i32 - 4).to_be_bytes());
        let mut decoder = Decoder::new(frame.slice(4..));
        let (api, header) = decode_request_header(&mut decoder).unwrap();
        assert_eq!((api, header.request_api_version), (ApiKey::ApiVersions, version));
        assert_eq!((header.correlation_id, header.client_id.as_deref()), (7, Some("me")));
        assert_eq!(decoder.remaining(), body_size);
        // Length and correlation id: the answer to ApiVersions has header 0 in every version.
        let response = messages::ApiVersionsResponse::default();
        let frame = encode_response(7, &response, version).unwrap();
        assert_eq!(frame.size_bytes(), 4 + 4 + response.size_bytes(version).unwrap());
    }
    for (start, want) in [
        (&b"\x7f\xff\0\0"[..], DecodeError::UnknownApiKey { key: i16::MAX }),
        (b"\xff\xff\0\0", DecodeError::UnknownApiKey { key: -1 }),
        (b"\0\x04\0\0", DecodeError::UnsupportedVersion { message: "LeaderAndIsr", version: 0 }),
        (b"\0\x03\0", DecodeError::Truncated { position: 2, needed: 2, remaining: 1 }),
    ] {
        let got = decode_request_header(&mut Decoder::new(Bytes::from_static(start)));
        assert_eq!(got, Err(want), "{start:?}");
    }
}

#[test]
fn records_are_spliced_not_copied() {
    use messages::fetch::{FetchableTopicResponse, PartitionData};
    let slices = [Bytes::from(vec![1; 100]), Bytes::from(vec![2; 50]), Bytes::from(vec![3; 70])];
    let partition = |records: &[Bytes]| PartitionData {
        records: Some(records.iter().cloned().collect()),
        ..Default::default()
    };
    let response = FetchResponse {
        responses: vec![FetchableTopicResponse {
            partitions: vec![partition(&slices[..2]), partition(&[]), partition(&slices[2..])],
            ..Default::default()
        }],
        ..Default::default()
    };
    let frame = encode_response(1, &response, 13).unwrap();
    let places: Vec<_> = frame.parts().iter().map(|part| part.as_ptr()).collect();
    // Before, two slices, between, one slice, after.
    assert_eq!(places.len(), 6 - 1 + 1);
    for (place, slice) in [(1, 0), (2, 1), (4, 2)] {
        assert_eq!(places[place], slices[slice].as_ptr());
    }
    let mut decoder = Decoder::new(frame.contiguous().slice(9..));
    assert_eq!(FetchResponse::decode(&mut decoder, 13), Ok(response));
    assert_eq!(decoder.finish(), Ok(()));
}
