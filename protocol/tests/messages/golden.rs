//! Apache Kafka's own bytes: `testdata/messages` has every message and record in every version as
//! Kafka's classes write it (see `Messages.java` there).

use std::collections::BTreeMap;

use bytes::Bytes;
use protocol::error_code::ErrorCode;
use protocol::wire::Message;
use protocol::{for_each_api, for_each_record, messages, records};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/messages");

/// What one message does with a line.
struct Codec {
    versions: usize,
    /// Reads the bytes in a version, and writes what was read.
    rewrite: fn(Bytes, i16) -> Bytes,
    /// Writes the message that `Default` gives.
    write_default: fn(i16) -> Bytes,
}

fn codec<M: Message + Default>() -> (&'static str, Codec) {
    let codec = Codec {
        versions: M::VERSIONS.count(),
        rewrite: |bytes, version| {
            let message = M::decode_all(bytes, version).unwrap();
            message.to_encoded(version).unwrap().contiguous()
        },
        write_default: |version| M::default().to_encoded(version).unwrap().contiguous(),
    };
    (M::NAME, codec)
}

macro_rules! api_codecs {
    ($($api:ident: $request:ident, $response:ident;)*) => {
        vec![$(codec::<messages::$request>(), codec::<messages::$response>()),*]
    };
}

macro_rules! record_codecs {
    ($($($segment:ident)::+;)*) => { vec![$(codec::<records::$($segment)::+>()),*] };
}

fn codecs() -> BTreeMap<&'static str, Codec> {
    let headers = [codec::<messages::RequestHeader>(), codec::<messages::ResponseHeader>()];
    let apis: Vec<_> = for_each_api!(api_codecs);
    apis.into_iter().chain(for_each_record!(record_codecs)).chain(headers).collect()
}

#[expect(clippy::disallowed_methods, reason = "a test reads its data from real files")]
fn read(path: &std::path::Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a test reads its data from real files")]
fn lines() -> Vec<String> {
    let paths = std::fs::read_dir(FOLDER).unwrap().map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .filter(|path| !path.ends_with("errors.txt"))
        .flat_map(|path| read(&path).lines().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

fn from_hex(hex: &str) -> Bytes {
    let byte = |index| u8::from_str_radix(&hex[index..index + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

#[test]
fn kafka_s_bytes_are_read_and_written_again() {
    let codecs = codecs();
    // Lines of each message: two a version, and a third where its default can be written.
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for line in lines() {
        let (case, hex) = line.rsplit_once(' ').unwrap();
        let words: Vec<&str> = case.split(' ').collect();
        let [name, version, variant] = words[..] else { panic!("{case:?} has other words") };
        let version: i16 = version.parse().unwrap();
        let codec = codecs.get(name).unwrap_or_else(|| panic!("we have no {name}"));
        let bytes = from_hex(hex);
        assert_eq!((codec.rewrite)(bytes.clone(), version), bytes, "{case}");
        if variant == "default" {
            assert_eq!((codec.write_default)(version), bytes, "{case}");
        } else {
            *seen.entry(name.to_owned()).or_default() += 1;
        }
    }
    for (name, codec) in &codecs {
        assert_eq!(seen.get(*name), Some(&(2 * codec.versions)), "{name}");
    }
    assert_eq!((seen.len(), seen.values().sum()), (178 + 2 + 92, 2 * (604 + 4 + 120)));
}

#[test]
fn error_codes_are_kafka_s() {
    let kafka = read(&std::path::Path::new(FOLDER).join("errors.txt"));
    let ours = ErrorCode::all().map(|error| {
        let retry = if error.is_retriable() { "retriable" } else { "fatal" };
        format!("{} {} {retry}", error.code(), error.name())
    });
    assert!(ours.eq(kafka.lines().map(str::to_owned)));
}
