//! How long something took each time, as one line.

use std::fmt;
use std::time::Duration;

/// Times of one kind, in any order.
#[derive(Debug, Clone, Default)]
pub struct Spread(Vec<Duration>);

impl Spread {
    pub fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    pub fn longest(&self) -> Duration {
        self.0.iter().max().copied().unwrap_or_default()
    }

    /// The smallest time that `percent` of all do not exceed; zero where there are none.
    pub fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
        sorted.get(at).copied().unwrap_or_default()
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        let [least, median, p99] = [0, 50, 99].map(|percent| ms(self.percentile(percent)));
        let (count, longest) = (self.count(), ms(self.longest()));
        write!(f, "{count} times, ms: least {least:.0}, median {median:.0}, ")?;
        write!(f, "99 % {p99:.0}, longest {longest:.0}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_seen() {
        let mut spread = Spread::default();
        assert_eq!(spread.longest(), Duration::ZERO);
        for ms in (1..=200).rev() {
            spread.add(Duration::from_millis(ms));
        }
        for (percent, ms) in [(0, 1), (50, 100), (99, 198), (100, 200)] {
            assert_eq!(spread.percentile(percent), Duration::from_millis(ms), "{percent} %");
        }
        let text = spread.to_string();
        assert_eq!(text, "200 times, ms: least 1, median 100, 99 % 198, longest 200");
    }
}
