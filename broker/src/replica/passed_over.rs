//! Producers a batch of which was refused for want of space, while later ones may be on their way.
//!
//! A log that knows a producer refuses a batch that leaves one out. Of a producer that it does not know it
//! takes any sequence, as Kafka's does: there the second batch must not slip in where the first was
//! refused.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::Duration;

use protocol::model::{ProducerEpoch, ProducerId, Sequence};
use protocol::record_batch::RecordBatch;
use reactor::Instant;

/// A producer that has not sent its batch again for so long has given it up: clients do so after two
/// minutes (`delivery.timeout.ms`).
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);

/// The first batch of each producer that was refused.
#[derive(Default)]
pub struct PassedOver {
    batches: RefCell<BTreeMap<ProducerId, Refused>>,
}

struct Refused {
    producer_epoch: ProducerEpoch,
    base_sequence: Sequence,
    at: Instant,
}

impl PassedOver {
    /// `batches` are refused now, though nothing is wrong with them.
    pub fn refuse(&self, batches: &[RecordBatch], now: Instant) {
        let mut known = self.batches.borrow_mut();
        known.retain(|_, refused| now - refused.at < FORGOTTEN_AFTER);
        for (producer_id, producer_epoch, base_sequence) in batches.iter().filter_map(producer) {
            let refused = Refused { producer_epoch, base_sequence, at: now };
            let first = known.entry(producer_id).or_insert(Refused { ..refused });
            if first.producer_epoch != producer_epoch {
                *first = refused;
            }
        }
    }

    /// The sequence that is due before any of `batches`, if one is and the log, which `is_checked` tells,
    /// does not check that itself. Forgets what comes now, and what the log has taken by another way: a
    /// batch may be refused where it comes a second time, late, from a connection that was given up.
    pub fn due_before(
        &self,
        batches: &[RecordBatch],
        is_checked: impl Fn(ProducerId) -> bool,
    ) -> Option<Sequence> {
        if self.batches.borrow().is_empty() {
            return None;
        }
        let mut known = self.batches.borrow_mut();
        for (producer_id, producer_epoch, base_sequence) in batches.iter().filter_map(producer) {
            match known.get(&producer_id) {
                Some(_) if is_checked(producer_id) => drop(known.remove(&producer_id)),
                Some(refused) if refused.producer_epoch == producer_epoch => {
                    match base_sequence.cmp(&refused.base_sequence) {
                        Ordering::Greater => return Some(refused.base_sequence),
                        Ordering::Equal => drop(known.remove(&producer_id)),
                        // One that was taken, and whose answer was lost.
                        Ordering::Less => {}
                    }
                }
                Some(_) => drop(known.remove(&producer_id)),
                None => {}
            }
        }
        None
    }
}

fn producer(batch: &RecordBatch) -> Option<(ProducerId, ProducerEpoch, Sequence)> {
    let header = batch.header();
    Some((header.producer_id?, header.producer_epoch?, header.base_sequence?))
}

#[cfg(test)]
mod tests {
    use protocol::record_batch::{BatchBuilder, BatchOptions, BatchProducer};

    use super::*;

    fn batch(id: i64, epoch: i16, sequence: i32) -> Vec<RecordBatch> {
        let producer = Some(BatchProducer {
            id: ProducerId(id),
            epoch: ProducerEpoch(epoch),
            base_sequence: Some(Sequence(sequence)),
        });
        let mut builder = BatchBuilder::new(BatchOptions { producer, ..BatchOptions::default() });
        builder.append(protocol::model::TimestampMs(0), None, Some(b"value"), &[]);
        vec![RecordBatch::new(builder.build()).expect("a batch")]
    }

    #[test]
    fn what_was_refused_comes_first_when_it_comes_again() {
        let passed_over = PassedOver::default();
        assert_eq!(passed_over.due_before(&batch(1, 0, 5), |_| false), None);
        passed_over.refuse(&batch(1, 0, 0), Instant(0));
        passed_over.refuse(&batch(1, 0, 9), Instant(0));
        assert_eq!(passed_over.due_before(&batch(1, 0, 14), |_| false), Some(Sequence(0)));
        assert_eq!(passed_over.due_before(&batch(2, 0, 14), |_| false), None, "another producer");
        passed_over.refuse(&batch(3, 0, 7), Instant(0));
        assert_eq!(passed_over.due_before(&batch(3, 0, 6), |_| false), None, "its answer was lost");
        assert_eq!(passed_over.due_before(&batch(3, 0, 8), |_| false), Some(Sequence(7)));
        assert_eq!(passed_over.due_before(&batch(1, 0, 0), |_| false), None);
        assert_eq!(
            passed_over.due_before(&batch(1, 0, 9), |_| false),
            None,
            "the log knows it by now"
        );
        passed_over.refuse(&batch(1, 0, 20), Instant(0));
        assert_eq!(
            passed_over.due_before(&batch(1, 1, 0), |_| false),
            None,
            "a new epoch begins anew"
        );
    }

    #[test]
    fn what_the_log_has_taken_by_another_way_is_not_due() {
        let passed_over = PassedOver::default();
        passed_over.refuse(&batch(1, 0, 21), Instant(0));
        assert_eq!(passed_over.due_before(&batch(1, 0, 23), |id| id == ProducerId(1)), None);
        assert_eq!(passed_over.due_before(&batch(1, 0, 23), |_| false), None, "it is forgotten");
    }
}
