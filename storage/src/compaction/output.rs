//! The segment that a compaction writes: batches one after the other, in pieces of whole blocks.

use std::path::PathBuf;

use protocol::model::{Offset, TimestampMs};
use protocol::record_batch::BatchHeader;
use reactor::buffer::{ALIGNMENT, AlignedBuffer};
use reactor::file::{File, Open};

use crate::error::StorageError;
use crate::index::{IndexedBatch, SegmentIndexes};

/// Bytes written at once.
const PIECE_SIZE_BYTES: usize = 256 << 10;

/// A segment under another name, being written.
pub(crate) struct Output {
    file: File,
    path: PathBuf,
    /// Bytes that are in the file: whole blocks.
    written_bytes: u64,
    /// What follows them.
    rest: Vec<u8>,
    indexes: SegmentIndexes,
    interval_bytes: u32,
}

impl Output {
    /// An empty segment of `base_offset` at `path`, whatever is there.
    pub(crate) async fn create(
        path: PathBuf,
        base_offset: Offset,
        interval_bytes: u32,
    ) -> Result<Output, StorageError> {
        let io = |operation| StorageError::io(operation, &path);
        let file = File::open(&path, Open::OrCreate).await.map_err(io("create"))?;
        file.truncate(0).await.map_err(io("truncate"))?;
        Ok(Output {
            file,
            path,
            written_bytes: 0,
            rest: Vec::new(),
            indexes: SegmentIndexes::new(base_offset),
            interval_bytes,
        })
    }

    pub(crate) fn size_bytes(&self) -> u64 {
        self.written_bytes + self.rest.len() as u64
    }

    /// Adds a batch. Returns how many bytes were written for it to the disk.
    ///
    /// Errors: a disk that is full, or has failed; a segment that would become too large for its index.
    pub(crate) async fn push(&mut self, batch: &[u8]) -> Result<u64, StorageError> {
        let header = BatchHeader::parse(batch).unwrap_or_else(|error| panic!("our own: {error}"));
        let position = self.size_bytes();
        if position + batch.len() as u64 > i32::MAX as u64 {
            let (path, what) = (self.path.clone(), "segment");
            return Err(StorageError::Malformed { path, what, reason: "it grows beyond 2 GiB" });
        }
        let is_empty = header.record_count == 0;
        let batch_indexed = IndexedBatch {
            last_offset: header.last_offset(),
            // Nothing is found by the time of what is gone.
            max_timestamp: if is_empty { TimestampMs(-1) } else { header.max_timestamp },
            position: position as u32,
            size_bytes: batch.len() as u32,
        };
        self.indexes.append(batch_indexed, self.interval_bytes);
        self.rest.extend_from_slice(batch);
        let whole = self.rest.len() / ALIGNMENT * ALIGNMENT;
        if whole < PIECE_SIZE_BYTES {
            return Ok(0);
        }
        self.write(whole).await?;
        Ok(whole as u64)
    }

    async fn write(&mut self, size_bytes: usize) -> Result<(), StorageError> {
        let mut piece = AlignedBuffer::zeroed(size_bytes.next_multiple_of(ALIGNMENT));
        if let (Some(to), Some(from)) = (piece.get_mut(..size_bytes), self.rest.get(..size_bytes)) {
            to.copy_from_slice(from);
        }
        self.rest.drain(..size_bytes);
        let written = self.file.write_at(piece.into_bytes(), self.written_bytes).await;
        written.map_err(StorageError::io("write", &self.path))?;
        self.written_bytes += size_bytes as u64;
        Ok(())
    }

    /// The whole segment: its file, durable, its size and its indexes.
    pub(crate) async fn finish(mut self) -> Result<(File, u32, SegmentIndexes), StorageError> {
        let size_bytes = self.size_bytes();
        if !self.rest.is_empty() {
            self.write(self.rest.len()).await?;
        }
        let io = |operation| StorageError::io(operation, &self.path);
        self.file.truncate(size_bytes).await.map_err(io("truncate"))?;
        self.file.flush().await.map_err(io("flush"))?;
        self.indexes.add_time_entry();
        Ok((self.file, size_bytes as u32, self.indexes))
    }
}
