//! The group coordinator's part of the configuration.

use protocol::record_batch::{Codec, Compression};

use super::broker_config::Reader;
use crate::coordinator::group::GroupConfig;

pub(super) fn read(reader: &Reader<'_>) -> GroupConfig {
    let number = |key: &str| reader.integer(key).unwrap_or(0);
    let int = |key: &str| i32::try_from(number(key)).unwrap_or(i32::MAX);
    GroupConfig {
        session_timeout_ms_min: int("group.min.session.timeout.ms"),
        session_timeout_ms_max: int("group.max.session.timeout.ms"),
        initial_rebalance_delay_ms: int("group.initial.rebalance.delay.ms"),
        member_count_max: reader.size("group.max.size"),
        metadata_length_max: reader.size("offset.metadata.max.bytes"),
        offsets_retention_ms: number("offsets.retention.minutes") * 60_000,
        offsets_retention_check_ms: reader.size("offsets.retention.check.interval.ms") as u64,
        offsets_topic_partition_count: int("offsets.topic.num.partitions"),
        offsets_topic_replication_factor: i16::try_from(number("offsets.topic.replication.factor"))
            .unwrap_or(i16::MAX),
        offsets_topic_segment_size_bytes: u32::try_from(number("offsets.topic.segment.bytes"))
            .unwrap_or(u32::MAX),
        compression: compression(number("offsets.topic.compression.codec")),
    }
}

/// The codec of Kafka's number, as hard as Kafka tries; none for a number that is no codec's.
fn compression(number: i64) -> Compression {
    let codec = i16::try_from(number).ok().and_then(|id| Codec::from_id(id).ok());
    codec.map_or(Compression::None, Compression::usual)
}
