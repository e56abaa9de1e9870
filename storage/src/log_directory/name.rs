//! Names of directories: which partition one holds, and what is being done with it.

use std::fmt;
use std::path::{Path, PathBuf};

use protocol::model::{PartitionId, Uuid};

/// A partition by name, as directories and checkpoint files name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    pub topic: String,
    pub partition: PartitionId,
}

impl TopicPartition {
    /// Whose log lies in a directory of this name; `None` where it is no partition's, or a deleted
    /// one's.
    pub fn from_directory_name(name: &str) -> Option<TopicPartition> {
        match DirectoryName::parse(name)? {
            DirectoryName::Partition(partition) => Some(partition),
            DirectoryName::Deleted(_) | DirectoryName::Stray(_) | DirectoryName::Future(_) => None,
        }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// What a directory below `log.dirs` is, by its name. Source: Kafka's `UnifiedLog` and `LogManager`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DirectoryName {
    Partition(TopicPartition),
    /// `<topic>-<partition>.<uuid>-delete`: its removal was under way.
    Deleted(TopicPartition),
    /// `<topic>-<partition>.<uuid>-stray`: Kafka found no such partition in the metadata.
    Stray(TopicPartition),
    /// `<topic>-<partition>.<uuid>-future`: a move from another log directory was under way.
    Future(TopicPartition),
}

impl DirectoryName {
    pub(crate) fn parse(name: &str) -> Option<DirectoryName> {
        let suffixed = |suffix: &str| {
            let (partition, unique) = name.strip_suffix(suffix)?.rsplit_once('.')?;
            if unique.is_empty() { None } else { parse_partition(partition) }
        };
        if let Some(partition) = suffixed(DELETE_SUFFIX) {
            return Some(DirectoryName::Deleted(partition));
        }
        if let Some(partition) = suffixed(STRAY_SUFFIX) {
            return Some(DirectoryName::Stray(partition));
        }
        if let Some(partition) = suffixed("-future") {
            return Some(DirectoryName::Future(partition));
        }
        parse_partition(name).map(DirectoryName::Partition)
    }
}

fn parse_partition(name: &str) -> Option<TopicPartition> {
    let (topic, partition) = name.rsplit_once('-')?;
    let is_number = !partition.is_empty() && partition.bytes().all(|byte| byte.is_ascii_digit());
    if topic.is_empty() || !is_number {
        return None;
    }
    let partition = PartitionId(partition.parse().ok()?);
    Some(TopicPartition { topic: topic.to_owned(), partition })
}

/// The longest name of a directory that Linux file systems take.
const NAME_SIZE_BYTES_MAX: usize = 255;

pub(crate) const DELETE_SUFFIX: &str = "-delete";
pub(crate) const STRAY_SUFFIX: &str = "-stray";

/// A new path for the directory of a partition that is deleted or set aside.
pub(crate) fn renamed(directory: &Path, suffix: &str) -> PathBuf {
    let mut unique = [0; 16];
    reactor::random::fill(&mut unique);
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    directory.with_file_name(unique_name(&name, Uuid::from_random(unique), suffix))
}

/// The name that the directory `name` gets. A long topic's name is cut, as Kafka does: the id keeps it
/// unique.
fn unique_name(name: &str, unique: Uuid, suffix: &str) -> String {
    let unique: String = unique.0.iter().map(|byte| format!("{byte:02x}")).collect();
    let suffix = format!(".{unique}{suffix}");
    let whole = format!("{name}{suffix}");
    if whole.len() <= NAME_SIZE_BYTES_MAX {
        return whole;
    }
    let (topic, partition) = name.rsplit_once('-').unwrap_or((name, "0"));
    // Topic names are ASCII: any cut falls between characters.
    let room = NAME_SIZE_BYTES_MAX - suffix.len() - 1 - partition.len();
    let topic: String = topic.chars().take(room).collect();
    format!("{topic}-{partition}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(topic: &str, partition: i32) -> TopicPartition {
        TopicPartition { topic: topic.to_owned(), partition: PartitionId(partition) }
    }

    #[test]
    fn names_say_what_a_directory_is() {
        for (name, want) in [
            ("orders-0", Some(DirectoryName::Partition(partition("orders", 0)))),
            ("a-b.c-12", Some(DirectoryName::Partition(partition("a-b.c", 12)))),
            (
                "__cluster_metadata-0",
                Some(DirectoryName::Partition(partition("__cluster_metadata", 0))),
            ),
            ("orders-1.0f-delete", Some(DirectoryName::Deleted(partition("orders", 1)))),
            ("a.b-1.0f-stray", Some(DirectoryName::Stray(partition("a.b", 1)))),
            ("orders-1.0f-future", Some(DirectoryName::Future(partition("orders", 1)))),
            ("orders", None),
            ("-1", None),
            ("orders-", None),
            ("orders-+1", None),
            ("orders-x", None),
            ("orders-1.-delete", None),
            ("orders-99999999999", None),
        ] {
            assert_eq!(DirectoryName::parse(name), want, "{name}");
        }
    }

    #[test]
    fn a_deleted_name_fits_and_parses() {
        for topic in ["orders".to_owned(), "x".repeat(249)] {
            let name = unique_name(&format!("{topic}-41"), Uuid::ONE, DELETE_SUFFIX);
            assert!(name.len() <= NAME_SIZE_BYTES_MAX, "{name}");
            assert!(name.ends_with(".00000000000000000000000000000001-delete"), "{name}");
            assert!(
                matches!(DirectoryName::parse(&name), Some(DirectoryName::Deleted(_))),
                "{name}"
            );
        }
    }
}
