//! What we write we read back, in every version of every message and record.

use std::fmt::Debug;

use bytes::Bytes;
use protocol::records::group::{GroupKey, GroupValue, OffsetCommitKey, OffsetCommitValue};
use protocol::records::metadata::{FenceBrokerRecord, MetadataRecord, TopicRecord};
use protocol::wire::{DecodeError, Message};
use protocol::{for_each_api, for_each_record, messages, records};

use crate::random::{Draw, Random};

const ROUNDS: u64 = 20;

/// Returns how many versions there are.
fn check<M: Message + Draw + Debug + Default + PartialEq>() -> usize {
    for version in M::VERSIONS {
        for seed in 0..ROUNDS {
            let message = M::draw(&mut Random::new(seed), version);
            let case = format!("{} v{version}, seed {seed}", M::NAME);
            let encoded = message.to_encoded(version).expect(&case);
            assert_eq!(message.size_bytes(version), Ok(encoded.size_bytes()), "{case}");
            let bytes = encoded.contiguous();
            assert_eq!(M::decode_all(bytes.clone(), version).as_ref(), Ok(&message), "{case}");
            check_cuts::<M>(&bytes, version, &case);
        }
    }
    M::VERSIONS.count()
}

/// No prefix of a message is a message: the decoder notices a cut anywhere.
fn check_cuts<M: Message + Debug>(bytes: &Bytes, version: i16, case: &str) {
    for cut in 0..bytes.len() {
        let result = M::decode_all(bytes.slice(..cut), version);
        assert!(result.is_err(), "{case}: cut at {cut} of {} gave {result:?}", bytes.len());
    }
}

macro_rules! check_apis {
    ($($api:ident: $request:ident, $response:ident;)*) => {
        [$(check::<messages::$request>(), check::<messages::$response>()),*]
    };
}

macro_rules! check_records {
    ($($($segment:ident)::+;)*) => { [$(check::<records::$($segment)::+>()),*] };
}

#[test]
fn every_message_reads_back() {
    let versions = for_each_api!(check_apis);
    assert_eq!((versions.len(), versions.iter().sum()), (178, 604), "messages and versions");
    assert_eq!(check::<messages::RequestHeader>() + check::<messages::ResponseHeader>(), 4);
}

#[test]
fn every_record_reads_back() {
    let versions = for_each_record!(check_records);
    assert_eq!((versions.len(), versions.iter().sum()), (92, 120), "records and versions");
}

#[test]
fn a_metadata_record_has_a_frame_of_three_varints() {
    let record = MetadataRecord::FenceBroker(FenceBrokerRecord { id: 1, epoch: 2 });
    let bytes = record.encode(0).unwrap();
    // Frame version 1, type 7, version 0; id; epoch; no tagged fields.
    assert_eq!(bytes[..], [1, 7, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0]);
    assert_eq!(MetadataRecord::decode(bytes.clone()), Ok(record));
    for (change, want) in [
        ((0, 2), DecodeError::UnknownFrameVersion { version: 2 }),
        ((1, 99), DecodeError::UnknownRecordType { family: "metadata", key: 99 }),
        ((2, 9), DecodeError::UnsupportedVersion { message: "FenceBrokerRecord", version: 9 }),
    ] {
        let mut changed = bytes.to_vec();
        changed[change.0] = change.1;
        assert_eq!(MetadataRecord::decode(changed.into()), Err(want));
    }
    let longer = [&bytes[..], b"\0"].concat();
    let error = DecodeError::TrailingBytes { position: 16, remaining: 1 };
    assert_eq!(MetadataRecord::decode(longer.into()), Err(error));
}

#[test]
fn metadata_records_keep_their_type() {
    for version in TopicRecord::VERSIONS {
        let topic = TopicRecord::draw(&mut Random::new(1), version);
        let record = MetadataRecord::Topic(topic);
        assert_eq!(MetadataRecord::decode(record.encode(version).unwrap()), Ok(record));
    }
}

#[test]
fn a_coordinator_s_key_says_what_its_value_is() {
    let key = GroupKey::OffsetCommit(OffsetCommitKey {
        group: "g".into(),
        topic: "t".into(),
        partition: 3,
    });
    let bytes = key.encode().unwrap();
    assert_eq!(bytes[..], [0, 1, 0, 1, b'g', 0, 1, b't', 0, 0, 0, 3]);
    assert_eq!(GroupKey::decode(bytes), Ok(key.clone()));

    let value = OffsetCommitValue { offset: 7, metadata: "m".into(), ..Default::default() };
    let value = GroupValue::OffsetCommit(value);
    for version in 1..=3 {
        let bytes = value.encode(version).unwrap();
        assert_eq!(bytes[..2], version.to_be_bytes());
        assert_eq!(GroupValue::decode(key.record_type(), bytes), Ok(value.clone()));
    }
    let unknown = DecodeError::UnknownRecordType { family: "group", key: 77 };
    assert_eq!(GroupKey::decode(Bytes::from_static(b"\0\x4d")), Err(unknown.clone()));
    assert_eq!(GroupValue::decode(77, Bytes::new()), Err(unknown));
}
