//! A closed loop: each connection keeps its window of requests full for as long as the run lasts.
//!
//! One thread per connection with blocking sockets: answers are small, so a write that waits for the
//! broker to read never waits for an answer of ours to be read. Latency counts from before the write.

use std::collections::VecDeque;
use std::io::{BufWriter, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use protocol::frame::FrameDecoder;

use super::answers::{Answers, Outcome, Unanswered};
use super::client::connect;
use super::load::{Load, Window};
use super::produce::Frame;

/// Small requests that are due together leave in one write; larger ones go past the buffer.
const WRITE_SIZE_BYTES: usize = 64 * 1024;
const READ_SIZE_BYTES: usize = 64 * 1024;

const ANSWER_SIZE_BYTES_MAX: usize = 1024 * 1024;

/// One connection with its unanswered requests.
struct Lane {
    stream: TcpStream,
    out: BufWriter<TcpStream>,
    received: FrameDecoder,
    frames: Vec<Frame>,
    next_frame: usize,
    next_correlation_id: i32,
    in_flight_max: usize,
    in_flight: VecDeque<Unanswered>,
    answers: Answers,
}

/// Runs the lane `index` of `load` until `window` ends and all is answered.
pub fn run(load: &Load<'_>, index: usize, in_flight: usize, window: Window) -> Result<Outcome> {
    let stream = connect(load.broker)?;
    let frames = load.workload.frames(load.topic, load.now)?;
    let lane = Lane {
        out: BufWriter::with_capacity(WRITE_SIZE_BYTES, stream.try_clone()?),
        stream,
        received: FrameDecoder::new(ANSWER_SIZE_BYTES_MAX),
        next_frame: index % frames.len(),
        next_correlation_id: 0,
        in_flight_max: in_flight,
        in_flight: VecDeque::with_capacity(in_flight),
        answers: Answers::new(load.topic.partition_count, load.stores)?,
        frames,
    };
    lane.run(window)
}

impl Lane {
    fn run(mut self, window: Window) -> Result<Outcome> {
        let mut scratch = vec![0; READ_SIZE_BYTES];
        loop {
            let now = Instant::now();
            while self.in_flight.len() < self.in_flight_max && now < window.until {
                self.send(now)?;
            }
            self.out.flush().context("sending")?;
            if self.in_flight.is_empty() {
                return Ok(self.answers.outcome);
            }
            let read = self.stream.read(&mut scratch).context("waiting for answers")?;
            ensure!(read > 0, "the broker closed a connection");
            let now = Instant::now();
            self.received.push(&scratch[..read]);
            while let Some(answer) = self.received.next_frame()? {
                let Some(request) = self.in_flight.pop_front() else {
                    bail!("an answer to no request");
                };
                self.answers.take(answer, request, now, window)?;
            }
        }
    }

    fn send(&mut self, now: Instant) -> Result<()> {
        let correlation_id = self.next_correlation_id;
        let frame = &mut self.frames[self.next_frame];
        self.out.write_all(frame.with_correlation_id(correlation_id)).context("sending")?;
        let Frame { partition, record_count, .. } = *frame;
        self.in_flight.push_back(Unanswered { correlation_id, partition, record_count, due: now });
        self.next_frame = (self.next_frame + 1) % self.frames.len();
        self.next_correlation_id = correlation_id.wrapping_add(1);
        Ok(())
    }
}
