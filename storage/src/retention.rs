//! Which of a log's oldest segments may go: Kafka's rules, as one decision without I/O.
//!
//! Source: `UnifiedLog.deleteOldSegments` and `deletableSegments`.

use protocol::model::{Offset, TimestampMs};

use crate::config::LogConfig;

/// Why a segment goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The next one begins at or below the log start.
    LogStart,
    /// `retention.bytes`
    Size,
    /// `retention.ms`
    Time,
}

/// What the rules look at of one segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    /// Where the next segment begins, or the log ends.
    pub(crate) next_offset: Offset,
    pub(crate) size_bytes: u32,
    /// Where its records have none: when it was made. `None`: not known yet.
    pub(crate) largest_timestamp: Option<TimestampMs>,
}

/// What the rules look at of a log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits<'a> {
    pub(crate) config: &'a LogConfig,
    pub(crate) log_start_offset: Offset,
    pub(crate) high_watermark: Offset,
    pub(crate) now: TimestampMs,
}

/// The answer of [`decide`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As many of the oldest segments go as there are reasons.
    Delete(Vec<Reason>),
    /// The largest timestamp of the segment with this number must be known first.
    AskTimestamp(usize),
}

/// Which of `segments`, from the oldest on to the active one, may be deleted. No segment goes that
/// reaches beyond the high watermark, so that the log start never does (INV-1); nor an active one that
/// is empty. With `cleanup.policy` without `delete` only the log start counts.
pub(crate) fn decide(limits: Limits, segments: &[Extent]) -> Verdict {
    let Limits { config, log_start_offset, high_watermark, now } = limits;
    let mut reasons = Vec::new();
    let last = segments.len().saturating_sub(1);
    let may_go = |index: usize, segment: &Extent| {
        segment.next_offset <= high_watermark && !(index == last && segment.size_bytes == 0)
    };
    for (index, segment) in segments.iter().enumerate() {
        if index == last || !may_go(index, segment) || segment.next_offset > log_start_offset {
            break;
        }
        reasons.push(Reason::LogStart);
    }
    if !config.cleanup_deletes {
        return Verdict::Delete(reasons);
    }
    let left = || segments.iter().enumerate();
    let size_bytes: u64 = left().skip(reasons.len()).map(|(_, it)| u64::from(it.size_bytes)).sum();
    if let Some(mut excess) = config.retention_bytes.and_then(|max| size_bytes.checked_sub(max)) {
        for (index, segment) in left().skip(reasons.len()) {
            match excess.checked_sub(u64::from(segment.size_bytes)) {
                Some(rest) if may_go(index, segment) => excess = rest,
                Some(_) | None => break,
            }
            reasons.push(Reason::Size);
        }
    }
    if let Some(retention_ms) = config.retention_ms {
        for (index, segment) in left().skip(reasons.len()) {
            if !may_go(index, segment) {
                break;
            }
            let Some(largest) = segment.largest_timestamp else {
                return Verdict::AskTimestamp(index);
            };
            // A time to come gives a negative age: such a segment stays, as in Kafka.
            let age_ms = now.0.saturating_sub(largest.0);
            if !u64::try_from(age_ms).is_ok_and(|age_ms| age_ms > retention_ms) {
                break;
            }
            reasons.push(Reason::Time);
        }
    }
    Verdict::Delete(reasons)
}

#[cfg(test)]
mod tests {
    use super::Reason::{LogStart, Size, Time};
    use super::*;

    /// Three rolled segments of 100 bytes, `0..10`, `10..20`, `20..30`, with the timestamps 1000, 2000
    /// and 3000, then the active one of 50 bytes, `30..35`, with 4000.
    fn segments() -> Vec<Extent> {
        let extent = |next_offset, size_bytes, largest| Extent {
            next_offset: Offset(next_offset),
            size_bytes,
            largest_timestamp: Some(TimestampMs(largest)),
        };
        vec![
            extent(10, 100, 1000),
            extent(20, 100, 2000),
            extent(30, 100, 3000),
            extent(35, 50, 4000),
        ]
    }

    struct Case {
        config: LogConfig,
        log_start_offset: i64,
        high_watermark: i64,
        now: i64,
    }

    fn case(retention_bytes: Option<u64>, retention_ms: Option<u64>) -> Case {
        let config = LogConfig { retention_bytes, retention_ms, ..LogConfig::default() };
        Case { config, log_start_offset: 0, high_watermark: 35, now: 5000 }
    }

    fn check(case: &Case, segments: &[Extent], want: &[Reason]) {
        let limits = Limits {
            config: &case.config,
            log_start_offset: Offset(case.log_start_offset),
            high_watermark: Offset(case.high_watermark),
            now: TimestampMs(case.now),
        };
        assert_eq!(decide(limits, segments), Verdict::Delete(want.to_vec()), "{limits:?}");
    }

    #[test]
    fn rules_are_kafkas() {
        let all = segments();
        for (case, want) in [
            (case(None, None), &[][..]),
            // Age: strictly more than the retention.
            (case(None, Some(4000)), &[]),
            (case(None, Some(3999)), &[Time]),
            (case(None, Some(1999)), &[Time, Time, Time]),
            (case(None, Some(0)), &[Time, Time, Time, Time]), // the active one too
            (Case { now: -1, ..case(None, Some(0)) }, &[]),   // a clock that was set back
            // Size: a segment goes where what is left still has the retention's size.
            (case(Some(350), None), &[]),
            (case(Some(251), None), &[]),
            (case(Some(250), None), &[Size]),
            (case(Some(51), None), &[Size, Size]),
            (case(Some(0), None), &[Size, Size, Size, Size]),
            (case(Some(u64::MAX), None), &[]),
            // Never beyond the high watermark.
            (Case { high_watermark: 29, ..case(None, Some(0)) }, &[Time, Time]),
            (Case { high_watermark: 34, ..case(Some(0), None) }, &[Size, Size, Size]),
            (Case { high_watermark: 0, ..case(Some(0), Some(0)) }, &[]),
            // The log start: whole segments below it, never the active one.
            (Case { log_start_offset: 9, ..case(None, None) }, &[]),
            (Case { log_start_offset: 10, ..case(None, None) }, &[LogStart]),
            (Case { log_start_offset: 35, ..case(None, None) }, &[LogStart, LogStart, LogStart]),
            // One rule after the other, each on what the one before has left.
            (Case { log_start_offset: 12, ..case(Some(150), Some(1500)) }, &[LogStart, Size, Time]),
        ] {
            check(&case, &all, want);
        }
    }

    #[test]
    fn without_the_policy_delete_only_the_log_start_counts() {
        let mut case = Case { log_start_offset: 20, ..case(Some(0), Some(0)) };
        case.config.cleanup_deletes = false;
        check(&case, &segments(), &[LogStart, LogStart]);
    }

    #[test]
    fn an_empty_active_segment_stays() {
        let mut segments = segments();
        segments[3] = Extent { next_offset: Offset(30), size_bytes: 0, ..segments[3] };
        check(&Case { high_watermark: 30, ..case(None, Some(0)) }, &segments, &[Time, Time, Time]);
        check(&Case { high_watermark: 30, ..case(Some(0), None) }, &segments, &[Size, Size, Size]);
        check(&case(Some(0), Some(0)), &segments[3..], &[]);
    }

    #[test]
    fn a_timestamp_is_asked_for_where_it_matters() {
        let mut segments = segments();
        segments[1].largest_timestamp = None;
        for (retention_ms, want) in
            [(4000, Verdict::Delete(vec![])), (3500, Verdict::AskTimestamp(1))]
        {
            let config = LogConfig { retention_ms: Some(retention_ms), ..LogConfig::default() };
            let limits = Limits {
                config: &config,
                log_start_offset: Offset(0),
                high_watermark: Offset(35),
                now: TimestampMs(5000),
            };
            assert_eq!(decide(limits, &segments), want, "{retention_ms}");
        }
    }
}
