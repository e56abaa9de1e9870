//! Keys of a node: groups of all kinds and what they commit.

use crate::config::key::{Key, keys};

pub const GROUP: &[Key] = keys! {
    /// The shortest time between two assignments of a consumer group.
    "group.consumer.assignment.interval.ms": Int = "1000",
        AtLeast(0), Medium, ClusterWide, NoEffect;
    /// How consumer groups share out partitions; the first is the default.
    "group.consumer.assignors": List = "uniform,range", Items, Medium, ReadOnly, NoEffect;
    /// How often a member of a consumer group reports.
    "group.consumer.heartbeat.interval.ms": Int = "5000", AtLeast(1), Medium, ReadOnly, NoEffect;
    /// The most that a consumer group may set for the time between assignments.
    "group.consumer.max.assignment.interval.ms": Int = "15000",
        AtLeast(0), Medium, ReadOnly, NoEffect;
    /// The most that a group may set for its heartbeats.
    "group.consumer.max.heartbeat.interval.ms": Int = "15000",
        AtLeast(1), Medium, ReadOnly, NoEffect;
    /// The most that a group may set for its session.
    "group.consumer.max.session.timeout.ms": Int = "60000", AtLeast(1), Medium, ReadOnly, NoEffect;
    /// How many members a consumer group may have.
    "group.consumer.max.size": Int = "2147483647", AtLeast(1), Medium, ReadOnly, NoEffect;
    /// Whether groups may pass between the classic and the consumer protocol.
    "group.consumer.migration.policy": String = "bidirectional",
        AnyCaseOf(&["DISABLED", "DOWNGRADE", "UPGRADE", "BIDIRECTIONAL"]),
        Medium, ReadOnly, NoEffect;
    /// The least that a consumer group may set for the time between assignments.
    "group.consumer.min.assignment.interval.ms": Int = "0", AtLeast(0), Medium, ReadOnly, NoEffect;
    /// The least that a group may set for its heartbeats.
    "group.consumer.min.heartbeat.interval.ms": Int = "5000",
        AtLeast(1), Medium, ReadOnly, NoEffect;
    /// The least that a group may set for its session.
    "group.consumer.min.session.timeout.ms": Int = "45000", AtLeast(1), Medium, ReadOnly, NoEffect;
    /// How long a member of a consumer group may be silent before it is removed.
    "group.consumer.session.timeout.ms": Int = "45000", AtLeast(1), Medium, ReadOnly, NoEffect;
    /// How long a coordinator gathers writes into one batch; -1 for as long as it has work.
    "group.coordinator.append.linger.ms": Int = "-1", AtLeast(-1), Medium, ReadOnly, NoEffect;
    /// Threads that compute assignments of groups.
    "group.coordinator.background.threads": Int = "2", AtLeast(1), High, ReadOnly, NoEffect;
    /// The largest buffer that a coordinator keeps to use it again.
    "group.coordinator.cached.buffer.max.bytes": Int = "1048588",
        AtLeast(524_288), Medium, ClusterWide, NoEffect;
    /// The kinds of group that are served.
    "group.coordinator.rebalance.protocols": List = "classic,consumer,streams",
        SubsetOf(&["consumer", "classic", "share", "streams"]), Medium, ReadOnly, NoEffect;
    /// Threads that serve groups.
    "group.coordinator.threads": Int = "4", AtLeast(1), High, ReadOnly, NoEffect;
    /// How long an empty classic group waits for more members before it first shares out
    /// partitions.
    "group.initial.rebalance.delay.ms": Int = "3000", Any, Medium, ReadOnly, Honoured;
    /// The longest session that a member of a classic group may ask for.
    "group.max.session.timeout.ms": Int = "1800000", Any, Medium, ReadOnly, Honoured;
    /// How many members a classic group may have.
    "group.max.size": Int = "2147483647", AtLeast(1), Medium, ReadOnly, Honoured;
    /// The shortest session that a member of a classic group may ask for.
    "group.min.session.timeout.ms": Int = "6000", Any, Medium, ReadOnly, Honoured;
    /// The shortest time between two assignments of a share group.
    "group.share.assignment.interval.ms": Int = "1000", AtLeast(0), Medium, ClusterWide, NoEffect;
    /// How share groups share out partitions.
    "group.share.assignors": List = "simple", Items, Medium, ReadOnly, NoEffect;
    /// How often a record is delivered to a share group before it is given up.
    "group.share.delivery.count.limit": Int = "5", Between(2, 10), Medium, ReadOnly, NoEffect;
    /// How often a member of a share group reports.
    "group.share.heartbeat.interval.ms": Int = "5000", AtLeast(1), Medium, ReadOnly, NoEffect;
    /// The most that a share group may set for the time between assignments.
    "group.share.max.assignment.interval.ms": Int = "15000", AtLeast(0), Medium, ReadOnly, NoEffect;
    /// The most that a share group may set for deliveries.
    "group.share.max.delivery.count.limit": Int = "10", Between(5, 25), Medium, ReadOnly, NoEffect;
    /// The most that a share group may set for its heartbeats.
    "group.share.max.heartbeat.interval.ms": Int = "15000", AtLeast(1), Medium, ReadOnly, NoEffect;
    /// The most that a share group may set for records held at once.
    "group.share.max.partition.max.record.locks": Int = "4000",
        Between(2_000, 10_000), Medium, ReadOnly, NoEffect;
    /// The most that a share group may set for holding a record.
    "group.share.max.record.lock.duration.ms": Int = "60000",
        Between(30_000, 3_600_000), Medium, ReadOnly, NoEffect;
    /// The most that a share group may set for its session.
    "group.share.max.session.timeout.ms": Int = "60000", AtLeast(1), Medium, ReadOnly, NoEffect;
    /// How many share sessions a broker keeps.
    "group.share.max.share.sessions": Int = "2000", AtLeast(1), Medium, ReadOnly, NoEffect;
    /// How many members a share group may have.
    "group.share.max.size": Int = "200", Between(1, 1_000), Medium, ReadOnly, NoEffect;
    /// The least that a share group may set for the time between assignments.
    "group.share.min.assignment.interval.ms": Int = "0", AtLeast(0), Medium, ReadOnly, NoEffect;
    /// The least that a share group may set for deliveries.
    "group.share.min.delivery.count.limit": Int = "2", Between(2, 5), Medium, ReadOnly, NoEffect;
    /// The least that a share group may set for its heartbeats.
    "group.share.min.heartbeat.interval.ms": Int = "5000", AtLeast(1), Medium, ReadOnly, NoEffect;
    /// The least that a share group may set for records held at once.
    "group.share.min.partition.max.record.locks": Int = "100",
        Between(100, 2_000), Medium, ReadOnly, NoEffect;
    /// The least that a share group may set for holding a record.
    "group.share.min.record.lock.duration.ms": Int = "15000",
        Between(1_000, 30_000), Medium, ReadOnly, NoEffect;
    /// The least that a share group may set for its session.
    "group.share.min.session.timeout.ms": Int = "45000", AtLeast(1), Medium, ReadOnly, NoEffect;
    /// How many records of a partition a share group may hold at once.
    "group.share.partition.max.record.locks": Int = "2000",
        Between(100, 10_000), Medium, ReadOnly, NoEffect;
    /// How long a member of a share group holds a record before others may have it.
    "group.share.record.lock.duration.ms": Int = "30000",
        Between(1_000, 3_600_000), Medium, ReadOnly, NoEffect;
    /// How long a member of a share group may be silent before it is removed.
    "group.share.session.timeout.ms": Int = "45000", AtLeast(1), Medium, ReadOnly, NoEffect;
    /// The shortest time between two assignments of a streams group.
    "group.streams.assignment.interval.ms": Int = "1000", AtLeast(0), Medium, ClusterWide, NoEffect;
    /// How often a member of a streams group reports.
    "group.streams.heartbeat.interval.ms": Int = "5000", AtLeast(1), Medium, ReadOnly, NoEffect;
    /// How long an empty streams group waits for more members before it first shares out tasks.
    "group.streams.initial.rebalance.delay.ms": Int = "3000",
        AtLeast(0), Medium, ReadOnly, NoEffect;
    /// The most that a streams group may set for the time between assignments.
    "group.streams.max.assignment.interval.ms": Int = "15000",
        AtLeast(0), Medium, ReadOnly, NoEffect;
    /// The most that a streams group may set for its heartbeats.
    "group.streams.max.heartbeat.interval.ms": Int = "15000",
        AtLeast(1), Medium, ReadOnly, NoEffect;
    /// The most that a streams group may set for its session.
    "group.streams.max.session.timeout.ms": Int = "60000", AtLeast(1), Medium, ReadOnly, NoEffect;
    /// How many members a streams group may have.
    "group.streams.max.size": Int = "2147483647", AtLeast(1), Medium, ReadOnly, NoEffect;
    /// The most standby replicas that a streams group may set.
    "group.streams.max.standby.replicas": Int = "2", AtLeast(0), Medium, ReadOnly, NoEffect;
    /// The least that a streams group may set for the time between assignments.
    "group.streams.min.assignment.interval.ms": Int = "0", AtLeast(0), Medium, ReadOnly, NoEffect;
    /// The least that a streams group may set for its heartbeats.
    "group.streams.min.heartbeat.interval.ms": Int = "5000", AtLeast(1), Medium, ReadOnly, NoEffect;
    /// The least that a streams group may set for its session.
    "group.streams.min.session.timeout.ms": Int = "45000", AtLeast(1), Medium, ReadOnly, NoEffect;
    /// How many standby replicas each task of a streams group has.
    "group.streams.num.standby.replicas": Int = "0", AtLeast(0), Medium, ReadOnly, NoEffect;
    /// How long a member of a streams group may be silent before it is removed.
    "group.streams.session.timeout.ms": Int = "45000", AtLeast(1), Medium, ReadOnly, NoEffect;
    /// The longest note that a client may add to an offset.
    "offset.metadata.max.bytes": Int = "4096", Any, High, ReadOnly, Honoured;
    /// How long a commit of offsets waits for its replicas.
    "offsets.commit.timeout.ms": Int = "5000", AtLeast(1), High, ReadOnly, NoEffect;
    /// How many bytes of committed offsets are read at a time when a coordinator loads.
    "offsets.load.buffer.size": Int = "5242880", AtLeast(1), High, ReadOnly, NoEffect;
    /// How often offsets are looked for that may be forgotten.
    "offsets.retention.check.interval.ms": Long = "600000", AtLeast(1), High, ReadOnly, Honoured;
    /// How long the offsets of an empty group are kept.
    "offsets.retention.minutes": Int = "10080", AtLeast(1), High, ReadOnly, Honoured;
    /// The codec of the topic of committed offsets, as its number.
    "offsets.topic.compression.codec": Int = "0", Any, High, ReadOnly, Honoured;
    /// How many partitions the topic of committed offsets has.
    "offsets.topic.num.partitions": Int = "50", AtLeast(1), High, ReadOnly, Honoured;
    /// How many replicas the topic of committed offsets has.
    "offsets.topic.replication.factor": Short = "3", AtLeast(1), High, ReadOnly, Honoured;
    /// The size at which a new segment of the topic of committed offsets begins.
    "offsets.topic.segment.bytes": Int = "104857600", AtLeast(1), High, ReadOnly, Honoured;
    /// How long a share coordinator gathers writes into one batch; -1 for as long as it has work.
    "share.coordinator.append.linger.ms": Int = "-1", AtLeast(-1), Medium, ReadOnly, NoEffect;
    /// The largest buffer that a share coordinator keeps to use it again.
    "share.coordinator.cached.buffer.max.bytes": Int = "1048588",
        AtLeast(524_288), Medium, ClusterWide, NoEffect;
    /// How many bytes of state are read at a time when a share coordinator loads.
    "share.coordinator.load.buffer.size": Int = "5242880", AtLeast(1), High, ReadOnly, NoEffect;
    /// How many changes of a share group's state are written between two snapshots of it.
    "share.coordinator.snapshot.update.records.per.snapshot": Int = "500",
        Between(0, 500), Medium, ReadOnly, NoEffect;
    /// The codec of the topic of share groups' state, as its number.
    "share.coordinator.state.topic.compression.codec": Int = "0", Any, High, ReadOnly, NoEffect;
    /// How many replicas of the topic of share groups' state must be in sync.
    "share.coordinator.state.topic.min.isr": Short = "2", AtLeast(1), High, ReadOnly, NoEffect;
    /// How many partitions the topic of share groups' state has.
    "share.coordinator.state.topic.num.partitions": Int = "50",
        AtLeast(1), High, ReadOnly, NoEffect;
    /// How many replicas the topic of share groups' state has.
    "share.coordinator.state.topic.replication.factor": Short = "3",
        AtLeast(1), High, ReadOnly, NoEffect;
    /// The size at which a new segment of the topic of share groups' state begins.
    "share.coordinator.state.topic.segment.bytes": Int = "104857600",
        AtLeast(1), High, ReadOnly, NoEffect;
    /// Threads that serve the state of share groups.
    "share.coordinator.threads": Int = "1", AtLeast(1), Medium, ReadOnly, NoEffect;
    /// How long a write of a share group's state waits for its replicas.
    "share.coordinator.write.timeout.ms": Int = "5000", AtLeast(1), High, ReadOnly, NoEffect;
};
