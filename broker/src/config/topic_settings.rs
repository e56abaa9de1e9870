//! From a topic's configuration and the node's defaults to what its partitions are served with. The
//! one place where Kafka's names of topic configurations meet our fields.

use std::collections::BTreeMap;

use controller::decide::Settings;
use controller::metadata::{ConfigResource, MetadataImage, topic_config};
use storage::{Durability, LogConfig};

use super::Properties;
use crate::replica::TopicSettings;

/// The broker key that a topic configuration falls back to. Source: `TopicConfigSynonyms` of Kafka's
/// `ServerTopicConfigSynonyms`. Where several stand, the first that is set wins; `factor` makes its
/// unit milliseconds.
const SYNONYMS: &[(&str, &[(&str, i64)])] = &[
    ("cleanup.policy", &[("log.cleanup.policy", 1)]),
    ("compression.gzip.level", &[("compression.gzip.level", 1)]),
    ("compression.lz4.level", &[("compression.lz4.level", 1)]),
    ("compression.type", &[("compression.type", 1)]),
    ("compression.zstd.level", &[("compression.zstd.level", 1)]),
    ("delete.retention.ms", &[("log.cleaner.delete.retention.ms", 1)]),
    ("file.delete.delay.ms", &[("log.segment.delete.delay.ms", 1)]),
    ("flush.messages", &[("log.flush.interval.messages", 1)]),
    ("flush.ms", &[("log.flush.interval.ms", 1), ("log.flush.scheduler.interval.ms", 1)]),
    ("index.interval.bytes", &[("log.index.interval.bytes", 1)]),
    ("local.retention.bytes", &[("log.local.retention.bytes", 1)]),
    ("local.retention.ms", &[("log.local.retention.ms", 1)]),
    ("max.compaction.lag.ms", &[("log.cleaner.max.compaction.lag.ms", 1)]),
    ("max.message.bytes", &[("message.max.bytes", 1)]),
    ("message.timestamp.after.max.ms", &[("log.message.timestamp.after.max.ms", 1)]),
    ("message.timestamp.before.max.ms", &[("log.message.timestamp.before.max.ms", 1)]),
    ("message.timestamp.type", &[("log.message.timestamp.type", 1)]),
    ("millrace.durability", &[("millrace.durability", 1)]),
    ("min.cleanable.dirty.ratio", &[("log.cleaner.min.cleanable.ratio", 1)]),
    ("min.compaction.lag.ms", &[("log.cleaner.min.compaction.lag.ms", 1)]),
    ("min.insync.replicas", &[("min.insync.replicas", 1)]),
    ("preallocate", &[("log.preallocate", 1)]),
    ("retention.bytes", &[("log.retention.bytes", 1)]),
    (
        "retention.ms",
        &[
            ("log.retention.ms", 1),
            ("log.retention.minutes", 60_000),
            ("log.retention.hours", 3_600_000),
        ],
    ),
    ("segment.bytes", &[("log.segment.bytes", 1)]),
    ("segment.index.bytes", &[("log.index.size.max.bytes", 1)]),
    ("segment.jitter.ms", &[("log.roll.jitter.ms", 1), ("log.roll.jitter.hours", 3_600_000)]),
    ("segment.ms", &[("log.roll.ms", 1), ("log.roll.hours", 3_600_000)]),
    ("unclean.leader.election.enable", &[("unclean.leader.election.enable", 1)]),
];

/// The broker keys that `name` falls back to, in order.
pub fn synonyms(name: &str) -> impl Iterator<Item = &'static str> {
    SYNONYMS
        .iter()
        .find(|(topic_config, _)| *topic_config == name)
        .map_or(&[][..], |(_, synonyms)| synonyms)
        .iter()
        .map(|(key, _)| *key)
}

/// What the broker's file says of topic configurations, by their topic names and in their units.
pub fn from_file(file: &Properties) -> BTreeMap<&'static str, String> {
    let value_of = |synonyms: &[(&str, i64)]| {
        synonyms.iter().find_map(|&(key, factor)| {
            let raw = file.value(key)?.trim();
            Some(match raw.parse::<i64>() {
                Ok(number) if factor != 1 => number.saturating_mul(factor).to_string(),
                _ => raw.to_owned(),
            })
        })
    };
    SYNONYMS.iter().filter_map(|(name, synonyms)| Some((*name, value_of(synonyms)?))).collect()
}

/// What the partitions of the topic called `topic` are served with.
pub fn settings(
    settings: &Settings,
    image: &MetadataImage,
    topic: &str,
    producer_id_expiration_ms: u64,
) -> TopicSettings {
    let own = image.config(&ConfigResource::topic(topic)).map(|own| &**own);
    let text = |name: &str| {
        let config = topic_config::find(name).expect("a topic configuration of Kafka's");
        settings.effective(image, own, config).value
    };
    // Values were checked when they were set; what a foreign log holds beyond them is clamped.
    let number = |name: &str| text(name).trim().parse::<i64>().unwrap_or(0);
    let unsigned = |name: &str| u64::try_from(number(name)).unwrap_or(0);
    let small = |name: &str| u32::try_from(number(name)).unwrap_or(u32::MAX);
    let has_policy = |word: &str| text("cleanup.policy").split(',').any(|it| it.trim() == word);
    let compacted = has_policy("compact");
    // What is never compacted while it is in the active segment must not stay there for longer.
    let segment_ms = match unsigned("max.compaction.lag.ms") {
        lag_ms @ 1.. if compacted => lag_ms.min(unsigned("segment.ms")),
        _ => unsigned("segment.ms"),
    };
    let segment_size_bytes = match text("internal.segment.bytes").trim().parse::<u32>() {
        Ok(size_bytes) => size_bytes,
        Err(_) => small("segment.bytes"),
    };
    TopicSettings {
        message_size_bytes_max: small("max.message.bytes") as usize,
        log_append_time: text("message.timestamp.type") == "LogAppendTime",
        timestamp_before_ms_max: number("message.timestamp.before.max.ms"),
        timestamp_after_ms_max: number("message.timestamp.after.max.ms"),
        compacted,
        log: LogConfig {
            segment_size_bytes,
            segment_ms,
            segment_jitter_ms: unsigned("segment.jitter.ms"),
            index_interval_bytes: small("index.interval.bytes"),
            index_size_bytes_max: small("segment.index.bytes"),
            producer_id_expiration_ms,
            cleanup_deletes: has_policy("delete"),
            retention_ms: u64::try_from(number("retention.ms")).ok(),
            retention_bytes: u64::try_from(number("retention.bytes")).ok(),
            file_delete_delay_ms: unsigned("file.delete.delay.ms"),
            durability: match text("millrace.durability").as_str() {
                "written" => Durability::Written,
                _ => Durability::Flushed,
            },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_inherits_from_the_file_in_its_own_unit() {
        for (file, name, want) in [
            ("", "segment.ms", None),
            ("log.roll.hours=2", "segment.ms", Some("7200000")),
            ("log.roll.hours=2\nlog.roll.ms=5", "segment.ms", Some("5")),
            ("message.max.bytes=9", "max.message.bytes", Some("9")),
        ] {
            let file = Properties::parse(file).expect("well formed");
            assert_eq!(from_file(&file).get(name).map(String::as_str), want, "{name}");
        }
    }

    #[test]
    fn settings_take_kafkas_defaults() {
        let day_ms = 24 * 3_600_000;
        let image = MetadataImage::default();
        let settings = settings(&Settings::default(), &image, "orders", day_ms);
        assert_eq!(settings.log, LogConfig::default());
        assert_eq!(settings.message_size_bytes_max, 1_048_588);
        assert!(!settings.log_append_time && !settings.compacted);
    }
}
