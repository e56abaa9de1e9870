//! Reading a segment from one position to its end, with everything checked.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use protocol::model::Offset;
use protocol::record_batch::{BatchError, BatchHeader, HEADER_SIZE_BYTES, RecordBatch};
use reactor::file::File;

use crate::error::StorageError;

/// Bytes read at once: large enough for a disk's full speed, small beside a segment.
const WINDOW_SIZE_BYTES: u64 = 1 << 20;

/// One batch and where it lies.
pub(crate) struct Scanned {
    pub(crate) position: u32,
    pub(crate) batch: RecordBatch,
}

/// How a scan ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ScanEnd {
    /// All bytes are batches.
    Whole,
    /// What begins at the scanner's position is none.
    Bad(BatchError),
}

/// Walks the batches of a file; see [`Scanner::next`].
pub(crate) struct Scanner {
    file: File,
    path: PathBuf,
    position: u64,
    limit: u64,
    /// The bytes from `position` on that have been read.
    window: Bytes,
    /// No batch may begin before this offset.
    next_offset: Offset,
}

impl Scanner {
    /// Scans `file` from `position`, where a batch begins, up to `limit`. Offsets must not fall below
    /// `next_offset`, nor below one another.
    pub(crate) fn new(
        file: File,
        path: PathBuf,
        position: u32,
        limit: u32,
        next_offset: Offset,
    ) -> Self {
        Scanner {
            file,
            path,
            position: u64::from(position),
            limit: u64::from(limit),
            window: Bytes::new(),
            next_offset,
        }
    }

    /// Where the next batch begins: the end of the valid bytes once a scan has ended.
    pub(crate) fn position(&self) -> u32 {
        // The limit is a u32, and the position never passes it.
        self.position as u32
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn next_offset(&self) -> Offset {
        self.next_offset
    }

    /// The next batch, its CRC and offsets checked; or how the scan ended.
    pub(crate) async fn next(&mut self) -> Result<Result<Scanned, ScanEnd>, StorageError> {
        let left = self.limit - self.position;
        if left == 0 {
            return Ok(Err(ScanEnd::Whole));
        }
        if left < HEADER_SIZE_BYTES as u64 {
            let error =
                BatchError::Truncated { needed: HEADER_SIZE_BYTES, available: left as usize };
            return Ok(Err(ScanEnd::Bad(error)));
        }
        self.fill(HEADER_SIZE_BYTES as u64).await?;
        let header = match BatchHeader::parse(&self.window) {
            Ok(header) => header,
            Err(error) => return Ok(Err(ScanEnd::Bad(error))),
        };
        let size_bytes = header.size_bytes();
        if size_bytes as u64 > left {
            let error = BatchError::Truncated { needed: size_bytes, available: left as usize };
            return Ok(Err(ScanEnd::Bad(error)));
        }
        if header.base_offset < self.next_offset {
            let error = BatchError::OffsetRange {
                base_offset: header.base_offset.0,
                last_offset_delta: header.last_offset_delta,
            };
            return Ok(Err(ScanEnd::Bad(error)));
        }
        self.fill(size_bytes as u64).await?;
        Ok(self.take(&header))
    }

    fn take(&mut self, header: &BatchHeader) -> Result<Scanned, ScanEnd> {
        let bytes = self.window.slice(..header.size_bytes().min(self.window.len()));
        let batch = RecordBatch::new(bytes).map_err(ScanEnd::Bad)?;
        batch.verify_crc().map_err(ScanEnd::Bad)?;
        let position = self.position();
        self.window = self.window.slice(batch.size_bytes()..);
        self.position += batch.size_bytes() as u64;
        self.next_offset = header.next_offset();
        Ok(Scanned { position, batch })
    }

    /// Has at least `size_bytes` in the window, unless the file has shrunk.
    async fn fill(&mut self, size_bytes: u64) -> Result<(), StorageError> {
        if self.window.len() as u64 >= size_bytes {
            return Ok(());
        }
        let end = (self.position + size_bytes.max(WINDOW_SIZE_BYTES)).min(self.limit);
        self.window = self
            .file
            .read_range(self.position..end)
            .await
            .map_err(StorageError::io("read", &self.path))?;
        Ok(())
    }
}
