//! Keys of a node: transactions.

use crate::config::key::{Key, keys};

pub const TRANSACTION: &[Key] = keys! {
    /// The longest that such a partition is tried on behalf of the producer.
    "add.partitions.to.txn.retry.backoff.max.ms": Int = "100", AtLeast(0), High, ReadOnly, NoEffect;
    /// The pause before a partition that could not be added to a transaction is tried again.
    "add.partitions.to.txn.retry.backoff.ms": Int = "20", AtLeast(1), High, ReadOnly, NoEffect;
    /// How often transactions are looked for that have taken too long.
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": Int = "10000",
        AtLeast(1), Low, ReadOnly, NoEffect;
    /// The longest timeout that a transactional producer may ask for.
    "transaction.max.timeout.ms": Int = "900000", AtLeast(1), High, ReadOnly, NoEffect;
    /// Whether a partition asks the coordinator if a transactional write belongs to an open
    /// transaction.
    "transaction.partition.verification.enable": Boolean = "true", Any, Low, ClusterWide, NoEffect;
    /// How often transactional ids are looked for that may be forgotten.
    "transaction.remove.expired.transaction.cleanup.interval.ms": Int = "3600000",
        AtLeast(1), Low, ReadOnly, NoEffect;
    /// How many bytes of transactions are read at a time when a coordinator loads.
    "transaction.state.log.load.buffer.size": Int = "5242880", AtLeast(1), High, ReadOnly, NoEffect;
    /// How many replicas of the topic of transactions must be in sync.
    "transaction.state.log.min.isr": Int = "2", AtLeast(1), High, ReadOnly, NoEffect;
    /// How many partitions the topic of transactions has.
    "transaction.state.log.num.partitions": Int = "50", AtLeast(1), High, ReadOnly, NoEffect;
    /// How many replicas the topic of transactions has.
    "transaction.state.log.replication.factor": Short = "3", AtLeast(1), High, ReadOnly, NoEffect;
    /// The size at which a new segment of the topic of transactions begins.
    "transaction.state.log.segment.bytes": Int = "104857600", AtLeast(1), High, ReadOnly, NoEffect;
    /// Whether clients may take part in two-phase commits with transactions that never time out.
    "transaction.two.phase.commit.enable": Boolean = "false", Any, Low, ReadOnly, NoEffect;
    /// How long a transactional id that is no longer used is remembered.
    "transactional.id.expiration.ms": Int = "604800000", AtLeast(1), High, ReadOnly, NoEffect;
};
