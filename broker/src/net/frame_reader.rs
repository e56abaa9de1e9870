//! Reads length-prefixed frames from a connection, with memory reserved before a body is read.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use protocol::frame::{FrameDecoder, FrameError, Pending};
use reactor::net::TcpStream;
use reactor::sync::Share;

use crate::cores::Core;
use crate::quota::Throttle;

/// A body that has begun must be whole after this time: a slow sender may not hold memory for ever.
const BODY_DEADLINE: Duration = Duration::from_secs(30);

/// An idle connection waits with this much memory: most small requests fit in it whole.
const IDLE_BUFFER_SIZE_BYTES: usize = 512;

/// While frames keep coming, what is read at once where memory is plenty.
const READ_SIZE_BYTES: usize = 64 * 1024;

/// A frame's length, before it.
pub const PREFIX_SIZE_BYTES: usize = 4;

/// One frame without its length prefix. Its memory stays reserved while `share` lives; one that came
/// whole to a connection that was idle has none, and is that small.
pub struct Frame {
    pub bytes: Bytes,
    pub share: Option<Rc<Share>>,
}

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("connection broke: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("connection closed within a frame")]
    Truncated,
    #[error("a frame of {size} bytes was not whole after {} s", BODY_DEADLINE.as_secs())]
    TooSlow { size: usize },
}

pub struct FrameReader {
    stream: Rc<TcpStream>,
    core: Rc<Core>,
    throttle: Rc<Throttle>,
    frames: FrameDecoder,
    /// The memory of the buffer that frames are read into, which all frames from it keep.
    share: Option<Rc<Share>>,
    /// The last read took all there was room for: more is likely to follow.
    is_busy: bool,
}

impl FrameReader {
    /// Reads from `stream` frames of at most `size_max` bytes, their memory taken from that of `core`.
    /// None begins while `throttle` lasts.
    pub fn new(
        stream: Rc<TcpStream>,
        core: Rc<Core>,
        size_max: usize,
        throttle: Rc<Throttle>,
    ) -> Self {
        FrameReader {
            stream,
            core,
            throttle,
            frames: FrameDecoder::new(size_max),
            share: None,
            is_busy: false,
        }
    }

    /// The next frame; `None` when the peer has closed between frames.
    pub async fn next(&mut self) -> Result<Option<Frame>, ReadError> {
        let size = loop {
            match self.frames.pending()? {
                Pending::Body { length, .. } => break length,
                Pending::Length { .. } if self.read_idle().await? => {}
                Pending::Length { .. } if self.frames.buffered() == 0 => return Ok(None),
                Pending::Length { .. } => return Err(ReadError::Truncated),
            }
        };
        // Before memory is lent for the rest of it, which others could use meanwhile.
        self.throttle.over().await;
        // A request that is here already and gets its memory at once costs no timer.
        let mut read = std::pin::pin!(self.read_body(size));
        match futures_lite::future::poll_once(read.as_mut()).await {
            Some(frame) => frame.map(Some),
            None => match reactor::timeout(BODY_DEADLINE, read).await {
                Ok(frame) => frame.map(Some),
                Err(_) => Err(ReadError::TooSlow { size }),
            },
        }
    }

    /// Waits for bytes without holding a large buffer. False at the end of the stream.
    async fn read_idle(&mut self) -> Result<bool, ReadError> {
        if self.frames.buffered() == 0 {
            *self.frames.buffer_mut() = BytesMut::new();
            self.share = None;
            let mut small = [0; IDLE_BUFFER_SIZE_BYTES];
            let read = self.stream.read(&mut small).await?;
            self.frames.push(&small[..read]);
            self.is_busy = read == small.len();
            return Ok(read > 0);
        }
        // Less than a length is there: the rest of it fits into what every connection may have.
        let mut rest = [0; PREFIX_SIZE_BYTES];
        let missing = PREFIX_SIZE_BYTES - self.frames.buffered();
        let read = self.stream.read(&mut rest[..missing]).await?;
        self.frames.push(&rest[..read]);
        Ok(read > 0)
    }

    async fn read_body(&mut self, size: usize) -> Result<Frame, ReadError> {
        loop {
            if let Some(bytes) = self.frames.next_frame()? {
                return Ok(Frame { bytes, share: self.share.clone() });
            }
            let buffer = self.frames.buffer_mut();
            let missing = PREFIX_SIZE_BYTES + size - buffer.len();
            if buffer.capacity() - buffer.len() < missing {
                self.lend_buffer(PREFIX_SIZE_BYTES + size).await;
            }
            let buffer = self.frames.buffer_mut();
            let room = buffer.capacity() - buffer.len();
            let read = self.stream.read_into(buffer).await?;
            self.is_busy = read == room;
            if read == 0 {
                return Err(ReadError::Truncated);
            }
        }
    }

    /// Makes a buffer of at least `size_bytes` and moves to it what was read. Its memory is reserved
    /// first; frames that were cut from the one before keep that one's.
    async fn lend_buffer(&mut self, size_bytes: usize) {
        let core = self.core.clone();
        let frames = &core.frames;
        let more = READ_SIZE_BYTES.max(size_bytes);
        let spare = if self.is_busy { frames.try_take_spare(more) } else { None };
        let share = match spare {
            Some(share) => share,
            None => {
                // Who waits for memory keeps no more than what was read of this frame: the rest of a
                // buffer that was lent from plenty.
                let read = BytesMut::from(self.frames.buffer_mut().as_ref());
                *self.frames.buffer_mut() = read;
                self.share = None;
                frames.take(size_bytes).await
            }
        };
        let mut buffer = BytesMut::with_capacity(share.size());
        buffer.extend_from_slice(self.frames.buffer_mut());
        *self.frames.buffer_mut() = buffer;
        self.share = Some(Rc::new(share));
    }
}
