//! Which transactions a pass over a log has met: their markers stay while any of their batches is there.
//! Source: Kafka's `CleanedTransactionMetadata`.

use std::collections::{BTreeMap, BTreeSet};

use protocol::model::{Offset, ProducerId};
use protocol::record_batch::BatchHeader;

use crate::index::AbortedTransaction;

/// Of one pass over a log's segments, from the oldest on.
#[derive(Default)]
pub(crate) struct TransactionsSeen {
    /// Aborted ones that the pass has not come to, by first offset.
    ahead: BTreeSet<(Offset, ProducerId, Offset, Offset)>,
    /// Aborted ones that it is within, and whether a batch of theirs was there.
    aborted: BTreeMap<ProducerId, (AbortedTransaction, bool)>,
    /// Producers of which a batch was there that is not of an aborted transaction.
    committed: BTreeSet<ProducerId>,
    /// What the transaction index of the segment that is written must hold.
    indexed: Vec<AbortedTransaction>,
}

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Marker {
    Abort,
    Commit,
    /// Another control record: no transaction's.
    Other,
    /// A control batch that has lost its record.
    Empty,
}

impl TransactionsSeen {
    /// Aborted transactions whose batches or markers lie in the segment that comes next. What is known
    /// already is no harm.
    pub(crate) fn expect(&mut self, aborted: &[AbortedTransaction]) {
        self.ahead.extend(
            aborted
                .iter()
                .map(|it| (it.first_offset, it.producer_id, it.last_offset, it.last_stable_offset)),
        );
    }

    /// Takes in a batch of records. Returns whether it is of an aborted transaction: nobody may read it.
    pub(crate) fn batch(&mut self, header: &BatchHeader) -> bool {
        self.come_to(header.last_offset());
        let Some(producer_id) = header.producer_id.filter(|_| header.is_transactional()) else {
            return false;
        };
        match self.aborted.get_mut(&producer_id) {
            // Were its marker gone, what its producer sent later would be lost with it.
            Some((aborted, is_seen)) if header.base_offset <= aborted.last_offset => {
                *is_seen = true;
                true
            }
            Some(_) | None => {
                self.committed.insert(producer_id);
                false
            }
        }
    }

    /// Takes in a control batch. Returns whether nothing of its transaction was there before it.
    pub(crate) fn marker(&mut self, header: &BatchHeader, marker: Marker) -> bool {
        self.come_to(header.last_offset());
        let Some(producer_id) = header.producer_id else {
            return marker == Marker::Empty;
        };
        match marker {
            Marker::Abort => match self.aborted.remove(&producer_id) {
                Some((aborted, true)) => {
                    self.indexed.push(aborted);
                    false
                }
                Some((_, false)) | None => true,
            },
            Marker::Commit => !self.committed.remove(&producer_id),
            Marker::Other => false,
            Marker::Empty => true,
        }
    }

    /// The aborted transactions whose markers were met since the last call, in their order.
    pub(crate) fn take_indexed(&mut self) -> Vec<AbortedTransaction> {
        std::mem::take(&mut self.indexed)
    }

    fn come_to(&mut self, offset: Offset) {
        while let Some(&first) = self.ahead.first()
            && first.0 <= offset
        {
            self.ahead.remove(&first);
            let (first_offset, producer_id, last_offset, last_stable_offset) = first;
            let aborted =
                AbortedTransaction { producer_id, first_offset, last_offset, last_stable_offset };
            let known = self.aborted.get(&producer_id);
            if known.is_none_or(|(known, _)| known.last_offset < first_offset) {
                self.aborted.insert(producer_id, (aborted, false));
            }
        }
    }
}
