//! Keys of a topic. Source: `LogConfig`.

use super::key::{Key, keys};

/// All of them but what is internal, by name.
pub const TOPIC_KEYS: &[Key] = keys! {
    /// What becomes of old segments: `delete` removes them, `compact` keeps the last record of each
    /// key, both do both, and nothing keeps them for ever.
    "cleanup.policy": List = "delete", SubsetOf(&["compact", "delete"]), Medium, Topic, Honoured,
        from ["log.cleanup.policy" * 1];
    /// The level at which the broker compresses this topic with gzip.
    "compression.gzip.level": Int = "-1", MinusOneOr(1, 9), Medium, Topic, Honoured,
        from ["compression.gzip.level" * 1];
    /// The level at which the broker compresses this topic with LZ4. Here there is one for all.
    "compression.lz4.level": Int = "9", Between(1, 17), Medium, Topic, NoEffect,
        from ["compression.lz4.level" * 1];
    /// The codec that this topic's batches are stored with; `producer` leaves them as they come.
    /// A batch of another codec is compressed anew when it is produced.
    "compression.type": String = "producer",
        OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]),
        Medium, Topic, Honoured, from ["compression.type" * 1];
    /// The level at which the broker compresses this topic with Zstandard.
    "compression.zstd.level": Int = "3", Between(-131_072, 22), Medium, Topic, Honoured,
        from ["compression.zstd.level" * 1];
    /// How long the mark of a deleted key stays in the compacted log, for readers who began before
    /// it.
    "delete.retention.ms": Long = "86400000", AtLeast(0), Medium, Topic, Honoured,
        from ["log.cleaner.delete.retention.ms" * 1];
    /// How long the files of a deleted segment stay on disk.
    "file.delete.delay.ms": Long = "60000", AtLeast(0), Medium, Topic, Honoured,
        from ["log.segment.delete.delay.ms" * 1];
    /// After how many records the log is flushed. Here a write is acknowledged when it is flushed,
    /// unless `millrace.durability` says otherwise.
    "flush.messages": Long = "9223372036854775807", AtLeast(1), Medium, Topic, NoEffect,
        from ["log.flush.interval.messages" * 1];
    /// After how long the log is flushed. Here a write is acknowledged when it is flushed, unless
    /// `millrace.durability` says otherwise.
    "flush.ms": Long = "9223372036854775807", AtLeast(0), Medium, Topic, NoEffect,
        from ["log.flush.interval.ms" * 1, "log.flush.scheduler.interval.ms" * 1];
    /// The replicas whose fetching as followers is throttled, as `partition:broker`, or `*` for
    /// all.
    "follower.replication.throttled.replicas": List = "",
        ThrottledReplicas, Medium, Topic, NoEffect;
    /// How many bytes of batches lie between two entries of an index.
    "index.interval.bytes": Int = "4096", AtLeast(0), Medium, Topic, Honoured,
        from ["log.index.interval.bytes" * 1];
    /// The replicas whose serving of followers is throttled, as `partition:broker`, or `*` for all.
    "leader.replication.throttled.replicas": List = "", ThrottledReplicas, Medium, Topic, NoEffect;
    /// How many bytes stay on local disk with remote storage; -2 for `retention.bytes`.
    "local.retention.bytes": Long = "-2", AtLeast(-2), Medium, Topic, NoEffect,
        from ["log.local.retention.bytes" * 1];
    /// How long records stay on local disk with remote storage; -2 for `retention.ms`.
    "local.retention.ms": Long = "-2", AtLeast(-2), Medium, Topic, NoEffect,
        from ["log.local.retention.ms" * 1];
    /// How long a record stays uncompacted at most. A segment is closed after that time, so that it
    /// can be compacted.
    "max.compaction.lag.ms": Long = "9223372036854775807", AtLeast(1), Medium, Topic, Honoured,
        from ["log.cleaner.max.compaction.lag.ms" * 1];
    /// The largest record batch that is accepted, after compression.
    "max.message.bytes": Int = "1048588", AtLeast(0), Medium, Topic, Honoured,
        from ["message.max.bytes" * 1];
    /// How far after the broker's clock a record's time may lie. It is not looked at with
    /// `LogAppendTime`.
    "message.timestamp.after.max.ms": Long = "3600000", AtLeast(0), Medium, Topic, Honoured,
        from ["log.message.timestamp.after.max.ms" * 1];
    /// How far before the broker's clock a record's time may lie. It is not looked at with
    /// `LogAppendTime`.
    "message.timestamp.before.max.ms": Long = "9223372036854775807",
        AtLeast(0), Medium, Topic, Honoured, from ["log.message.timestamp.before.max.ms" * 1];
    /// Whether records carry the time of the producer, `CreateTime`, or of the broker,
    /// `LogAppendTime`.
    "message.timestamp.type": String = "CreateTime",
        OneOf(&["CreateTime", "LogAppendTime"]),
        Medium, Topic, Honoured, from ["log.message.timestamp.type" * 1];
    /// When a write is acknowledged: `flushed`, when it is on stable storage; `written`, when it is
    /// handed to the disk.
    "millrace.durability": String = "flushed",
        OneOf(&["flushed", "written"]), Medium, Topic, Honoured, from ["millrace.durability" * 1];
    /// How far a produced batch that is compressed is looked at: `header`, its header and checksum;
    /// `records`, each record, too, as Apache Kafka does. Others are always looked at whole.
    "millrace.produce.validation": String = "header",
        OneOf(&["header", "records"]), Medium, Topic, Honoured,
        from ["millrace.produce.validation" * 1];
    /// Which share of the log must be uncompacted before it is compacted.
    "min.cleanable.dirty.ratio": Double = "0.5", Fraction(0.0, 1.0), Medium, Topic, Honoured,
        from ["log.cleaner.min.cleanable.ratio" * 1];
    /// How long a record stays uncompacted at least.
    "min.compaction.lag.ms": Long = "0", AtLeast(0), Medium, Topic, Honoured,
        from ["log.cleaner.min.compaction.lag.ms" * 1];
    /// How many replicas must be in sync for a write with `acks=all` to be accepted.
    "min.insync.replicas": Int = "1", AtLeast(1), Medium, Topic, Honoured,
        from ["min.insync.replicas" * 1];
    /// Whether a segment gets its blocks when it begins. Here records get theirs before they are
    /// accepted, always.
    "preallocate": Boolean = "false", Any, Medium, Topic, NoEffect, from ["log.preallocate" * 1];
    /// Whether no more segments are copied to remote storage.
    "remote.log.copy.disable": Boolean = "false", Any, Medium, Topic, NoEffect;
    /// Whether what is in remote storage is deleted when the topic leaves it.
    "remote.log.delete.on.disable": Boolean = "false", Any, Medium, Topic, NoEffect;
    /// Whether old segments are moved to remote storage. That is not implemented, so `true` is
    /// refused.
    "remote.storage.enable": Boolean = "false", Any, Medium, Topic, Refused;
    /// How many bytes of a partition are kept before old segments are deleted; -1 for any.
    "retention.bytes": Long = "-1", Any, Medium, Topic, Honoured, from ["log.retention.bytes" * 1];
    /// How long records are kept before old segments are deleted; -1 for ever.
    "retention.ms": Long = "604800000", AtLeast(-1), Medium, Topic, Honoured,
        from ["log.retention.ms" * 1, "log.retention.minutes" * 60_000, "log.retention.hours" * 3_600_000];
    /// The size at which a new segment begins.
    "segment.bytes": Int = "1073741824", AtLeast(1_048_576), Medium, Topic, Honoured,
        from ["log.segment.bytes" * 1];
    /// The largest index of a segment; a full one begins a new segment.
    "segment.index.bytes": Int = "10485760", AtLeast(4), Medium, Topic, Honoured,
        from ["log.index.size.max.bytes" * 1];
    /// By how much a segment may begin early, at random, so that not all begin at once.
    "segment.jitter.ms": Long = "0", AtLeast(0), Medium, Topic, Honoured,
        from ["log.roll.jitter.ms" * 1, "log.roll.jitter.hours" * 3_600_000];
    /// The age at which a new segment begins.
    "segment.ms": Long = "604800000", AtLeast(1), Medium, Topic, Honoured,
        from ["log.roll.ms" * 1, "log.roll.hours" * 3_600_000];
    /// Whether a replica that was not in sync may become leader and so lose records.
    "unclean.leader.election.enable": Boolean = "false", Any, Medium, Topic, NoEffect,
        from ["unclean.leader.election.enable" * 1];
};

/// What Apache Kafka keeps to itself: for tests, which set segments below the 1 MiB that is the least
/// for `segment.bytes`.
pub const INTERNAL_TOPIC_KEYS: &[Key] = keys! {
    /// The size at which a new segment begins, without a lower bound.
    "internal.segment.bytes": Int, Any, Medium, Topic, Honoured;
};
