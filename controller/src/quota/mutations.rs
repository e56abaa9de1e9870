//! How many partitions clients may have made and deleted: buckets of tokens, as Kafka's `TokenBucket`s.
//! They are no metadata: who leads the quorum keeps them. Source: KIP-599.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::error_code::ErrorCode;
use protocol::model::MonotonicNs;

use super::{QuotaKind, QuotaTable};
use crate::decide::Refusal;

/// Buckets that are kept; who has had most time to fill goes first.
const BUCKET_COUNT_MAX: usize = 10_000;

/// Who asks for partitions to be made or deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutator {
    pub user: Arc<str>,
    pub client_id: Option<Arc<str>>,
    /// It understands a refusal, and is refused while it has none left; else it is told to wait alone.
    pub strict: bool,
}

/// The buckets of all clients that are limited.
#[derive(Debug)]
pub struct Mutations {
    /// A full bucket has what comes in so many seconds.
    burst_s: f64,
    buckets: BTreeMap<(String, String), Bucket>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// Below zero where more was taken than there was.
    tokens: f64,
    filled: MonotonicNs,
}

/// What one request may still do. Without a quota that is everything.
#[derive(Clone, Debug, Default)]
pub struct Permits {
    limited: Option<LimitedPermits>,
}

#[derive(Clone, Debug)]
struct LimitedPermits {
    key: (String, String),
    quota: f64,
    tokens: f64,
    strict: bool,
    was_refused: bool,
}

impl Mutations {
    pub fn new(burst_s: f64) -> Self {
        Mutations { burst_s, buckets: BTreeMap::new() }
    }

    /// What `mutator` may do at `now`.
    pub fn permits(&self, now: MonotonicNs, quotas: &QuotaTable, mutator: &Mutator) -> Permits {
        let Mutator { user, client_id, strict } = mutator;
        let kind = QuotaKind::ControllerMutation;
        let limited = quotas.of_client(kind, user, client_id.as_deref());
        let limited = limited.map(|limited| {
            let key = (limited.user.to_owned(), limited.client_id.to_owned());
            let burst = limited.quota * self.burst_s;
            let tokens = self.buckets.get(&key).map_or(burst, |bucket| {
                let elapsed_s = now.0.saturating_sub(bucket.filled.0) as f64 / 1e9;
                (bucket.tokens + limited.quota * elapsed_s).min(burst)
            });
            let quota = limited.quota;
            LimitedPermits { key, quota, tokens, strict: *strict, was_refused: false }
        });
        Permits { limited }
    }

    /// Takes what was permitted. Returns for how long its client has to wait, in milliseconds.
    pub fn settle(&mut self, now: MonotonicNs, permits: Permits) -> i32 {
        let Some(limited) = permits.limited else { return 0 };
        let LimitedPermits { key, quota, tokens, strict, was_refused } = limited;
        if self.buckets.len() >= BUCKET_COUNT_MAX && !self.buckets.contains_key(&key) {
            let oldest = self.buckets.iter().min_by_key(|(_, bucket)| bucket.filled);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                self.buckets.remove(&oldest);
            }
        }
        self.buckets.insert(key, Bucket { tokens, filled: now });
        let waits = tokens < 0.0 && (was_refused || !strict);
        if waits { (-tokens / quota * 1e3).round() as i32 } else { 0 }
    }
}

impl Permits {
    /// Takes `count`. One that finds something left may take more than there is.
    pub fn take(&mut self, count: usize) -> Result<(), Refusal> {
        let Some(limited) = &mut self.limited else { return Ok(()) };
        if limited.strict && limited.tokens < 0.0 {
            limited.was_refused = true;
            return Err(Refusal::new(
                ErrorCode::ThrottlingQuotaExceeded,
                "The throttling quota has been exceeded.",
            ));
        }
        limited.tokens -= count as f64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::MetadataImage;
    use protocol::model::Offset;
    use protocol::records::metadata::client_quota_record::EntityData;
    use protocol::records::metadata::{ClientQuotaRecord, MetadataRecord};

    /// Two partitions a second for every user.
    fn quotas() -> QuotaTable {
        let entity = EntityData { entity_type: "user".into(), entity_name: None };
        let record = ClientQuotaRecord {
            entity: vec![entity],
            key: "controller_mutation_rate".into(),
            value: 2.0,
            remove: false,
        };
        let mut image = MetadataImage::default();
        image.replay(Offset(0), &MetadataRecord::ClientQuota(record)).unwrap();
        QuotaTable::new(image.client_quotas())
    }

    #[test]
    fn tokens_are_taken_as_apache_kafka_takes_them() {
        let quotas = quotas();
        let mut mutations = Mutations::new(11.0);
        // When, strict or not, how many; whether they may, and how long to wait then.
        for (ms, strict, count, may, wait_ms) in [
            // A bucket is full in the beginning, and the last one may take more than there is.
            (0, true, 20, true, 0),
            (0, true, 7, true, 0),
            (0, true, 1, false, 2_500),
            (500, true, 1, false, 2_000),
            // Who does not understand a refusal makes it worse for all who share the quota.
            (500, false, 3, true, 3_500),
            (3_999, true, 1, false, 1),
            (4_001, true, 1, true, 0),
            (4_001, false, 0, true, 499),
            // It is full after eleven seconds, and not fuller later.
            (60_000, true, 22, true, 0),
            (60_000, true, 1, true, 0),
            (60_000, true, 1, false, 500),
        ] {
            let now = MonotonicNs(ms * 1_000_000);
            let mutator = Mutator { user: "anna".into(), client_id: None, strict };
            let mut permits = mutations.permits(now, &quotas, &mutator);
            let taken = permits.take(count);
            let row = format!("{count} at {ms} ms, strict {strict}");
            assert_eq!(taken.is_ok(), may, "{row}");
            assert_eq!(mutations.settle(now, permits), wait_ms, "{row}");
        }
        let mutator = Mutator { user: "bert".into(), client_id: None, strict: true };
        let permits = mutations.permits(MonotonicNs(60_000_000_000), &quotas, &mutator);
        assert!(permits.clone().take(1).is_ok(), "another user has a bucket of its own");
    }
}
