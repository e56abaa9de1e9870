//! Where the clients are. `cargo xtask setup` fetches them; what is missing is named, never guessed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The clients that were found, and a reason for each that was not.
#[derive(Debug)]
pub struct Tools {
    found: BTreeMap<&'static str, PathBuf>,
}

/// One of Apache Kafka's own command-line tools, by its main class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KafkaTool {
    Broker,
    ConsoleConsumer,
    ConsoleProducer,
    BrokerApiVersions,
    Cluster,
    Configs,
    ConsumerGroups,
    DeleteRecords,
    DumpLog,
    Features,
    GetOffsets,
    Groups,
    LeaderElection,
    LogDirs,
    MetadataQuorum,
    ProducerPerformance,
    ReassignPartitions,
    Storage,
    Topics,
    VerifiableConsumer,
    VerifiableProducer,
}

impl KafkaTool {
    fn main_class(self) -> &'static str {
        match self {
            Self::Broker => "kafka.Kafka",
            Self::ConsoleConsumer => "org.apache.kafka.tools.consumer.ConsoleConsumer",
            Self::ConsoleProducer => "org.apache.kafka.tools.ConsoleProducer",
            Self::BrokerApiVersions => "org.apache.kafka.tools.BrokerApiVersionsCommand",
            Self::Cluster => "org.apache.kafka.tools.ClusterTool",
            Self::Configs => "kafka.admin.ConfigCommand",
            Self::ConsumerGroups => "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
            Self::DeleteRecords => "org.apache.kafka.tools.DeleteRecordsCommand",
            Self::DumpLog => "org.apache.kafka.tools.DumpLogSegments",
            Self::Features => "org.apache.kafka.tools.FeatureCommand",
            Self::LeaderElection => "org.apache.kafka.tools.LeaderElectionCommand",
            Self::LogDirs => "org.apache.kafka.tools.LogDirsCommand",
            Self::MetadataQuorum => "org.apache.kafka.tools.MetadataQuorumCommand",
            Self::ProducerPerformance => "org.apache.kafka.tools.ProducerPerformance",
            Self::ReassignPartitions => "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
            Self::GetOffsets => "org.apache.kafka.tools.GetOffsetShell",
            Self::Storage => "kafka.tools.StorageTool",
            Self::Topics => "org.apache.kafka.tools.TopicCommand",
            Self::Groups => "org.apache.kafka.tools.GroupsCommand",
            Self::VerifiableConsumer => "org.apache.kafka.tools.VerifiableConsumer",
            Self::VerifiableProducer => "org.apache.kafka.tools.VerifiableProducer",
        }
    }
}

impl Tools {
    pub const KCAT: &'static str = "kcat";
    pub const KAFKA: &'static str = "kafka";
    pub const FRANZ_GO: &'static str = "franz-go";
    /// The Python of a folder that has Prometheus' client too.
    pub const CONFLUENT_KAFKA: &'static str = "confluent-kafka";
    pub const FRANZ_GO_MEMBER: &'static str = "franz-go/member";
    pub const SARAMA: &'static str = "sarama";
    /// The Python of a folder that has kafka-python and aiokafka.
    pub const PYTHON_CLIENTS: &'static str = "python-clients";
    /// The folder that has kafkajs among its modules.
    pub const NODE_CLIENTS: &'static str = "node-clients";

    pub fn find() -> Self {
        let fetched = target().join("tools");
        let jars = std::env::var_os("KAFKA_JARS").map(PathBuf::from);
        let candidates = [
            (Self::KCAT, on_path("kcat")),
            (Self::KAFKA, Some(jars.unwrap_or_else(|| fetched.join("kafka")))),
            (Self::FRANZ_GO, Some(fetched.join("franz-go/roundtrip"))),
            (Self::FRANZ_GO_MEMBER, Some(fetched.join("franz-go/member"))),
            (Self::CONFLUENT_KAFKA, Some(fetched.join("python/bin/python"))),
            (Self::SARAMA, Some(fetched.join("sarama/sarama"))),
            (Self::PYTHON_CLIENTS, Some(fetched.join("python-clients/bin/python"))),
            (Self::NODE_CLIENTS, Some(fetched.join("node-clients"))),
        ];
        let exists = |(name, path): (&'static str, Option<PathBuf>)| {
            path.filter(|path| path.exists()).map(|path| (name, path))
        };
        Self { found: candidates.into_iter().filter_map(exists).collect() }
    }

    /// Why a case that needs `name` cannot run; `None` when it can.
    pub fn missing(&self, name: &str) -> Option<String> {
        (!self.found.contains_key(name)).then(|| {
            let setup = name.split('/').next().unwrap_or(name);
            format!("{name} is missing: run `cargo xtask setup {setup}`")
        })
    }

    /// Why Apache Kafka cannot tell us anything; `None` when it can.
    pub fn kafka_is_mute(&self) -> Option<String> {
        let binding = |name: &str| name.starts_with("log4j-slf4j");
        let jars = self.found.get(Self::KAFKA).and_then(|jars| std::fs::read_dir(jars).ok());
        let logs = jars
            .into_iter()
            .flatten()
            .flatten()
            .any(|jar| jar.file_name().to_str().is_some_and(binding));
        (!logs).then(|| "no log4j-slf4j-impl among Apache Kafka's jars: it logs nothing".to_owned())
    }

    /// The folder of `name`, which the caller has checked with [`Self::missing`].
    pub fn folder(&self, name: &str) -> &Path {
        self.found.get(name).unwrap_or_else(|| panic!("{name} was not found"))
    }

    /// The command for `name`, which the caller has checked with [`Self::missing`].
    pub fn command(&self, name: &str) -> Command {
        Command::new(self.folder(name))
    }

    /// One of Kafka's tools.
    pub fn kafka(&self, tool: KafkaTool) -> Command {
        let mut java = self.java();
        java.arg(tool.main_class());
        java
    }

    /// A program in one file that uses Kafka's classes. What it prints is its answers: Kafka's clients log
    /// nothing between them, where the jars have something to log with.
    pub fn kafka_program(&self, source: &Path) -> Command {
        let mut java = self.java();
        java.arg("-Dlog4j2.level=OFF").arg(source);
        java
    }

    /// With a heap that suits many of them beside a broker.
    fn java(&self) -> Command {
        let jars = self.found.get(Self::KAFKA).expect("Apache Kafka's jars were found");
        let mut java = Command::new("java");
        java.args(["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"]);
        java.arg(jars.join("*"));
        java
    }
}

pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

pub fn target() -> PathBuf {
    let configured = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    configured.map_or_else(|| root().join("target"), |target| root().join(target))
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}
