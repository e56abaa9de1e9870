//! How long things took, counted in buckets: cheap enough for every request and every flush.

use std::cell::Cell;
use std::time::Duration;

/// What a bucket holds takes at most so long, in nanoseconds; one more bucket holds what takes longer.
pub const BOUNDS_NS: [u64; BOUND_COUNT] = [
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];

const BOUND_COUNT: usize = 16;

/// Counts of one core, since it began.
#[derive(Debug, Default)]
pub struct Latencies {
    counts: [Cell<u64>; BOUND_COUNT + 1],
    sum_ns: Cell<u64>,
}

/// The counts as they were at one time. They may be added to those of other cores.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LatencyCounts {
    /// By the bounds, each bucket without those before it; the last is of what took longer.
    pub counts: [u64; BOUND_COUNT + 1],
    pub sum_ns: u64,
}

impl Latencies {
    pub fn record(&self, took: Duration) {
        let took_ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_NS.partition_point(|bound| *bound < took_ns);
        self.counts[bucket].set(self.counts[bucket].get() + 1);
        self.sum_ns.set(self.sum_ns.get().saturating_add(took_ns));
    }

    pub fn counts(&self) -> LatencyCounts {
        let counts = std::array::from_fn(|bucket| self.counts[bucket].get());
        LatencyCounts { counts, sum_ns: self.sum_ns.get() }
    }
}

impl LatencyCounts {
    pub fn add(&mut self, other: &LatencyCounts) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        for (took_ns, bucket) in [
            (0, 0),
            (100_000, 0),
            (100_001, 1),
            (1_000_000, 3),
            (10_000_000_000, 15),
            (10_000_000_001, 16),
            (u64::MAX, 16),
        ] {
            let latencies = Latencies::default();
            latencies.record(Duration::from_nanos(took_ns));
            let LatencyCounts { counts, sum_ns } = latencies.counts();
            assert_eq!((counts.iter().sum::<u64>(), sum_ns), (1, took_ns));
            assert_eq!(counts[bucket], 1, "{took_ns} ns");
        }
    }

    #[test]
    fn counts_of_cores_are_added() {
        let latencies = Latencies::default();
        latencies.record(Duration::from_micros(50));
        latencies.record(Duration::from_millis(2));
        let mut all = latencies.counts();
        all.add(&latencies.counts());
        assert_eq!((all.counts[0], all.counts[4], all.sum_ns), (2, 2, 4_100_000));
    }
}
