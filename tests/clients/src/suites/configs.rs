//! Configurations: described and altered as Apache Kafka does, whose own answers are the expectation;
//! and kafka-configs in all its forms.

use super::kafka_tools::ask;
use super::round::Round;
use crate::tools::root;
use crate::wire::Connection;
use crate::{Broker, Client, Codec, KafkaTool, Kind, Produced, Tools};
use anyhow::{Context, Result, ensure};
use protocol::error_code::ErrorCode;
use protocol::messages::create_topics::{CreatableTopic, CreatableTopicConfig};
use protocol::messages::describe_configs::{
    DescribeConfigsResource, DescribeConfigsResourceResult,
};
use protocol::messages::{
    AlterConfigsRequest, CreateTopicsRequest, DescribeConfigsRequest,
    IncrementalAlterConfigsRequest, ListConfigResourcesRequest, alter_configs as whole,
    incremental_alter_configs as single,
};
use std::fmt::Write;
use std::time::Duration;

/// What Apache Kafka answered: `MILLRACE_TEST_BROKER=kafka UPDATE_EXPECT=1 cargo test -p clients -- static`.
const EXPECTED: &str = "tests/clients/expect/configs.txt";

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const LOGGER: i8 = 8;
const METRICS: i8 = 16;
const GROUP: i8 = 32;

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// Apache Kafka's brokers follow the metadata log on their own: what was altered shows a little later.
const FOLLOWING: Duration = Duration::from_millis(500);

/// Keys whose values are of one site alone.
const OF_THE_SITE: [&str; 7] = [
    "advertised.listeners",
    "controller.quorum.bootstrap.servers",
    "controller.quorum.voters",
    "listeners",
    "log.dir",
    "log.dirs",
    "metadata.log.dir",
];

/// Keys that Apache Kafka can change on a running broker, and millrace cannot: whether they are
/// read-only is not compared.
fn belongs_to_a_listener(name: &str) -> bool {
    let first = name.split('.').next().unwrap_or_default();
    ["ssl", "sasl"].contains(&first)
        || ["listener.security.protocol.map", "principal.builder.class", "cordoned.log.dirs"]
            .contains(&name)
}

pub fn configure(round: &mut Round, broker: &Broker) {
    let needs = &[Tools::KAFKA];
    let name = round.case_name("configurations are described and altered as Apache Kafka does");
    round.report.case(&name, &[], |_| compare(broker));
    let bootstrap = broker.bootstrap();
    // The tool does not see how many cores answer it, and starts a JVM for each command.
    if round.site.setting.cores == 1 {
        let name = round.case_name("kafka-configs alters and describes topics and brokers");
        round.report.case(&name, needs, |tools| kafka_configs(tools, &bootstrap));
    }
    let name = round.case_name("a smaller max.message.bytes is kept at once");
    let needs = &[Tools::KAFKA, Tools::KCAT];
    round.report.case(&name, needs, |tools| smaller_batches(tools, &bootstrap));
    let name = round.case_name("what is to outlive a restart is altered");
    round.report.case(&name, &[], |_| {
        let mut conversation = Conversation::with(broker)?;
        conversation.create(OUTLIVES, &[])?;
        conversation.alter("a topic", (TOPIC, OUTLIVES), &[(SET, "segment.ms", Some("77000"))])?;
        conversation.alter(
            "all",
            (BROKER, ""),
            &[(SET, "log.index.interval.bytes", Some("5000"))],
        )?;
        conversation.alter("one", (BROKER, "1"), &[(SET, "log.roll.jitter.ms", Some("9"))])?;
        ensure!(!conversation.text.contains("INVALID"), "{}", conversation.text);
        Ok(())
    });
}

/// What was altered before the restart is served by after it.
pub fn outlive(round: &mut Round, broker: &Broker) {
    let name = round.case_name("what was altered outlives a restart");
    round.report.case(&name, &[], |_| {
        let mut conversation = Conversation::with(broker)?;
        conversation.describe("the topic", TOPIC, OUTLIVES)?;
        for want in [
            "segment.ms=\"77000\" type=5 source=1",
            "index.interval.bytes=\"5000\" type=3 source=3",
            "segment.jitter.ms=\"9\" type=5 source=2",
        ] {
            ensure!(conversation.text.contains(want), "no {want}: {}", conversation.text);
        }
        Ok(())
    });
}

const OUTLIVES: &str = "altered-before-the-restart";

fn compare(broker: &Broker) -> Result<()> {
    let conversation = Conversation::with(broker)?.held()?;
    let path = root().join(EXPECTED);
    if broker.kind() == Kind::Kafka && std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, &conversation)?;
    }
    let expected = std::fs::read_to_string(&path).context(EXPECTED)?;
    let mut differences = String::new();
    let (mut want, mut got) = (expected.lines().peekable(), conversation.lines().peekable());
    // Both are sorted within a step: a line that one of them lacks does not shift the others.
    while want.peek().is_some() || got.peek().is_some() {
        match (want.peek(), got.peek()) {
            (Some(left), Some(right)) if left == right => {
                want.next();
                got.next();
            }
            (Some(left), right) if right.is_none_or(|right| !expected_has(&expected, right)) => {
                if let Some(right) = right {
                    writeln!(differences, "  + {right}")?;
                    got.next();
                } else {
                    writeln!(differences, "  - {left}")?;
                    want.next();
                }
            }
            (Some(left), _) => {
                writeln!(differences, "  - {left}")?;
                want.next();
            }
            (None, Some(right)) => {
                writeln!(differences, "  + {right}")?;
                got.next();
            }
            (None, None) => {}
        }
    }
    ensure!(differences.is_empty(), "not as Apache Kafka (-) does:\n{differences}");
    Ok(())
}

fn expected_has(expected: &str, line: &str) -> bool {
    expected.lines().any(|known| known == line)
}

/// What is asked, and what is answered, as text.
struct Conversation {
    connection: Connection,
    kind: Kind,
    /// Something that was not described since.
    is_altered: bool,
    text: String,
}

impl Conversation {
    fn with(broker: &Broker) -> Result<Self> {
        let connection = Connection::open(broker.address())?;
        Ok(Self { connection, kind: broker.kind(), is_altered: false, text: String::new() })
    }

    fn held(mut self) -> Result<String> {
        self.create("configured", &[("cleanup.policy", "compact"), ("retention.ms", " 1000 ")])?;
        self.describe("a topic", TOPIC, "configured")?;
        self.describe("a broker", BROKER, "1")?;
        self.describe("all brokers", BROKER, "")?;
        self.describe("a group", GROUP, "any")?;
        self.describe("a subscription", METRICS, "any")?;
        for (what, kind, name) in [
            ("a topic that does not exist", TOPIC, "unheard-of"),
            ("a topic of an invalid name", TOPIC, "a/b"),
            ("another broker", BROKER, "2"),
            ("a broker that is no number", BROKER, "x"),
            ("a group without a name", GROUP, ""),
            ("a subscription without a name", METRICS, ""),
            ("loggers of nobody", LOGGER, ""),
            ("loggers of another broker", LOGGER, "2"),
            ("what does not exist", 7, "x"),
        ] {
            self.describe(what, kind, name)?;
        }
        self.alter_topics()?;
        self.alter_brokers()?;
        self.refusals()?;
        self.lists()?;
        Ok(self.text)
    }

    fn alter_topics(&mut self) -> Result<()> {
        let topic = (TOPIC, "configured");
        self.alter(
            "operations",
            topic,
            &[
                (SET, "segment.bytes", Some("2000000")),
                (APPEND, "cleanup.policy", Some("delete")),
                (DELETE, "retention.ms", None),
                (SUBTRACT, "leader.replication.throttled.replicas", Some("0:1")),
            ],
        )?;
        self.describe("the topic", TOPIC, "configured")?;
        self.alter("the rest of a list", topic, &[(SUBTRACT, "cleanup.policy", Some("compact"))])?;
        self.replace("all of it", topic, &[("max.message.bytes", Some("5000"))])?;
        self.describe("the topic after it was replaced", TOPIC, "configured")?;
        self.replace("nothing is left", topic, &[])?;
        self.describe("the topic as it was", TOPIC, "configured")
    }

    fn alter_brokers(&mut self) -> Result<()> {
        self.alter(
            "all brokers",
            (BROKER, ""),
            &[
                (SET, "log.retention.ms", Some("7000")),
                (SET, "num.io.threads", Some("9")),
                (SET, "log.cleanup.policy", Some("delete,compact")),
            ],
        )?;
        self.alter(
            "one broker",
            (BROKER, "1"),
            &[
                (SET, "log.retention.ms", Some("8000")),
                (SET, "log.segment.bytes", Some("3000000")),
                (SET, "leader.replication.throttled.rate", Some("1000")),
            ],
        )?;
        self.describe("a topic that inherits", TOPIC, "configured")?;
        self.describe("the broker", BROKER, "1")?;
        self.describe("all brokers after that", BROKER, "")?;
        self.alter(
            "one broker as it was",
            (BROKER, "1"),
            &[
                (DELETE, "log.retention.ms", None),
                (DELETE, "log.segment.bytes", None),
                (DELETE, "leader.replication.throttled.rate", None),
            ],
        )?;
        self.alter(
            "all brokers as they were",
            (BROKER, ""),
            &[
                (DELETE, "log.retention.ms", None),
                (DELETE, "num.io.threads", None),
                (DELETE, "log.cleanup.policy", None),
            ],
        )?;
        self.describe("all brokers at the end", BROKER, "")
    }

    fn refusals(&mut self) -> Result<()> {
        let topic = (TOPIC, "configured");
        let retention = (SET, "retention.ms", Some("1"));
        for (what, resource, entries) in [
            ("a value of another type", topic, &[(SET, "retention.ms", Some("x"))][..]),
            ("a value out of range", topic, &[(SET, "retention.ms", Some("-2"))]),
            ("a segment that is too small", topic, &[(SET, "segment.bytes", Some("100"))]),
            ("a word that is none", topic, &[(SET, "cleanup.policy", Some("shred"))]),
            ("a word twice", topic, &[(SET, "cleanup.policy", Some("delete,delete"))]),
            ("a key that nobody knows", topic, &[(SET, "retention.minutes", Some("1"))]),
            ("a key twice", topic, &[retention, retention]),
            ("null", topic, &[(SET, "retention.ms", None)]),
            ("append to a number", topic, &[(APPEND, "retention.ms", Some("1"))]),
            ("remote storage", topic, &[(SET, "remote.storage.enable", Some("true"))]),
            (
                "lags that exclude each other",
                topic,
                &[
                    (SET, "min.compaction.lag.ms", Some("9")),
                    (SET, "max.compaction.lag.ms", Some("8")),
                ],
            ),
            ("a topic that does not exist", (TOPIC, "unheard-of"), &[retention]),
            (
                "a bad value of such a topic",
                (TOPIC, "unheard-of"),
                &[(SET, "retention.ms", Some("x"))],
            ),
            ("a topic of an invalid name", (TOPIC, "a/b"), &[retention]),
            ("all topics", (TOPIC, ""), &[retention]),
            ("a type that does not exist", (7, "x"), &[retention]),
            ("another broker", (BROKER, "2"), &[(SET, "log.retention.ms", Some("1"))]),
            ("a broker that is no number", (BROKER, "x"), &[(SET, "log.retention.ms", Some("1"))]),
            ("a key of the file alone", (BROKER, "1"), &[(SET, "num.partitions", Some("2"))]),
            ("the same of all brokers", (BROKER, ""), &[(SET, "num.partitions", Some("2"))]),
            (
                "a broker's value of another type",
                (BROKER, ""),
                &[(SET, "log.retention.ms", Some("x"))],
            ),
            ("retention of no time", (BROKER, ""), &[(SET, "log.retention.ms", Some("0"))]),
            ("too many threads at once", (BROKER, ""), &[(SET, "num.io.threads", Some("100"))]),
            ("too few threads at once", (BROKER, ""), &[(SET, "num.io.threads", Some("1"))]),
            (
                "more on local disk than at all",
                (BROKER, ""),
                &[(SET, "log.local.retention.ms", Some("604800001"))],
            ),
            (
                "append to a broker's number",
                (BROKER, ""),
                &[(APPEND, "log.retention.ms", Some("1"))],
            ),
            (
                "a listener's key for all",
                (BROKER, ""),
                &[(SET, "listeners", Some("PLAINTEXT://:1"))],
            ),
            (
                "a security key without its listener",
                (BROKER, "1"),
                &[(SET, "ssl.keystore.type", Some("PEM"))],
            ),
            (
                "replicas in sync of one broker",
                (BROKER, "1"),
                &[(SET, "min.insync.replicas", Some("1"))],
            ),
            (
                "no number of replicas in sync",
                (BROKER, ""),
                &[(DELETE, "min.insync.replicas", None)],
            ),
        ] {
            self.alter(what, resource, entries)?;
        }
        self.replace("replacing by a bad value", topic, &[("retention.ms", Some("x"))])?;
        self.replace("replacing by null", topic, &[("retention.ms", None)])?;
        self.replace("replacing loggers", (LOGGER, "1"), &[("root", Some("INFO"))])?;
        self.several()?;
        self.describe("the topic is as it was", TOPIC, "configured")
    }

    /// A resource that is named twice, beside one that is named once; and what is only validated.
    fn several(&mut self) -> Result<()> {
        let retention = (SET, "retention.ms", Some("1"));
        let good = incremental((TOPIC, "configured"), &[retention]);
        let other = incremental((TOPIC, "unheard-of"), &[retention]);
        let twice = vec![good.clone(), other, good.clone()];
        self.alter_all("a resource twice", twice, false)?;
        self.alter_all("validated alone", vec![good], true)
    }

    fn lists(&mut self) -> Result<()> {
        for (version, types) in
            [(0, &[][..]), (1, &[TOPIC]), (1, &[BROKER, LOGGER]), (1, &[METRICS, GROUP]), (1, &[7])]
        {
            let request = ListConfigResourcesRequest { resource_types: types.to_vec() };
            let answer = self.connection.call(version, &request)?;
            let mut listed: Vec<_> = answer
                .config_resources
                .iter()
                .filter(|resource| {
                    resource.resource_type != TOPIC || resource.resource_name == "configured"
                })
                .map(|resource| format!("  {} {}", resource.resource_type, resource.resource_name))
                .collect();
            listed.sort();
            let code = code(answer.error_code);
            writeln!(self.text, "# list v{version} {types:?}: {code}\n{}", listed.join("\n"))?;
        }
        Ok(())
    }

    fn create(&mut self, name: &str, configs: &[(&str, &str)]) -> Result<()> {
        let configs = configs.iter().map(|(name, value)| CreatableTopicConfig {
            name: (*name).into(),
            value: Some((*value).into()),
        });
        let topic = CreatableTopic {
            name: name.into(),
            num_partitions: 1,
            replication_factor: 1,
            configs: configs.collect(),
            ..CreatableTopic::default()
        };
        let request =
            CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, validate_only: false };
        let answer = self.connection.call(7, &request)?;
        let created = answer.topics.first().context("the topic is not answered")?;
        writeln!(self.text, "# create: {}", code(created.error_code))?;
        let mut lines: Vec<_> = created
            .configs
            .iter()
            .flatten()
            .filter(|config| !config.name.starts_with("millrace."))
            .map(|config| {
                let value = config.value.as_deref().unwrap_or("null");
                format!("  {}={value:?} source={}", config.name, config.config_source)
            })
            .collect();
        lines.sort();
        writeln!(self.text, "{}", lines.join("\n"))?;
        self.is_altered = true;
        Ok(())
    }

    fn describe(&mut self, what: &str, kind: i8, name: &str) -> Result<()> {
        let request = DescribeConfigsRequest {
            resources: vec![DescribeConfigsResource {
                resource_type: kind,
                resource_name: name.into(),
                configuration_keys: None,
            }],
            include_synonyms: true,
            include_documentation: true,
        };
        self.follow();
        let answer = self.connection.call(4, &request)?;
        let result = answer.results.first().context("the resource is not answered")?;
        writeln!(self.text, "# describe {what}: {}", code(result.error_code))?;
        let known = result.configs.iter().filter(|config| !config.name.starts_with("millrace."));
        let mut lines: Vec<_> = known.map(described).collect();
        lines.sort();
        // Apache Kafka has none for what can only be altered.
        for config in result.configs.iter().filter(|_| self.kind == Kind::Millrace) {
            let is_documented =
                config.documentation.as_deref().is_some_and(|text| !text.is_empty());
            ensure!(is_documented || config.config_type == 0, "{} is not documented", config.name);
        }
        lines.iter().try_for_each(|line| writeln!(self.text, "{line}"))?;
        Ok(())
    }

    fn alter(&mut self, what: &str, resource: (i8, &str), entries: &[Entry]) -> Result<()> {
        self.alter_all(what, vec![incremental(resource, entries)], false)
    }

    fn alter_all(
        &mut self,
        what: &str,
        resources: Vec<single::AlterConfigsResource>,
        validate_only: bool,
    ) -> Result<()> {
        let request = IncrementalAlterConfigsRequest { resources, validate_only };
        let answer = self.connection.call(1, &request)?;
        for result in &answer.responses {
            let (kind, name) = (result.resource_type, &result.resource_name);
            writeln!(self.text, "# alter {what}: {kind} {name} {}", code(result.error_code))?;
            ensure!(
                (result.error_code == 0) == result.error_message.is_none(),
                "{what}: {} says {:?}",
                result.error_code,
                result.error_message
            );
        }
        self.is_altered = true;
        Ok(())
    }

    fn replace(
        &mut self,
        what: &str,
        (kind, name): (i8, &str),
        entries: &[(&str, Option<&str>)],
    ) -> Result<()> {
        let configs = entries.iter().map(|(name, value)| whole::AlterableConfig {
            name: (*name).into(),
            value: value.map(Into::into),
        });
        let resource = whole::AlterConfigsResource {
            resource_type: kind,
            resource_name: name.into(),
            configs: configs.collect(),
        };
        let request = AlterConfigsRequest { resources: vec![resource], validate_only: false };
        let answer = self.connection.call(2, &request)?;
        for result in &answer.responses {
            writeln!(self.text, "# replace {what}: {}", code(result.error_code))?;
        }
        self.is_altered = true;
        Ok(())
    }

    fn follow(&mut self) {
        if self.kind == Kind::Kafka && self.is_altered {
            std::thread::park_timeout(FOLLOWING);
        }
        self.is_altered = false;
    }
}

/// Operation, key, value.
type Entry = (i8, &'static str, Option<&'static str>);

fn incremental((kind, name): (i8, &str), entries: &[Entry]) -> single::AlterConfigsResource {
    let configs = entries.iter().map(|(operation, name, value)| single::AlterableConfig {
        name: (*name).into(),
        config_operation: *operation,
        value: value.map(Into::into),
    });
    single::AlterConfigsResource {
        resource_type: kind,
        resource_name: name.into(),
        configs: configs.collect(),
    }
}

fn described(config: &DescribeConfigsResourceResult) -> String {
    let name = &config.name;
    if OF_THE_SITE.contains(&name.as_str()) {
        return format!("  {name} type={}", config.config_type);
    }
    let value = config.value.as_deref().map_or("null".to_owned(), |value| format!("{value:?}"));
    let synonyms = config.synonyms.iter().map(|synonym| {
        let value = synonym.value.as_deref().unwrap_or("null");
        format!("{}={value:?} from {}", synonym.name, synonym.source)
    });
    let synonyms = synonyms.collect::<Vec<_>>().join(", ");
    let read_only = match belongs_to_a_listener(name) {
        true => "-".to_owned(),
        false => config.read_only.to_string(),
    };
    format!(
        "  {name}={value} type={} source={} read_only={read_only} sensitive={} [{synonyms}]",
        config.config_type, config.config_source, config.is_sensitive,
    )
}

fn code(error_code: i16) -> String {
    ErrorCode::try_from(error_code)
        .map_or_else(|_| error_code.to_string(), |it| it.name().to_owned())
}

fn kafka_configs(tools: &Tools, bootstrap: &str) -> Result<()> {
    let configs = |arguments: &[&str]| ask(tools, KafkaTool::Configs, bootstrap, arguments);
    let topic = ["--entity-type", "topics", "--entity-name", "by-kafka-configs"];
    let broker = ["--entity-type", "brokers", "--entity-name", "1"];
    let brokers = ["--entity-type", "brokers", "--entity-default"];
    let create = ["--create", "--topic", "by-kafka-configs", "--partitions", "1"];
    ask(tools, KafkaTool::Topics, bootstrap, &create)?;
    let alter = |entity: &[&str], rest: &[&str]| configs(&[&["--alter"], entity, rest].concat());
    let describe = |entity: &[&str]| configs(&[&["--describe"], entity].concat());
    let has = |text: &str, want: &[&str]| -> Result<()> {
        want.iter().try_for_each(|want| {
            ensure!(text.contains(want), "no {want:?} in: {text}");
            Ok(())
        })
    };

    alter(&topic, &["--add-config", "retention.ms=5000,cleanup.policy=[compact,delete]"])?;
    has(&describe(&topic)?, &["retention.ms=5000", "cleanup.policy=compact,delete"])?;
    alter(&topic, &["--delete-config", "retention.ms"])?;
    let left = describe(&topic)?;
    ensure!(!left.contains("retention.ms=5000"), "it is still there: {left}");
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), "segment.ms=77000\nmax.message.bytes=2000\n")?;
    let path = file.path().to_str().context("a path of text")?;
    alter(&topic, &["--add-config-file", path])?;
    has(&describe(&topic)?, &["segment.ms=77000", "max.message.bytes=2000"])?;

    alter(&brokers, &["--add-config", "log.retention.ms=86400001"])?;
    has(&describe(&brokers)?, &["log.retention.ms=86400001"])?;
    alter(&broker, &["--add-config", "log.roll.ms=86400002"])?;
    has(&describe(&broker)?, &["log.roll.ms=86400002"])?;
    let all = configs(&[&["--describe", "--all"], &topic[..]].concat())?;
    has(&all, &["retention.ms=86400001", "segment.ms=77000", "DYNAMIC_DEFAULT_BROKER_CONFIG"])?;
    let all = configs(&[&["--describe", "--all"], &broker[..]].concat())?;
    has(&all, &["num.partitions=", "STATIC_BROKER_CONFIG", "node.id=1"])?;
    alter(&broker, &["--delete-config", "log.roll.ms"])?;
    alter(&brokers, &["--delete-config", "log.retention.ms"])?;

    let refused = alter(&topic, &["--add-config", "retention.ms=soon"]);
    let said = format!("{:#}", refused.err().context("a bad value was taken")?);
    has(&said, &["retention.ms"])?;
    let refused = alter(&broker, &["--add-config", "num.partitions=9"]);
    has(&format!("{:#}", refused.err().context("a static key was altered")?), &["num.partitions"])?;
    let delete = ["--delete", "--topic", "by-kafka-configs"];
    ask(tools, KafkaTool::Topics, bootstrap, &delete).map(drop)
}

/// The topic is there and taken; after the change its broker refuses what it took before.
fn smaller_batches(tools: &Tools, bootstrap: &str) -> Result<()> {
    let topic = "smaller-batches";
    let produced = Produced::new(topic, 200, 100);
    Client::Kcat.produce(tools, bootstrap, topic, Codec::None, &produced)?;
    let entity = ["--alter", "--entity-type", "topics", "--entity-name", topic];
    let limit = |limit: &str| {
        let change = ["--add-config", limit];
        ask(tools, KafkaTool::Configs, bootstrap, &[&entity[..], &change].concat())
    };
    limit("max.message.bytes=500")?;
    let refused = Client::Kcat.produce(tools, bootstrap, topic, Codec::None, &produced);
    ensure!(refused.is_err(), "batches of 16 KiB were taken");
    limit("max.message.bytes=1000000")?;
    Client::Kcat.produce(tools, bootstrap, topic, Codec::None, &produced)
}
