//! The clients, each as the command that is a member of a group.
//!
//! All print what they own whenever that changes, `own 0 2`, and each record, `record PARTITION OFFSET
//! VALUE`; those that have words of their own are understood, too.

use crate::tools::{KafkaTool, Tools, root};
use serde_json::Value;
use std::fmt;
use std::process::Command;

/// How long a member that is killed is waited for.
const SESSION_TIMEOUT_MS: &str = "3000";
const HEARTBEAT_MS: &str = "300";

/// A client, and how its members share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consumer {
    JavaRange,
    JavaCooperative,
    JavaStatic,
    /// Apache Kafka's verifiable consumer.
    Verifiable,
    Kcat,
    ConfluentKafka,
    FranzGo,
    FranzGoRange,
    Sarama,
    KafkaPython,
    Aiokafka,
    Kafkajs,
}

impl fmt::Display for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::JavaRange => "Java, range",
            Self::JavaCooperative => "Java, cooperative",
            Self::JavaStatic => "Java, static members",
            Self::Verifiable => "kafka-verifiable-consumer",
            Self::Kcat => "kcat",
            Self::ConfluentKafka => "confluent-kafka, cooperative",
            Self::FranzGo => "franz-go, cooperative",
            Self::FranzGoRange => "franz-go, range",
            Self::Sarama => "sarama",
            Self::KafkaPython => "kafka-python",
            Self::Aiokafka => "aiokafka",
            Self::Kafkajs => "kafkajs",
        })
    }
}

/// What a line of a member says.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    /// All it owns now.
    Owns(Vec<i32>),
    /// It owns these, too.
    Gains(Vec<i32>),
    /// It owns these no more.
    Loses(Vec<i32>),
    Record {
        partition: i32,
        offset: i64,
        value: String,
    },
    Else,
}

impl Consumer {
    pub const ALL: [Self; 12] = [
        Self::JavaRange,
        Self::JavaCooperative,
        Self::JavaStatic,
        Self::Verifiable,
        Self::Kcat,
        Self::ConfluentKafka,
        Self::FranzGo,
        Self::FranzGoRange,
        Self::Sarama,
        Self::KafkaPython,
        Self::Aiokafka,
        Self::Kafkajs,
    ];

    /// What its groups and topics are called.
    pub fn name(self) -> String {
        self.to_string().replace([' ', ','], "-")
    }

    /// The tools that its members and those who produce for them need.
    pub fn tools(self) -> &'static [&'static str] {
        match self {
            Self::JavaRange | Self::JavaCooperative | Self::JavaStatic | Self::Verifiable => {
                &[Tools::KAFKA, Tools::KCAT]
            }
            Self::Kcat => &[Tools::KCAT],
            Self::ConfluentKafka => &[Tools::CONFLUENT_KAFKA, Tools::KCAT],
            Self::FranzGo | Self::FranzGoRange => &[Tools::FRANZ_GO_MEMBER, Tools::KCAT],
            Self::Sarama => &[Tools::SARAMA, Tools::KCAT],
            Self::KafkaPython | Self::Aiokafka => &[Tools::PYTHON_CLIENTS, Tools::KCAT],
            Self::Kafkajs => &[Tools::NODE_CLIENTS, Tools::KCAT],
        }
    }

    /// Whether a member leaves when its standard input ends; others do on SIGTERM.
    pub fn leaves_at_end_of_input(self) -> bool {
        ![Self::Verifiable, Self::Kcat].contains(&self)
    }

    /// Member number `index` of `group`, which reads `topic`.
    pub fn command(
        self,
        tools: &Tools,
        bootstrap: &str,
        group: &str,
        topic: &str,
        index: usize,
    ) -> Command {
        let place = [bootstrap, group, topic];
        let source = |path: &str| root().join("tests/clients").join(path);
        match self {
            Self::JavaRange | Self::JavaCooperative | Self::JavaStatic => {
                let mut java = tools.kafka_program(&source("kafka/GroupMember.java"));
                java.args(place);
                java.arg(format!("session.timeout.ms={SESSION_TIMEOUT_MS}"));
                java.arg(format!("heartbeat.interval.ms={HEARTBEAT_MS}"));
                let assignor = match self {
                    Self::JavaCooperative => "CooperativeStickyAssignor",
                    _ => "RangeAssignor",
                };
                let package = "org.apache.kafka.clients.consumer";
                java.arg(format!("partition.assignment.strategy={package}.{assignor}"));
                if self == Self::JavaStatic {
                    java.arg(format!("group.instance.id=instance-{index}"));
                }
                java
            }
            Self::Verifiable => {
                let mut consumer = tools.kafka(KafkaTool::VerifiableConsumer);
                consumer.args(["--bootstrap-server", bootstrap, "--group-id", group]);
                consumer.args(["--topic", topic, "--reset-policy", "earliest", "--verbose"]);
                // It beats every three seconds, and that cannot be changed.
                consumer.args(["--session-timeout", "6000"]);
                consumer
            }
            Self::Kcat => {
                let mut kcat = tools.command(Tools::KCAT);
                kcat.args(["-b", bootstrap, "-G", group, "-u", "-f", r"record %p %o %s\n"]);
                kcat.args(librdkafka().flat_map(|pair| ["-X".to_owned(), pair]));
                kcat.args([
                    "-X",
                    "auto.commit.interval.ms=100",
                    "-X",
                    "auto.offset.reset=earliest",
                ]);
                kcat.arg(topic);
                kcat
            }
            Self::ConfluentKafka => {
                let mut python = tools.command(Tools::CONFLUENT_KAFKA);
                python.arg(source("confluent-kafka/member.py")).args(place).args(librdkafka());
                python.arg("partition.assignment.strategy=cooperative-sticky");
                python
            }
            Self::FranzGo => {
                let mut member = tools.command(Tools::FRANZ_GO_MEMBER);
                member.args(place);
                member
            }
            Self::FranzGoRange => {
                let mut member = tools.command(Tools::FRANZ_GO_MEMBER);
                member.args(place).arg("eager");
                member
            }
            Self::Sarama => {
                let mut member = tools.command(Tools::SARAMA);
                member.args(place);
                member
            }
            Self::KafkaPython | Self::Aiokafka => {
                let mut python = tools.command(Tools::PYTHON_CLIENTS);
                let member = match self {
                    Self::KafkaPython => "kafka_python_member.py",
                    _ => "aiokafka_member.py",
                };
                python.arg(source("python").join(member)).args(place);
                python
            }
            Self::Kafkajs => {
                let mut node = Command::new("node");
                node.env("NODE_PACKAGES", tools.folder(Tools::NODE_CLIENTS));
                node.arg(source("node/member.mjs")).args(place);
                node
            }
        }
    }

    /// What `line` says. Partitions are all of one topic.
    pub fn understand(self, line: &str) -> Said {
        match self {
            Self::Verifiable => verifiable(line),
            Self::Kcat => kcat(line),
            _ => own_words(line),
        }
    }
}

fn librdkafka() -> impl Iterator<Item = String> {
    [
        format!("session.timeout.ms={SESSION_TIMEOUT_MS}"),
        format!("heartbeat.interval.ms={HEARTBEAT_MS}"),
        "topic.metadata.refresh.interval.ms=1000".to_owned(),
    ]
    .into_iter()
}

fn own_words(line: &str) -> Said {
    let numbers = |text: &str| text.split_whitespace().map(str::parse).collect::<Result<_, _>>();
    match line.split_once(' ').unwrap_or((line, "")) {
        ("own", rest) => numbers(rest).map_or(Said::Else, Said::Owns),
        ("record", rest) => {
            let mut fields = rest.splitn(3, ' ');
            let partition = fields.next().and_then(|it| it.parse().ok());
            let offset = fields.next().and_then(|it| it.parse().ok());
            match (partition, offset, fields.next()) {
                (Some(partition), Some(offset), Some(value)) => {
                    Said::Record { partition, offset, value: value.to_owned() }
                }
                _ => Said::Else,
            }
        }
        _ => Said::Else,
    }
}

/// `% Group g rebalanced (memberid m): assigned: topic [0], topic [2]`
fn kcat(line: &str) -> Said {
    let Some((_, change)) = line.split_once(" rebalanced (memberid ") else {
        return own_words(line);
    };
    let partitions = |text: &str| {
        let numbers = text.split('[').skip(1);
        numbers.filter_map(|it| it.split(']').next()?.parse().ok()).collect::<Vec<i32>>()
    };
    match change.split_once("): ").map_or("", |(_, change)| change).split_once(": ") {
        Some(("assigned", list)) => Said::Gains(partitions(list)),
        Some(("revoked", list)) => Said::Loses(partitions(list)),
        _ => Said::Else,
    }
}

fn verifiable(line: &str) -> Said {
    let Ok(event) = serde_json::from_str::<Value>(line) else { return Said::Else };
    let partitions = || {
        let listed = event["partitions"].as_array().into_iter().flatten();
        listed.filter_map(|it| i32::try_from(it["partition"].as_i64()?).ok()).collect()
    };
    match event["name"].as_str() {
        Some("partitions_assigned") => Said::Gains(partitions()),
        Some("partitions_revoked") => Said::Loses(partitions()),
        Some("record_data") => {
            let partition = event["partition"].as_i64().and_then(|it| i32::try_from(it).ok());
            match (partition, event["offset"].as_i64(), event["value"].as_str()) {
                (Some(partition), Some(offset), Some(value)) => {
                    Said::Record { partition, offset, value: value.to_owned() }
                }
                _ => Said::Else,
            }
        }
        _ => Said::Else,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_is_understood() {
        let record =
            |value: &str| Said::Record { partition: 1, offset: 7, value: value.to_owned() };
        for (consumer, line, want) in [
            (Consumer::FranzGo, "own", Said::Owns(vec![])),
            (Consumer::FranzGo, "own 0 12", Said::Owns(vec![0, 12])),
            (Consumer::FranzGo, "record 1 7 a value", record("a value")),
            (Consumer::FranzGo, "record 1", Said::Else),
            (Consumer::FranzGo, "nothing of ours", Said::Else),
            (Consumer::Kcat, "record 1 7 a value", record("a value")),
            (
                Consumer::Kcat,
                "% Group g rebalanced (memberid rdkafka-1): assigned: t [0], t [2]",
                Said::Gains(vec![0, 2]),
            ),
            (
                Consumer::Kcat,
                "% Group g rebalanced (memberid rdkafka-1): revoked: t [0]",
                Said::Loses(vec![0]),
            ),
            (
                Consumer::Verifiable,
                r#"{"name":"partitions_revoked","partitions":[{"topic":"t","partition":3}]}"#,
                Said::Loses(vec![3]),
            ),
            (
                Consumer::Verifiable,
                r#"{"name":"record_data","topic":"t","partition":1,"offset":7,"value":"v"}"#,
                record("v"),
            ),
        ] {
            assert_eq!(consumer.understand(line), want, "{consumer}: {line}");
        }
    }
}
