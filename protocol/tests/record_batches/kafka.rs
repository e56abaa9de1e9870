//! Apache Kafka judges: it reads what our builder writes, and takes from a producer what we take. Needs
//! Java and Kafka's jars; without, it says so.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use protocol::model::{Offset, TimestampMs};
use protocol::record_batch::{
    Codec, Depth, InvalidBatch, RecordBatch, TimestampType, ValidationRules, set_base_offset,
    set_max_timestamp, validate_for_append,
};

use crate::describe::{DECOMPRESSED_SIZE_BYTES_MAX, describe, to_hex};
use crate::golden::{goldens, is_buildable, rebuild};
use crate::mutation::Draw;

/// From the environment, or where `cargo xtask setup` puts them.
#[expect(clippy::disallowed_methods, reason = "a test finds its tools through the environment")]
fn kafka_jars() -> Option<PathBuf> {
    let given = std::env::var("MILLRACE_KAFKA_JARS").map(PathBuf::from);
    let fetched = || Path::new(env!("CARGO_TARGET_TMPDIR")).join("../tools/kafka");
    Some(given.unwrap_or_else(|_| fetched())).filter(|folder| folder.is_dir())
}

/// What `Batches.java` prints for `input` in `mode`; `None`, and a line about it, when it cannot run.
#[expect(clippy::disallowed_methods, reason = "a test hands its data to another process")]
fn ask_kafka(mode: &str, input: &str) -> Option<String> {
    let Some(jars) = kafka_jars() else {
        return report_skipped(mode, "no jars of Apache Kafka (cargo xtask setup)");
    };
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("batches-{mode}.txt"));
    std::fs::write(&file, input).unwrap();
    let output = Command::new("java")
        .arg("-cp")
        .arg(jars.join("*"))
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/batches/Batches.java"))
        .arg(mode)
        .arg(&file)
        .output();
    match output {
        Err(error) => report_skipped(mode, &format!("java does not start: {error}")),
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            Some(String::from_utf8(output.stdout).unwrap())
        }
    }
}

/// libtest keeps what passing tests print with macros to itself; this line has to be seen.
fn report_skipped(mode: &str, reason: &str) -> Option<String> {
    let line = format!("skipped record batches against Apache Kafka ({mode}): {reason}\n");
    std::io::stdout().write_all(line.as_bytes()).unwrap();
    None
}

#[test]
fn kafka_reads_our_batches() {
    let mut input = String::new();
    let mut want = String::new();
    for golden in goldens() {
        let batch = golden.batch();
        if is_buildable(&batch) {
            let rebuilt = rebuild(&batch);
            writeln!(input, "{} {}", golden.name, to_hex(&rebuilt)).unwrap();
            let description = describe(&RecordBatch::new(rebuilt).unwrap()).unwrap();
            write!(want, "== {}\n{description}", golden.name).unwrap();
        }
    }
    for codec in Codec::ALL {
        assert!(want.contains(&format!("codec={}", codec.name())), "{codec:?} is not among them");
    }
    if let Some(read) = ask_kafka("read", &input) {
        assert_eq!(read, want);
    }
}

const ROUNDS: u32 = 200;

#[test]
fn kafka_takes_what_we_take() {
    let mut draw = Draw(0x853c_49e6_748f_ea9b);
    let mut batches = Vec::new();
    for golden in goldens().iter().filter(|golden| golden.bytes.len() < 1024) {
        for round in 0..ROUNDS {
            let mut bytes = golden.bytes.to_vec();
            set_base_offset(&mut bytes, Offset::ZERO);
            if round > 0 {
                let position = 21 + draw.below(bytes.len() - 21);
                bytes[position] = draw.below(256) as u8;
            }
            set_max_timestamp(&mut bytes, golden.batch().header().max_timestamp);
            batches.push((format!("{}-{round}", golden.name), Bytes::from(bytes)));
        }
    }
    let mut input = String::new();
    for (name, bytes) in &batches {
        writeln!(input, "{name} {}", to_hex(bytes)).unwrap();
    }
    let Some(verdicts) = ask_kafka("validate", &input) else { return };
    let mut differences = String::new();
    for ((name, bytes), verdict) in batches.iter().zip(verdicts.lines()) {
        let kafka = verdict.strip_prefix(name.as_str()).unwrap().trim_start();
        let ours = validate(bytes);
        if !agree(&ours, kafka) {
            writeln!(differences, "{name} ours {ours:?} kafka {kafka}\n{}", to_hex(bytes)).unwrap();
        }
    }
    assert!(differences.is_empty(), "{differences}");
    assert_eq!(verdicts.lines().count(), batches.len());
}

fn validate(bytes: &Bytes) -> Result<TimestampMs, InvalidBatch> {
    let batch = RecordBatch::new(bytes.clone())?;
    let rules = ValidationRules {
        depth: Depth::Records,
        now: TimestampMs(1_700_000_000_000),
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: i64::MAX,
        is_compacted: false,
        decompressed_size_bytes_max: DECOMPRESSED_SIZE_BYTES_MAX,
    };
    validate_for_append(&batch, &rules).map(|validated| validated.max_timestamp)
}

/// Whatever we take Kafka takes, and finds the same. What we refuse it may take in five cases.
fn agree(ours: &Result<TimestampMs, InvalidBatch>, kafka: &str) -> bool {
    match ours {
        Ok(max_timestamp) => kafka == format!("max_timestamp={}", max_timestamp.0),
        Err(
            // Kafka counts uncompressed records and does not look at their offset deltas.
            InvalidBatch::OffsetDelta { .. }
            // Kafka skips over the fields of compressed records.
            | InvalidBatch::Record { .. }
            | InvalidBatch::LogAppendTime
            | InvalidBatch::ProducerEpochMissing { .. }
            | InvalidBatch::ProducerIdMissing,
        ) => true,
        Err(_) => kafka.starts_with("refused"),
    }
}
