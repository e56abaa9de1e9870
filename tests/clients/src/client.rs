//! The clients, each as the two commands that produce lines and print records.

use crate::process::{CLIENT_DEADLINE, run};
use crate::records::{Produced, ReadRecord, parse_lines};
use crate::tools::{KafkaTool, Tools, root};
use anyhow::{Context, Result};
use std::fmt;

/// A compression codec, with the bits that mark it in a stored batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl Codec {
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// Bits 0-2 of a batch's attributes.
    pub fn bits(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }
}

/// A client of the ecosystem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// The distribution's kcat, on librdkafka 2.0.
    Kcat,
    /// A current librdkafka, in Python's confluent-kafka.
    ConfluentKafka,
    FranzGo,
    /// Apache Kafka's console producer and consumer. The consumer reads one partition, with no group.
    Console,
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kcat => "kcat",
            Self::ConfluentKafka => "confluent-kafka",
            Self::FranzGo => "franz-go",
            Self::Console => "kafka-console",
        })
    }
}

impl Client {
    pub const ALL: [Self; 4] = [Self::Kcat, Self::ConfluentKafka, Self::FranzGo, Self::Console];

    /// The tool that it needs.
    pub fn tool(self) -> &'static str {
        match self {
            Self::Kcat => Tools::KCAT,
            Self::ConfluentKafka => Tools::CONFLUENT_KAFKA,
            Self::FranzGo => Tools::FRANZ_GO,
            Self::Console => Tools::KAFKA,
        }
    }

    /// Produces all of `produced` idempotently with `codec`; returns when all is acknowledged.
    pub fn produce(
        self,
        tools: &Tools,
        bootstrap: &str,
        topic: &str,
        codec: Codec,
        produced: &Produced,
    ) -> Result<()> {
        let mut command = match self {
            Self::Kcat => {
                let mut kcat = tools.command(Tools::KCAT);
                kcat.args(["-P", "-b", bootstrap, "-t", topic, "-K", "\t", "-z", codec.name()]);
                kcat.args(["-H", "client=kcat", "-X", "enable.idempotence=true"]);
                kcat.args(["-X", "linger.ms=50", "-X", "batch.size=16384"]);
                kcat
            }
            Self::ConfluentKafka => {
                let mut python = tools.command(Tools::CONFLUENT_KAFKA);
                python.arg(root().join("tests/clients/confluent-kafka/roundtrip.py"));
                python.args(["produce", bootstrap, topic, codec.name()]);
                python
            }
            Self::FranzGo => {
                let mut roundtrip = tools.command(Tools::FRANZ_GO);
                roundtrip.args(["produce", "--bootstrap", bootstrap, "--topic", topic]);
                roundtrip.args(["--codec", codec.name()]);
                roundtrip
            }
            Self::Console => {
                let mut producer = tools.kafka(KafkaTool::ConsoleProducer);
                producer.args(["--bootstrap-server", bootstrap, "--topic", topic]);
                producer.args(["--compression-codec", codec.name()]);
                producer.args(["--reader-property", "parse.key=true"]);
                producer.args(["--reader-property", "key.separator=\t"]);
                producer.args(["--command-property", "linger.ms=50"]);
                producer
            }
        };
        let finished = run(&mut command, &produced.lines(), CLIENT_DEADLINE)?;
        // The console producer logs a record that it could not send, and still ends with 0.
        let said = [finished.stdout.as_str(), finished.stderr.as_str()].concat();
        anyhow::ensure!(!said.contains("ERROR"), "{self}: {said}");
        finished.success().with_context(|| format!("{self} produces to {topic}"))?;
        Ok(())
    }

    /// Reads `record_count` records of `topic` from offset 0 over all its partitions.
    pub fn read(
        self,
        tools: &Tools,
        bootstrap: &str,
        topic: &str,
        partition_count: usize,
        record_count: usize,
    ) -> Result<Vec<ReadRecord>> {
        let (partitions, records) = (partition_count.to_string(), record_count.to_string());
        let mut command = match self {
            Self::Kcat => {
                let mut kcat = tools.command(Tools::KCAT);
                kcat.args(["-C", "-b", bootstrap, "-t", topic, "-o", "beginning", "-e", "-q"]);
                // An end of partition is known only when a fetch has waited for more.
                kcat.args(["-X", "fetch.wait.max.ms=50", "-f", r"%p\t%o\t%k\t%s\n"]);
                kcat
            }
            Self::ConfluentKafka => {
                let mut python = tools.command(Tools::CONFLUENT_KAFKA);
                python.arg(root().join("tests/clients/confluent-kafka/roundtrip.py"));
                python.args(["consume", bootstrap, topic, &partitions, &records]);
                python
            }
            Self::FranzGo => {
                let mut roundtrip = tools.command(Tools::FRANZ_GO);
                roundtrip.args(["consume", "--bootstrap", bootstrap, "--topic", topic]);
                roundtrip.args(["--partitions", &partitions, "--records", &records]);
                roundtrip
            }
            Self::Console => {
                let ends = end_offsets(tools, bootstrap, topic)?;
                let mut read = Vec::new();
                for (partition, end) in ends {
                    read.extend(read_by_console(tools, bootstrap, topic, &partition, &end)?);
                }
                return Ok(read);
            }
        };
        let finished = run(&mut command, "", CLIENT_DEADLINE)?;
        let text = finished.success().with_context(|| format!("{self} reads {topic}"))?;
        parse_lines(&text).with_context(|| format!("{self} printed"))
    }
}

/// Each partition of `topic` with its log end offset, as kafka-get-offsets prints them.
fn end_offsets(tools: &Tools, bootstrap: &str, topic: &str) -> Result<Vec<(String, String)>> {
    let mut offsets = tools.kafka(KafkaTool::GetOffsets);
    offsets.args(["--bootstrap-server", bootstrap, "--topic", topic]);
    let text = run(&mut offsets, "", CLIENT_DEADLINE)?.success()?;
    let parse = |line: &str| {
        let mut fields = line.rsplitn(3, ':');
        let (end, partition) = (fields.next()?, fields.next()?);
        Some((partition.to_owned(), end.to_owned()))
    };
    text.lines().map(|line| parse(line).with_context(|| line.to_owned())).collect()
}

/// The console consumer does not know where a partition ends: it is told how many records to read.
fn read_by_console(
    tools: &Tools,
    bootstrap: &str,
    topic: &str,
    partition: &str,
    record_count: &str,
) -> Result<Vec<ReadRecord>> {
    let mut consumer = tools.kafka(KafkaTool::ConsoleConsumer);
    consumer.args(["--bootstrap-server", bootstrap, "--topic", topic]);
    consumer.args(["--partition", partition, "--offset", "earliest"]);
    consumer.args(["--max-messages", record_count, "--timeout-ms", "20000"]);
    for property in ["print.key=true", "print.partition=true", "print.offset=true"] {
        consumer.args(["--formatter-property", property]);
    }
    let finished = run(&mut consumer, "", CLIENT_DEADLINE)?;
    parse_lines(&finished.success()?)
}
