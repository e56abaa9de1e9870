//! Which log is to be compacted, how far, and which of its segments become one: decisions without I/O.
//! Source: Kafka's `LogCleanerManager.cleanableOffsets`, `LogToClean`, `Cleaner.groupSegmentsBySize`.

use protocol::model::{Offset, TimestampMs};

use crate::config::LogConfig;

/// What the rules look at of one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) base_offset: Offset,
    /// Where the next segment begins.
    pub(crate) next_offset: Offset,
    pub(crate) size_bytes: u32,
    /// The largest of its records.
    pub(crate) largest_timestamp: Option<TimestampMs>,
    /// The largest of its first batch.
    pub(crate) first_timestamp: Option<TimestampMs>,
}

/// How far a log may be compacted: below `limit` (the high watermark, open transactions, the active
/// segment), and before the first of `dirty`, the rolled segments from the first dirty offset on, that
/// has a record younger than `min.compaction.lag.ms`. Unknown timestamps count as young.
pub(crate) fn bound(
    limit: Offset,
    dirty: &[Extent],
    config: &LogConfig,
    now: TimestampMs,
) -> Offset {
    if config.min_compaction_lag_ms == 0 {
        return limit;
    }
    let lag_ms = i64::try_from(config.min_compaction_lag_ms).unwrap_or(i64::MAX);
    let old_enough = now.0.saturating_sub(lag_ms);
    let young = dirty
        .iter()
        .find(|segment| segment.largest_timestamp.is_none_or(|largest| largest.0 > old_enough));
    young.map_or(limit, |segment| segment.base_offset.min(limit))
}

/// How much a log asks for compaction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Dirty {
    /// Bytes that are dirty and may be compacted, of all that are clean or may be; 0 to 1.
    pub(crate) ratio: f64,
    /// Whether to compact it: the ratio is above `min.cleanable.dirty.ratio`, or something dirty is older
    /// than `max.compaction.lag.ms`.
    pub(crate) is_due: bool,
}

/// What the rolled segments `rolled` of a log ask for that is clean below `first_dirty`, and may be
/// compacted below `bound`.
pub(crate) fn dirty(
    rolled: &[Extent],
    first_dirty: Offset,
    bound: Offset,
    config: &LogConfig,
    now: TimestampMs,
) -> Dirty {
    let size_of = |from: Offset, to: Offset| -> u64 {
        let within = rolled.iter().filter(|it| it.next_offset > from && it.base_offset < to);
        within.map(|it| u64::from(it.size_bytes)).sum()
    };
    // Whole segments count: one that is partly clean counts in both, one that may be compacted in part
    // does not count.
    let whole_bound = rolled.iter().find(|it| it.next_offset > bound).map(|it| it.base_offset);
    let whole_bound = whole_bound.unwrap_or(bound);
    let clean = size_of(Offset::ZERO, first_dirty);
    let dirty = if first_dirty < whole_bound { size_of(first_dirty, whole_bound) } else { 0 };
    let ratio = if clean + dirty == 0 { 0.0 } else { dirty as f64 / (clean + dirty) as f64 };
    let lag_ms = i64::try_from(config.max_compaction_lag_ms).unwrap_or(i64::MAX);
    let too_old = now.0.saturating_sub(lag_ms);
    let is_too_old = rolled
        .iter()
        .filter(|it| it.next_offset > first_dirty)
        .filter_map(|it| it.first_timestamp)
        .any(|first| first.0 > 0 && first.0 < too_old);
    let is_due = dirty > 0 && (ratio > config.min_cleanable_dirty_ratio || is_too_old);
    Dirty { ratio, is_due }
}

/// The largest segment that is written: positions in the offset index are signed 32-bit numbers, and
/// what is written may be a little larger than what was read.
const GROUP_SIZE_BYTES_MAX: u64 = i32::MAX as u64 / 8 * 7;

/// How many of `segments`, in their order, become one each: as many as have room in a segment of
/// `segment.bytes`, and have offsets that its index can hold.
pub(crate) fn groups(segments: &[Extent], config: &LogConfig) -> Vec<usize> {
    let size_bytes_max = u64::from(config.segment_size_bytes).min(GROUP_SIZE_BYTES_MAX);
    let mut counts: Vec<usize> = Vec::new();
    let (mut base_offset, mut size_bytes) = (Offset::ZERO, 0);
    for segment in segments {
        let more = size_bytes + u64::from(segment.size_bytes);
        let span = segment.next_offset.0 - 1 - base_offset.0;
        match counts.last_mut() {
            Some(count) if more <= size_bytes_max && span <= i64::from(i32::MAX) => {
                *count += 1;
                size_bytes = more;
            }
            Some(_) | None => {
                counts.push(1);
                (base_offset, size_bytes) = (segment.base_offset, u64::from(segment.size_bytes));
            }
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: TimestampMs = TimestampMs(10_000);

    /// Ten offsets and 100 bytes each; first timestamps 1000, 2000, … and largest ones 500 more.
    fn segments(count: i64) -> Vec<Extent> {
        let extent = |n: i64| Extent {
            base_offset: Offset(10 * n),
            next_offset: Offset(10 * n + 10),
            size_bytes: 100,
            first_timestamp: Some(TimestampMs(1000 * (n + 1))),
            largest_timestamp: Some(TimestampMs(1000 * (n + 1) + 500)),
        };
        (0..count).map(extent).collect()
    }

    fn config(change: impl FnOnce(&mut LogConfig)) -> LogConfig {
        let mut config = LogConfig { cleanup_compacts: true, ..LogConfig::default() };
        change(&mut config);
        config
    }

    #[test]
    fn young_records_stay_as_they_are() {
        for (limit, from, lag_ms, want) in [
            (40, 0, 0, 40),
            (35, 0, 0, 35),
            (40, 0, 5500, 40), // the youngest is of 4500
            (40, 0, 5501, 30),
            (25, 0, 5501, 25),
            (40, 0, 8500, 10),
            (40, 0, 8501, 0),
            (40, 2, 8501, 20), // what is clean is not asked
            (40, 0, u64::MAX, 0),
        ] {
            let config = config(|it| it.min_compaction_lag_ms = lag_ms);
            let found = bound(Offset(limit), &segments(4)[from..], &config, NOW);
            assert_eq!(found, Offset(want), "{limit} {from} {lag_ms}");
        }
        let mut unknown = segments(4);
        unknown[1].largest_timestamp = None;
        let config = config(|it| it.min_compaction_lag_ms = 1);
        assert_eq!(bound(Offset(40), &unknown, &config, NOW), Offset(10));
    }

    #[test]
    fn what_is_dirty_enough_is_due() {
        let never = u64::MAX;
        for (first_dirty, bound, min_ratio, max_lag_ms, ratio, is_due) in [
            (0, 40, 0.5, never, 1.0, true),
            (0, 40, 1.0, never, 1.0, false), // more than the least is asked for
            (20, 40, 0.5, never, 0.5, false),
            (20, 40, 0.49, never, 0.5, true),
            (30, 40, 0.2, never, 0.25, true),
            (40, 40, 0.0, never, 0.0, false),
            (40, 40, 0.0, 1, 0.0, false),
            (15, 40, 0.5, never, 3.0 / 5.0, true), // a segment that is partly clean counts twice
            (20, 25, 0.0, never, 0.0, false),      // whole segments
            (20, 35, 0.3, never, 1.0 / 3.0, true),
            (20, 20, 0.0, never, 0.0, false),
            (30, 40, 0.9, 5999, 0.25, true), // its first batch is of 4000
            (30, 40, 0.9, 6000, 0.25, false),
        ] {
            let config = config(|it| {
                it.min_cleanable_dirty_ratio = min_ratio;
                it.max_compaction_lag_ms = max_lag_ms;
            });
            let found = dirty(&segments(4), Offset(first_dirty), Offset(bound), &config, NOW);
            let case = format!("{first_dirty}..{bound} {min_ratio} {max_lag_ms}");
            assert_eq!(found, Dirty { ratio, is_due }, "{case}");
        }
        let nothing = dirty(&[], Offset(0), Offset(0), &config(|_| ()), NOW);
        assert_eq!(nothing, Dirty { ratio: 0.0, is_due: false });
    }

    #[test]
    fn small_segments_become_one() {
        let far = i64::from(i32::MAX);
        let mut wide = segments(3);
        wide[1].next_offset = Offset(far + 1);
        wide[2] = Extent { base_offset: Offset(far + 1), next_offset: Offset(far + 2), ..wide[2] };
        for (segments, size_bytes_max, want) in [
            (segments(0), 1000, &[][..]),
            (segments(5), 1000, &[5]),
            (segments(5), 299, &[2, 2, 1]),
            (segments(5), 300, &[3, 2]),
            (segments(3), 50, &[1, 1, 1]),
            (wide, 1000, &[2, 1]),
        ] {
            let config = config(|it| it.segment_size_bytes = size_bytes_max);
            assert_eq!(groups(&segments, &config), want, "{size_bytes_max}");
        }
    }
}
