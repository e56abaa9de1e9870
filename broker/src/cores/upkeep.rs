//! What a core does from time to time, whether or not anybody asks: it deletes old segments, and forgets
//! producers that have long been idle.

use std::rc::Rc;
use std::time::Duration;

use protocol::model::TimestampMs;
use reactor::Instant;

use super::core::Core;

/// Something that is done again and again.
struct Periodic {
    due: Instant,
    every: Duration,
}

impl Periodic {
    fn new(first_ms: u64, every_ms: u64) -> Self {
        let due = reactor::now() + Duration::from_millis(first_ms);
        Periodic { due, every: Duration::from_millis(every_ms) }
    }

    /// Whether it is due; then the next time is so much later than now, however late this one is.
    fn is_due(&mut self) -> bool {
        let now = reactor::now();
        let is_due = self.due <= now;
        if is_due {
            self.due = now + self.every;
        }
        is_due
    }
}

/// Looks after the partitions of `core` until it stops.
pub async fn run(core: Rc<Core>) {
    let config = &core.node.config;
    let mut retention = Periodic::new(config.initial_task_delay_ms, config.retention_check_ms);
    let check_ms = config.producer_id_expiration_check_ms;
    let mut expiration = Periodic::new(check_ms, check_ms);
    while !core.stop.is_set() {
        let next = reactor::sleep_until(retention.due.min(expiration.due));
        futures_lite::future::or(core.stop.wait(), next).await;
        if retention.is_due() {
            delete_old_segments(&core).await;
        }
        if expiration.is_due() {
            expire_producers(&core).await;
        }
    }
}

async fn delete_old_segments(core: &Core) {
    for (_, partition) in core.partitions() {
        if core.stop.is_set() {
            return;
        }
        let now = TimestampMs(reactor::wall_clock());
        if let Err(error) = partition.log().delete_old_segments(now).await {
            // A log that went offline has said so; one that is closed or deleted wants nothing.
            let (topic, partition) = (&partition.topic, partition.index);
            tracing::debug!(%topic, %partition, %error, "no old segments are deleted");
        }
        reactor::yield_now().await;
    }
}

async fn expire_producers(core: &Core) {
    for (_, partition) in core.partitions() {
        partition.log().expire_producers(TimestampMs(reactor::wall_clock()));
        reactor::yield_now().await;
    }
}
