//! Where a log begins, and how far below its end what it holds is replicated.

use protocol::model::Offset;

use super::state::{Inner, State};
use crate::error::RaiseLogStartError;

impl Inner {
    pub(super) fn raise_log_start(&self, offset: Offset) -> Result<bool, RaiseLogStartError> {
        let mut state = self.state.borrow_mut();
        self.check_open(&state)?;
        state.raise_log_start(offset)
    }
}

impl State {
    pub(super) fn raise_log_start(&mut self, offset: Offset) -> Result<bool, RaiseLogStartError> {
        if offset > self.high_watermark {
            let high_watermark = self.high_watermark;
            return Err(RaiseLogStartError::OffsetOutOfRange { requested: offset, high_watermark });
        }
        if offset <= self.log_start_offset {
            return Ok(false);
        }
        self.log_start_offset = offset;
        self.epochs_changed |= self.epochs.truncate_from_start(offset);
        // A stop has something to write: the epochs, and the new start for the checkpoint.
        self.touched = true;
        self.check_invariants();
        Ok(true)
    }

    pub(super) fn set_high_watermark(&mut self, offset: Offset) {
        assert!(
            offset >= self.high_watermark,
            "INV-9: high watermark {offset} after {}",
            self.high_watermark
        );
        self.high_watermark = offset;
        self.producers.advance_high_watermark(offset);
        self.check_invariants();
    }

    /// The bound of `read_committed`. Source: Kafka's `UnifiedLog.lastStableOffset`.
    pub(super) fn last_stable_offset(&self) -> Offset {
        let unstable = self.producers.first_unstable_offset();
        unstable.map_or(self.high_watermark, |unstable| {
            unstable.max(self.log_start_offset).min(self.high_watermark)
        })
    }
}
