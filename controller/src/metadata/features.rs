//! Features and their levels. Source: KIP-584, KIP-778, KIP-1022.

use std::ops::RangeInclusive;

use crate::raft::KRAFT_VERSION_MAX;

pub const METADATA_VERSION: &str = "metadata.version";
pub const KRAFT_VERSION: &str = "kraft.version";
pub const ELR_VERSION: &str = "eligible.leader.replicas.version";
pub const GROUP_VERSION: &str = "group.version";
pub const SHARE_VERSION: &str = "share.version";
pub const STREAMS_VERSION: &str = "streams.version";
pub const TRANSACTION_VERSION: &str = "transaction.version";

/// 3.3-IV3: the oldest level that Kafka 4 reads.
pub const METADATA_VERSION_MIN: i16 = 7;
/// 4.3-IV0: the records that we write.
pub const METADATA_VERSION_MAX: i16 = 30;

/// What our software can serve, by feature name.
pub const SUPPORTED_FEATURES: [(&str, RangeInclusive<i16>); 7] = [
    (ELR_VERSION, 0..=1),
    (GROUP_VERSION, 0..=1),
    (KRAFT_VERSION, 0..=KRAFT_VERSION_MAX),
    (METADATA_VERSION, METADATA_VERSION_MIN..=METADATA_VERSION_MAX),
    (SHARE_VERSION, 0..=1),
    (STREAMS_VERSION, 0..=1),
    (TRANSACTION_VERSION, 0..=2),
];

/// Names of the `metadata.version` levels from [`METADATA_VERSION_MIN`] on.
const METADATA_VERSION_NAMES: [&str; 24] = [
    "3.3-IV3", "3.4-IV0", "3.5-IV0", "3.5-IV1", "3.5-IV2", "3.6-IV0", "3.6-IV1", "3.6-IV2",
    "3.7-IV0", "3.7-IV1", "3.7-IV2", "3.7-IV3", "3.7-IV4", "3.8-IV0", "3.9-IV0", "4.0-IV0",
    "4.0-IV1", "4.0-IV2", "4.0-IV3", "4.1-IV0", "4.1-IV1", "4.2-IV0", "4.2-IV1", "4.3-IV0",
];

/// Kafka's name of a `metadata.version` level, such as `4.3-IV0`.
pub fn metadata_version_name(level: i16) -> Option<&'static str> {
    let index = usize::try_from(level.checked_sub(METADATA_VERSION_MIN)?).ok()?;
    METADATA_VERSION_NAMES.get(index).copied()
}

/// Levels of `metadata.version` whose records have a content that the level below does not know.
const METADATA_CHANGES: [i16; 9] = [7, 8, 11, 13, 14, 15, 17, 23, 30];

/// Whether records that level `from` writes may say what level `to`, which is lower, cannot.
pub fn metadata_changed_since(to: i16, from: i16) -> bool {
    METADATA_CHANGES.iter().any(|&level| to < level && level <= from)
}
