//! Keys of a node: topics and what clients ask of them.

use crate::config::key::{Key, keys};

pub const TOPICS: &[Key] = keys! {
    /// A class that judges changed configurations. It cannot be run here, so setting it is refused.
    "alter.config.policy.class.name": Class, Any, Low, ReadOnly, Refused;
    /// Whether a client that asks for a topic which does not exist may have it made.
    "auto.create.topics.enable": Boolean = "true", Any, High, ReadOnly, Honoured;
    /// The level at which the broker compresses with gzip, where a topic says nothing else.
    "compression.gzip.level": Int = "-1", MinusOneOr(1, 9), Medium, ClusterWide, Honoured;
    /// The level at which the broker compresses with LZ4, where a topic says nothing else. Here
    /// there is one for all.
    "compression.lz4.level": Int = "9", Between(1, 17), Medium, ClusterWide, NoEffect;
    /// The codec that stored batches have, where a topic says nothing else; `producer` leaves them
    /// as they come.
    "compression.type": String = "producer",
        OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]),
        High, ClusterWide, Honoured;
    /// The level at which the broker compresses with Zstandard, where a topic says nothing else.
    "compression.zstd.level": Int = "3", Between(-131_072, 22), Medium, ClusterWide, Honoured;
    /// A class that judges new topics. It cannot be run here, so setting it is refused.
    "create.topic.policy.class.name": Class, Any, Low, ReadOnly, Refused;
    /// How many replicas a new topic's partitions have where nobody says so.
    "default.replication.factor": Int = "1", Any, Medium, ReadOnly, Honoured;
    /// How many delayed DeleteRecords requests may be finished before they are swept. Here they
    /// leave by themselves.
    "delete.records.purgatory.purge.interval.requests": Int = "1", Any, Medium, ReadOnly, NoEffect;
    /// Whether topics can be deleted.
    "delete.topic.enable": Boolean = "true", Any, High, ReadOnly, Honoured;
    /// The most bytes that a fetch is answered with, over all of its partitions.
    "fetch.max.bytes": Int = "57671680", AtLeast(1_024), Medium, ReadOnly, Honoured;
    /// How many delayed fetches may be finished before they are swept. Here they leave by
    /// themselves.
    "fetch.purgatory.purge.interval.requests": Int = "1000", Any, Medium, ReadOnly, NoEffect;
    /// Whether a new follower begins at the first offset that is not in remote storage yet.
    "follower.fetch.last.tiered.offset.enable": Boolean = "false",
        Any, Medium, ClusterWide, NoEffect;
    /// How many incremental fetch sessions are kept.
    "max.incremental.fetch.session.cache.slots": Int = "1000",
        AtLeast(0), Medium, ReadOnly, Honoured;
    /// The largest record batch, where a topic says nothing else.
    "message.max.bytes": Int = "1048588", AtLeast(0), High, ClusterWide, Honoured;
    /// How many replicas must be in sync for a write with `acks=all`, where a topic says nothing
    /// else.
    "min.insync.replicas": Int = "1", AtLeast(1), High, ClusterWide, Honoured;
    /// How many partitions a new topic has where nobody says so.
    "num.partitions": Int = "1", AtLeast(1), Medium, ReadOnly, Honoured;
    /// How many delayed produce requests may be finished before they are swept. Here they leave by
    /// themselves.
    "producer.purgatory.purge.interval.requests": Int = "1000", Any, Medium, ReadOnly, NoEffect;
    /// How many delayed share fetches may be finished before they are swept.
    "share.fetch.purgatory.purge.interval.requests": Int = "1000", Any, Medium, ReadOnly, NoEffect;
    /// Whether a replica that was not in sync may become leader and so lose records, where a topic
    /// says nothing else.
    "unclean.leader.election.enable": Boolean = "false", Any, High, ClusterWide, NoEffect;
};
