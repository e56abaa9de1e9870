//! Snappy as Kafka's clients frame it: the blocks of `snappy-java`'s streams ("xerial").
//!
//! A header of 16 bytes (magic, version, compatible version), then blocks: a big-endian length and so
//! many bytes of raw snappy. Some clients send one raw block with no framing; it is taken as well, as
//! `snappy-java` does. A header may return between blocks, where streams were concatenated.

use std::io::{self, Read, Write};

const MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const HEADER_SIZE_BYTES: usize = 16;
const VERSION: u32 = 1;
/// Plain bytes of a block that we write; `snappy-java`'s own.
const BLOCK_SIZE_BYTES: usize = 32 * 1024;

/// Raw snappy gains most from a copy of 64 bytes that takes 3, so a block that claims to hold more than
/// 22 times its size lies, and nothing is allocated for it.
const EXPANSION_MAX: usize = 22;

/// Writes plain bytes to `out` as a xerial stream, holding one block.
pub(super) struct XerialWriter<W> {
    out: W,
    encoder: snap::raw::Encoder,
    block: Vec<u8>,
}

impl<W: Write> XerialWriter<W> {
    /// On return the header is written.
    pub fn new(mut out: W) -> io::Result<Self> {
        out.write_all(&MAGIC)?;
        out.write_all(&VERSION.to_be_bytes())?;
        out.write_all(&VERSION.to_be_bytes())?;
        Ok(XerialWriter { out, encoder: snap::raw::Encoder::new(), block: Vec::new() })
    }

    /// Writes what is left.
    pub fn finish(mut self) -> io::Result<()> {
        if self.block.is_empty() { Ok(()) } else { self.write_block() }
    }

    fn write_block(&mut self) -> io::Result<()> {
        let compressed = self.encoder.compress_vec(&self.block).map_err(io::Error::from)?;
        self.block.clear();
        self.out.write_all(&(compressed.len() as u32).to_be_bytes())?;
        self.out.write_all(&compressed)
    }
}

impl<W: Write> Write for XerialWriter<W> {
    fn write(&mut self, plain: &[u8]) -> io::Result<usize> {
        let taken = plain.len().min(BLOCK_SIZE_BYTES - self.block.len());
        self.block.extend(plain.iter().take(taken));
        if self.block.len() == BLOCK_SIZE_BYTES {
            self.write_block()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Decompresses block by block, holding one.
pub(super) struct XerialReader<'a> {
    rest: &'a [u8],
    is_framed: bool,
    decoder: snap::raw::Decoder,
    block: Vec<u8>,
    position: usize,
    /// How many more plain bytes blocks may hold.
    allowance: usize,
    has_exceeded_limit: bool,
}

impl<'a> XerialReader<'a> {
    pub fn new(bytes: &'a [u8], limit: usize) -> XerialReader<'a> {
        let is_framed = bytes.starts_with(&MAGIC);
        XerialReader {
            rest: bytes,
            is_framed,
            decoder: snap::raw::Decoder::new(),
            block: Vec::new(),
            position: 0,
            allowance: limit,
            has_exceeded_limit: false,
        }
    }

    /// Whether the last error was a block beyond the limit.
    pub fn has_exceeded_limit(&self) -> bool {
        self.has_exceeded_limit
    }

    /// The next block's bytes, still compressed; `None` at the end.
    fn next_block(&mut self) -> io::Result<Option<&'a [u8]>> {
        if !self.is_framed {
            let block = std::mem::take(&mut self.rest);
            return Ok((!block.is_empty()).then_some(block));
        }
        while self.rest.starts_with(&MAGIC) {
            self.rest = self.rest.get(HEADER_SIZE_BYTES..).ok_or_else(truncated)?;
        }
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (length, rest) = self.rest.split_first_chunk().ok_or_else(truncated)?;
        let length = u32::from_be_bytes(*length) as usize;
        let (block, rest) = rest.split_at_checked(length).ok_or_else(truncated)?;
        self.rest = rest;
        Ok(Some(block))
    }

    fn fill(&mut self, compressed: &[u8]) -> io::Result<()> {
        let size_bytes = snap::raw::decompress_len(compressed).map_err(io::Error::from)?;
        if size_bytes / EXPANSION_MAX > compressed.len() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "snappy block claims too much"));
        }
        let Some(allowance) = self.allowance.checked_sub(size_bytes) else {
            self.has_exceeded_limit = true;
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "snappy block exceeds the limit",
            ));
        };
        self.allowance = allowance;
        self.position = 0;
        self.block.resize(size_bytes, 0);
        self.decoder.decompress(compressed, &mut self.block).map_err(io::Error::from)?;
        Ok(())
    }
}

impl Read for XerialReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // Blocks may be empty, and an empty read would look like the end.
        while self.position == self.block.len() {
            match self.next_block()? {
                Some(compressed) => self.fill(compressed)?,
                None => return Ok(0),
            }
        }
        let mut left = self.block.get(self.position..).unwrap_or_default();
        let size_bytes = left.read(buffer)?;
        self.position += size_bytes;
        Ok(size_bytes)
    }
}

fn truncated() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "snappy stream ends within a block")
}
