//! A closed loop: each connection keeps its window of requests full for as long as the run lasts.
//!
//! One thread per connection with blocking sockets: answers are small, so a write that waits for the
//! broker to read never waits for an answer of ours to be read. Latency counts from before the write.

use std::collections::VecDeque;
use std::io::{BufWriter, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail, ensure};
use bytes::Bytes;
use hdrhistogram::Histogram;
use protocol::api::ApiKey;
use protocol::error_code::ErrorCode;
use protocol::frame::FrameDecoder;
use protocol::header;
use protocol::messages::produce::ProduceResponse;
use protocol::model::TimestampMs;
use protocol::wire::{Decoder, Message};

use super::client::connect;
use super::produce::{Frame, PRODUCE_VERSION, Workload};
use super::topic::Topic;

/// Small requests that are due together leave in one write; larger ones go past the buffer.
const WRITE_SIZE_BYTES: usize = 64 * 1024;
const READ_SIZE_BYTES: usize = 64 * 1024;

const ANSWER_SIZE_BYTES_MAX: usize = 1024 * 1024;

/// Latencies are kept in microseconds up to a minute, to three digits.
const LATENCY_US_MAX: u64 = 60_000_000;

/// What is sent, where to, and what the answers must say.
pub struct Load<'a> {
    pub workload: Workload,
    pub broker: SocketAddr,
    pub topic: &'a Topic,
    /// Whether base offsets mean anything: the bare server gives none.
    pub stores: bool,
    pub now: TimestampMs,
}

/// Answers from `from` on and before `until` count; at `until` sending ends.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    pub from: Instant,
    pub until: Instant,
}

/// What came of a run.
pub struct Outcome {
    /// Records acknowledged at any time, warm-up and rest included.
    pub acknowledged_records: i64,
    /// Within the window:
    pub requests: u64,
    pub records: i64,
    pub latency_us: Histogram<u64>,
}

impl Outcome {
    fn empty() -> Result<Outcome> {
        let latency_us = Histogram::new_with_bounds(1, LATENCY_US_MAX, 3)
            .map_err(|error| anyhow!("a histogram: {error:?}"))?;
        Ok(Outcome { acknowledged_records: 0, requests: 0, records: 0, latency_us })
    }

    fn add(&mut self, other: &Outcome) -> Result<()> {
        self.acknowledged_records += other.acknowledged_records;
        self.requests += other.requests;
        self.records += other.records;
        self.latency_us
            .add(&other.latency_us)
            .map_err(|error| anyhow!("adding histograms: {error:?}"))
    }
}

/// Runs `load` to the end of `window` and until every request is answered. `meanwhile` runs beside it
/// on the calling thread.
///
/// Errors: an answer with an error, out of order or late; the load is void then.
pub fn run<T>(
    load: &Load<'_>,
    window: Window,
    meanwhile: impl FnOnce() -> T,
) -> Result<(Outcome, T)> {
    thread::scope(|scope| {
        let lanes: Vec<_> = (0..load.workload.connection_count)
            .map(|index| scope.spawn(move || Lane::open(load, index)?.run(window)))
            .collect();
        let beside = meanwhile();
        let mut outcome = Outcome::empty()?;
        for lane in lanes {
            let lane = lane.join().map_err(|_| anyhow!("a load thread panicked"))??;
            outcome.add(&lane)?;
        }
        Ok((outcome, beside))
    })
}

/// One connection with its unanswered requests.
struct Lane {
    stream: TcpStream,
    out: BufWriter<TcpStream>,
    answers: FrameDecoder,
    frames: Vec<Frame>,
    next_frame: usize,
    next_correlation_id: i32,
    in_flight_max: usize,
    in_flight: VecDeque<Unanswered>,
    /// By partition: every later answer must have a larger one.
    base_offsets: Option<Vec<i64>>,
    outcome: Outcome,
}

struct Unanswered {
    correlation_id: i32,
    frame: usize,
    sent: Instant,
}

impl Lane {
    fn open(load: &Load<'_>, index: usize) -> Result<Lane> {
        let stream = connect(load.broker)?;
        let frames = load.workload.frames(load.topic, load.now)?;
        Ok(Lane {
            out: BufWriter::with_capacity(WRITE_SIZE_BYTES, stream.try_clone()?),
            stream,
            answers: FrameDecoder::new(ANSWER_SIZE_BYTES_MAX),
            next_frame: index % frames.len(),
            next_correlation_id: 0,
            in_flight_max: load.workload.in_flight,
            in_flight: VecDeque::with_capacity(load.workload.in_flight),
            base_offsets: load.stores.then(|| vec![-1; frames.len()]),
            frames,
            outcome: Outcome::empty()?,
        })
    }

    fn run(mut self, window: Window) -> Result<Outcome> {
        let mut scratch = vec![0; READ_SIZE_BYTES];
        loop {
            let now = Instant::now();
            while self.in_flight.len() < self.in_flight_max && now < window.until {
                self.send(now)?;
            }
            self.out.flush().context("sending")?;
            if self.in_flight.is_empty() {
                return Ok(self.outcome);
            }
            let read = self.stream.read(&mut scratch).context("waiting for answers")?;
            ensure!(read > 0, "the broker closed a connection");
            let now = Instant::now();
            self.answers.push(&scratch[..read]);
            while let Some(answer) = self.answers.next_frame()? {
                self.take(answer, now, window)?;
            }
        }
    }

    fn send(&mut self, now: Instant) -> Result<()> {
        let (frame, correlation_id) = (self.next_frame, self.next_correlation_id);
        let bytes = self.frames[frame].with_correlation_id(correlation_id);
        self.out.write_all(bytes).context("sending")?;
        self.in_flight.push_back(Unanswered { correlation_id, frame, sent: now });
        self.next_frame = (frame + 1) % self.frames.len();
        self.next_correlation_id = correlation_id.wrapping_add(1);
        Ok(())
    }

    fn take(&mut self, answer: Bytes, now: Instant, window: Window) -> Result<()> {
        let Some(request) = self.in_flight.pop_front() else {
            bail!("an answer to no request");
        };
        let mut decoder = Decoder::new(answer);
        let header =
            header::decode_response_header(&mut decoder, ApiKey::Produce, PRODUCE_VERSION)?;
        ensure!(
            header.correlation_id == request.correlation_id,
            "INV-12: the answer to {} came before the one to {}",
            header.correlation_id,
            request.correlation_id
        );
        let response = ProduceResponse::decode(&mut decoder, PRODUCE_VERSION)?;
        let Frame { partition, record_count, .. } = self.frames[request.frame];
        let base_offset = base_offset(&response, partition)?;
        if let Some(known) = &mut self.base_offsets {
            let known = &mut known[request.frame];
            ensure!(base_offset > *known, "partition {partition}: {base_offset} after {known}");
            *known = base_offset;
        }
        let outcome = &mut self.outcome;
        outcome.acknowledged_records += i64::from(record_count);
        if (window.from..window.until).contains(&now) {
            outcome.requests += 1;
            outcome.records += i64::from(record_count);
            let latency_us = now.duration_since(request.sent).as_micros() as u64;
            outcome.latency_us.saturating_record(latency_us);
        }
        Ok(())
    }
}

/// The offset that the one batch of a request got.
fn base_offset(response: &ProduceResponse, partition: i32) -> Result<i64> {
    let answer = response
        .responses
        .first()
        .and_then(|topic| topic.partition_responses.first())
        .context("an answer without a partition")?;
    ensure!(answer.index == partition, "partition {} instead of {partition}", answer.index);
    ensure!(
        answer.error_code == i16::from(ErrorCode::None),
        "partition {partition}: error {} {}",
        answer.error_code,
        answer.error_message.as_deref().unwrap_or_default()
    );
    Ok(answer.base_offset)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};
    use std::time::Duration;

    use bytes::BytesMut;

    use super::super::produce::GROUND;
    use super::*;
    use crate::bare;

    /// Serves one connection with what `answer` makes of each frame; returns how many frames there were.
    fn serve(listener: &TcpListener, answer: impl Fn(Bytes) -> Vec<u8>) -> i64 {
        let (mut stream, _) = listener.accept().unwrap();
        let mut frames = FrameDecoder::new(1 << 20);
        let mut scratch = [0; 4096];
        let mut count = 0;
        loop {
            // A client that refuses an answer closes at once, which may reset.
            let Ok(read @ 1..) = stream.read(&mut scratch) else { return count };
            frames.push(&scratch[..read]);
            while let Some(frame) = frames.next_frame().unwrap() {
                count += 1;
                if stream.write_all(&answer(frame)).is_err() {
                    return count;
                }
            }
        }
    }

    fn load_against(
        answer: impl Fn(Bytes) -> Vec<u8> + Send,
        stores: bool,
        span: Duration,
    ) -> Result<(i64, i64)> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let topic = Topic { name: "t".to_owned(), partition_count: 2 };
        let load = Load {
            workload: Workload { connection_count: 1, in_flight: 3, ..GROUND[1] },
            broker: listener.local_addr().unwrap(),
            topic: &topic,
            stores,
            now: TimestampMs(1),
        };
        let from = Instant::now();
        let window = Window { from, until: from + span };
        thread::scope(|scope| {
            let server = scope.spawn(|| serve(&listener, answer));
            let outcome = run(&load, window, || ()).map(|(outcome, ())| outcome);
            let served = server.join().unwrap();
            outcome.map(|outcome| (outcome.acknowledged_records, served))
        })
    }

    fn answer(frame: Bytes) -> Vec<u8> {
        bare::answer(frame).unwrap().concat()
    }

    #[test]
    fn every_request_is_answered_and_counted() {
        let (acknowledged, served) =
            load_against(answer, false, Duration::from_millis(50)).unwrap();
        assert_eq!(acknowledged, served);
    }

    #[test]
    fn answers_that_cannot_be_right_end_the_load() {
        type Answer = fn(Bytes) -> Vec<u8>;
        let to_another_request: Answer = |frame| {
            let mut other = BytesMut::from(frame);
            other[7] ^= 1;
            answer(other.freeze())
        };
        let with_an_error: Answer = |frame| {
            let mut refusal = answer(frame);
            // Behind length, correlation id, tags, both counts, the topic's name and the index.
            refusal[18] = 3;
            refusal
        };
        for (make, stores, want) in [
            (to_another_request, false, "INV-12"),
            (with_an_error, false, "error 3"),
            // The bare server gives each batch offset 0.
            (answer, true, "0 after 0"),
        ] {
            // Ends with the first answers, long before the span does.
            let span = Duration::from_secs(60);
            let error = load_against(make, stores, span).unwrap_err().to_string();
            assert!(error.contains(want), "{want}: {error}");
        }
    }
}
