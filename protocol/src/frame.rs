//! Frames on a connection: four bytes of length, then that many bytes.
//!
//! `FrameDecoder` owns no socket and reads nothing. Whoever does asks it how much is missing, reads
//! that into its buffer, and asks for the frame:
//!
//! 1. `pending()` says what the next frame needs, as far as the bytes so far tell. Once the length
//!    is known the memory for the body can be reserved, before any of it is read.
//! 2. `push` or `buffer_mut` adds what arrived, which may be several frames.
//! 3. `next_frame` gives them one at a time, without copying them.

use bytes::{Buf, Bytes, BytesMut};

const LENGTH_SIZE_BYTES: usize = 4;

/// Why a connection cannot go on: what follows is no frame, and where the next begins is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("a frame's length is negative: {length}")]
    NegativeLength { length: i32 },
    #[error("a frame of {length} bytes is larger than the {max} allowed")]
    TooLarge { length: usize, max: usize },
}

/// What the next frame still needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pending {
    /// Its length is not known yet: this many bytes of it are missing.
    Length { missing: usize },
    /// Its body has `length` bytes, of which `missing` have not arrived; 0 when it is whole.
    Body { length: usize, missing: usize },
}

/// Cuts a stream of bytes into frames.
#[derive(Debug)]
pub struct FrameDecoder {
    buffer: BytesMut,
    size_max: usize,
}

impl FrameDecoder {
    /// Refuses frames of more than `size_max` bytes, their length field not counted
    /// (`socket.request.max.bytes`).
    pub fn new(size_max: usize) -> Self {
        FrameDecoder { buffer: BytesMut::new(), size_max }
    }

    /// Changes the limit for frames whose length has not been looked at: before a client is
    /// authenticated it is lower.
    pub fn set_size_max(&mut self, size_max: usize) {
        self.size_max = size_max;
    }

    /// Where arriving bytes go, behind what is there.
    pub fn buffer_mut(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Adds `bytes` by copying them.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes that were added and not taken as frames.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    pub fn pending(&self) -> Result<Pending, FrameError> {
        let Some(length) = self.buffer.first_chunk::<LENGTH_SIZE_BYTES>() else {
            return Ok(Pending::Length { missing: LENGTH_SIZE_BYTES - self.buffer.len() });
        };
        let length = i32::from_be_bytes(*length);
        let Ok(length) = usize::try_from(length) else {
            return Err(FrameError::NegativeLength { length });
        };
        if length > self.size_max {
            return Err(FrameError::TooLarge { length, max: self.size_max });
        }
        let missing = (LENGTH_SIZE_BYTES + length).saturating_sub(self.buffer.len());
        Ok(Pending::Body { length, missing })
    }

    /// The next frame's body if all of it is there. After an error the stream cannot be used.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, FrameError> {
        match self.pending()? {
            Pending::Body { length, missing: 0 } => {
                self.buffer.advance(LENGTH_SIZE_BYTES);
                Ok(Some(self.buffer.split_to(length).freeze()))
            }
            Pending::Length { .. } | Pending::Body { .. } => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(bodies: &[&[u8]]) -> Vec<u8> {
        let frame = |body: &&[u8]| [&(body.len() as i32).to_be_bytes()[..], body].concat();
        bodies.iter().flat_map(frame).collect()
    }

    #[test]
    fn frames_come_out_however_their_bytes_arrive() {
        let bodies: [&[u8]; 4] = [b"one", b"", b"three", b"4"];
        let stream = framed(&bodies);
        for step in 1..=stream.len() {
            let mut decoder = FrameDecoder::new(5);
            let mut frames = Vec::new();
            for bytes in stream.chunks(step) {
                decoder.push(bytes);
                while let Some(frame) = decoder.next_frame().unwrap() {
                    frames.push(frame);
                }
            }
            assert_eq!(frames, bodies, "{step} bytes at a time");
            assert_eq!(decoder.buffered(), 0);
        }
    }

    #[test]
    fn the_length_is_known_before_the_body_is_read() {
        for (bytes, want) in [
            (&b""[..], Ok(Pending::Length { missing: 4 })),
            (b"\0\0\0", Ok(Pending::Length { missing: 1 })),
            (b"\0\0\0\x05", Ok(Pending::Body { length: 5, missing: 5 })),
            (b"\0\0\0\x05abc", Ok(Pending::Body { length: 5, missing: 2 })),
            (b"\0\0\0\x05abcdefg", Ok(Pending::Body { length: 5, missing: 0 })),
            (b"\0\0\0\x09", Err(FrameError::TooLarge { length: 9, max: 8 })),
            (b"\x7f\xff\xff\xff", Err(FrameError::TooLarge { length: i32::MAX as usize, max: 8 })),
            (b"\xff\xff\xff\xff", Err(FrameError::NegativeLength { length: -1 })),
            (b"GET / HT", Err(FrameError::TooLarge { length: 0x4745_5420, max: 8 })),
        ] {
            let mut decoder = FrameDecoder::new(8);
            decoder.push(bytes);
            assert_eq!(decoder.pending(), want, "{bytes:?}");
        }
    }
}
