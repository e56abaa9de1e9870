//! Keys of a node: logs, their retention and their compaction.

use crate::config::key::{Key, keys};

pub const LOG: &[Key] = keys! {
    /// Log directories that get no new partitions.
    "cordoned.log.dirs": List = "", Items, Medium, PerBroker, Refused;
    /// How long the cleaner rests when it finds nothing to compact.
    "log.cleaner.backoff.ms": Long = "15000", AtLeast(0), Medium, ClusterWide, Honoured;
    /// The memory of the cleaner's map of keys.
    "log.cleaner.dedupe.buffer.size": Long = "134217728", Any, Medium, ClusterWide, Honoured;
    /// How long the mark of a deleted key stays in a compacted log, where a topic says nothing
    /// else.
    "log.cleaner.delete.retention.ms": Long = "86400000", AtLeast(0), Medium, ClusterWide, Honoured;
    /// Whether compacted topics are compacted. Deprecated in Kafka.
    "log.cleaner.enable": Boolean = "true", Any, Medium, ReadOnly, Honoured;
    /// How full the cleaner's map of keys may become.
    "log.cleaner.io.buffer.load.factor": Double = "0.9", Any, Medium, ClusterWide, NoEffect;
    /// The memory of the cleaner's buffers for reading and writing.
    "log.cleaner.io.buffer.size": Int = "524288", AtLeast(0), Medium, ClusterWide, NoEffect;
    /// How fast the cleaner may read and write, summed up.
    "log.cleaner.io.max.bytes.per.second": Double = "1.7976931348623157E308",
        Any, Medium, ClusterWide, Honoured;
    /// How long a record stays uncompacted at most, where a topic says nothing else.
    "log.cleaner.max.compaction.lag.ms": Long = "9223372036854775807",
        AtLeast(1), Medium, ClusterWide, Honoured;
    /// Which share of a compacted log must be uncompacted before it is compacted, where a topic
    /// says nothing else.
    "log.cleaner.min.cleanable.ratio": Double = "0.5",
        Fraction(0.0, 1.0), Medium, ClusterWide, Honoured;
    /// How long a record stays uncompacted at least, where a topic says nothing else.
    "log.cleaner.min.compaction.lag.ms": Long = "0", AtLeast(0), Medium, ClusterWide, Honoured;
    /// Threads that compact.
    "log.cleaner.threads": Int = "1", AtLeast(0), Medium, ClusterWide, NoEffect;
    /// What becomes of old segments, where a topic says nothing else: `delete`, `compact`, or both;
    /// nothing keeps them for ever.
    "log.cleanup.policy": List = "delete",
        SubsetOf(&["compact", "delete"]), Medium, ClusterWide, Honoured;
    /// The directory that holds the partitions, where `log.dirs` is not set.
    "log.dir": List = "/tmp/kafka-logs", SomeItems, High, ReadOnly, Honoured;
    /// How long a broker that cannot tell the controller of a failed log directory goes on before
    /// it stops.
    "log.dir.failure.timeout.ms": Long = "30000", AtLeast(1), Low, ReadOnly, NoEffect;
    /// The directories that hold the partitions, as a list; each partition lies in one of them.
    "log.dirs": List, SomeItems, High, ReadOnly, Honoured;
    /// After how many records a partition is flushed. Here a write is acknowledged when it is
    /// flushed, unless `millrace.durability` says otherwise.
    "log.flush.interval.messages": Long = "9223372036854775807",
        AtLeast(1), High, ClusterWide, NoEffect;
    /// After how long a partition is flushed. Here a write is acknowledged when it is flushed,
    /// unless `millrace.durability` says otherwise.
    "log.flush.interval.ms": Long, Any, High, ClusterWide, NoEffect;
    /// How often recovery points are written.
    "log.flush.offset.checkpoint.interval.ms": Int = "60000", AtLeast(0), High, ReadOnly, NoEffect;
    /// How often partitions are looked at that may have to be flushed.
    "log.flush.scheduler.interval.ms": Long = "9223372036854775807", Any, High, ReadOnly, NoEffect;
    /// How often the log starts are written.
    "log.flush.start.offset.checkpoint.interval.ms": Int = "60000",
        AtLeast(0), High, ReadOnly, NoEffect;
    /// How many bytes of batches lie between two entries of an index, where a topic says nothing
    /// else.
    "log.index.interval.bytes": Int = "4096", AtLeast(0), Medium, ClusterWide, Honoured;
    /// The largest index of a segment, where a topic says nothing else.
    "log.index.size.max.bytes": Int = "10485760", AtLeast(4), Medium, ClusterWide, Honoured;
    /// How many bytes stay on local disk where a topic has remote storage; -2 for
    /// `retention.bytes`.
    "log.local.retention.bytes": Long = "-2", AtLeast(-2), Medium, ClusterWide, NoEffect;
    /// How long records stay on local disk where a topic has remote storage; -2 for `retention.ms`.
    "log.local.retention.ms": Long = "-2", AtLeast(-2), Medium, ClusterWide, NoEffect;
    /// How far after the broker's clock a record's time may lie, where a topic says nothing else.
    "log.message.timestamp.after.max.ms": Long = "3600000",
        AtLeast(0), Medium, ClusterWide, Honoured;
    /// How far before the broker's clock a record's time may lie, where a topic says nothing else.
    "log.message.timestamp.before.max.ms": Long = "9223372036854775807",
        AtLeast(0), Medium, ClusterWide, Honoured;
    /// Whether records carry the time of the producer, `CreateTime`, or of the broker,
    /// `LogAppendTime`, where a topic says nothing else.
    "log.message.timestamp.type": String = "CreateTime",
        OneOf(&["CreateTime", "LogAppendTime"]), Medium, ClusterWide, Honoured;
    /// Whether a segment gets its blocks when it begins. Here records get theirs before they are
    /// accepted, always.
    "log.preallocate": Boolean = "false", Any, Medium, ClusterWide, NoEffect;
    /// How many bytes of a partition are kept, where a topic says nothing else; -1 for any.
    "log.retention.bytes": Long = "-1", Any, High, ClusterWide, Honoured;
    /// How often a broker looks for segments that may be deleted.
    "log.retention.check.interval.ms": Long = "300000", AtLeast(1), Medium, ReadOnly, Honoured;
    /// The same in hours.
    "log.retention.hours": Int = "168", Any, High, ReadOnly, Honoured;
    /// The same in minutes. It goes before `log.retention.hours`.
    "log.retention.minutes": Int, Any, High, ReadOnly, Honoured;
    /// How long records are kept, where a topic says nothing else; -1 for ever. It goes before
    /// `log.retention.minutes` and `log.retention.hours`.
    "log.retention.ms": Long, Any, High, ClusterWide, Honoured;
    /// The same in hours.
    "log.roll.hours": Int = "168", AtLeast(1), High, ReadOnly, Honoured;
    /// The same in hours.
    "log.roll.jitter.hours": Int = "0", AtLeast(0), High, ReadOnly, Honoured;
    /// By how much a segment may begin early, at random, so that not all begin at once. It goes
    /// before `log.roll.jitter.hours`.
    "log.roll.jitter.ms": Long, Any, High, ClusterWide, Honoured;
    /// The age at which a new segment begins, where a topic says nothing else. It goes before
    /// `log.roll.hours`.
    "log.roll.ms": Long, Any, High, ClusterWide, Honoured;
    /// The size at which a new segment begins, where a topic says nothing else.
    "log.segment.bytes": Int = "1073741824", AtLeast(1_048_576), High, ClusterWide, Honoured;
    /// How long the files of a deleted segment or partition stay on disk, where a topic says
    /// nothing else.
    "log.segment.delete.delay.ms": Long = "60000", AtLeast(0), High, ClusterWide, Honoured;
    /// When a write is acknowledged, where a topic says nothing else: `flushed`, when it is on
    /// stable storage; `written`, when it is handed to the disk.
    "millrace.durability": String = "flushed",
        OneOf(&["flushed", "written"]), Medium, ClusterWide, Honoured;
    /// How far a produced batch that is compressed is looked at, where a topic says nothing else:
    /// `header`, its header and checksum; `records`, each record, too, as Apache Kafka does.
    "millrace.produce.validation": String = "header",
        OneOf(&["header", "records"]), Medium, ClusterWide, Honoured;
    /// Threads that open and recover a log directory. Here the cores share that work.
    "num.recovery.threads.per.data.dir": Int = "2", AtLeast(1), High, ClusterWide, NoEffect;
    /// How long a partition remembers a producer that no longer writes.
    "producer.id.expiration.ms": Int = "86400000", AtLeast(1), Low, ClusterWide, Honoured;
};
