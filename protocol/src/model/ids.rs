//! Small integer ids and counters.

use std::fmt;

use super::DirectoryId;

macro_rules! counter {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl $name {
            /// From the wire, where a negative number means "none".
            pub fn from_wire(raw: $inner) -> Option<Self> {
                (raw >= 0).then_some($name(raw))
            }

            /// To the wire, where "none" is -1.
            pub fn to_wire(value: Option<Self>) -> $inner {
                value.map_or(-1, |value| value.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

counter! {
    /// A partition of a topic, counted from 0.
    PartitionId(i32)
}
counter! {
    /// A broker or controller: `node.id`.
    BrokerId(i32)
}
counter! {
    /// Counts the leaders of one partition; grows with each change of leader.
    LeaderEpoch(i32)
}
counter! {
    /// Counts the incarnations of one broker: the offset of its registration in the metadata log.
    BrokerEpoch(i64)
}
counter! {
    /// Counts the changes of one partition's metadata; grows with each of them.
    PartitionEpoch(i32)
}
counter! {
    /// Given out by the controller in blocks, to producers by InitProducerId.
    ProducerId(i64)
}
counter! {
    /// Fences older incarnations of one producer id.
    ProducerEpoch(i16)
}
counter! {
    /// Number of a producer's record within a partition; wraps from `i32::MAX` to 0. Source: KIP-98.
    Sequence(i32)
}

/// A voter or observer of the metadata quorum: a node and the log directory that it votes with, so
/// that a node which lost its disk is not taken for the voter it was. Source: KIP-853.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaKey {
    pub id: BrokerId,
    /// `None` under `kraft.version` 0, where voters are known by their id alone.
    pub directory_id: Option<DirectoryId>,
}

impl fmt::Display for ReplicaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.directory_id {
            Some(directory_id) => write!(f, "{}@{directory_id}", self.id),
            None => self.id.fmt(f),
        }
    }
}

impl LeaderEpoch {
    #[must_use]
    pub fn next(self) -> Self {
        LeaderEpoch(self.0 + 1)
    }
}

impl PartitionEpoch {
    #[must_use]
    pub fn next(self) -> Self {
        PartitionEpoch(self.0 + 1)
    }
}

impl Sequence {
    /// The sequence `count` records later, wrapping as Kafka's `DefaultRecordBatch` does.
    #[must_use]
    pub fn plus(self, count: i32) -> Self {
        let sum = i64::from(self.0) + i64::from(count);
        Sequence((sum % (i64::from(i32::MAX) + 1)) as i32)
    }
}
