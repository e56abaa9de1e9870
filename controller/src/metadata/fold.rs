//! The fold with its transactions: what they write shows all at once, or never. Source: KIP-868.

use protocol::model::Offset;
use protocol::records::metadata::MetadataRecord;

use super::{MetadataImage, ReplayError};

/// An image in the making.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fold {
    image: MetadataImage,
    /// The image before the transaction that is open, if one is.
    before_transaction: Option<MetadataImage>,
}

impl Fold {
    /// Continues from `image`.
    pub fn new(image: MetadataImage) -> Self {
        Fold { image, before_transaction: None }
    }

    /// The image of all records, those of an open transaction included: what decides next.
    pub fn image(&self) -> &MetadataImage {
        &self.image
    }

    /// The image of all records but those of an open transaction: what may be shown.
    pub fn consistent_image(&self) -> &MetadataImage {
        self.before_transaction.as_ref().unwrap_or(&self.image)
    }

    /// Whether a transaction has begun and not ended.
    pub fn in_transaction(&self) -> bool {
        self.before_transaction.is_some()
    }

    /// Folds in the record at `offset`. On an error nothing is changed.
    pub fn replay(&mut self, offset: Offset, record: &MetadataRecord) -> Result<(), ReplayError> {
        match record {
            MetadataRecord::BeginTransaction(_) => {
                if self.in_transaction() {
                    return Err(ReplayError::NestedTransaction { offset });
                }
                self.before_transaction = Some(self.image.clone());
            }
            MetadataRecord::EndTransaction(_) => {
                self.before_transaction.take().ok_or(ReplayError::NoTransaction { offset })?;
            }
            MetadataRecord::AbortTransaction(_) => {
                self.image =
                    self.before_transaction.take().ok_or(ReplayError::NoTransaction { offset })?;
            }
            _ => {}
        }
        self.image.replay(offset, record)
    }

    /// Moves past control records and what a snapshot covers.
    pub fn advance_to(&mut self, next_offset: Offset) {
        self.image.advance_to(next_offset);
    }
}
