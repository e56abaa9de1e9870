//! The layers that a node's values come from: what is set for this broker while it runs, for all
//! brokers, in its file, and the defaults. Source: KIP-226.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::metadata::Configs;

use super::key::Key;
use super::node_keys::DYNAMIC_ONLY;
use super::search::{node_key, of_listener};
use super::topic_keys::TOPIC_KEYS;

/// Where a value comes from; the numbers are the protocol's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    Topic = 1,
    DynamicBroker = 2,
    DynamicDefaultBroker = 3,
    StaticBroker = 4,
    Default = 5,
    ClientMetrics = 7,
    Group = 8,
}

/// A topic's value of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicValue {
    pub name: &'static str,
    pub value: String,
    pub source: ConfigSource,
}

/// One of the values that stand behind each other for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synonym<'a> {
    pub name: &'a str,
    pub value: &'a str,
    pub source: ConfigSource,
}

/// What a node is configured with.
#[derive(Clone, Copy, Debug)]
pub struct NodeLayers<'a> {
    /// What is set for this broker while it runs.
    pub broker: Option<&'a Configs>,
    /// What is set for all brokers.
    pub cluster: Option<&'a Configs>,
    pub file: &'a BTreeMap<String, String>,
}

impl<'a> NodeLayers<'a> {
    /// A node that nothing is set for while it runs.
    pub fn of_file(file: &'a BTreeMap<String, String>) -> Self {
        NodeLayers { broker: None, cluster: None, file }
    }

    fn layer(&self, source: ConfigSource, name: &str) -> Option<&'a str> {
        let text = |configs: Option<&'a Configs>| configs?.get(name).map(|value| &**value);
        match source {
            ConfigSource::DynamicBroker => text(self.broker),
            ConfigSource::DynamicDefaultBroker => text(self.cluster),
            ConfigSource::StaticBroker => self.file.get(name).map(String::as_str),
            _ => None,
        }
    }

    /// What `name` is set to in the layer that goes first.
    pub fn set(&self, name: &str) -> Option<(&'a str, ConfigSource)> {
        SET_LAYERS.into_iter().find_map(|source| Some((self.layer(source, name)?, source)))
    }

    /// The value of a key, which is the default where nothing is set, or nothing that fits.
    pub fn value(&self, key: &Key) -> Option<&'a str> {
        let set = self.set(key.name).map(|(value, _)| value).filter(|value| key.fits(value));
        set.or(key.default)
    }

    /// The number that the key called `name` has; `None` where it has none.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.value(node_key(name)?)?.trim().parse().ok()
    }

    /// What a topic or a group that says nothing itself has for `key`. `None` where nobody says
    /// anything, and there is no default.
    pub fn inherited(&self, key: &'static Key) -> Option<(Cow<'a, str>, ConfigSource)> {
        let in_layer = |source| {
            key.synonyms.iter().find_map(|&(name, factor)| {
                let value = self.layer(source, name)?;
                let in_units = match value.trim().parse::<i64>() {
                    Ok(number) if factor != 1 => number.saturating_mul(factor).to_string().into(),
                    _ => Cow::Borrowed(value),
                };
                Some((in_units, source))
            })
        };
        let default = || Some((Cow::Borrowed(key.default?), ConfigSource::Default));
        SET_LAYERS.into_iter().find_map(in_layer).or_else(default)
    }

    /// What a topic that sets `own` has for `key`.
    pub fn topic_value(
        &self,
        own: Option<&'a Configs>,
        key: &'static Key,
    ) -> Option<(Cow<'a, str>, ConfigSource)> {
        match own.and_then(|own| own.get(key.name)) {
            Some(value) => Some((Cow::Borrowed(value), ConfigSource::Topic)),
            None => self.inherited(key),
        }
    }

    /// All values of a topic that sets `own`.
    pub fn topic_values(&self, own: Option<&Configs>) -> Vec<TopicValue> {
        let values = TOPIC_KEYS.iter().filter_map(|key| {
            let (value, source) = NodeLayers { ..*self }.topic_value(own, key)?;
            Some(TopicValue { name: key.name, value: value.into_owned(), source })
        });
        values.collect()
    }

    /// The values that stand behind each other for the node's key called `name`, as DescribeConfigs
    /// tells them: layer by layer, each with the names that mean the same, and beginning with `name`
    /// itself. Source: `ConfigHelper.configSynonyms`.
    pub fn synonyms(&self, name: &'a str) -> Vec<Synonym<'a>> {
        let names = names_of(name);
        let mut found = Vec::new();
        for source in SET_LAYERS {
            found.extend(names.iter().filter_map(|&name| {
                Some(Synonym { name, value: self.layer(source, name)?, source })
            }));
        }
        found.extend(names.iter().filter_map(|&name| {
            let key = node_key(name).filter(|key| key.name == name)?;
            // What can only be altered has no default to fall back to, says Kafka.
            let is_static = !DYNAMIC_ONLY.iter().any(|dynamic| dynamic.name == name);
            let value = key.default.filter(|_| is_static)?;
            Some(Synonym { name, value, source: ConfigSource::Default })
        }));
        let first = found.iter().position(|synonym| synonym.name == name);
        found.split_off(first.unwrap_or(found.len()))
    }
}

/// Layers in which something is set, the first that goes first.
const SET_LAYERS: [ConfigSource; 3] =
    [ConfigSource::DynamicBroker, ConfigSource::DynamicDefaultBroker, ConfigSource::StaticBroker];

/// The names of a node's keys that mean the same as `name`, in their order. Source:
/// `DynamicBrokerConfig.brokerConfigSynonyms`.
fn names_of(name: &str) -> Vec<&str> {
    // Of two, the scheduler's interval is a default of the other, and something by itself.
    let means_same = |key: &&Key| {
        let mut synonyms = key.synonyms.iter().map(|(name, _)| *name);
        match key.name {
            "flush.ms" => synonyms.next() == Some(name),
            _ => key.synonyms.len() > 1 && synonyms.any(|synonym| synonym == name),
        }
    };
    if let Some(key) = TOPIC_KEYS.iter().find(means_same) {
        return key.synonyms.iter().map(|(name, _)| *name).collect();
    }
    match of_listener(name) {
        Some(base) => vec![name, node_key(name).map_or(base, |key| key.name)],
        None => vec![name],
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::topic_key;
    use super::*;

    fn configs(entries: &[(&str, &str)]) -> Configs {
        entries.iter().map(|&(name, value)| (Arc::from(name), Arc::from(value))).collect()
    }

    fn file(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn a_topic_inherits_from_the_layer_that_goes_first_in_its_own_unit() {
        use ConfigSource::*;
        let key = topic_key("retention.ms").expect("a key of a topic");
        for (broker, cluster, in_file, want) in [
            (&[][..], &[][..], &[][..], ("604800000", Default)),
            (&[], &[], &[("log.retention.hours", "2")], ("7200000", StaticBroker)),
            (
                &[],
                &[],
                &[("log.retention.hours", "2"), ("log.retention.minutes", "3")],
                ("180000", StaticBroker),
            ),
            (
                &[],
                &[("log.retention.ms", "5")],
                &[("log.retention.ms", "6")],
                ("5", DynamicDefaultBroker),
            ),
            (&[("log.retention.ms", "4")], &[("log.retention.ms", "5")], &[], ("4", DynamicBroker)),
        ] {
            let (broker, cluster, file) = (configs(broker), configs(cluster), file(in_file));
            let layers = NodeLayers { broker: Some(&broker), cluster: Some(&cluster), file: &file };
            let (value, source) = layers.inherited(key).expect("it has a default");
            assert_eq!((&*value, source), want);
            let own = configs(&[("retention.ms", "1")]);
            let (value, source) = layers.topic_value(Some(&own), key).expect("it is set");
            assert_eq!((&*value, source), ("1", Topic));
        }
    }

    #[test]
    fn synonyms_are_told_as_kafka_does() {
        use ConfigSource::*;
        let file = file(&[("log.retention.hours", "2"), ("num.partitions", "3")]);
        let cluster = configs(&[("log.roll.ms", "5"), ("num.io.threads", "9")]);
        let layers = NodeLayers { broker: None, cluster: Some(&cluster), file: &file };
        for (name, want) in [
            (
                "num.partitions",
                &[("num.partitions", "3", StaticBroker), ("num.partitions", "1", Default)][..],
            ),
            (
                "num.io.threads",
                &[("num.io.threads", "9", DynamicDefaultBroker), ("num.io.threads", "8", Default)],
            ),
            (
                "log.roll.ms",
                &[("log.roll.ms", "5", DynamicDefaultBroker), ("log.roll.hours", "168", Default)],
            ),
            // What goes before the name itself is not told.
            ("log.roll.hours", &[("log.roll.hours", "168", Default)]),
            ("log.retention.ms", &[]),
            (
                "log.retention.hours",
                &[
                    ("log.retention.hours", "2", StaticBroker),
                    ("log.retention.hours", "168", Default),
                ],
            ),
            ("log.flush.interval.ms", &[]),
            ("broker.rack", &[]),
        ] {
            let found = layers.synonyms(name);
            let found: Vec<_> =
                found.iter().map(|synonym| (synonym.name, synonym.value, synonym.source)).collect();
            assert_eq!(found, want, "{name}");
        }
    }
}
