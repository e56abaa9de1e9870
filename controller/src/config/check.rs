//! What is wrong with the values of keys, each by itself and all together.

use std::borrow::Cow;

use crate::metadata::Configs;

use super::key::{Expected, Key};
use super::layers::NodeLayers;
use super::search::topic_key;

/// Why a value is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InvalidConfig {
    #[error("Unknown topic config name: {name}")]
    UnknownTopicKey { name: String },
    #[error("Null value not supported for topic configs: {names}")]
    NullTopicValue { names: String },
    #[error("Invalid value {value} for configuration {name}: expected {expected}")]
    Value { name: String, value: String, expected: Expected },
    #[error("{name}={value} is not implemented by this broker: {remedy}")]
    NotImplemented { name: String, value: String, remedy: String },
    #[error("Invalid value {value} for configuration {name}: expected {expected}")]
    Related { name: &'static str, value: String, expected: String },
    #[error(
        "Invalid value {max} for configuration max.compaction.lag.ms: \
         min.compaction.lag.ms is {min}, which is more"
    )]
    CompactionLag { min: i64, max: i64 },
    /// There is no remote storage yet; Kafka refuses it in the same way where it is disabled.
    #[error("Tiered storage is disabled in the broker: a topic cannot have remote storage")]
    RemoteStorageDisabled,
}

impl Key {
    /// Whether `value`, which `name` is set to, can be kept.
    pub fn check(&self, name: &str, value: &str) -> Result<(), InvalidConfig> {
        let hidden = if self.is_sensitive() { "[hidden]" } else { value.trim() };
        if !self.fits(value) {
            return Err(InvalidConfig::Value {
                name: name.to_owned(),
                value: hidden.to_owned(),
                expected: self.expected(),
            });
        }
        if self.refuses(value) {
            let remedy = match self.default.filter(|default| !default.is_empty()) {
                Some(default) => format!("remove it, or set {default}"),
                None => "remove it".to_owned(),
            };
            return Err(InvalidConfig::NotImplemented {
                name: name.to_owned(),
                value: hidden.to_owned(),
                remedy,
            });
        }
        Ok(())
    }
}

/// Checks all that a topic sets, and that together with what it inherits.
pub fn check_topic(own: &Configs, inherited: &NodeLayers<'_>) -> Result<(), InvalidConfig> {
    for (name, value) in own {
        let key = topic_key(name)
            .ok_or_else(|| InvalidConfig::UnknownTopicKey { name: name.to_string() })?;
        if key.name == "remote.storage.enable" && value.trim().eq_ignore_ascii_case("true") {
            return Err(InvalidConfig::RemoteStorageDisabled);
        }
        key.check(name, value)?;
    }
    let number = |name: &str| {
        let value = topic_key(name).and_then(|key| inherited.topic_value(Some(own), key));
        value.and_then(|(value, _)| value.trim().parse::<i64>().ok()).unwrap_or_default()
    };
    let (min, max) = (number("min.compaction.lag.ms"), number("max.compaction.lag.ms"));
    if min > max {
        return Err(InvalidConfig::CompactionLag { min, max });
    }
    Ok(())
}

/// What is wrong with the values of a node's keys together, where each fits by itself. Source:
/// `KafkaConfig.validateValues`.
pub fn check_node(layers: &NodeLayers<'_>) -> Vec<InvalidConfig> {
    let number = |name: &'static str| layers.number(name).unwrap_or_default();
    let mut wrong = Vec::new();
    let mut expect = |name: &'static str, is_right: bool, expected: Cow<'static, str>| {
        if !is_right {
            let value =
                layers.set(name).map_or_else(|| number(name).to_string(), |(it, _)| it.into());
            wrong.push(InvalidConfig::Related { name, value, expected: expected.into_owned() });
        }
    };
    if let Some((broker_id, _)) = layers.set("broker.id").filter(|(id, _)| id.trim() != "-1")
        && let Some((node_id, _)) = layers.set("node.id")
    {
        let is_same = broker_id.trim() == node_id.trim();
        expect("broker.id", is_same, format!("the same as node.id, {node_id}").into());
    }
    let retention = ["log.retention.ms", "log.retention.minutes", "log.retention.hours"];
    if let Some(name) = retention.into_iter().find(|name| layers.set(name).is_some()) {
        let is_right = layers.number(name) != Some(0);
        expect(name, is_right, "-1 for ever, or a number of at least 1".into());
    }
    if let Some(roll_ms) = layers.number("log.roll.ms") {
        expect("log.roll.ms", roll_ms >= 1, "a number of at least 1".into());
    }
    if let Some(jitter_ms) = layers.number("log.roll.jitter.ms") {
        expect("log.roll.jitter.ms", jitter_ms >= 0, "a number of at least 0".into());
    }
    let per_thread =
        number("log.cleaner.dedupe.buffer.size") / number("log.cleaner.threads").max(1);
    expect(
        "log.cleaner.dedupe.buffer.size",
        per_thread > 1024 * 1024,
        "more than 1 MiB for each of log.cleaner.threads".into(),
    );
    let at_most = |limit: &'static str| format!("at most {limit}, {}", number(limit)).into();
    let wait_ms = number("replica.fetch.wait.max.ms");
    for limit in ["replica.socket.timeout.ms", "replica.lag.time.max.ms"] {
        expect("replica.fetch.wait.max.ms", wait_ms <= number(limit), at_most(limit));
    }
    let (lag_min, lag_max) =
        ("log.cleaner.min.compaction.lag.ms", "log.cleaner.max.compaction.lag.ms");
    expect(lag_min, number(lag_min) <= number(lag_max), at_most(lag_max));
    let queued = number("queued.max.request.bytes");
    expect(
        "queued.max.request.bytes",
        queued <= 0 || queued >= number("socket.request.max.bytes"),
        "-1, or at least socket.request.max.bytes".into(),
    );
    let (delay, idle) = ("connection.failed.authentication.delay.ms", "connections.max.idle.ms");
    if number(idle) >= 0 {
        expect(delay, number(delay) < number(idle), format!("less than {idle}").into());
    }
    let overrides = layers.set("max.connections.per.ip.overrides");
    let has_overrides = overrides.is_some_and(|(overrides, _)| !overrides.trim().is_empty());
    expect(
        "max.connections.per.ip",
        number("max.connections.per.ip") != 0 || has_overrides,
        "at least 1, unless max.connections.per.ip.overrides is set".into(),
    );
    wrong
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;

    #[test]
    fn topic_values_are_checked_together() {
        let file = BTreeMap::new();
        for (own, want) in [
            (&[("min.compaction.lag.ms", "9"), ("max.compaction.lag.ms", "9")][..], ""),
            (&[("local.retention.ms", "604800001")], ""),
            (&[("remote.storage.enable", "false")], ""),
            (
                &[("min.compaction.lag.ms", "10"), ("max.compaction.lag.ms", "9")],
                "Invalid value 9 for configuration max.compaction.lag.ms: \
                 min.compaction.lag.ms is 10, which is more",
            ),
            (
                &[("remote.storage.enable", "true")],
                "Tiered storage is disabled in the broker: a topic cannot have remote storage",
            ),
            (&[("retention.minutes", "1")], "Unknown topic config name: retention.minutes"),
            (
                &[("segment.bytes", "1")],
                "Invalid value 1 for configuration segment.bytes: \
                 expected a whole number from 1048576 to 2147483647",
            ),
            (
                &[("compression.type", "none")],
                "Invalid value none for configuration compression.type: \
                 expected one of uncompressed, zstd, lz4, snappy, gzip, producer",
            ),
        ] {
            let own: Configs =
                own.iter().map(|&(name, value)| (Arc::from(name), Arc::from(value))).collect();
            let checked = check_topic(&own, &NodeLayers::of_file(&file));
            let said = checked.err().map(|error| error.to_string()).unwrap_or_default();
            assert_eq!(said, want, "{own:?}");
        }
    }

    #[test]
    fn a_topic_is_checked_with_what_it_inherits() {
        let limit = ("log.cleaner.max.compaction.lag.ms".to_owned(), "5".to_owned());
        let file = BTreeMap::from([limit]);
        let own = Configs::from([(Arc::from("min.compaction.lag.ms"), Arc::from("6"))]);
        let checked = check_topic(&own, &NodeLayers::of_file(&file));
        assert_eq!(checked, Err(InvalidConfig::CompactionLag { min: 6, max: 5 }));
    }

    #[test]
    fn node_values_are_checked_together() {
        for (file, want) in [
            (&[][..], &[][..]),
            (&[("log.retention.ms", "0")], &["log.retention.ms"]),
            (&[("log.retention.hours", "0")], &["log.retention.hours"]),
            (&[("log.retention.hours", "0"), ("log.retention.ms", "-1")], &[]),
            (&[("log.roll.ms", "0")], &["log.roll.ms"]),
            (&[("broker.id", "1"), ("node.id", "2")], &["broker.id"]),
            (&[("broker.id", "-1"), ("node.id", "2")], &[]),
            (&[("log.cleaner.threads", "128")], &["log.cleaner.dedupe.buffer.size"]),
            (&[("replica.fetch.wait.max.ms", "30001")], &["replica.fetch.wait.max.ms"; 2]),
            (&[("queued.max.request.bytes", "1")], &["queued.max.request.bytes"]),
            (&[("max.connections.per.ip", "0")], &["max.connections.per.ip"]),
            (&[("max.connections.per.ip", "0"), ("max.connections.per.ip.overrides", "a:1")], &[]),
        ] {
            let text = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
            let file: BTreeMap<_, _> = file.iter().map(text).collect();
            let wrong = check_node(&NodeLayers::of_file(&file));
            let names: Vec<_> = wrong
                .iter()
                .map(|wrong| match wrong {
                    InvalidConfig::Related { name, .. } => *name,
                    other => panic!("{other}"),
                })
                .collect();
            assert_eq!(names, want, "{file:?}");
        }
    }
}
