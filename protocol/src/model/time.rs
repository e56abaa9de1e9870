//! The two kinds of time, as values: the pure crates read no clock.

/// Wall time in milliseconds since the Unix epoch, as records carry it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimestampMs(pub i64);

/// A point of the monotonic clock, for deadlines; comparable within one process only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MonotonicNs(pub u64);
