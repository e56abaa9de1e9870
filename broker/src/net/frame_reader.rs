//! Reads length-prefixed frames from a connection, with memory reserved before a body is read.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use protocol::frame::{FrameDecoder, FrameError, Pending};
use reactor::net::TcpStream;
use reactor::sync::Share;

use crate::cores::Core;

/// A body that has begun must be whole after this time: a slow sender may not hold memory for ever.
const BODY_DEADLINE: Duration = Duration::from_secs(30);

/// An idle connection waits with this much memory: most small requests fit in it whole.
const IDLE_BUFFER_SIZE_BYTES: usize = 512;

/// While frames keep coming, what is read at once.
const READ_SIZE_BYTES: usize = 64 * 1024;

/// A frame's length, before it.
const PREFIX_SIZE_BYTES: usize = 4;

/// One frame without its length prefix. Its memory stays reserved while `share` lives.
pub struct Frame {
    pub bytes: Bytes,
    pub share: Share,
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
    frames: FrameDecoder,
}

impl FrameReader {
    /// Reads from `stream` frames of at most `size_max` bytes, their memory taken from that of `core`.
    pub fn new(stream: Rc<TcpStream>, core: Rc<Core>, size_max: usize) -> Self {
        FrameReader { stream, core, frames: FrameDecoder::new(size_max) }
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
            let mut small = [0; IDLE_BUFFER_SIZE_BYTES];
            let read = self.stream.read(&mut small).await?;
            self.frames.push(&small[..read]);
            return Ok(read > 0);
        }
        self.read_more(PREFIX_SIZE_BYTES).await
    }

    async fn read_body(&mut self, size: usize) -> Result<Frame, ReadError> {
        let share = self.core.frames.take(size).await;
        loop {
            if let Some(bytes) = self.frames.next_frame()? {
                return Ok(Frame { bytes, share });
            }
            let missing = match self.frames.pending()? {
                Pending::Body { missing, .. } | Pending::Length { missing } => missing,
            };
            if !self.read_more(missing).await? {
                return Err(ReadError::Truncated);
            }
        }
    }

    /// Reads at least one byte behind what is there. False at the end of the stream.
    async fn read_more(&mut self, missing: usize) -> Result<bool, ReadError> {
        let buffer = self.frames.buffer_mut();
        if buffer.capacity() - buffer.len() < missing {
            buffer.reserve(missing.max(READ_SIZE_BYTES));
        }
        Ok(self.stream.read_into(buffer).await? > 0)
    }
}
