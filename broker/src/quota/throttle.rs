//! A connection that is not read for a while: its client was too fast. Source: KIP-219.

use std::cell::Cell;
use std::time::Duration;

use reactor::Instant;
use reactor::sync::Event;

/// Until when one connection is not read.
pub struct Throttle {
    until: Cell<Option<Instant>>,
    /// Set when the connection ends: nobody waits any more.
    ending: Event,
}

impl Throttle {
    pub fn new(ending: Event) -> Self {
        Throttle { until: Cell::new(None), ending }
    }

    /// Nothing is read for `pause` from now, or for longer where that was said before.
    pub fn pause(&self, pause: Duration) {
        let until = reactor::now() + pause;
        if self.until.get().is_none_or(|known| known < until) {
            self.until.set(Some(until));
        }
    }

    /// Waits until the connection may be read, or ends.
    pub async fn over(&self) {
        while let Some(until) = self.until.get().filter(|_| !self.ending.is_set()) {
            if until <= reactor::now() {
                self.until.set(None);
                return;
            }
            reactor::mark!(connection_is_throttled);
            futures_lite::future::or(reactor::sleep_until(until), self.ending.wait()).await;
        }
    }
}
