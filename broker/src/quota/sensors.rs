//! The rates of all whom a core keeps count of, in bounded memory.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::mem;
use std::time::Duration;

use controller::quota::QuotaKind;
use reactor::Instant;
use reactor::net::IpAddr;

use super::rate::{Rate, Windows};

/// What the rates of a core may take: those of some ten thousand clients.
const SENSORS_SIZE_BYTES_MAX: usize = 4 << 20;

/// Who shares a quota of clients, and of what: a user, a client id.
pub type SensorKey = (QuotaKind, Box<str>, Box<str>);

/// What is counted by: who shares a quota.
pub trait Key: Ord + Clone {
    /// Of what it points to.
    fn size_bytes(&self) -> usize;
}

impl Key for SensorKey {
    fn size_bytes(&self) -> usize {
        self.1.len() + self.2.len()
    }
}

impl Key for IpAddr {
    fn size_bytes(&self) -> usize {
        0
    }
}

/// Rates by who shares a quota.
///
/// They are in two generations. Who is asked about moves to the young one; when that has all that may be,
/// or is as old as a rate remembers, it becomes the old one, and what was there is forgotten. So who was
/// quiet for long costs nothing, and who makes names up loses the count of others only by making up
/// thousands within seconds.
pub struct Sensors<K = SensorKey> {
    windows: Windows,
    generations: RefCell<Generations<K>>,
    turned: Cell<Option<Instant>>,
}

struct Generations<K> {
    young: BTreeMap<K, Rate>,
    young_size_bytes: usize,
    old: BTreeMap<K, Rate>,
}

impl<K: Key> Sensors<K> {
    pub fn new(windows: Windows) -> Self {
        let generations =
            Generations { young: BTreeMap::new(), young_size_bytes: 0, old: BTreeMap::new() };
        Sensors { windows, generations: RefCell::new(generations), turned: Cell::new(None) }
    }

    /// How long one window is.
    pub fn window(&self) -> Duration {
        Duration::from_millis(self.windows.size_ms)
    }

    /// `value` more of `key` at `now`, and how long whoever shares it has to pause then. With
    /// `unless_over` it does not count where that is so.
    pub fn record(
        &self,
        now: Instant,
        key: K,
        value: f64,
        quota: f64,
        unless_over: bool,
    ) -> Option<Duration> {
        let mut generations = self.generations.borrow_mut();
        self.maybe_turn(&mut generations, now);
        let rate = generations.of(key, self.windows);
        rate.record(self.windows, now, value);
        let pause = rate.pause(self.windows, now, quota);
        if unless_over && pause.is_some() {
            rate.record(self.windows, now, -value);
        }
        pause
    }

    fn maybe_turn(&self, generations: &mut Generations<K>, now: Instant) {
        let turned = self.turned.get();
        let span = Duration::from_millis(self.windows.span_ms());
        let is_full = generations.young_size_bytes > SENSORS_SIZE_BYTES_MAX / 2;
        if is_full || turned.is_none_or(|turned| now - turned >= span) {
            generations.turn();
            self.turned.set(Some(now));
        }
    }
}

impl<K: Key> Generations<K> {
    fn turn(&mut self) {
        self.old = mem::take(&mut self.young);
        self.young_size_bytes = 0;
    }

    fn of(&mut self, key: K, windows: Windows) -> &mut Rate {
        if !self.young.contains_key(&key) {
            let known = self.old.remove(&key);
            self.young_size_bytes += size_bytes(&key, windows);
            self.young.insert(key.clone(), known.unwrap_or_default());
        }
        self.young.get_mut(&key).expect("it was there, or has come")
    }
}

/// What one rate takes, in trees and rings whose memory is half full.
fn size_bytes<K: Key>(key: &K, windows: Windows) -> usize {
    let samples = usize::try_from(windows.count).unwrap_or(usize::MAX).saturating_add(1);
    let own = size_of::<K>() + size_of::<Rate>() + key.size_bytes();
    samples.saturating_mul(3 * size_of::<u64>()).saturating_add(own).saturating_mul(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> SensorKey {
        (QuotaKind::Produce, "ANONYMOUS".into(), format!("client-{number}").into())
    }

    fn at(ms: u64) -> Instant {
        Instant(ms * 1_000_000)
    }

    #[test]
    fn each_has_a_rate_of_its_own_and_what_is_over_may_not_count() {
        let sensors = Sensors::new(Windows::DEFAULT);
        let record = |ms, number, value, unless_over| {
            let pause = sensors.record(at(ms), key(number), value, 10.0, unless_over);
            pause.map(|pause| pause.as_millis())
        };
        assert_eq!(record(0, 1, 101.0, false), Some(100));
        assert_eq!(record(0, 2, 100.0, false), None);
        assert_eq!(record(50, 2, 1.0, true), Some(50));
        assert_eq!(record(110, 2, 1.0, true), None);
        assert_eq!(record(10_200, 1, 0.0, false), None);
        // The rate is kept over the turn of generations, for as long as it says anything.
        assert_eq!(record(11_050, 2, 100.0, false), Some(9_050));
    }

    #[test]
    fn names_that_are_made_up_take_bounded_memory() {
        let sensors = Sensors::new(Windows::DEFAULT);
        for number in 0..50_000 {
            sensors.record(at(number as u64 / 100), key(number), 1.0, 10.0, false);
        }
        let generations = sensors.generations.borrow();
        let all = generations.young.keys().chain(generations.old.keys());
        let size: usize = all.map(|key| size_bytes(key, Windows::DEFAULT)).sum();
        assert!(size <= SENSORS_SIZE_BYTES_MAX + 2_000, "{size} bytes");
        assert!(size >= SENSORS_SIZE_BYTES_MAX / 2, "{size} bytes");
    }
}
