//! How fast compaction goes.

use std::cell::Cell;
use std::time::Duration;

use reactor::Instant;

/// Bytes read and written that are paid for at once: so seldom is anybody put to sleep.
const PAID_SIZE_BYTES: u64 = 256 << 10;

/// What one payment costs at most, however low the pace.
const COST_MAX: Duration = Duration::from_secs(3600);

/// For so long a sleeper does not hear of another pace.
const NAP_MAX: Duration = Duration::from_secs(1);

/// What a core is kept busy for before others get their turn.
const TURN_MIN: Duration = Duration::from_micros(50);

/// Others had something to do if their turn takes longer.
const IDLE_TURN_MAX: Duration = Duration::from_micros(20);

/// So many times as long as compaction has worked it then leaves a busy core to others: it takes a quarter.
const OTHERS_PART: u32 = 3;

/// The pace of one core's compaction: `log.cleaner.io.max.bytes.per.second` of reading and writing, summed
/// up; and a quarter of the core's time while there is anything else to do.
pub struct Pace {
    bytes_per_second: Cell<f64>,
    unpaid_bytes: Cell<u64>,
    /// What went before this is paid for.
    paid_until: Cell<Instant>,
    /// Of the core's time, since others had their turn.
    worked: Cell<Duration>,
}

impl Pace {
    pub fn new(bytes_per_second: f64) -> Pace {
        Pace {
            bytes_per_second: Cell::new(bytes_per_second),
            unpaid_bytes: Cell::new(0),
            paid_until: Cell::new(reactor::now()),
            worked: Cell::new(Duration::ZERO),
        }
    }

    /// Holds for what sleeps already, too.
    pub fn set(&self, bytes_per_second: f64) {
        if self.bytes_per_second.replace(bytes_per_second) != bytes_per_second {
            self.paid_until.set(reactor::now());
        }
    }

    /// Waits for as long as `size_bytes` take.
    pub(crate) async fn spend(&self, size_bytes: u64) {
        let unpaid = self.unpaid_bytes.get() + size_bytes;
        self.unpaid_bytes.set(unpaid);
        if unpaid < PAID_SIZE_BYTES {
            return;
        }
        self.unpaid_bytes.set(0);
        let seconds = unpaid as f64 / self.bytes_per_second.get();
        let cost = Duration::try_from_secs_f64(seconds).unwrap_or(COST_MAX).min(COST_MAX);
        let now = reactor::now();
        self.paid_until.set(self.paid_until.get().max(now) + cost);
        loop {
            let (now, until) = (reactor::now(), self.paid_until.get());
            if until <= now {
                return;
            }
            reactor::sleep_until(until.min(now + NAP_MAX)).await;
        }
    }

    /// Others of the core get their turn once compaction has had one, of which `worked` is the last part.
    /// Where the clock stands still meanwhile, as in a simulation, each call is a turn.
    pub(crate) async fn give_way(&self, worked: Duration) {
        let turn = self.worked.get() + worked;
        self.worked.set(turn);
        if turn < TURN_MIN && !worked.is_zero() {
            return;
        }
        self.worked.set(Duration::ZERO);
        let began = reactor::now();
        reactor::yield_now().await;
        if reactor::now() - began > IDLE_TURN_MAX && !turn.is_zero() {
            reactor::sleep(turn * OTHERS_PART).await;
        }
    }
}
