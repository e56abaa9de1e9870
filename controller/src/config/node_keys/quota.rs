//! Keys of a node: quotas and metrics.

use crate::config::key::{Key, keys};

pub const QUOTA: &[Key] = keys! {
    /// How many samples the rate of moves between log directories is measured over.
    "alter.log.dirs.replication.quota.window.num": Int = "11", AtLeast(1), Low, ReadOnly, NoEffect;
    /// How long each of these samples is.
    "alter.log.dirs.replication.quota.window.size.seconds": Int = "1",
        AtLeast(1), Low, ReadOnly, NoEffect;
    /// A class that decides on client quotas. It cannot be run here, so setting it is refused.
    "client.quota.callback.class": Class, Any, Low, ReadOnly, Refused;
    /// How many samples the rate of controller mutations is measured over.
    "controller.quota.window.num": Int = "11", AtLeast(1), Low, ReadOnly, Honoured;
    /// How long each of these samples is.
    "controller.quota.window.size.seconds": Int = "1", AtLeast(1), Low, ReadOnly, Honoured;
    /// How often these reporters look at the metrics.
    "kafka.metrics.polling.interval.secs": Int = "10", AtLeast(1), Low, ReadOnly, NoEffect;
    /// Classes that report Kafka's older metrics.
    "kafka.metrics.reporters": List = "", Items, Low, ReadOnly, NoEffect;
    /// Classes that report the metrics of the JVM.
    "metric.reporters": List = "org.apache.kafka.common.metrics.JmxReporter",
        Items, Low, ClusterWide, NoEffect;
    /// How many samples a metric is measured over.
    "metrics.num.samples": Int = "2", AtLeast(1), Low, ReadOnly, NoEffect;
    /// How detailed metrics are.
    "metrics.recording.level": String = "INFO", Any, Low, ReadOnly, NoEffect;
    /// How long each of these samples is.
    "metrics.sample.window.ms": Long = "30000", AtLeast(1), Low, ReadOnly, NoEffect;
    /// How many samples the rates of client quotas are measured over.
    "quota.window.num": Int = "11", AtLeast(1), Low, ReadOnly, Honoured;
    /// How long each of these samples is.
    "quota.window.size.seconds": Int = "1", AtLeast(1), Low, ReadOnly, Honoured;
    /// How many samples the rate of replication is measured over.
    "replication.quota.window.num": Int = "11", AtLeast(1), Low, ReadOnly, NoEffect;
    /// How long each of these samples is.
    "replication.quota.window.size.seconds": Int = "1", AtLeast(1), Low, ReadOnly, NoEffect;
    /// The largest message of a client's own metrics.
    "telemetry.max.bytes": Int = "1048576", AtLeast(1), Low, ReadOnly, NoEffect;
};
