//! How many connections are open, of whom and on which core; kept on the accepting core.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use controller::quota::QuotaTable;
use reactor::net::IpAddr;
use reactor::sync::Notify;
use reactor::{CoreIndex, Instant};

use crate::config::ConnectionLimits;
use crate::quota::{Sensors, Windows};

/// For how long connections may come faster than they should, after nobody came for as long: Kafka takes
/// the mean of eleven samples of a second, of which the last is not over.
const BURST: Duration = Duration::from_secs(10);

/// Why a connection is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotLetIn {
    /// To be closed at once.
    #[error("{address} has {count_max} connections, which is all that it may have")]
    TooMany { address: IpAddr, count_max: usize },
    /// To be closed after a pause: who would try again at once waits.
    #[error("{address} connects faster than its quota")]
    TooFast { address: IpAddr, pause: Duration },
}

pub struct ConnectionCounts {
    limits: RefCell<ConnectionLimits>,
    per_core: RefCell<Vec<usize>>,
    per_address: RefCell<BTreeMap<IpAddr, usize>>,
    /// How fast addresses may connect, and how fast those do that are limited.
    quotas: RefCell<Arc<QuotaTable>>,
    rates: Sensors<IpAddr>,
    /// When the next one would come if all had come at the rate that is allowed.
    due: Cell<Option<Instant>>,
    released: Notify,
}

impl ConnectionCounts {
    /// None yet, for `core_count` cores.
    pub fn new(core_count: usize, limits: ConnectionLimits, windows: Windows) -> Self {
        ConnectionCounts {
            limits: RefCell::new(limits),
            per_core: RefCell::new(vec![0; core_count]),
            per_address: RefCell::default(),
            quotas: RefCell::default(),
            rates: Sensors::new(windows),
            due: Cell::new(None),
            released: Notify::new(),
        }
    }

    /// What may come from now on; who is there stays.
    pub fn limit(&self, limits: ConnectionLimits, quotas: &Arc<QuotaTable>) {
        *self.quotas.borrow_mut() = quotas.clone();
        if *self.limits.borrow() == limits {
            return;
        }
        limits.warn();
        *self.limits.borrow_mut() = limits;
        self.released.notify_all();
    }

    /// Waits until one more may come: until there is a place for it, and it does not come too fast.
    pub async fn wait_for_next(&self) {
        loop {
            let released = self.released.notified();
            if self.per_core.borrow().iter().sum::<usize>() < self.limits.borrow().count_max {
                break;
            }
            reactor::mark!(connections_wait_for_a_place);
            released.await;
        }
        if let Some(until) = self.too_fast_until(reactor::now()) {
            reactor::mark!(connections_come_too_fast);
            reactor::sleep_until(until).await;
        }
    }

    /// Until when none may come; `None` where one may come now.
    fn too_fast_until(&self, now: Instant) -> Option<Instant> {
        let due = self.due.get().filter(|due| *due > now + BURST)?;
        Some(now + (due - now - BURST))
    }

    /// Counts a connection of `address` to the core that has the fewest, the first of several, and names
    /// it. Errors: nothing was counted; of an address that has too many the time at which it came.
    pub fn place(&self, address: IpAddr, now: Instant) -> Result<CoreIndex, NotLetIn> {
        if let Some(quota) = self.quotas.borrow().of_address(address) {
            // One that is not let in does not count.
            let known = address.to_canonical();
            if let Some(pause) = self.rates.record(now, known, 1.0, quota.trunc(), true) {
                reactor::mark!(address_connects_too_fast);
                let pause = pause.min(self.rates.window());
                return Err(NotLetIn::TooFast { address, pause });
            }
        }
        // A rate of none at all lets one in each second, as Kafka's longest throttling does.
        let limits = self.limits.borrow();
        let interval = Duration::from_secs(1) / limits.creation_rate_max.max(1);
        let due = self.due.get().unwrap_or(now).max(now);
        self.due.set(Some(due + interval));
        let mut per_address = self.per_address.borrow_mut();
        let of_address = per_address.get(&address).copied().unwrap_or(0);
        let count_max = limits.of(address);
        if of_address >= count_max {
            return Err(NotLetIn::TooMany { address, count_max });
        }
        per_address.insert(address, of_address + 1);
        let mut per_core = self.per_core.borrow_mut();
        let (index, count) = per_core
            .iter_mut()
            .enumerate()
            .min_by_key(|(_, count)| **count)
            .expect("a broker has a core");
        *count += 1;
        Ok(CoreIndex(index))
    }

    /// A connection of `address` on `core` has ended; it was counted (asserted).
    pub fn release(&self, core: CoreIndex, address: IpAddr) {
        let mut per_core = self.per_core.borrow_mut();
        assert!(per_core[core.0] > 0, "more connections of core {core} ended than began");
        per_core[core.0] -= 1;
        drop(per_core);
        let mut per_address = self.per_address.borrow_mut();
        let of_address = per_address.get_mut(&address).expect("a connection was counted");
        *of_address -= 1;
        if *of_address == 0 {
            per_address.remove(&address);
        }
        drop(per_address);
        self.released.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(per_address_max: usize, creation_rate_max: u32) -> ConnectionLimits {
        ConnectionLimits {
            count_max: 4,
            per_address_max,
            per_address_overrides: BTreeMap::from([(address(9), 3)]),
            unknown_hosts: Vec::new(),
            creation_rate_max,
        }
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn an_address_has_no_more_than_it_may_and_gets_places_back() {
        let counts = ConnectionCounts::new(2, limits(1, 1000), Windows::DEFAULT);
        let place = |last| counts.place(address(last), Instant(0)).map(|core| core.0);
        assert_eq!(place(1), Ok(0));
        assert_eq!(place(1), Err(NotLetIn::TooMany { address: address(1), count_max: 1 }));
        assert_eq!([place(9), place(9), place(9)], [Ok(1), Ok(0), Ok(1)]);
        assert_eq!(place(9), Err(NotLetIn::TooMany { address: address(9), count_max: 3 }));
        counts.release(CoreIndex(0), address(1));
        assert_eq!(place(1), Ok(0));
        // The same address on a socket that speaks both.
        let mapped = "::ffff:10.0.0.9".parse().expect("an address");
        assert_eq!(limits(1, 1).of(mapped), 3);
    }

    #[test]
    fn ten_seconds_of_connections_may_come_at_once_and_then_they_are_paced() {
        let counts = ConnectionCounts::new(1, limits(usize::MAX, 5), Windows::DEFAULT);
        let second = |seconds| Instant(0) + Duration::from_secs(seconds);
        for count in 0..51 {
            assert_eq!(counts.too_fast_until(second(1)), None, "after {count}");
            counts.place(address(1), second(1)).expect("a place");
        }
        let until = second(1) + Duration::from_millis(200);
        assert_eq!(counts.too_fast_until(second(1)), Some(until));
        assert_eq!(counts.too_fast_until(until), None);
        assert_eq!(counts.too_fast_until(second(60)), None);
    }
}
