//! Configurations of a topic: their names, types, bounds and Kafka's defaults. Source: `LogConfig`.

use std::collections::BTreeMap;
use std::fmt;

/// What a configuration's value must be. Bounds are inclusive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Boolean,
    Int {
        min: i32,
        max: i32,
    },
    /// An integer that may also be -1, outside of its bounds.
    IntOrMinusOne {
        min: i32,
        max: i32,
    },
    Long {
        min: i64,
    },
    Double {
        min: f64,
        max: f64,
    },
    OneOf(&'static [&'static str]),
    /// A comma separated list of distinct words; empty is a valid list.
    ListOf(&'static [&'static str]),
    /// `*`, or a comma separated list of `partition:broker`; empty is a valid list.
    ThrottledReplicas,
}

/// One configuration that a topic knows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TopicConfig {
    pub name: &'static str,
    pub kind: Kind,
    pub default: &'static str,
}

/// Why a value is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InvalidTopicConfig {
    #[error("Unknown topic config name: {name}")]
    UnknownName { name: String },
    #[error("Null value not supported for topic config {name}")]
    Null { name: String },
    #[error("Invalid value {value} for configuration {name}: expected {expected}")]
    Value { name: &'static str, value: String, expected: Kind },
    #[error(
        "Invalid value {max} for configuration max.compaction.lag.ms: \
         min.compaction.lag.ms is {min}, which is more"
    )]
    CompactionLag { min: i64, max: i64 },
    /// There is no remote storage yet; Kafka refuses it in the same way where it is disabled.
    #[error("Tiered storage is disabled in the broker: a topic cannot have remote storage")]
    RemoteStorageDisabled,
}

const LONG_MAX: &str = "9223372036854775807";

const fn config(name: &'static str, kind: Kind, default: &'static str) -> TopicConfig {
    TopicConfig { name, kind, default }
}

const fn int(min: i32) -> Kind {
    Kind::Int { min, max: i32::MAX }
}

const fn long(min: i64) -> Kind {
    Kind::Long { min }
}

/// All of them, by name.
pub const TOPIC_CONFIGS: [TopicConfig; 34] = [
    config("cleanup.policy", Kind::ListOf(&["compact", "delete"]), "delete"),
    config("compression.gzip.level", Kind::IntOrMinusOne { min: 1, max: 9 }, "-1"),
    config("compression.lz4.level", Kind::Int { min: 1, max: 17 }, "9"),
    config(
        "compression.type",
        Kind::OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]),
        "producer",
    ),
    config("compression.zstd.level", Kind::Int { min: -131_072, max: 22 }, "3"),
    config("delete.retention.ms", long(0), "86400000"),
    config("file.delete.delay.ms", long(0), "60000"),
    config("flush.messages", long(1), LONG_MAX),
    config("flush.ms", long(0), LONG_MAX),
    config("follower.replication.throttled.replicas", Kind::ThrottledReplicas, ""),
    config("index.interval.bytes", int(0), "4096"),
    config("leader.replication.throttled.replicas", Kind::ThrottledReplicas, ""),
    config("local.retention.bytes", long(-2), "-2"),
    config("local.retention.ms", long(-2), "-2"),
    config("max.compaction.lag.ms", long(1), LONG_MAX),
    config("max.message.bytes", int(0), "1048588"),
    config("message.timestamp.after.max.ms", long(0), "3600000"),
    config("message.timestamp.before.max.ms", long(0), LONG_MAX),
    config("message.timestamp.type", Kind::OneOf(&["CreateTime", "LogAppendTime"]), "CreateTime"),
    config("millrace.durability", Kind::OneOf(&["flushed", "written"]), "flushed"),
    config("min.cleanable.dirty.ratio", Kind::Double { min: 0.0, max: 1.0 }, "0.5"),
    config("min.compaction.lag.ms", long(0), "0"),
    config("min.insync.replicas", int(1), "1"),
    config("preallocate", Kind::Boolean, "false"),
    config("remote.log.copy.disable", Kind::Boolean, "false"),
    config("remote.log.delete.on.disable", Kind::Boolean, "false"),
    config("remote.storage.enable", Kind::Boolean, "false"),
    config("retention.bytes", long(i64::MIN), "-1"),
    config("retention.ms", long(-1), "604800000"),
    config("segment.bytes", int(1_048_576), "1073741824"),
    config("segment.index.bytes", int(4), "10485760"),
    config("segment.jitter.ms", long(0), "0"),
    config("segment.ms", long(1), "604800000"),
    config("unclean.leader.election.enable", Kind::Boolean, "false"),
];

/// What Apache Kafka keeps to itself: for tests, which set segments below the 1 MiB that is the least
/// for `segment.bytes`. Unset it says nothing.
const INTERNAL_CONFIGS: [TopicConfig; 1] = [config("internal.segment.bytes", int(i32::MIN), "")];

/// The configuration called `name`.
pub fn find(name: &str) -> Option<&'static TopicConfig> {
    TOPIC_CONFIGS.iter().chain(&INTERNAL_CONFIGS).find(|config| config.name == name)
}

/// The broker's name of a topic configuration, under which its dynamic default is set.
pub fn broker_name(name: &'static str) -> &'static str {
    BROKER_NAMES
        .iter()
        .find(|(topic_name, _)| *topic_name == name)
        .map_or(name, |&(_, broker_name)| broker_name)
}

/// Topic configurations whose name on the broker is another one. Source: `ServerTopicConfigSynonyms`.
const BROKER_NAMES: [(&str, &str); 22] = [
    ("cleanup.policy", "log.cleanup.policy"),
    ("delete.retention.ms", "log.cleaner.delete.retention.ms"),
    ("file.delete.delay.ms", "log.segment.delete.delay.ms"),
    ("flush.messages", "log.flush.interval.messages"),
    ("flush.ms", "log.flush.interval.ms"),
    ("index.interval.bytes", "log.index.interval.bytes"),
    ("local.retention.bytes", "log.local.retention.bytes"),
    ("local.retention.ms", "log.local.retention.ms"),
    ("max.compaction.lag.ms", "log.cleaner.max.compaction.lag.ms"),
    ("max.message.bytes", "message.max.bytes"),
    ("message.timestamp.after.max.ms", "log.message.timestamp.after.max.ms"),
    ("message.timestamp.before.max.ms", "log.message.timestamp.before.max.ms"),
    ("message.timestamp.type", "log.message.timestamp.type"),
    ("min.cleanable.dirty.ratio", "log.cleaner.min.cleanable.ratio"),
    ("min.compaction.lag.ms", "log.cleaner.min.compaction.lag.ms"),
    ("preallocate", "log.preallocate"),
    ("retention.bytes", "log.retention.bytes"),
    ("retention.ms", "log.retention.ms"),
    ("segment.bytes", "log.segment.bytes"),
    ("segment.index.bytes", "log.index.size.max.bytes"),
    ("segment.jitter.ms", "log.roll.jitter.ms"),
    ("segment.ms", "log.roll.ms"),
];

impl TopicConfig {
    /// Whether `value` is of this configuration's type and within its bounds.
    pub fn check(&self, value: &str) -> Result<(), InvalidTopicConfig> {
        let value = value.trim();
        if self.kind.fits(value) {
            return Ok(());
        }
        let (name, value, expected) = (self.name, value.to_owned(), self.kind);
        Err(InvalidTopicConfig::Value { name, value, expected })
    }
}

impl Kind {
    fn fits(self, value: &str) -> bool {
        let is_int = |min: i32, max: i32| {
            value.parse::<i32>().is_ok_and(|number| (min..=max).contains(&number))
        };
        match self {
            Kind::Boolean => {
                value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false")
            }
            Kind::Int { min, max } => is_int(min, max),
            Kind::IntOrMinusOne { min, max } => is_int(-1, -1) || is_int(min, max),
            Kind::Long { min } => value.parse::<i64>().is_ok_and(|number| number >= min),
            Kind::Double { min, max } => {
                value.parse::<f64>().is_ok_and(|number| (min..=max).contains(&number))
            }
            Kind::OneOf(words) => words.contains(&value),
            Kind::ListOf(words) => is_list_of(words, value),
            Kind::ThrottledReplicas => is_throttled_replicas(value),
        }
    }
}

/// What a value should be, for error messages.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Kind::Boolean => write!(f, "true or false"),
            Kind::Int { min, max: i32::MAX } => write!(f, "an INT of at least {min}"),
            Kind::Int { min, max } => write!(f, "an INT from {min} to {max}"),
            Kind::IntOrMinusOne { min, max } => write!(f, "-1 or an INT from {min} to {max}"),
            Kind::Long { min: i64::MIN } => write!(f, "a LONG"),
            Kind::Long { min } => write!(f, "a LONG of at least {min}"),
            Kind::Double { min, max } => write!(f, "a DOUBLE from {min} to {max}"),
            Kind::OneOf(words) => write!(f, "one of {}", words.join(", ")),
            Kind::ListOf(words) => write!(f, "a list of {}, each once", words.join(", ")),
            Kind::ThrottledReplicas => write!(f, "* or a list of partition:broker"),
        }
    }
}

fn items(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|_| !value.is_empty())
}

fn is_list_of(words: &[&str], value: &str) -> bool {
    items(value).all(|item| {
        words.contains(&item) && items(value).filter(|other| *other == item).count() == 1
    })
}

fn is_throttled_replicas(value: &str) -> bool {
    value == "*"
        || items(value).all(|item| {
            item.split_once(':').is_some_and(|(partition, broker)| {
                partition.parse::<u32>().is_ok() && broker.parse::<u32>().is_ok()
            })
        })
}

/// Checks all configurations of a topic together: `overrides` are what it sets, `default_of` gives
/// what it inherits for a name it does not set.
pub fn check_all<'a>(
    overrides: &'a BTreeMap<String, String>,
    default_of: impl Fn(&'static TopicConfig) -> &'a str,
) -> Result<(), InvalidTopicConfig> {
    for (name, value) in overrides {
        let config =
            find(name).ok_or_else(|| InvalidTopicConfig::UnknownName { name: name.clone() })?;
        config.check(value)?;
    }
    let value_of = |name: &str| -> &'a str {
        match (overrides.get(name), find(name)) {
            (Some(value), _) => value.trim(),
            (None, Some(config)) => default_of(config),
            (None, None) => "",
        }
    };
    let number_of = |name: &str| value_of(name).parse::<i64>().unwrap_or_default();

    let (min, max) = (number_of("min.compaction.lag.ms"), number_of("max.compaction.lag.ms"));
    if min > max {
        return Err(InvalidTopicConfig::CompactionLag { min, max });
    }
    if value_of("remote.storage.enable").eq_ignore_ascii_case("true") {
        return Err(InvalidTopicConfig::RemoteStorageDisabled);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_its_defaults_are_valid() {
        assert!(TOPIC_CONFIGS.is_sorted_by(|a, b| a.name < b.name));
        for config in TOPIC_CONFIGS {
            assert_eq!(config.check(config.default), Ok(()), "{}", config.name);
        }
    }

    #[test]
    fn values_are_checked_as_kafka_does() {
        for (name, value, valid) in [
            ("cleanup.policy", "compact,delete", true),
            ("cleanup.policy", "", true), // since Kafka 4.2: keep forever
            ("cleanup.policy", "compact,compact", false),
            ("cleanup.policy", "shred", false),
            ("compression.gzip.level", "-1", true),
            ("compression.gzip.level", "0", false),
            ("compression.type", "none", false), // a topic says `uncompressed`
            ("compression.type", "zstd", true),
            ("min.cleanable.dirty.ratio", "1.01", false),
            ("min.cleanable.dirty.ratio", "0.01", true),
            ("min.insync.replicas", "0", false),
            ("preallocate", "TRUE", true),
            ("preallocate", "yes", false),
            ("retention.ms", "-1", true),
            ("retention.ms", "-2", false),
            ("retention.ms", " 12 ", true),
            ("retention.ms", "12 h", false),
            ("segment.bytes", "1048575", false),
            ("internal.segment.bytes", "4096", true),
            ("internal.segment.bytes", "4 KiB", false),
            ("leader.replication.throttled.replicas", "*", true),
            ("leader.replication.throttled.replicas", "0:1,1:2", true),
            ("leader.replication.throttled.replicas", "0-1", false),
            ("retention.minutes", "1", false),
        ] {
            let overrides = BTreeMap::from([(name.to_owned(), value.to_owned())]);
            let checked = check_all(&overrides, |config| config.default);
            assert_eq!(checked.is_ok(), valid, "{name}={value}: {checked:?}");
        }
    }

    #[test]
    fn values_are_checked_against_each_other() {
        for (overrides, valid) in [
            (&[("min.compaction.lag.ms", "10"), ("max.compaction.lag.ms", "9")][..], false),
            (&[("min.compaction.lag.ms", "9"), ("max.compaction.lag.ms", "9")], true),
            (&[("remote.storage.enable", "true")], false),
            (&[("remote.storage.enable", "false")], true),
            (&[("local.retention.ms", "604800001")], true),
        ] {
            let overrides: BTreeMap<_, _> = overrides
                .iter()
                .map(|&(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            let checked = check_all(&overrides, |config| config.default);
            assert_eq!(checked.is_ok(), valid, "{overrides:?}: {checked:?}");
        }
    }
}
