//! A batch in another codec, as `compression.type` asks for.

use std::io::{self, Write};

use super::batch::RecordBatch;
use super::codec::{Codec, Compression, DecompressError, Decompressor};
use super::header::{
    BatchError, HEADER_SIZE_BYTES, LOG_OVERHEAD_BYTES, attribute, compute_crc, position,
};
use super::patch::field_mut;

/// Why a batch cannot be had in another codec.
#[derive(Debug, thiserror::Error)]
pub enum RecompressError {
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error(transparent)]
    Decompress(#[from] DecompressError),
    #[error("with {} the batch has more than {size_bytes_max} bytes", codec.name())]
    TooLarge { codec: Codec, size_bytes_max: usize },
    #[error("the records cannot be compressed with {}", codec.name())]
    Compress {
        codec: Codec,
        #[source]
        source: io::Error,
    },
}

/// `batch` with the same records and header, but compressed as `compression` says; length, codec and CRC
/// are its own. Records are streamed: beside the result, which has up to `size_bytes_max`, only a
/// codec's buffers are held. The records are not looked at.
///
/// Errors: more than `decompressed_size_bytes_max` or `size_bytes_max`; bytes that cannot be decompressed.
pub fn recompress(
    batch: &RecordBatch,
    compression: Compression,
    decompressed_size_bytes_max: usize,
    size_bytes_max: usize,
) -> Result<RecordBatch, RecompressError> {
    let codec = compression.codec();
    let records = batch.record_bytes();
    let mut source =
        Decompressor::new(batch.header().codec()?, &records, decompressed_size_bytes_max)?;
    // Until there are records it has no more than the batch that was given.
    let mut bytes = batch.bytes().slice(..HEADER_SIZE_BYTES).to_vec();
    let mut out = Limited { out: &mut bytes, size_bytes_max, is_exceeded: false };
    let mut unreadable = None;
    let written = compression.compress(&mut out, |writer| {
        loop {
            let plain = match source.fill_buf() {
                Ok([]) => return Ok(()),
                Ok(plain) => plain,
                Err(error) => {
                    unreadable = Some(error);
                    return Err(io::ErrorKind::InvalidData.into());
                }
            };
            writer.write_all(plain)?;
            let size_bytes = plain.len();
            source.consume(size_bytes);
        }
    });
    if let Some(error) = unreadable {
        return Err(error.into());
    }
    if out.is_exceeded {
        return Err(RecompressError::TooLarge { codec, size_bytes_max });
    }
    written.map_err(|source| RecompressError::Compress { codec, source })?;
    finish(&mut bytes, codec);
    Ok(RecordBatch::new(bytes.into())?)
}

/// Sets what depends on the records' bytes.
fn finish(bytes: &mut [u8], codec: Codec) {
    let length = i32::try_from(bytes.len() - LOG_OVERHEAD_BYTES)
        .unwrap_or_else(|_| panic!("a batch of {} bytes has no length field", bytes.len()));
    *field_mut(bytes, position::BATCH_LENGTH) = length.to_be_bytes();
    let attributes = field_mut(bytes, position::ATTRIBUTES);
    let others = i16::from_be_bytes(*attributes) & !attribute::CODEC_MASK;
    *attributes = (others | codec.id()).to_be_bytes();
    let crc = compute_crc(bytes);
    *field_mut(bytes, position::CRC) = crc.to_be_bytes();
}

/// Writes up to a limit.
struct Limited<'a> {
    out: &'a mut Vec<u8>,
    size_bytes_max: usize,
    is_exceeded: bool,
}

impl Write for Limited<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_exceeded || bytes.len() > self.size_bytes_max.saturating_sub(self.out.len()) {
            self.is_exceeded = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
