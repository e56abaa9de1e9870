//! Bytes as a connection's stream: however they are cut on arrival, the same frames come out, and a
//! frame's header is read or refused.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use protocol::frame::{FrameDecoder, FrameError, Pending};
use protocol::header::decode_request_header;
use protocol::wire::Decoder;

const LENGTH_SIZE_BYTES: usize = 4;

fuzz_target!(|input: (u16, u8, &[u8])| {
    let (size_max, step, stream) = input;
    let size_max = usize::from(size_max);
    let (frames, error, left) = cut(stream, size_max, stream.len().max(1));
    let pieces = cut(stream, size_max, usize::from(step).max(1));
    assert_eq!((&frames, error, left), (&pieces.0, pieces.1, pieces.2));

    let framed: usize = frames.iter().map(|frame| LENGTH_SIZE_BYTES + frame.len()).sum();
    assert_eq!(framed + left, stream.len());
    for frame in frames {
        assert!(frame.len() <= size_max, "a frame of {} bytes, {size_max} allowed", frame.len());
        let mut decoder = Decoder::new(frame);
        if let Ok((api, header)) = decode_request_header(&mut decoder) {
            assert_eq!(i16::from(api), header.request_api_key);
        }
    }
});

/// The frames of `stream`, which arrives `step` bytes at a time, the error that ends it, and how many
/// bytes are then left.
fn cut(stream: &[u8], size_max: usize, step: usize) -> (Vec<Bytes>, Option<FrameError>, usize) {
    let mut decoder = FrameDecoder::new(size_max);
    let mut frames = Vec::new();
    let mut error = None;
    for arrived in stream.chunks(step) {
        decoder.push(arrived);
        while error.is_none() {
            let pending = decoder.pending();
            match decoder.next_frame() {
                Ok(Some(frame)) => {
                    let length = frame.len();
                    assert_eq!(pending, Ok(Pending::Body { length, missing: 0 }));
                    frames.push(frame);
                }
                Ok(None) => break,
                Err(refused) => {
                    assert_eq!(pending, Err(refused));
                    error = Some(refused);
                }
            }
        }
    }
    (frames, error, decoder.buffered())
}
