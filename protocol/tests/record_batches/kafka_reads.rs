//! Apache Kafka reads what our builder writes. Needs Java and Kafka's jars; without, it says so.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use protocol::record_batch::{Codec, RecordBatch};

use crate::describe::{describe, to_hex};
use crate::golden::{goldens, is_buildable, rebuild};

/// From the environment, or where `cargo xtask setup` puts them.
#[expect(clippy::disallowed_methods, reason = "a test finds its tools through the environment")]
fn kafka_jars() -> Option<PathBuf> {
    let given = std::env::var("MILLRACE_KAFKA_JARS").map(PathBuf::from);
    let fetched = || PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("../tools/kafka");
    Some(given.unwrap_or_else(|_| fetched())).filter(|folder| folder.is_dir())
}

/// libtest keeps what passing tests print with macros to itself; this line has to be seen.
fn report_skipped(reason: &str) {
    let line = format!("skipped kafka_reads_our_batches: {reason}\n");
    std::io::stdout().write_all(line.as_bytes()).unwrap();
}

#[test]
fn kafka_reads_our_batches() {
    let Some(jars) = kafka_jars() else {
        return report_skipped("no jars of Apache Kafka (cargo xtask setup)");
    };
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
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/batches/Batches.java");
    let java = Command::new("java")
        .arg("-cp")
        .arg(jars.join("*"))
        .args([program, "read"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut java = match java {
        Ok(java) => java,
        Err(error) => return report_skipped(&format!("java does not start: {error}")),
    };
    // Java reads a line, then answers it; all answers together are smaller than a pipe holds.
    assert!(want.len() < 32 << 10, "{} bytes of answers", want.len());
    java.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = java.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), want);
}
