//! Keys of a node: replication and leadership.

use crate::config::key::{Key, keys};

pub const REPLICATION: &[Key] = keys! {
    /// Whether leadership returns to the preferred replicas by itself.
    "auto.leader.rebalance.enable": Boolean = "true", Any, High, ReadOnly, NoEffect;
    /// Whether a stopping broker first hands its leaderships over. Here it always does.
    "controlled.shutdown.enable": Boolean = "true", Any, Medium, ReadOnly, NoEffect;
    /// How often the controller looks for leaders that are not the preferred ones.
    "leader.imbalance.check.interval.seconds": Long = "300", AtLeast(1), High, ReadOnly, NoEffect;
    /// Threads that move partitions between log directories.
    "num.replica.alter.log.dirs.threads": Int, Any, High, ReadOnly, NoEffect;
    /// Threads that fetch from each other broker.
    "num.replica.fetchers": Int = "1", AtLeast(1), High, ClusterWide, NoEffect;
    /// How long a follower rests after an error.
    "replica.fetch.backoff.ms": Int = "1000", AtLeast(0), Medium, ReadOnly, NoEffect;
    /// The most bytes of one partition that a follower fetches at a time.
    "replica.fetch.max.bytes": Int = "1048576", AtLeast(0), Medium, ReadOnly, NoEffect;
    /// How many bytes a follower's fetch waits for.
    "replica.fetch.min.bytes": Int = "1", Any, High, ReadOnly, NoEffect;
    /// The most bytes that a follower fetches at a time, over all partitions.
    "replica.fetch.response.max.bytes": Int = "10485760", AtLeast(0), Medium, ReadOnly, NoEffect;
    /// How long a follower's fetch waits for bytes.
    "replica.fetch.wait.max.ms": Int = "500", Any, High, ReadOnly, NoEffect;
    /// How often high watermarks are written.
    "replica.high.watermark.checkpoint.interval.ms": Long = "5000", Any, High, ReadOnly, NoEffect;
    /// How long a follower may lag behind before it leaves the in-sync replicas.
    "replica.lag.time.max.ms": Long = "30000", Any, High, ReadOnly, NoEffect;
    /// A class that chooses the replica which a consumer reads from.
    "replica.selector.class": String, Any, Medium, ReadOnly, NoEffect;
    /// The receive buffer of a follower's socket.
    "replica.socket.receive.buffer.bytes": Int = "65536", Any, High, ReadOnly, NoEffect;
    /// How long a follower waits for the leader's answer.
    "replica.socket.timeout.ms": Int = "30000", Any, High, ReadOnly, NoEffect;
};
