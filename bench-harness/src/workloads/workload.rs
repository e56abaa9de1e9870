//! The produce workloads, by their numbers in PERFORMANCE.md.

/// How requests follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Each connection keeps so many unanswered, and sends the next when one is answered.
    Closed { in_flight: usize },
    /// So many a second over all connections, answered or not.
    Fixed { requests_per_s: u32 },
}

/// Produce requests of one batch each, round robin over the partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workload {
    /// Its number, and what sets it apart.
    pub name: &'static str,
    pub what: &'static str,
    /// Size of a record's value; it has no key.
    pub record_size_bytes: usize,
    /// A batch gets records while it is no larger than this, and one at least.
    pub batch_size_bytes_max: usize,
    pub partition_count: i32,
    pub connection_count: usize,
    pub pace: Pace,
}

impl Workload {
    pub fn named(name: &str) -> Option<Workload> {
        WORKLOADS.iter().find(|known| known.name == name).copied()
    }

    /// Bytes of record values in `record_count` records: what a user calls data.
    pub fn user_bytes(&self, record_count: i64) -> f64 {
        record_count as f64 * self.record_size_bytes as f64
    }
}

const BULK: Workload = Workload {
    name: "P1",
    what: "128 KiB batches of 1 KiB records, 32 in flight, 8 partitions",
    record_size_bytes: 1024,
    batch_size_bytes_max: 128 * 1024,
    partition_count: 8,
    connection_count: 4,
    pace: Pace::Closed { in_flight: 8 },
};

const SMALL: Workload = Workload {
    name: "P2/128",
    what: "one 1 KiB record a request, 128 in flight, 8 partitions",
    record_size_bytes: 1024,
    batch_size_bytes_max: 0,
    partition_count: 8,
    connection_count: 2,
    pace: Pace::Closed { in_flight: 64 },
};

/// In the order in which they are run.
pub const WORKLOADS: [Workload; 8] = [
    BULK,
    Workload {
        name: "P1b/8",
        what: "16 KiB batches of 1 KiB records, 64 in flight, 8 partitions",
        batch_size_bytes_max: 16 * 1024,
        pace: Pace::Closed { in_flight: 16 },
        ..BULK
    },
    Workload {
        name: "P1b/64",
        what: "16 KiB batches of 1 KiB records, 64 in flight, 64 partitions",
        batch_size_bytes_max: 16 * 1024,
        partition_count: 64,
        pace: Pace::Closed { in_flight: 16 },
        ..BULK
    },
    Workload {
        name: "P2/32",
        what: "one 1 KiB record a request, 32 in flight, 8 partitions",
        pace: Pace::Closed { in_flight: 16 },
        ..SMALL
    },
    SMALL,
    Workload {
        name: "P4/small",
        what: "2,000 requests a second of one 1 KiB record, 4 partitions",
        partition_count: 4,
        pace: Pace::Fixed { requests_per_s: 2_000 },
        ..SMALL
    },
    Workload {
        name: "P4/batches",
        what: "3,000 requests a second of 16 KiB batches (46 MB/s), 4 partitions",
        batch_size_bytes_max: 16 * 1024,
        partition_count: 4,
        connection_count: 2,
        pace: Pace::Fixed { requests_per_s: 3_000 },
        ..BULK
    },
    Workload {
        name: "P5",
        what: "one 100 B record a request, one in flight",
        record_size_bytes: 100,
        batch_size_bytes_max: 0,
        partition_count: 1,
        connection_count: 1,
        pace: Pace::Closed { in_flight: 1 },
    },
];
