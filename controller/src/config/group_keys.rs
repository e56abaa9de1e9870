//! Keys of groups and of subscriptions to clients' metrics. Sources: `GroupConfig`,
//! `ClientMetricsConfigs`.

use super::key::{Key, keys};

/// All keys of a group, by name.
pub const GROUP_KEYS: &[Key] = keys! {
    /// The shortest time between two assignments of this consumer group.
    "consumer.assignment.interval.ms": Int = "1000", AtLeast(0), Medium, Group, NoEffect,
        from ["group.consumer.assignment.interval.ms" * 1];
    /// How often a member of this consumer group reports.
    "consumer.heartbeat.interval.ms": Int = "5000", AtLeast(1), Medium, Group, NoEffect,
        from ["group.consumer.heartbeat.interval.ms" * 1];
    /// How long a member of this consumer group may be silent before it is removed.
    "consumer.session.timeout.ms": Int = "45000", AtLeast(1), Medium, Group, NoEffect,
        from ["group.consumer.session.timeout.ms" * 1];
    /// The shortest time between two assignments of this share group.
    "share.assignment.interval.ms": Int = "1000", AtLeast(0), Medium, Group, NoEffect,
        from ["group.share.assignment.interval.ms" * 1];
    /// Where a share group begins that has no offset yet: `latest`, `earliest`, or `by_duration:`
    /// and a duration before now.
    "share.auto.offset.reset": String = "latest", OffsetReset, Medium, Group, NoEffect;
    /// How often a record is delivered to this share group before it is given up.
    "share.delivery.count.limit": Int = "5", AtLeast(2), Medium, Group, NoEffect,
        from ["group.share.delivery.count.limit" * 1];
    /// How often a member of this share group reports.
    "share.heartbeat.interval.ms": Int = "5000", AtLeast(1), Medium, Group, NoEffect,
        from ["group.share.heartbeat.interval.ms" * 1];
    /// Whether this share group reads records of transactions that are not committed.
    "share.isolation.level": String = "read_uncommitted",
        OneOf(&["read_committed", "read_uncommitted"]), Medium, Group, NoEffect;
    /// How many records of a partition this share group may hold at once.
    "share.partition.max.record.locks": Int = "2000", AtLeast(100), Medium, Group, NoEffect,
        from ["group.share.partition.max.record.locks" * 1];
    /// How long a member of this share group holds a record before others may have it.
    "share.record.lock.duration.ms": Int = "30000", AtLeast(1_000), Medium, Group, NoEffect,
        from ["group.share.record.lock.duration.ms" * 1];
    /// Whether members of this share group may hold a record for longer by renewing.
    "share.renew.acknowledge.enable": Boolean = "true", Any, Medium, Group, NoEffect;
    /// How long a member of this share group may be silent before it is removed.
    "share.session.timeout.ms": Int = "45000", AtLeast(1), Medium, Group, NoEffect,
        from ["group.share.session.timeout.ms" * 1];
    /// The shortest time between two assignments of this streams group.
    "streams.assignment.interval.ms": Int = "1000", AtLeast(0), Medium, Group, NoEffect,
        from ["group.streams.assignment.interval.ms" * 1];
    /// How often a member of this streams group reports.
    "streams.heartbeat.interval.ms": Int = "5000", AtLeast(1), Medium, Group, NoEffect,
        from ["group.streams.heartbeat.interval.ms" * 1];
    /// How long this streams group waits for more members before it first shares out tasks.
    "streams.initial.rebalance.delay.ms": Int = "3000", AtLeast(0), Medium, Group, NoEffect,
        from ["group.streams.initial.rebalance.delay.ms" * 1];
    /// How many standby replicas each task of this streams group has.
    "streams.num.standby.replicas": Int = "0", AtLeast(0), Medium, Group, NoEffect,
        from ["group.streams.num.standby.replicas" * 1];
    /// How long a member of this streams group may be silent before it is removed.
    "streams.session.timeout.ms": Int = "45000", AtLeast(1), Medium, Group, NoEffect,
        from ["group.streams.session.timeout.ms" * 1];
};

/// All keys of a subscription to clients' metrics, by name.
pub const CLIENT_METRICS_KEYS: &[Key] = keys! {
    /// How often a client that is subscribed sends its metrics.
    "interval.ms": Int = "300000", Between(100, 3_600_000), Medium, ClientMetrics, NoEffect;
    /// Which clients are subscribed, as patterns of what they tell of themselves; none for all.
    "match": List = "", Items, Medium, ClientMetrics, NoEffect;
    /// Prefixes of the metrics that are sent; none for nothing, and `*` for all.
    "metrics": List = "", Items, Medium, ClientMetrics, NoEffect;
};
