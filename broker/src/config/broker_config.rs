//! The typed configuration of one node, made of properties and checked as a whole.

use std::fmt;
use std::path::PathBuf;

use controller::config::{self, Effect, InvalidConfig, NodeLayers, check_node, node_key};
use protocol::model::BrokerId;
use reactor::net::SocketAddr;

use super::connections::HostAddresses;
use super::groups;
use super::listener::{Endpoint, Listener, ListenerError};
use super::memory::MemoryFloor;
use super::metadata_log::MetadataLogConfig;
use super::properties::Properties;
use crate::coordinator::group::GroupConfig;
use crate::quota::Windows;

/// What one node runs with. Durations in milliseconds and sizes in bytes, as Kafka's keys have them.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    pub node_id: BrokerId,
    pub core_count: Option<usize>,
    /// Memory of the whole node; `None` for what the host makes of it.
    pub memory_size_bytes: Option<usize>,
    /// What each core needs of it at least.
    pub memory_floor: MemoryFloor,
    pub rack: Option<String>,
    /// Where the broker listens for clients; the host may be empty for all addresses.
    pub listener: Listener,
    /// Its address, once its host is looked up: the cores have no resolver.
    pub listen_address: Option<SocketAddr>,
    /// Where metrics and the node's state are shown, and its address once the host is looked up.
    pub admin_listener: Option<Endpoint>,
    pub admin_address: Option<SocketAddr>,
    /// What clients are told of it.
    pub advertised: Endpoint,
    /// Where the controller says it listens. It does not listen yet: a quorum of one needs nobody.
    pub controller_endpoint: Option<Listener>,
    /// How long a broker that is not heard of stays unfenced.
    pub broker_session_ms: u64,
    pub log_dirs: Vec<PathBuf>,
    pub metadata_log_dir: PathBuf,
    /// Sizes that storage works with; the simulator makes them small.
    pub storage: storage::Settings,
    pub socket_request_size_bytes_max: usize,
    /// The largest batch, where a topic says nothing else.
    pub message_size_bytes_max: usize,
    pub socket_listen_backlog: usize,
    pub connections_idle_ms_max: u64,
    /// Of hosts that limits of connections name, once they are looked up.
    pub host_addresses: HostAddresses,
    pub fetch_size_bytes_max: usize,
    /// Fetch sessions that all cores keep together.
    pub fetch_session_count_max: usize,
    /// Partitions in one answer of DescribeTopicPartitions.
    pub request_partition_count_max: usize,
    /// Over which quotas' rates are measured.
    pub quota_windows: Windows,
    /// Those of mutations.
    pub controller_quota_windows: Windows,
    pub auto_create_topics: bool,
    pub delete_topics: bool,
    pub partition_count_default: i32,
    pub replication_factor_default: i16,
    pub metadata_log: MetadataLogConfig,
    pub groups: GroupConfig,
    /// Before the first of what is done from time to time.
    pub initial_task_delay_ms: u64,
    pub retention_check_ms: u64,
    pub producer_id_expiration_check_ms: u64,
    /// Everything as written, for DescribeConfigs and for topics' defaults.
    pub properties: Properties,
}

/// A configuration, and what its owner should hear about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub config: BrokerConfig,
    pub warnings: Vec<String>,
}

/// Everything that is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub struct ConfigErrors(pub Vec<ConfigError>);

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{key} is missing: add it to the configuration, for instance {key}={example}")]
    Missing { key: &'static str, example: &'static str },
    #[error(transparent)]
    Invalid(#[from] InvalidConfig),
    #[error("{key}: {source}")]
    Listener { key: &'static str, source: ListenerError },
    #[error("{key}={value} is not supported: {remedy}")]
    Refused { key: &'static str, value: String, remedy: String },
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.0.as_slice() {
            return write!(f, "{only}");
        }
        write!(f, "{} errors", self.0.len())?;
        self.0.iter().try_for_each(|error| write!(f, "\n  - {error}"))
    }
}

impl BrokerConfig {
    /// Checks `properties` and types them. The error has all that is wrong, each with its key, its
    /// value and what would be right.
    pub fn from_properties(properties: Properties) -> Result<Loaded, ConfigErrors> {
        let mut errors = Vec::new();
        let warnings = check_keys(&properties, &mut errors);
        let reader = Reader(&properties);
        let mut wrong = |error: ConfigError| errors.push(error);
        check_node(&NodeLayers::of_file(properties.entries()))
            .into_iter()
            .for_each(|error| wrong(error.into()));
        check_roles(&reader).unwrap_or_else(&mut wrong);
        let node_id =
            reader.integer("node.id").or(reader.integer("broker.id").filter(|id| *id >= 0));
        if node_id.is_none() && properties.value("node.id").is_none() {
            wrong(ConfigError::Missing { key: "node.id", example: "1" });
        }
        if let Some(node_id) = node_id {
            check_voters(&reader, node_id).unwrap_or_else(&mut wrong);
        }
        let controller_names = reader.list("controller.listener.names");
        let listener = broker_listener(&reader, &controller_names).map_err(&mut wrong).ok();
        let controller = controller_endpoint(&reader, &controller_names).map_err(&mut wrong).ok();
        let log_dirs = match reader.list("log.dirs") {
            dirs if dirs.is_empty() => reader.list("log.dir"),
            dirs => dirs,
        };
        let log_dirs: Vec<PathBuf> = log_dirs.into_iter().map(PathBuf::from).collect();
        let metadata_log_dir =
            reader.text("metadata.log.dir").map(PathBuf::from).or(log_dirs.first().cloned());
        if metadata_log_dir.is_none() {
            wrong(ConfigError::Missing { key: "log.dirs", example: "/var/lib/millrace" });
        }
        let (
            Some(node_id),
            Some((listener, advertised)),
            Some(controller_endpoint),
            Some(metadata_log_dir),
            [],
        ) = (node_id, listener, controller, metadata_log_dir, errors.as_slice())
        else {
            return Err(ConfigErrors(errors));
        };
        let config = BrokerConfig {
            node_id: BrokerId(node_id as i32),
            core_count: reader.integer("millrace.cores").map(|count| count as usize),
            memory_size_bytes: reader
                .integer("millrace.memory.bytes")
                .map(|size| usize::try_from(size).unwrap_or(usize::MAX)),
            memory_floor: MemoryFloor::default(),
            rack: reader.text("broker.rack").map(str::to_owned),
            listener,
            listen_address: None,
            admin_listener: reader
                .text("millrace.admin.listener")
                .and_then(|text| text.parse().ok()),
            admin_address: None,
            advertised,
            controller_endpoint,
            broker_session_ms: reader.duration_ms("broker.session.timeout.ms"),
            log_dirs,
            metadata_log_dir,
            storage: storage::Settings::default(),
            socket_request_size_bytes_max: reader.size("socket.request.max.bytes"),
            message_size_bytes_max: reader.size("message.max.bytes"),
            socket_listen_backlog: reader.size("socket.listen.backlog.size"),
            connections_idle_ms_max: reader.duration_ms("connections.max.idle.ms"),
            host_addresses: HostAddresses::new(),
            fetch_size_bytes_max: reader.size("fetch.max.bytes"),
            fetch_session_count_max: reader.size("max.incremental.fetch.session.cache.slots"),
            request_partition_count_max: reader.size("max.request.partition.size.limit"),
            quota_windows: windows(&reader, "quota.window.num", "quota.window.size.seconds"),
            controller_quota_windows: windows(
                &reader,
                "controller.quota.window.num",
                "controller.quota.window.size.seconds",
            ),
            auto_create_topics: reader.boolean("auto.create.topics.enable"),
            delete_topics: reader.boolean("delete.topic.enable"),
            partition_count_default: reader.size("num.partitions") as i32,
            replication_factor_default: reader.integer("default.replication.factor").unwrap_or(1)
                as i16,
            metadata_log: MetadataLogConfig::read(&reader),
            groups: groups::read(&reader),
            initial_task_delay_ms: reader.duration_ms("log.initial.task.delay.ms"),
            retention_check_ms: reader.duration_ms("log.retention.check.interval.ms"),
            producer_id_expiration_check_ms: reader
                .duration_ms("producer.id.expiration.check.interval.ms"),
            properties: properties.clone(),
        };
        Ok(Loaded { config, warnings })
    }
}

fn windows(reader: &Reader<'_>, count: &'static str, size_s: &'static str) -> Windows {
    Windows { count: reader.size(count) as u64, size_ms: 1_000 * reader.size(size_s) as u64 }
}

/// A hundred years: it can be added to any time there is.
const DURATION_MS_MAX: u64 = 100 * 366 * 24 * 3_600_000;

/// Reads keys. What does not fit, [`check_keys`] has told already: it is read as the default.
pub(super) struct Reader<'a>(&'a Properties);

impl<'a> Reader<'a> {
    fn text(&self, key: &str) -> Option<&'a str> {
        let known = node_key(key)?;
        let set = self.0.value(key).filter(|value| known.fits(value));
        set.or(known.default).map(str::trim).filter(|text| !text.is_empty())
    }

    fn list(&self, key: &str) -> Vec<String> {
        let text = self.text(key).unwrap_or_default();
        let mut items: Vec<String> = Vec::new();
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            if !items.iter().any(|known| known == item) {
                items.push(item.to_owned());
            }
        }
        items
    }

    pub(super) fn integer(&self, key: &str) -> Option<i64> {
        self.text(key)?.parse().ok()
    }

    /// A number that has a default; a negative one is as good as none: all that may be are limits.
    pub(super) fn size(&self, key: &'static str) -> usize {
        self.integer(key).map_or(0, |value| usize::try_from(value).unwrap_or(usize::MAX))
    }

    /// A time that may be long; a negative one means for ever.
    fn duration_ms(&self, key: &'static str) -> u64 {
        (self.size(key) as u64).min(DURATION_MS_MAX)
    }

    fn boolean(&self, key: &str) -> bool {
        self.text(key).is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }
}

/// Every value of its key's kind and range, and asking for nothing that is not implemented; returns
/// what to warn of: unknown keys, and those that do nothing.
fn check_keys(properties: &Properties, errors: &mut Vec<ConfigError>) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut without_effect = Vec::new();
    for (name, value) in properties.iter() {
        if let Some(key) = node_key(name) {
            errors.extend(key.check(name, value).err().map(ConfigError::from));
            if key.effect == Effect::NoEffect {
                without_effect.push(name);
            }
        } else if OF_THE_AUTHORIZER.contains(&name) {
            without_effect.push(name);
        } else {
            let hint = config::nearest(name).map(|nearest| format!(" (did you mean {nearest}?)"));
            warnings.push(format!("unknown key {name} is ignored{}", hint.unwrap_or_default()));
        }
    }
    if !without_effect.is_empty() {
        warnings.push(format!("accepted without effect: {}", without_effect.join(", ")));
    }
    warnings
}

/// Keys of Kafka's own authorizer, which mean nothing without `authorizer.class.name`.
const OF_THE_AUTHORIZER: [&str; 2] = ["allow.everyone.if.no.acl.found", "super.users"];

fn check_roles(reader: &Reader) -> Result<(), ConfigError> {
    let roles = reader.list("process.roles");
    if roles.is_empty() {
        return Err(ConfigError::Missing { key: "process.roles", example: "broker,controller" });
    }
    let both = roles.len() == 2
        && roles.iter().any(|role| role == "broker")
        && roles.iter().any(|role| role == "controller");
    if !both {
        return Err(ConfigError::Refused {
            key: "process.roles",
            value: roles.join(","),
            remedy: "only the combined role broker,controller is implemented".to_owned(),
        });
    }
    Ok(())
}

/// A static quorum must be this node alone: a larger one is not implemented.
fn check_voters(reader: &Reader, node_id: i64) -> Result<(), ConfigError> {
    let voters = reader.list("controller.quorum.voters");
    let alone = match voters.as_slice() {
        [] => true,
        [only] => only.split_once('@').is_some_and(|(id, _)| id.parse() == Ok(node_id)),
        _ => false,
    };
    if alone {
        return Ok(());
    }
    Err(ConfigError::Refused {
        key: "controller.quorum.voters",
        value: voters.join(","),
        remedy: format!("only a quorum of this node alone is implemented: {node_id}@host:port"),
    })
}

/// The one listener for clients, and how it is advertised.
fn broker_listener(
    reader: &Reader,
    controller_names: &[String],
) -> Result<(Listener, Endpoint), ConfigError> {
    let parse = |key: &'static str| {
        Listener::parse_list(reader.text(key).unwrap_or_default())
            .map_err(|source| ConfigError::Listener { key, source })
    };
    let is_controller = |listener: &Listener| {
        controller_names.iter().any(|name| name.eq_ignore_ascii_case(&listener.name))
    };
    let mut listeners = parse("listeners")?;
    listeners.retain(|listener| !is_controller(listener));
    let refused = |key, value: String, remedy: &str| ConfigError::Refused {
        key,
        value,
        remedy: remedy.to_owned(),
    };
    let listener = match listeners.as_slice() {
        [] => {
            return Err(ConfigError::Missing {
                key: "listeners",
                example: "PLAINTEXT://localhost:9092",
            });
        }
        [one] => one.clone(),
        several => {
            let texts: Vec<String> = several.iter().map(ToString::to_string).collect();
            let remedy = "only one listener for clients is implemented";
            return Err(refused("listeners", texts.join(","), remedy));
        }
    };
    let protocol = security_protocol(reader, &listener.name);
    if protocol != "PLAINTEXT" {
        let remedy = "only PLAINTEXT is implemented; map the listener to it";
        let entry = format!("{}:{protocol}", listener.name);
        return Err(refused("listener.security.protocol.map", entry, remedy));
    }
    let mut advertised = parse("advertised.listeners")?;
    advertised.retain(|one| one.name == listener.name);
    let endpoint = match advertised.into_iter().next() {
        Some(explicit) => explicit.endpoint,
        None => listener.endpoint.clone(),
    };
    if ["0.0.0.0", "::"].contains(&endpoint.host.as_str()) {
        let remedy = "clients cannot connect to it; set advertised.listeners to a name they can \
                      reach, such as PLAINTEXT://host.example:9092";
        return Err(refused("advertised.listeners", endpoint.to_string(), remedy));
    }
    Ok((listener, endpoint))
}

/// The controller's first listener, as it is advertised.
fn controller_endpoint(
    reader: &Reader,
    controller_names: &[String],
) -> Result<Option<Listener>, ConfigError> {
    for key in ["advertised.listeners", "listeners"] {
        let listeners = Listener::parse_list(reader.text(key).unwrap_or_default())
            .map_err(|source| ConfigError::Listener { key, source })?;
        let found = listeners.into_iter().find(|listener| {
            controller_names.iter().any(|name| name.eq_ignore_ascii_case(&listener.name))
        });
        if let Some(mut listener) = found {
            if listener.endpoint.host.is_empty() {
                listener.endpoint.host = "localhost".to_owned();
            }
            return Ok(Some(listener));
        }
    }
    Ok(None)
}

fn security_protocol(reader: &Reader, listener_name: &str) -> String {
    reader
        .list("listener.security.protocol.map")
        .iter()
        .filter_map(|entry| entry.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case(listener_name))
        .map_or_else(|| "undefined".to_owned(), |(_, protocol)| protocol.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys of Kafka's stock combined-mode file that matter here.
    const STOCK: &str = "process.roles=broker,controller\nnode.id=1\n\
        controller.quorum.bootstrap.servers=localhost:9093\n\
        listeners=PLAINTEXT://:9092,CONTROLLER://:9093\ninter.broker.listener.name=PLAINTEXT\n\
        advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093\n\
        controller.listener.names=CONTROLLER\n\
        listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL\n\
        num.network.threads=3\nlog.dirs=/tmp/kraft-combined-logs\nnum.partitions=1\n";

    fn load(extra: &str) -> Result<Loaded, String> {
        let properties = Properties::parse(&format!("{STOCK}{extra}")).expect("well formed");
        BrokerConfig::from_properties(properties).map_err(|error| error.to_string())
    }

    #[test]
    fn the_stock_file_starts_us() {
        let loaded = load("").unwrap();
        assert_eq!(loaded.config.listener.to_string(), "PLAINTEXT://:9092");
        assert_eq!(loaded.config.advertised.to_string(), "localhost:9092");
        assert_eq!(loaded.warnings, ["accepted without effect: num.network.threads"]);
    }

    #[test]
    fn every_refusal_names_key_value_and_remedy() {
        for (extra, want) in [
            (
                "num.partitions=0",
                "Invalid value 0 for configuration num.partitions: \
                 expected a whole number from 1 to 2147483647",
            ),
            (
                "auto.create.topics.enable=yes",
                "Invalid value yes for configuration auto.create.topics.enable: \
                 expected true or false",
            ),
            (
                "log.message.timestamp.type=Never",
                "Invalid value Never for configuration log.message.timestamp.type: \
                 expected one of CreateTime, LogAppendTime",
            ),
            (
                "sasl.login.refresh.buffer.seconds=secret\nssl.key.password=secret",
                "Invalid value secret for configuration sasl.login.refresh.buffer.seconds: \
                 expected a whole number from -32768 to 32767",
            ),
            (
                "process.roles=broker",
                "process.roles=broker is not supported: only the combined role broker,controller \
                 is implemented",
            ),
            (
                "controller.quorum.voters=1@a:1,2@b:1",
                "controller.quorum.voters=1@a:1,2@b:1 is not supported: only a quorum of this node \
                 alone is implemented: 1@host:port",
            ),
            (
                "listener.security.protocol.map=PLAINTEXT:SSL",
                "listener.security.protocol.map=PLAINTEXT:SSL is not supported: only PLAINTEXT is \
                 implemented; map the listener to it",
            ),
            (
                "authorizer.class.name=a.B",
                "authorizer.class.name=a.B is not implemented by this broker: remove it",
            ),
            (
                "ssl.client.auth=required",
                "ssl.client.auth=required is not implemented by this broker: \
                 remove it, or set none",
            ),
            (
                "listener.name.plaintext.ssl.client.auth=required",
                "listener.name.plaintext.ssl.client.auth=required is not implemented by this \
                 broker: remove it, or set none",
            ),
            (
                "log.dirs=",
                "Invalid value  for configuration log.dirs: \
                 expected a list of one item or more, none of them empty",
            ),
            (
                "node.id=-1",
                "Invalid value -1 for configuration node.id: \
                 expected a whole number from 0 to 2147483647",
            ),
            (
                "broker.id=2",
                "Invalid value 2 for configuration broker.id: expected the same as node.id, 1",
            ),
        ] {
            assert_eq!(load(extra).unwrap_err(), want, "{extra}");
        }
        let nonroutable = load("advertised.listeners=PLAINTEXT://0.0.0.0:9092").unwrap_err();
        assert!(nonroutable.contains("clients cannot connect to it"), "{nonroutable}");
    }

    #[test]
    fn all_errors_are_told_at_once() {
        let said = load(
            "num.partitions=0\nlog.retention.ms=x\nauthorizer.class.name=a.B\n\
                         process.roles=broker\nqueued.max.request.bytes=5",
        )
        .unwrap_err();
        let keys = [
            "authorizer.class.name=a.B",
            "configuration log.retention.ms",
            "configuration num.partitions",
            "configuration queued.max.request.bytes",
            "process.roles=broker",
        ];
        assert!(said.starts_with("5 errors\n"), "{said}");
        for (line, key) in said.lines().skip(1).zip(keys) {
            assert!(line.starts_with("  - ") && line.contains(key), "{key}: {line}");
        }
    }

    #[test]
    fn an_unknown_key_is_a_warning_with_the_nearest() {
        for (extra, want) in [
            (
                "num.partition=3",
                "unknown key num.partition is ignored (did you mean num.partitions?)",
            ),
            ("my.own.thing=3", "unknown key my.own.thing is ignored"),
        ] {
            assert_eq!(load(extra).unwrap().warnings[0], want);
        }
    }

    #[test]
    fn log_dirs_go_before_log_dir() {
        for (extra, want) in [
            ("", &["/tmp/kraft-combined-logs"][..]),
            ("log.dir=/a", &["/tmp/kraft-combined-logs"]),
            ("log.dirs=/b, /c,/b", &["/b", "/c"]),
        ] {
            let dirs = load(extra).unwrap().config.log_dirs;
            let dirs: Vec<_> = dirs.iter().map(|dir| dir.to_str().unwrap()).collect();
            assert_eq!(dirs, want, "{extra}");
        }
    }

    #[test]
    fn limits_below_zero_mean_none() {
        let config = load("connections.max.idle.ms=-1").unwrap().config;
        assert_eq!(config.connections_idle_ms_max, DURATION_MS_MAX);
    }
}
