//! The topic of committed offsets, and which of its partitions has a group.

use protocol::messages::create_topics::{CreatableTopic, CreatableTopicConfig};

use super::config::GroupConfig;

pub const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// The partition, of so many, whose leader coordinates `group`. Source: `GroupCoordinatorService.partitionFor`.
pub fn partition_of(group: &str, partition_count: usize) -> i32 {
    // Java's hash of a string, whose absolute value Kafka takes.
    let hash = group
        .encode_utf16()
        .fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    let partition_count = i32::try_from(partition_count.max(1)).unwrap_or(i32::MAX);
    hash.checked_abs().unwrap_or(0) % partition_count
}

/// The topic as it is made when somebody first asks for a coordinator. Source:
/// `GroupCoordinatorService.groupMetadataTopicConfigs`.
pub fn offsets_topic(config: &GroupConfig) -> CreatableTopic {
    let configs = [
        ("cleanup.policy", "compact".to_owned()),
        ("compression.type", "producer".to_owned()),
        ("segment.bytes", config.offsets_topic_segment_size_bytes.to_string()),
    ];
    let configs = configs
        .into_iter()
        .map(|(name, value)| CreatableTopicConfig { name: name.into(), value: Some(value.into()) });
    CreatableTopic {
        name: OFFSETS_TOPIC.into(),
        num_partitions: config.offsets_topic_partition_count,
        replication_factor: config.offsets_topic_replication_factor,
        configs: configs.collect(),
        ..CreatableTopic::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_where_kafka_has_them() {
        // Hashes as Java has them: "" 0, "a" 97, "group" 98629247, "polygenelubricants" the least of all.
        for (group, count, want) in [
            ("", 50, 0),
            ("a", 50, 47),
            ("group", 50, 47),
            ("group", 7, 98_629_247 % 7),
            ("polygenelubricants", 50, 0),
            ("\u{1f980}", 50, 2),
        ] {
            assert_eq!(partition_of(group, count), want, "{group} of {count}");
        }
    }
}
