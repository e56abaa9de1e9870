//! Produce: what is taken, what is refused and how, and what becomes of it on the way.

use super::batches::{self, Sequences};
use super::talk::{Talk, batch, code, now_ms, produce_request};
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use protocol::messages::FetchRequest;
use protocol::messages::produce::PartitionProduceResponse;
use protocol::record_batch::{Batches, TimestampType};
use std::fmt::Write;

const VERSIONS: [i16; 9] = [3, 4, 6, 7, 8, 9, 10, 12, 13];

const DAY_MS: i64 = 86_400_000;

pub fn talk(talk: &mut Talk) -> Result<()> {
    talk.create("any", 2, &[])?;
    talk.create("compacted", 1, &[("cleanup.policy", "compact")])?;
    talk.create("appended", 1, &[("message.timestamp.type", "LogAppendTime")])?;
    talk.create("small", 1, &[("max.message.bytes", "300")])?;
    let segments = [("segment.bytes", "1048576"), ("max.message.bytes", "3000000")];
    talk.create("segmented", 1, &segments)?;
    let bounds = [
        ("message.timestamp.before.max.ms", "1000000"),
        ("message.timestamp.after.max.ms", "1000000"),
    ];
    talk.create("bounded", 1, &bounds)?;
    for version in VERSIONS {
        batches_alone(talk, version)?;
        damage(talk, version)?;
        codecs(talk, version)?;
        repeats(talk, version)?;
    }
    acks(talk)?;
    sequences(talk)?;
    compression(talk)
}

fn say(talk: &mut Talk, version: i16, what: &str, topic: &str, records: Bytes) -> Result<()> {
    let answer = talk.produce(version, topic, 0, records)?;
    talk.say(format_args!("v{version} {what}"), answered(&answer));
    Ok(())
}

fn answered(answer: &PartitionProduceResponse) -> String {
    let PartitionProduceResponse { base_offset, log_start_offset, log_append_time_ms, .. } = answer;
    let mut said = code(answer.error_code);
    let errors = answer.record_errors.iter().map(|error| format!(" {}", error.batch_index));
    let errors: String = errors.collect();
    // With some errors Apache Kafka tells the log start, with others it does not.
    if answer.error_code != 0 {
        return said + if errors.is_empty() { "" } else { " records" } + &errors;
    }
    let time = match log_append_time_ms {
        -1 => "",
        time if (now_ms() - time).abs() < DAY_MS => " appended now",
        _ => " appended at another time",
    };
    write!(said, " offset {base_offset} start {log_start_offset}{time}").expect("a string");
    said
}

fn batches_alone(talk: &mut Talk, version: i16) -> Result<()> {
    let now = now_ms();
    for (what, topic, records) in [
        ("a batch", "any", batch(2, now)),
        ("a batch without times", "any", batch(2, -1)),
        ("a topic that is not there", "gone", batch(1, now)),
        ("a batch for LogAppendTime", "appended", batch(2, 1)),
        ("a batch that is too large", "small", batch(30, now)),
        ("one that is not", "small", batch(3, now)),
        ("one that is larger than a segment", "segmented", batches::large(1_500_000, now)),
        ("a batch of long ago", "bounded", batch(3, now - DAY_MS)),
        ("a batch of the future", "bounded", batch(3, now + DAY_MS)),
        (
            "two of three out of bounds",
            "bounded",
            batches::timed(&[now - DAY_MS, now, now + DAY_MS]),
        ),
        ("keys", "compacted", batch(2, now)),
        ("some keys", "compacted", batches::keyed(&[true, false, true, false], now)),
    ] {
        say(talk, version, what, topic, records)?;
    }
    let answer = talk.produce(version, "any", 7, batch(1, now))?;
    talk.say(format_args!("v{version} a partition that is not there"), answered(&answer));
    Ok(())
}

fn damage(talk: &mut Talk, version: i16) -> Result<()> {
    let now = now_ms();
    let good = batch(2, now);
    for (what, records) in [
        ("no bytes", Bytes::new()),
        ("half a batch", good.slice(..good.len() / 2)),
        ("two batches", [&good[..], &good[..]].concat().into()),
        ("a batch and a half", [&good[..], &good[..40]].concat().into()),
        ("a byte that changed", batches::changed(&good, |bytes| bytes[65] ^= 1)),
        ("magic 0", batches::with_magic(&good, 0)),
        ("magic 1", batches::with_magic(&good, 1)),
        ("magic 3", batches::with_magic(&good, 3)),
        ("a base offset", batches::with_crc(&good, |bytes| bytes[7] = 5)),
        ("a control batch", batches::with_crc(&good, |bytes| bytes[22] |= 0x20)),
        ("fewer records than it says", batches::with_crc(&good, |bytes| bytes[60] = 3)),
        ("a last offset too high", batches::with_crc(&good, |bytes| bytes[26] = 5)),
        ("no records", batches::with_crc(&good, |bytes| (bytes[60], bytes[26]) = (0, 0))),
        ("a producer without a sequence", batches::with_crc(&good, |bytes| bytes[43..51].fill(0))),
    ] {
        say(talk, version, what, "any", records)?;
    }
    Ok(())
}

fn codecs(talk: &mut Talk, version: i16) -> Result<()> {
    for (name, compression) in batches::COMPRESSIONS {
        say(talk, version, name, "any", batches::compressed(compression, 5, now_ms()))?;
    }
    for codec in 5..8 {
        let records = batches::with_crc(&batch(2, now_ms()), |bytes| bytes[22] |= codec);
        // Apache Kafka says UNKNOWN_SERVER_ERROR, millrace which one it is.
        let answer = talk.produce(version, "any", 0, records)?;
        talk.say(format_args!("v{version} codec {codec} is taken"), answer.error_code == 0);
    }
    Ok(())
}

/// A partition that one request names twice.
fn repeats(talk: &mut Talk, version: i16) -> Result<()> {
    let (name, topic_id) = talk.named(version, "any");
    let mut request = produce_request(name, topic_id, 1, batch(1, now_ms()));
    let again = produce_request(String::new(), topic_id, 1, batch(3, now_ms()));
    let again = again.topic_data.into_iter().flat_map(|topic| topic.partition_data);
    request.topic_data[0].partition_data.extend(again);
    let answer = talk.connection.call(version, &request)?;
    let partitions = answer.responses.iter().flat_map(|topic| &topic.partition_responses);
    let said: Vec<String> = partitions.map(answered).collect();
    talk.say(format_args!("v{version} a partition twice"), said.join("; "));
    Ok(())
}

fn acks(talk: &mut Talk) -> Result<()> {
    for version in [3, 9, 13] {
        for acks in [1, -1, 2, -2] {
            let (name, topic_id) = talk.named(version, "any");
            let request = produce_request(name, topic_id, 0, batch(1, now_ms()));
            let request = protocol::messages::ProduceRequest { acks, ..request };
            let answer = talk.connection.call(version, &request)?;
            let partition = answer.responses.iter().flat_map(|topic| &topic.partition_responses);
            let said: Vec<String> = partition.map(answered).collect();
            talk.say(format_args!("v{version} acks={acks}"), said.join("; "));
        }
    }
    Ok(())
}

/// Idempotence (KIP-98, KIP-360): each step's producer epoch, first sequence and number of records.
fn sequences(talk: &mut Talk) -> Result<()> {
    for version in [3, 7, 13] {
        let topic = format!("sequences-{version}");
        talk.create(&topic, 1, &[])?;
        for (what, epoch, sequence, count) in [
            ("the first batch", 0, 0, 2),
            ("the next one", 0, 2, 3),
            ("the same again", 0, 2, 3),
            ("the first again", 0, 0, 2),
            ("a gap", 0, 6, 1),
            ("after the gap was refused", 0, 5, 1),
            ("a part of one", 0, 3, 1),
            ("two of them together", 0, 0, 5),
            ("the second of six", 0, 6, 1),
            ("the third", 0, 7, 1),
            ("the fourth", 0, 8, 1),
            ("one of the last five", 0, 2, 3),
            ("one that is too old", 0, 0, 2),
            ("a new epoch with a sequence", 1, 9, 1),
            ("a new epoch", 1, 0, 1),
            ("the old epoch", 0, 9, 1),
            ("the old epoch again", 0, 8, 1),
            ("a much newer epoch", 9, 0, 1),
        ] {
            let sequences = Sequences { producer_id: 4_000, epoch, sequence };
            let records = batches::idempotent(sequences, count, now_ms());
            say(talk, version, what, &topic, records)?;
        }
        let unknown = Sequences { producer_id: 4_001, epoch: 3, sequence: 70 };
        let records = batches::idempotent(unknown, 1, now_ms());
        say(talk, version, "an unknown producer amid its sequence", &topic, records)?;
        let last = Sequences { producer_id: 4_002, epoch: 0, sequence: i32::MAX };
        let records = batches::idempotent(last, 2, now_ms());
        say(talk, version, "sequences around the end", &topic, records)?;
        let after = Sequences { producer_id: 4_002, epoch: 0, sequence: 1 };
        let records = batches::idempotent(after, 1, now_ms());
        say(talk, version, "the one after them", &topic, records)?;
    }
    Ok(())
}

/// What is stored of a batch of each codec by a topic of each `compression.type`.
fn compression(talk: &mut Talk) -> Result<()> {
    for (kind, configs) in [
        ("producer", &[("compression.type", "producer")][..]),
        ("uncompressed", &[("compression.type", "uncompressed")]),
        ("gzip", &[("compression.type", "gzip"), ("compression.gzip.level", "9")]),
        ("snappy", &[("compression.type", "snappy")]),
        ("lz4", &[("compression.type", "lz4"), ("compression.lz4.level", "1")]),
        ("zstd", &[("compression.type", "zstd"), ("compression.zstd.level", "-3")]),
    ] {
        let topic = format!("stored-{kind}");
        talk.create(&topic, 1, configs)?;
        let timed = format!("timed-{kind}");
        let by_append = [("message.timestamp.type", "LogAppendTime")];
        talk.create(&timed, 1, &[configs, &by_append].concat())?;
        let small = format!("small-{kind}");
        talk.create(&small, 1, &[configs, &[("max.message.bytes", "300")]].concat())?;
        for (name, given) in batches::COMPRESSIONS {
            for topic in [&topic, &timed] {
                let records = batches::compressed(given, 5, now_ms());
                say(talk, 9, &format!("{name} to {topic}"), topic, records)?;
            }
            // Small only while it is compressed.
            let records = batches::repetitive(given, 2_000, now_ms());
            say(talk, 9, &format!("{name} to {small}"), &small, records)?;
        }
        for topic in [topic, timed, small] {
            let stored = stored(talk, &topic)?;
            talk.say(format_args!("{topic} has"), stored);
        }
    }
    Ok(())
}

/// Codec, number of records and kind of timestamps of each stored batch.
fn stored(talk: &mut Talk, topic: &str) -> Result<String> {
    let topics = vec![talk.to_fetch(12, topic, &[(0, 0)])];
    let request =
        FetchRequest { topics, min_bytes: 1, max_bytes: 1 << 20, ..FetchRequest::default() };
    let answer = talk.connection.call(12, &request)?;
    let partition = answer.responses.first().and_then(|topic| topic.partitions.first());
    let partition = partition.context("the partition is not answered")?;
    ensure!(partition.error_code == 0, "{topic}: {}", code(partition.error_code));
    let mut said = Vec::new();
    for batch in Batches::new(partition.records.clone().unwrap_or_default().contiguous()) {
        let batch = batch?;
        batch.verify_crc()?;
        let mut sums = 0;
        for record in batch.records(1 << 24)? {
            let record = record?;
            sums += record.key.map_or(0, |it| it.len()) + record.value.map_or(0, |it| it.len());
        }
        let header = batch.header();
        let kind = match header.timestamp_type() {
            TimestampType::CreateTime => "created",
            TimestampType::LogAppendTime => "appended",
        };
        let codec = header.codec()?.name();
        said.push(format!("{codec} {} of {sums} bytes {kind}", header.record_count));
    }
    Ok(said.join(", "))
}
