//! What a decision is given, and what it gives.

use protocol::error_code::ErrorCode;
use protocol::model::{MonotonicNs, Offset, TimestampMs};
use protocol::records::metadata::MetadataRecord;

use crate::metadata::MetadataImage;

use super::{Sessions, Settings};

/// Records that one request may write, and so the size of one batch. Kafka's
/// `MAX_RECORDS_PER_USER_OP`.
pub const RECORDS_PER_DECISION_MAX: usize = 10_000;

/// The two clocks, read by the driver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    pub monotonic: MonotonicNs,
    pub wall: TimestampMs,
}

/// What a decision looks at.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// With everything that was appended, committed or not.
    pub image: &'a MetadataImage,
    pub sessions: &'a Sessions,
    pub settings: &'a Settings,
    pub now: Now,
    /// The offset of the first record of this decision.
    pub next_offset: Offset,
}

/// What to write, and what to answer when it is committed.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision<R> {
    pub records: Vec<MetadataRecord>,
    pub response: R,
}

/// A refusal, as a client is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub error: ErrorCode,
    pub message: String,
}

impl Refusal {
    pub(crate) fn new(error: ErrorCode, message: impl Into<String>) -> Self {
        Refusal { error, message: message.into() }
    }
}

impl<R> Decision<R> {
    /// An answer that writes nothing.
    pub(crate) fn answer(response: R) -> Self {
        Decision { records: Vec::new(), response }
    }
}
