//! Coordinators: state machines that are replayed from a partition of one of Kafka's own topics, on the
//! core that owns the partition.

pub mod group;
