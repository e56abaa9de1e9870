//! How fast something is, over windows of time, as Kafka's `Rate` of `SampledStat` measures it.

use std::collections::VecDeque;
use std::time::Duration;

use reactor::Instant;

/// Over how many windows a rate is measured, and how long each is. The last one is not over, so that
/// a rate is that of `count - 1` windows and a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    pub count: u64,
    pub size_ms: u64,
}

/// Events of one who is limited.
#[derive(Clone, Debug, Default)]
pub struct Rate {
    /// From the oldest. All of them count: what is older than all windows is gone before.
    samples: VecDeque<Sample>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    began_ms: u64,
    last_event_ms: u64,
    value: f64,
}

impl Windows {
    /// Kafka's defaults.
    pub const DEFAULT: Windows = Windows { count: 11, size_ms: 1_000 };

    /// What happened so long ago counts no more.
    pub fn span_ms(self) -> u64 {
        self.count.saturating_mul(self.size_ms)
    }

    /// The most that may happen at once under `quota` a second, after nothing has for long.
    pub fn burst(self, quota: f64) -> f64 {
        quota * (self.count - 1) as f64 * self.size_ms as f64 / 1e3
    }
}

impl Rate {
    /// `value` more at `now`.
    pub fn record(&mut self, windows: Windows, now: Instant, value: f64) {
        let now_ms = milliseconds(now);
        match self.samples.back_mut() {
            Some(last) if now_ms.saturating_sub(last.began_ms) < windows.size_ms => {
                last.value += value;
                last.last_event_ms = now_ms;
            }
            _ => {
                self.forget(windows, now_ms);
                self.samples.push_back(Sample { began_ms: now_ms, last_event_ms: now_ms, value });
            }
        }
    }

    /// How long nothing may happen until the rate is down at `quota` a second; `None` where it is now.
    ///
    /// At a rate r over a time w there must be a pause x so that r * w / (w + x) is the quota.
    pub fn pause(&mut self, windows: Windows, now: Instant, quota: f64) -> Option<Duration> {
        let now_ms = milliseconds(now);
        self.forget(windows, now_ms);
        let measured_ms = self.measured_ms(windows, now_ms) as f64;
        let sum: f64 = self.samples.iter().map(|sample| sample.value).sum();
        let rate = sum / (measured_ms / 1e3);
        // A pause of none is none: what rounds to zero is within the quota.
        let pause_ms = ((rate - quota) / quota * measured_ms).round();
        (pause_ms >= 1.0).then(|| Duration::from_millis(pause_ms as u64))
    }

    fn forget(&mut self, windows: Windows, now_ms: u64) {
        let is_old =
            |sample: &Sample| now_ms.saturating_sub(sample.last_event_ms) >= windows.span_ms();
        while self.samples.front().is_some_and(is_old) {
            self.samples.pop_front();
        }
    }

    /// The time that the samples stand for: all windows but the last at least, as if nothing had happened
    /// before the first event, so that a beginning is no rate without end.
    fn measured_ms(&self, windows: Windows, now_ms: u64) -> u64 {
        let oldest_ms = self.samples.front().map_or(now_ms, |sample| sample.began_ms);
        let elapsed_ms = now_ms.saturating_sub(oldest_ms);
        let missing = (windows.count - 1).saturating_sub(elapsed_ms / windows.size_ms);
        elapsed_ms.saturating_add(missing.saturating_mul(windows.size_ms)).max(1)
    }
}

fn milliseconds(at: Instant) -> u64 {
    at.0 / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant(ms * 1_000_000)
    }

    fn pause_ms(rate: &mut Rate, ms: u64, quota: f64) -> u64 {
        let pause = rate.pause(Windows::DEFAULT, at(ms), quota);
        pause.map_or(0, |pause| pause.as_millis() as u64)
    }

    #[test]
    fn a_pause_is_as_long_as_apache_kafkas() {
        // Events at times, and what Apache Kafka's sensor says at the last of them with a quota of 100.
        for (events, want_ms) in [
            (&[(0, 1_000.0)][..], 0),
            (&[(0, 1_001.0)], 10),
            (&[(0, 2_000.0)], 10_000),
            // The window that is not over counts with what of it is.
            (&[(0, 1_000.0), (500, 50.0)], 0),
            (&[(0, 1_000.0), (500, 100.0)], 500),
            (&[(0, 500.0), (10_500, 600.0)], 500),
            // What is eleven windows old is gone.
            (&[(0, 2_000.0), (10_999, 0.0)], 9_001),
            (&[(0, 2_000.0), (11_000, 0.0)], 0),
            (&[(0, 2_000.0), (900, 1.0), (11_000, 0.0)], 9_010),
        ] {
            let mut rate = Rate::default();
            for &(ms, value) in events {
                rate.record(Windows::DEFAULT, at(ms), value);
            }
            let (last_ms, _) = events[events.len() - 1];
            assert_eq!(pause_ms(&mut rate, last_ms, 100.0), want_ms, "{events:?}");
        }
    }

    #[test]
    fn who_pauses_as_told_keeps_the_quota() {
        for (value, every_ms) in [(1.0, 1), (5_000.0, 40), (300_000.0, 0), (200_000.0, 10)] {
            let (mut rate, mut now_ms, mut sum) = (Rate::default(), 5, 0.0);
            let quota = 50_000.0;
            while now_ms < 200_000 {
                rate.record(Windows::DEFAULT, at(now_ms), value);
                sum += value;
                now_ms += every_ms + pause_ms(&mut rate, now_ms, quota);
            }
            let allowed = quota * now_ms as f64 / 1e3 + Windows::DEFAULT.burst(quota);
            assert!(sum <= allowed * 1.01 + value, "{value}: {sum} of {allowed}");
            if every_ms == 0 || value / every_ms as f64 > quota / 1e3 {
                assert!(sum >= quota * now_ms as f64 / 1e3 * 0.95, "{value}: {sum} in {now_ms} ms");
            }
            assert!(rate.samples.len() <= 12, "{} samples", rate.samples.len());
        }
    }
}
