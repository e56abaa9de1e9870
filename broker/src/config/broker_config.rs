//! The typed configuration of one node, made of properties and checked as a whole.

use std::path::PathBuf;

use protocol::model::BrokerId;
use reactor::net::SocketAddr;

use super::keys::{self, Effect, Key, Kind, Range};
use super::listener::{Endpoint, Listener, ListenerError};
use super::memory::MemoryFloor;
use super::properties::{Properties, PropertiesError};

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
    pub fetch_size_bytes_max: usize,
    pub auto_create_topics: bool,
    pub delete_topics: bool,
    pub partition_count_default: i32,
    pub replication_factor_default: i16,
    pub metadata_segment_size_bytes: u64,
    /// Before the first of what is done from time to time.
    pub initial_task_delay_ms: u64,
    pub retention_check_ms: u64,
    pub producer_id_expiration_ms: u64,
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

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{0}")]
    Syntax(#[from] PropertiesError),
    #[error("{key} is missing: add it to the configuration, for instance {key}={example}")]
    Missing { key: &'static str, example: &'static str },
    #[error("{key}={value} is invalid: expected {expected}")]
    Invalid { key: String, value: String, expected: String },
    #[error("{key}: {source}")]
    Listener { key: &'static str, source: ListenerError },
    #[error("{key}={value} is not supported: {remedy}")]
    Refused { key: String, value: String, remedy: String },
}

impl BrokerConfig {
    /// Checks `properties` and types them. Errors name key, value and what would be right.
    pub fn from_properties(properties: Properties) -> Result<Loaded, ConfigError> {
        let mut warnings = Vec::new();
        check_keys(&properties, &mut warnings)?;
        let reader = Reader(&properties);
        check_roles(&reader)?;
        let node_id = reader
            .integer("node.id")?
            .or(reader.integer("broker.id")?)
            .ok_or(ConfigError::Missing { key: "node.id", example: "1" })?;
        let controller_listener_names = reader.list("controller.listener.names");
        check_voters(&reader, node_id)?;
        let (listener, advertised) = broker_listener(&reader, &controller_listener_names)?;
        let log_dirs: Vec<PathBuf> = match reader.list("log.dirs") {
            dirs if dirs.is_empty() => reader.list("log.dir"),
            dirs => dirs,
        }
        .into_iter()
        .map(PathBuf::from)
        .collect();
        let metadata_log_dir = match reader.text("metadata.log.dir") {
            Some(dir) => PathBuf::from(dir),
            None => log_dirs
                .first()
                .cloned()
                .ok_or(ConfigError::Missing { key: "log.dirs", example: "/var/lib/millrace" })?,
        };
        let config = BrokerConfig {
            node_id: BrokerId(node_id as i32),
            core_count: reader.integer("millrace.cores")?.map(|count| count as usize),
            memory_size_bytes: reader
                .integer("millrace.memory.bytes")?
                .map(|size| usize::try_from(size).unwrap_or(usize::MAX)),
            memory_floor: MemoryFloor::default(),
            rack: reader.text("broker.rack").map(str::to_owned),
            listener,
            listen_address: None,
            advertised,
            controller_endpoint: controller_endpoint(&reader, &controller_listener_names)?,
            broker_session_ms: reader.size("broker.session.timeout.ms")? as u64,
            log_dirs,
            metadata_log_dir,
            storage: storage::Settings::default(),
            socket_request_size_bytes_max: reader.size("socket.request.max.bytes")?,
            message_size_bytes_max: reader.size("message.max.bytes")?,
            socket_listen_backlog: reader.size("socket.listen.backlog.size")?,
            connections_idle_ms_max: reader.size("connections.max.idle.ms")? as u64,
            fetch_size_bytes_max: reader.size("fetch.max.bytes")?,
            auto_create_topics: reader.boolean("auto.create.topics.enable"),
            delete_topics: reader.boolean("delete.topic.enable"),
            partition_count_default: reader.size("num.partitions")? as i32,
            replication_factor_default: reader.size("default.replication.factor")? as i16,
            metadata_segment_size_bytes: reader.size("metadata.log.segment.bytes")? as u64,
            initial_task_delay_ms: reader.size("log.initial.task.delay.ms")? as u64,
            retention_check_ms: reader.size("log.retention.check.interval.ms")? as u64,
            producer_id_expiration_ms: reader.size("producer.id.expiration.ms")? as u64,
            producer_id_expiration_check_ms: reader
                .size("producer.id.expiration.check.interval.ms")?
                as u64,
            properties: properties.clone(),
        };
        Ok(Loaded { config, warnings })
    }

    /// The node's value of `key` as text: as written, or Kafka's default. `None` where there is none.
    pub fn effective(&self, key: &str) -> Option<&str> {
        Reader(&self.properties).text(key)
    }
}

/// Reads keys that [`check_keys`] has checked already.
struct Reader<'a>(&'a Properties);

impl<'a> Reader<'a> {
    fn text(&self, key: &str) -> Option<&'a str> {
        let default = keys::find(key).and_then(|key| key.default);
        self.0.value(key).or(default).filter(|text| !text.is_empty())
    }

    fn list(&self, key: &str) -> Vec<String> {
        let text = self.text(key).unwrap_or_default();
        text.split(',').map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect()
    }

    fn integer(&self, key: &str) -> Result<Option<i64>, ConfigError> {
        self.text(key)
            .map(|text| {
                text.trim().parse().map_err(|_| ConfigError::Invalid {
                    key: key.to_owned(),
                    value: text.to_owned(),
                    expected: "a whole number".to_owned(),
                })
            })
            .transpose()
    }

    /// A number that has a default and cannot be negative.
    fn size(&self, key: &'static str) -> Result<usize, ConfigError> {
        let value = self.integer(key)?.ok_or(ConfigError::Missing { key, example: "1" })?;
        usize::try_from(value).map_err(|_| ConfigError::Invalid {
            key: key.to_owned(),
            value: value.to_string(),
            expected: "a number that is not negative".to_owned(),
        })
    }

    fn boolean(&self, key: &str) -> bool {
        self.text(key).is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }
}

/// Every key known, every value of its type and in its range; tells of keys without effect.
fn check_keys(properties: &Properties, warnings: &mut Vec<String>) -> Result<(), ConfigError> {
    let mut without_effect = Vec::new();
    for (name, value) in properties.iter() {
        let Some(key) = keys::find(name) else {
            // Keys of a listener or of a plugin are no slips of the pen; Kafka takes them silently.
            if !name.starts_with("listener.name.") {
                let hint = keys::nearest(name)
                    .map(|nearest| format!(" (did you mean {nearest}?)"))
                    .unwrap_or_default();
                warnings.push(format!("unknown key {name} is ignored{hint}"));
            }
            continue;
        };
        check_value(key, value)?;
        match key.effect {
            Effect::Honoured => {}
            Effect::None => without_effect.push(name),
            Effect::Refused if value.is_empty() || Some(value) == key.default => {}
            Effect::Refused => {
                return Err(ConfigError::Refused {
                    key: name.to_owned(),
                    value: value.to_owned(),
                    remedy: format!(
                        "ignoring it would break what it promises; remove it or set {}",
                        key.default.filter(|text| !text.is_empty()).unwrap_or("nothing"),
                    ),
                });
            }
        }
    }
    if !without_effect.is_empty() {
        warnings.push(format!("accepted without effect: {}", without_effect.join(", ")));
    }
    Ok(())
}

fn check_value(key: &Key, value: &str) -> Result<(), ConfigError> {
    let invalid = |expected: String| {
        let shown = if key.kind == Kind::Password { "[hidden]" } else { value };
        Err(ConfigError::Invalid { key: key.name.to_owned(), value: shown.to_owned(), expected })
    };
    let trimmed = value.trim();
    match key.kind {
        Kind::Boolean if !["true", "false"].contains(&trimmed.to_ascii_lowercase().as_str()) => {
            return invalid("true or false".to_owned());
        }
        Kind::Double if trimmed.parse::<f64>().is_err() => return invalid("a number".to_owned()),
        Kind::Int | Kind::Long | Kind::Short => {
            let (lowest, highest) = match key.kind {
                Kind::Int => (i64::from(i32::MIN), i64::from(i32::MAX)),
                Kind::Short => (i64::from(i16::MIN), i64::from(i16::MAX)),
                _ => (i64::MIN, i64::MAX),
            };
            let (lowest, highest) = match key.range {
                Range::AtLeast(bound) => (bound, highest),
                Range::Between(low, high) => (low, high),
                Range::Any | Range::OneOf(_) => (lowest, highest),
            };
            if !trimmed.parse::<i64>().is_ok_and(|number| (lowest..=highest).contains(&number)) {
                return invalid(format!("a whole number from {lowest} to {highest}"));
            }
        }
        Kind::Boolean | Kind::Double => {}
        Kind::Class | Kind::List | Kind::Password | Kind::String => {
            if let Range::OneOf(words) = key.range
                && !words.contains(&value)
            {
                return invalid(format!("one of {}", words.join(", ")));
            }
        }
    }
    Ok(())
}

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
            key: "process.roles".to_owned(),
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
        key: "controller.quorum.voters".to_owned(),
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
    let refused = |key: &str, value: String, remedy: &str| ConfigError::Refused {
        key: key.to_owned(),
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
                "num.partitions=0 is invalid: expected a whole number from 1 to 2147483647",
            ),
            (
                "num.partitions=x",
                "num.partitions=x is invalid: expected a whole number from 1 to 2147483647",
            ),
            (
                "auto.create.topics.enable=yes",
                "auto.create.topics.enable=yes is invalid: expected true or false",
            ),
            (
                "log.message.timestamp.type=Never",
                "log.message.timestamp.type=Never is invalid: expected one of CreateTime, LogAppendTime",
            ),
            (
                "process.roles=broker",
                "process.roles=broker is not supported: only the combined role broker,controller is implemented",
            ),
            (
                "controller.quorum.voters=1@a:1,2@b:1",
                "controller.quorum.voters=1@a:1,2@b:1 is not supported: only a quorum of this node alone is implemented: 1@host:port",
            ),
            (
                "listener.security.protocol.map=PLAINTEXT:SSL",
                "listener.security.protocol.map=PLAINTEXT:SSL is not supported: only PLAINTEXT is implemented; map the listener to it",
            ),
            (
                "authorizer.class.name=a.B",
                "authorizer.class.name=a.B is not supported: ignoring it would break what it promises; remove it or set nothing",
            ),
            (
                "ssl.key.password=secret\nnode.id=-1",
                "node.id=-1 is invalid: expected a whole number from 0 to 2147483647",
            ),
        ] {
            assert_eq!(load(extra).unwrap_err(), want, "{extra}");
        }
        let nonroutable = load("advertised.listeners=PLAINTEXT://0.0.0.0:9092").unwrap_err();
        assert!(nonroutable.contains("clients cannot connect to it"), "{nonroutable}");
    }

    #[test]
    fn an_unknown_key_is_a_warning_with_the_nearest() {
        let loaded = load("num.partition=3").unwrap();
        assert_eq!(
            loaded.warnings[0],
            "unknown key num.partition is ignored (did you mean num.partitions?)"
        );
    }
}
