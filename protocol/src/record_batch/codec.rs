//! The four codecs, always streamed and always with a limit on what comes out.

use std::io::{self, BufRead, BufReader, Read, Write};

use bytes::Bytes;

use super::header::BatchError;
use super::xerial::{XerialReader, XerialWriter};

/// How a batch's records are compressed: bits 0 to 2 of its attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl Codec {
    pub const ALL: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

    /// Errors: `UnknownCodec`.
    pub fn from_id(id: i16) -> Result<Codec, BatchError> {
        Self::ALL.into_iter().find(|known| known.id() == id).ok_or(BatchError::UnknownCodec { id })
    }

    pub fn id(self) -> i16 {
        match self {
            Codec::None => 0,
            Codec::Gzip => 1,
            Codec::Snappy => 2,
            Codec::Lz4 => 3,
            Codec::Zstd => 4,
        }
    }

    /// As `compression.type` spells it.
    pub fn name(self) -> &'static str {
        match self {
            Codec::None => "none",
            Codec::Gzip => "gzip",
            Codec::Snappy => "snappy",
            Codec::Lz4 => "lz4",
            Codec::Zstd => "zstd",
        }
    }
}

/// A codec and how hard it tries. Levels beyond a codec's own are brought into its range.
///
/// LZ4 has no level: the library compresses fast only, and `compression.lz4.level` asks for a smaller
/// result, not for another format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    None,
    /// `compression.gzip.level`: 1 to 9; `None` is zlib's default, Kafka's -1.
    Gzip {
        level: Option<u32>,
    },
    Snappy,
    Lz4,
    /// `compression.zstd.level`: up to 22, negative ones are faster; Kafka's default is 3.
    Zstd {
        level: i32,
    },
}

const GZIP_LEVEL_MAX: u32 = 9;

/// Kafka's default for `compression.zstd.level`.
const ZSTD_LEVEL_USUAL: i32 = 3;

impl Compression {
    pub fn codec(self) -> Codec {
        match self {
            Compression::None => Codec::None,
            Compression::Gzip { .. } => Codec::Gzip,
            Compression::Snappy => Codec::Snappy,
            Compression::Lz4 => Codec::Lz4,
            Compression::Zstd { .. } => Codec::Zstd,
        }
    }

    /// `codec` as hard as Kafka tries where nobody says otherwise.
    pub fn usual(codec: Codec) -> Compression {
        match codec {
            Codec::None => Compression::None,
            Codec::Gzip => Compression::Gzip { level: None },
            Codec::Snappy => Compression::Snappy,
            Codec::Lz4 => Compression::Lz4,
            Codec::Zstd => Compression::Zstd { level: ZSTD_LEVEL_USUAL },
        }
    }

    /// Appends `plain`, compressed, to `out`.
    pub(super) fn write(self, plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        self.compress(out, |writer| writer.write_all(plain))
    }

    /// Has `fill` write plain bytes, which go to `out` compressed as they come.
    pub(super) fn compress(
        self,
        out: &mut impl Write,
        fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        match self {
            Compression::None => fill(out)?,
            Compression::Gzip { level } => {
                let level = level.map_or_else(flate2::Compression::default, |level| {
                    flate2::Compression::new(level.min(GZIP_LEVEL_MAX))
                });
                let mut encoder = flate2::write::GzEncoder::new(out, level);
                fill(&mut encoder)?;
                encoder.finish()?;
            }
            Compression::Snappy => {
                let mut encoder = XerialWriter::new(out)?;
                fill(&mut encoder)?;
                encoder.finish()?;
            }
            Compression::Lz4 => {
                // Kafka's reader takes independent blocks only, and writes blocks of 64 KiB.
                let frame = lz4_flex::frame::FrameInfo::new()
                    .block_mode(lz4_flex::frame::BlockMode::Independent)
                    .block_size(lz4_flex::frame::BlockSize::Max64KB);
                let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(frame, out);
                fill(&mut encoder)?;
                encoder.finish().map_err(io::Error::from)?;
            }
            Compression::Zstd { level } => {
                let range = zstd::compression_level_range();
                let level = level.clamp(*range.start(), *range.end());
                let mut encoder = zstd::stream::write::Encoder::new(out, level)?;
                fill(&mut encoder)?;
                encoder.finish()?;
            }
        }
        Ok(())
    }
}

/// Why compressed records cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DecompressError {
    #[error("the records decompress to more than {limit} bytes")]
    LimitExceeded { limit: usize },
    #[error("the records are no valid {}", codec.name())]
    Corrupt {
        codec: Codec,
        #[source]
        source: io::Error,
    },
}

/// Bytes that a stream holds decompressed at a time.
const BUFFER_SIZE_BYTES: usize = 16 * 1024;

/// The largest window that a zstd frame may ask for, 128 MiB: what Kafka's clients can produce (level
/// 22) and its broker takes. It is address space until a frame really has as many bytes.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// Records being decompressed, a buffer at a time, up to a limit.
pub(super) struct Decompressor<'a> {
    inner: BufReader<io::Take<Inner<'a>>>,
    codec: Codec,
    limit: usize,
}

enum Inner<'a> {
    None(&'a [u8]),
    Gzip(flate2::bufread::MultiGzDecoder<&'a [u8]>),
    Snappy(XerialReader<'a>),
    Lz4(Box<lz4_flex::frame::FrameDecoder<&'a [u8]>>),
    Zstd(zstd::stream::read::Decoder<'a, &'a [u8]>),
}

impl Read for Inner<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Inner::None(inner) => inner.read(buffer),
            Inner::Gzip(inner) => inner.read(buffer),
            Inner::Snappy(inner) => inner.read(buffer),
            Inner::Lz4(inner) => inner.read(buffer),
            Inner::Zstd(inner) => inner.read(buffer),
        }
    }
}

impl<'a> Decompressor<'a> {
    pub fn new(codec: Codec, bytes: &'a [u8], limit: usize) -> Result<Self, DecompressError> {
        let corrupt = |source| DecompressError::Corrupt { codec, source };
        let inner = match codec {
            Codec::None => Inner::None(bytes),
            Codec::Gzip => Inner::Gzip(flate2::bufread::MultiGzDecoder::new(bytes)),
            Codec::Snappy => Inner::Snappy(XerialReader::new(bytes, limit)),
            Codec::Lz4 => {
                check_lz4_blocks(bytes).map_err(corrupt)?;
                Inner::Lz4(Box::new(lz4_flex::frame::FrameDecoder::new(bytes)))
            }
            Codec::Zstd => Inner::Zstd(zstd_decoder(bytes).map_err(corrupt)?),
        };
        // One byte more than the limit is let through, to tell an end at the limit from an excess.
        let inner = inner.take((limit as u64).saturating_add(1));
        let inner = BufReader::with_capacity(BUFFER_SIZE_BYTES, inner);
        Ok(Decompressor { inner, codec, limit })
    }

    /// The next decompressed bytes; none at the end. They stay until [`Self::consume`].
    pub fn fill_buf(&mut self) -> Result<&[u8], DecompressError> {
        let (codec, limit) = (self.codec, self.limit);
        let filled = self.inner.fill_buf().map(<[u8]>::len);
        let take = self.inner.get_ref();
        match filled {
            Ok(_) if take.limit() == 0 => Err(DecompressError::LimitExceeded { limit }),
            Ok(_) => Ok(self.inner.buffer()),
            Err(source) => Err(match take.get_ref() {
                Inner::Snappy(reader) if reader.has_exceeded_limit() => {
                    DecompressError::LimitExceeded { limit }
                }
                _ => DecompressError::Corrupt { codec, source },
            }),
        }
    }

    pub fn consume(&mut self, size_bytes: usize) {
        self.inner.consume(size_bytes);
    }
}

/// Refuses blocks that build on the ones before them: Kafka's clients and its broker cannot read those.
/// A frame too short to say is left to the decoder.
fn check_lz4_blocks(frame: &[u8]) -> io::Result<()> {
    const FLAGS_POSITION: usize = 4;
    const BLOCK_INDEPENDENCE: u8 = 0x20;
    match frame.get(FLAGS_POSITION) {
        Some(flags) if flags & BLOCK_INDEPENDENCE == 0 => {
            Err(io::Error::new(io::ErrorKind::Unsupported, "lz4 blocks are not independent"))
        }
        Some(_) | None => Ok(()),
    }
}

fn zstd_decoder(bytes: &[u8]) -> io::Result<zstd::stream::read::Decoder<'_, &[u8]>> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    Ok(decoder)
}

/// Decompresses all of `bytes`. The result grows with what really comes out, never with what a header
/// claims.
///
/// Errors: `LimitExceeded` as soon as there are more than `limit` bytes; `Corrupt`.
pub(super) fn decompress(
    codec: Codec,
    bytes: &[u8],
    limit: usize,
) -> Result<Bytes, DecompressError> {
    let mut stream = Decompressor::new(codec, bytes, limit)?;
    let mut plain = Vec::new();
    loop {
        let buffer = stream.fill_buf()?;
        let size_bytes = buffer.len();
        if size_bytes == 0 {
            return Ok(plain.into());
        }
        plain.extend_from_slice(buffer);
        stream.consume(size_bytes);
    }
}
