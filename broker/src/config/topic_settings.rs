//! From a topic's configuration and what it inherits to what its partitions are served with. The one
//! place where Kafka's names of topic configurations meet our fields.

use controller::config::{NodeLayers, topic_key};
use controller::metadata::Configs;
use protocol::record_batch::{Compression, Depth};
use storage::{Durability, LogConfig};

use crate::replica::TopicSettings;

/// Kafka's default, where a foreign log says what is no number.
const MIN_CLEANABLE_DIRTY_RATIO: f64 = 0.5;

/// What the partitions of a topic that sets `own` are served with on the node of `layers`.
pub fn settings(layers: &NodeLayers<'_>, own: Option<&Configs>) -> TopicSettings {
    let found = |name: &str| {
        let key = topic_key(name).expect("a topic configuration of Kafka's");
        layers.topic_value(own, key).map(|(value, _)| value)
    };
    let text = |name: &str| found(name).unwrap_or_default();
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
    let segment_size_bytes = match found("internal.segment.bytes").map(|text| text.trim().parse()) {
        Some(Ok(size_bytes)) => size_bytes,
        Some(Err(_)) | None => small("segment.bytes"),
    };
    let producer_id_expiration_ms = layers.number("producer.id.expiration.ms");
    TopicSettings {
        message_size_bytes_max: small("max.message.bytes") as usize,
        log_append_time: text("message.timestamp.type") == "LogAppendTime",
        timestamp_before_ms_max: number("message.timestamp.before.max.ms"),
        timestamp_after_ms_max: number("message.timestamp.after.max.ms"),
        compacted,
        compression: match &*text("compression.type") {
            "uncompressed" => Some(Compression::None),
            // Below 1 is -1: the codec's own level.
            "gzip" => Some(Compression::Gzip {
                level: u32::try_from(number("compression.gzip.level")).ok(),
            }),
            "snappy" => Some(Compression::Snappy),
            "lz4" => Some(Compression::Lz4),
            "zstd" => Some(Compression::Zstd {
                level: i32::try_from(number("compression.zstd.level")).unwrap_or(0),
            }),
            _ => None,
        },
        validation: match &*text("millrace.produce.validation") {
            "records" => Depth::Records,
            _ => Depth::Header,
        },
        log: LogConfig {
            segment_size_bytes,
            segment_ms,
            segment_jitter_ms: unsigned("segment.jitter.ms"),
            index_interval_bytes: small("index.interval.bytes"),
            index_size_bytes_max: small("segment.index.bytes"),
            producer_id_expiration_ms: producer_id_expiration_ms
                .and_then(|expiration_ms| u64::try_from(expiration_ms).ok())
                .unwrap_or(u64::MAX),
            cleanup_deletes: has_policy("delete"),
            cleanup_compacts: compacted,
            min_cleanable_dirty_ratio: text("min.cleanable.dirty.ratio")
                .trim()
                .parse()
                .unwrap_or(MIN_CLEANABLE_DIRTY_RATIO),
            min_compaction_lag_ms: unsigned("min.compaction.lag.ms"),
            max_compaction_lag_ms: unsigned("max.compaction.lag.ms"),
            delete_retention_ms: unsigned("delete.retention.ms"),
            retention_ms: u64::try_from(number("retention.ms")).ok(),
            retention_bytes: u64::try_from(number("retention.bytes")).ok(),
            file_delete_delay_ms: unsigned("file.delete.delay.ms"),
            durability: match &*text("millrace.durability") {
                "written" => Durability::Written,
                _ => Durability::Flushed,
            },
        },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;

    #[test]
    fn settings_take_kafkas_defaults() {
        let file = BTreeMap::new();
        let settings = settings(&NodeLayers::of_file(&file), None);
        assert_eq!(settings.log, LogConfig::default());
        assert_eq!(settings.message_size_bytes_max, 1_048_588);
        assert!(!settings.log_append_time && !settings.compacted);
        assert_eq!((settings.compression, settings.validation), (None, Depth::Header));
    }

    #[test]
    fn a_codec_comes_with_its_level() {
        let file = BTreeMap::from([
            ("compression.type".to_owned(), "gzip".to_owned()),
            ("compression.zstd.level".to_owned(), "-7".to_owned()),
        ]);
        for (own, want) in [
            (&[][..], Some(Compression::Gzip { level: None })),
            (&[("compression.gzip.level", "9")], Some(Compression::Gzip { level: Some(9) })),
            (&[("compression.type", "zstd")], Some(Compression::Zstd { level: -7 })),
            (
                &[("compression.type", "zstd"), ("compression.zstd.level", "22")],
                Some(Compression::Zstd { level: 22 }),
            ),
            (&[("compression.type", "lz4")], Some(Compression::Lz4)),
            (&[("compression.type", "snappy")], Some(Compression::Snappy)),
            (&[("compression.type", "uncompressed")], Some(Compression::None)),
            (&[("compression.type", "producer")], None),
        ] {
            let own: Configs =
                own.iter().map(|&(name, value)| (Arc::from(name), Arc::from(value))).collect();
            let got = settings(&NodeLayers::of_file(&file), Some(&own)).compression;
            assert_eq!(got, want, "{own:?}");
        }
    }

    #[test]
    fn a_topic_goes_before_its_node() {
        let text = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let file = BTreeMap::from([
            text("log.retention.hours", "2"),
            text("log.segment.bytes", "2097152"),
            text("producer.id.expiration.ms", "7"),
        ]);
        let own = Configs::from([(Arc::from("segment.bytes"), Arc::from("1048576"))]);
        let settings = settings(&NodeLayers::of_file(&file), Some(&own));
        assert_eq!(settings.log.retention_ms, Some(7_200_000));
        assert_eq!(settings.log.segment_size_bytes, 1_048_576);
        assert_eq!(settings.log.producer_id_expiration_ms, 7);
    }
}
