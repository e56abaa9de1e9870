//! One batch as a view of its bytes, and the batches of a byte string.

use bytes::Bytes;

use super::header::{
    BatchError, BatchHeader, HEADER_SIZE_BYTES, LOG_OVERHEAD_BYTES, check_crc, check_whole,
    position,
};

/// One whole batch: its bytes, shared, not copied, and their header, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordBatch {
    bytes: Bytes,
    header: BatchHeader,
}

impl RecordBatch {
    /// Views `bytes`, which must be exactly one batch. The CRC is not looked at: see [`Self::verify_crc`].
    ///
    /// Errors: those of [`BatchHeader::parse`], and `Truncated` or `Trailing` when the size differs.
    pub fn new(bytes: Bytes) -> Result<RecordBatch, BatchError> {
        let header = BatchHeader::parse(&bytes)?;
        check_whole(&header, bytes.len())?;
        Ok(RecordBatch { bytes, header })
    }

    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// What follows the header, compressed if the batch is.
    pub fn record_bytes(&self) -> Bytes {
        self.bytes.slice(HEADER_SIZE_BYTES..)
    }

    /// The same, not shared.
    pub(super) fn record_slice(&self) -> &[u8] {
        self.bytes.get(HEADER_SIZE_BYTES..).unwrap_or_default()
    }

    /// Errors: `Crc`.
    pub fn verify_crc(&self) -> Result<(), BatchError> {
        check_crc(&self.header, &self.bytes)
    }
}

/// The batches of a byte string that holds one after the other, as a Produce request's records, a Fetch
/// answer and a segment do.
///
/// Yields each whole batch; then `None`, when nothing is left or what is left is the beginning of a batch
/// (a Fetch answer may end so): [`Self::partial_size_bytes`] tells which. An error is the last item, and
/// [`Self::whole_size_bytes`] is where the bad batch starts. CRCs are not checked.
#[derive(Debug, Clone)]
pub struct Batches {
    /// What was not yielded yet.
    rest: Bytes,
    whole_size_bytes: usize,
    failed: bool,
}

impl Batches {
    pub fn new(bytes: Bytes) -> Batches {
        Batches { rest: bytes, whole_size_bytes: 0, failed: false }
    }

    /// How many bytes the batches yielded so far have together.
    pub fn whole_size_bytes(&self) -> usize {
        self.whole_size_bytes
    }

    /// How many bytes are left. Once the iterator has answered `None` without an error before it, they are
    /// a batch cut short; 0 when the bytes ended where a batch did.
    pub fn partial_size_bytes(&self) -> usize {
        self.rest.len()
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || is_partial(&self.rest) {
            return None;
        }
        match BatchHeader::parse(&self.rest) {
            Ok(header) => {
                let bytes = self.rest.split_to(header.size_bytes());
                self.whole_size_bytes += bytes.len();
                Some(Ok(RecordBatch { bytes, header }))
            }
            Err(error) => {
                self.failed = true;
                Some(Err(error))
            }
        }
    }
}

/// Whether `bytes` end before the batch at their start does, as far as can be told from its length.
/// A length that no batch has is for `parse` to refuse, unless there is too little to parse.
fn is_partial(bytes: &[u8]) -> bool {
    let length = bytes
        .get(position::BATCH_LENGTH..)
        .and_then(|rest| rest.first_chunk())
        .map(|&length| i32::from_be_bytes(length));
    match length {
        None => true,
        Some(length) => match usize::try_from(length) {
            Ok(length) => bytes.len() < (length + LOG_OVERHEAD_BYTES).max(HEADER_SIZE_BYTES),
            Err(_negative) => bytes.len() < HEADER_SIZE_BYTES,
        },
    }
}
