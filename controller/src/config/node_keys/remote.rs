//! Keys of a node: remote storage.

use crate::config::key::{Key, keys};

pub const REMOTE: &[Key] = keys! {
    /// How long a fetch waits for remote storage.
    "remote.fetch.max.wait.ms": Int = "500", AtLeast(1), Medium, ClusterWide, NoEffect;
    /// How long a search for offsets waits for remote storage.
    "remote.list.offsets.request.timeout.ms": Long = "30000",
        AtLeast(1), Medium, ClusterWide, NoEffect;
    /// The disk space for indexes of remote segments.
    "remote.log.index.file.cache.total.size.bytes": Long = "1073741824",
        AtLeast(1), Low, ClusterWide, NoEffect;
    /// Threads that copy segments to remote storage.
    "remote.log.manager.copier.thread.pool.size": Int = "10",
        AtLeast(1), Medium, ClusterWide, NoEffect;
    /// How fast segments may be copied to remote storage.
    "remote.log.manager.copy.max.bytes.per.second": Long = "9223372036854775807",
        AtLeast(1), Medium, ClusterWide, NoEffect;
    /// How many samples that rate is measured over.
    "remote.log.manager.copy.quota.window.num": Int = "11", AtLeast(1), Medium, ReadOnly, NoEffect;
    /// How long each of these samples is.
    "remote.log.manager.copy.quota.window.size.seconds": Int = "1",
        AtLeast(1), Medium, ReadOnly, NoEffect;
    /// Threads that delete expired remote segments.
    "remote.log.manager.expiration.thread.pool.size": Int = "10",
        AtLeast(1), Medium, ClusterWide, NoEffect;
    /// How fast remote segments may be read.
    "remote.log.manager.fetch.max.bytes.per.second": Long = "9223372036854775807",
        AtLeast(1), Medium, ClusterWide, NoEffect;
    /// How many samples that rate is measured over.
    "remote.log.manager.fetch.quota.window.num": Int = "11", AtLeast(1), Medium, ReadOnly, NoEffect;
    /// How long each of these samples is.
    "remote.log.manager.fetch.quota.window.size.seconds": Int = "1",
        AtLeast(1), Medium, ReadOnly, NoEffect;
    /// Threads for followers' work with remote storage.
    "remote.log.manager.follower.thread.pool.size": Int = "2",
        AtLeast(1), Medium, ClusterWide, NoEffect;
    /// How often segments are looked for that can be moved or deleted.
    "remote.log.manager.task.interval.ms": Long = "30000", AtLeast(1), Low, ReadOnly, NoEffect;
    /// Threads for followers' work with remote storage, under its former name.
    "remote.log.manager.thread.pool.size": Int = "2", AtLeast(1), Medium, ReadOnly, NoEffect;
    /// The most bytes of its own that a remote storage may add to what is known of a segment.
    "remote.log.metadata.custom.metadata.max.bytes": Int = "128",
        AtLeast(0), Low, ReadOnly, NoEffect;
    /// The class that keeps what is known of remote segments.
    "remote.log.metadata.manager.class.name": String = "org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager",
        NonEmpty, Medium, ReadOnly, NoEffect;
    /// Where that class is found.
    "remote.log.metadata.manager.class.path": String, Any, Medium, ReadOnly, NoEffect;
    /// The prefix of that class's own configurations.
    "remote.log.metadata.manager.impl.prefix": String = "rlmm.config.",
        NonEmpty, Medium, ReadOnly, NoEffect;
    /// The listener that the keeper of remote metadata uses.
    "remote.log.metadata.manager.listener.name": String, NonEmpty, Medium, ReadOnly, NoEffect;
    /// How many reads of remote segments may wait.
    "remote.log.reader.max.pending.tasks": Int = "100", AtLeast(1), Medium, ReadOnly, NoEffect;
    /// Threads that read remote segments.
    "remote.log.reader.threads": Int = "10", AtLeast(1), Medium, ClusterWide, NoEffect;
    /// The class that keeps segments in remote storage.
    "remote.log.storage.manager.class.name": String, NonEmpty, Medium, ReadOnly, NoEffect;
    /// Where that class is found.
    "remote.log.storage.manager.class.path": String, Any, Medium, ReadOnly, NoEffect;
    /// The prefix of that class's own configurations.
    "remote.log.storage.manager.impl.prefix": String = "rsm.config.",
        NonEmpty, Medium, ReadOnly, NoEffect;
    /// Whether segments may be moved to remote storage. That is not implemented, so setting it is
    /// refused.
    "remote.log.storage.system.enable": Boolean = "false", Any, Medium, ReadOnly, Refused;
};
