//! Keys of a node that are not part of what it is described with.

use crate::config::key::{Key, keys};

/// Keys that can be set while a broker runs, and not in its file.
pub const DYNAMIC_ONLY: &[Key] = keys! {
    /// How many bytes a second the throttled replicas of this broker fetch as followers, at most.
    "follower.replication.throttled.rate": Long = "9223372036854775807",
        AtLeast(0), Medium, ClusterWide, NoEffect;
    /// How many bytes a second the throttled replicas of this broker serve to followers, at most.
    "leader.replication.throttled.rate": Long = "9223372036854775807",
        AtLeast(0), Medium, ClusterWide, NoEffect;
    /// How many bytes a second move between the log directories of this broker, at most.
    "replica.alter.log.dirs.io.max.bytes.per.second": Long = "9223372036854775807",
        AtLeast(0), Medium, ClusterWide, NoEffect;
};

/// Keys that Apache Kafka keeps to itself.
pub const INTERNAL: &[Key] = keys! {
    /// How long an event of the controller may take before it is always logged. For tests.
    "controller.performance.always.log.threshold.ms": Long = "2000",
        AtLeast(0), Medium, ReadOnly, NoEffect;
    /// Over how long the controller sums up the times of its events. For tests.
    "controller.performance.sample.period.ms": Long = "60000",
        AtLeast(100), Medium, ReadOnly, NoEffect;
    /// How often subscriptions by pattern are looked up again. For tests.
    "group.consumer.regex.refresh.interval.ms": Int = "600000",
        AtLeast(10_000), Medium, ReadOnly, NoEffect;
    /// How long a share group waits before it tries again to make its state. For tests.
    "group.share.initialize.retry.interval.ms": Int = "30000", AtLeast(1), Low, ReadOnly, NoEffect;
    /// The class that keeps the state of share groups. For tests.
    "group.share.persister.class.name": String = "org.apache.kafka.server.share.persister.DefaultStatePersister",
        Any, Medium, ReadOnly, NoEffect;
    /// How long a deleted file of the metadata log is kept. For tests.
    "internal.metadata.delete.delay.millis": Long = "60000", Any, Low, ReadOnly, NoEffect;
    /// The same as `metadata.log.segment.bytes` without its lower bound. For tests.
    "internal.metadata.log.segment.bytes": Int, Any, Low, ReadOnly, NoEffect;
    /// The largest batch of the metadata log. For tests.
    "internal.metadata.max.batch.size.in.bytes": Int = "8388608", Any, Low, ReadOnly, NoEffect;
    /// How long after the start the first of the tasks that are done from time to time is due. For
    /// tests.
    "log.initial.task.delay.ms": Long = "30000", AtLeast(0), Low, ReadOnly, Honoured;
    /// How often a partition looks for producers to forget. For tests.
    "producer.id.expiration.check.interval.ms": Int = "600000", AtLeast(1), Low, ReadOnly, Honoured;
    /// How long an unused index of a remote segment stays cached. For tests.
    "remote.log.index.file.cache.ttl.ms": Long = "900000", AtLeast(-1), Low, ReadOnly, NoEffect;
    /// The longest pause after a failed move. For tests.
    "remote.log.manager.task.retry.backoff.max.ms": Long = "30000",
        AtLeast(1), Low, ReadOnly, NoEffect;
    /// The first pause after a failed move. For tests.
    "remote.log.manager.task.retry.backoff.ms": Long = "500", AtLeast(1), Low, ReadOnly, NoEffect;
    /// Which share of that pause is random. For tests.
    "remote.log.manager.task.retry.jitter": Double = "0.2",
        Fraction(0.0, 0.5), Low, ReadOnly, NoEffect;
    /// How long a start may take before it counts as failed. For tests.
    "server.max.startup.time.ms": Long = "9223372036854775807",
        AtLeast(0), Medium, ReadOnly, NoEffect;
    /// How often idle share partitions get a snapshot. For tests.
    "share.coordinator.cold.partition.snapshot.interval.ms": Int = "300000",
        AtLeast(1), Low, ReadOnly, NoEffect;
    /// How often the topic of share groups' state is cut at its start. For tests.
    "share.coordinator.state.topic.prune.interval.ms": Int = "300000",
        AtLeast(1), Low, ReadOnly, NoEffect;
    /// How often the controller looks for partitions whose topics allow an unclean leader. For
    /// tests.
    "unclean.leader.election.interval.ms": Long = "300000", AtLeast(1), Medium, ReadOnly, NoEffect;
    /// Whether versions of APIs that are still being made are offered. For tests.
    "unstable.api.versions.enable": Boolean = "false", Any, High, ReadOnly, NoEffect;
    /// Whether levels of features that are still being made are offered. For tests.
    "unstable.feature.versions.enable": Boolean = "false", Any, High, ReadOnly, NoEffect;
};
