//! Aborted transactions, as a `read_committed` reader asks for them.

use protocol::model::Offset;

use super::state::Inner;
use crate::error::StorageError;
use crate::index::{AbortedTransaction, transaction_index};
use crate::recovery::read_aborted;

impl Inner {
    /// Source: Kafka's `UnifiedLog.collectAbortedTransactions`.
    pub(super) async fn aborted_transactions(
        &self,
        from: Offset,
        upper_bound: Offset,
    ) -> Result<Vec<AbortedTransaction>, StorageError> {
        loop {
            let replacements = self.state.borrow().replacements;
            let found = self.collect_aborted(from, upper_bound).await?;
            // A compaction moves transactions from file to file; so seldom that it is asked again.
            if self.state.borrow().replacements == replacements {
                return Ok(found);
            }
        }
    }

    async fn collect_aborted(
        &self,
        from: Offset,
        upper_bound: Offset,
    ) -> Result<Vec<AbortedTransaction>, StorageError> {
        let first = {
            let state = self.state.borrow();
            state.segments.range(..=from).next_back().map(|(&base_offset, _)| base_offset)
        };
        let mut found = Vec::new();
        let mut next = first;
        while let Some(segment) = next {
            let extent = {
                let state = self.state.borrow();
                self.check_open(&state)?;
                let known = state.segments.get(&segment);
                known
                    .filter(|known| known.aborted.is_none())
                    .map(|known| (segment, known.size_bytes, known.next_offset))
            };
            if let Some(extent) = extent {
                self.load_aborted(extent).await?;
            }
            let state = self.state.borrow();
            let known = state.segments.get(&segment).and_then(|known| known.aborted.as_deref());
            let aborted = known.unwrap_or_default();
            if transaction_index::collect(aborted, from, upper_bound, &mut found) {
                break;
            }
            next =
                state.segments.range(segment.next()..).next().map(|(&base_offset, _)| base_offset);
        }
        Ok(found)
    }

    /// Has the aborted transactions of a rolled segment in memory.
    async fn load_aborted(&self, extent: (Offset, u32, Offset)) -> Result<(), StorageError> {
        let (segment, _, next_offset) = extent;
        self.wait_replaced(segment).await;
        let (truncations, replacements) = {
            let state = self.state.borrow();
            (state.truncations, state.replacements)
        };
        let aborted = match read_aborted(&self.directory, extent).await {
            Ok(aborted) => aborted,
            // Retention has taken it meanwhile, or compaction has written it anew.
            Err(_)
                if !self.state.borrow().segments.contains_key(&segment)
                    || self.state.borrow().replacements != replacements =>
            {
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let mut state = self.state.borrow_mut();
        if (state.truncations, state.replacements) == (truncations, replacements)
            && let Some(known) = state.segments.get_mut(&segment)
            && known.next_offset == next_offset
        {
            known.aborted.get_or_insert(aborted);
        }
        Ok(())
    }
}
