//! An open loop: requests leave at a fixed rate, whether or not the ones before are answered.
//!
//! Latency counts from when a request was due, not from when it was sent: a broker that stalls makes
//! all that was due meanwhile late, as it would for users (coordinated omission, G. Tene). Each
//! connection has a thread that sends and one that reads, both with blocking sockets.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use hdrhistogram::Histogram;
use protocol::frame::FrameDecoder;

use super::answers::{Answers, Outcome, Unanswered};
use super::client::connect;
use super::load::{Load, Window};
use super::produce::Frame;

const READ_SIZE_BYTES: usize = 64 * 1024;
const ANSWER_SIZE_BYTES_MAX: usize = 1024 * 1024;

/// A request sent later than this was held up by the generator or by a full socket. One in a hundred
/// may be: above that the rate was not kept.
const SENT_LATE_MAX: Duration = Duration::from_millis(50);
const SENT_LATE_QUANTILE: f64 = 0.99;

/// When the requests of one connection are due.
struct Schedule {
    first: Instant,
    interval: Duration,
}

impl Schedule {
    /// Connections share the rate, and take turns.
    fn new(begun: Instant, requests_per_s: u32, index: usize, connection_count: usize) -> Self {
        let turn = Duration::from_secs(1) / requests_per_s;
        Schedule { first: begun + turn * index as u32, interval: turn * connection_count as u32 }
    }

    fn due(&self, number: u32) -> Instant {
        self.first + self.interval * number
    }
}

/// Runs the lane `index` of `load` until `window` ends and all is answered. `begun` is the same for all
/// lanes.
///
/// Errors: as for any lane, and a rate that was not kept.
pub fn run(
    load: &Load<'_>,
    index: usize,
    requests_per_s: u32,
    begun: Instant,
    window: Window,
) -> Result<Outcome> {
    let stream = connect(load.broker)?;
    let frames = load.workload.frames(load.topic, load.now)?;
    let answers = Answers::new(load.topic.partition_count, load.stores)?;
    let (sent, to_answer) = channel();
    let schedule = Schedule::new(begun, requests_per_s, index, load.workload.connection_count);
    let reading = stream.try_clone()?;
    thread::scope(|scope| {
        let reader = scope.spawn(move || read(reading, &to_answer, answers, window));
        let late = send(stream, frames, index, &schedule, window, sent);
        let outcome = reader.join().map_err(|_| anyhow!("a reading thread panicked"))?;
        let (late, mut outcome) = (late?, outcome?);
        let late_us = late.value_at_quantile(SENT_LATE_QUANTILE);
        ensure!(
            Duration::from_micros(late_us) <= SENT_LATE_MAX,
            "the rate was not kept: one request in a hundred left {late_us} us late or more"
        );
        outcome.sent_late_us = late;
        Ok(outcome)
    })
}

/// Sends each request when it is due, until `window` ends. Returns how late they were, in microseconds,
/// those due within `window`.
fn send(
    mut stream: TcpStream,
    mut frames: Vec<Frame>,
    first_frame: usize,
    schedule: &Schedule,
    window: Window,
    sent: Sender<Unanswered>,
) -> Result<Histogram<u64>> {
    let mut late = Outcome::empty()?.sent_late_us;
    let frame_count = frames.len();
    for number in 0.. {
        let due = schedule.due(number);
        if due >= window.until {
            break;
        }
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if due >= window.from {
            let late_by = Instant::now().saturating_duration_since(due);
            late.saturating_record(late_by.as_micros() as u64);
        }
        let frame = &mut frames[(first_frame + number as usize) % frame_count];
        let Frame { partition, record_count, .. } = *frame;
        let correlation_id = number as i32;
        // Known before it is sent, so that its answer finds it. A reader that is gone says why.
        let unanswered = Unanswered { correlation_id, partition, record_count, due };
        if sent.send(unanswered).is_err() {
            break;
        }
        stream.write_all(frame.with_correlation_id(correlation_id)).context("sending")?;
    }
    Ok(late)
}

/// Takes answers until the sender has ended and each of its requests is answered.
fn read(
    mut stream: TcpStream,
    to_answer: &Receiver<Unanswered>,
    mut answers: Answers,
    window: Window,
) -> Result<Outcome> {
    let mut received = FrameDecoder::new(ANSWER_SIZE_BYTES_MAX);
    let mut scratch = vec![0; READ_SIZE_BYTES];
    // The sender is dropped when all is sent: then this ends with what is left.
    while let Ok(request) = to_answer.recv() {
        let answer = loop {
            if let Some(answer) = received.next_frame()? {
                break answer;
            }
            let read = stream.read(&mut scratch).context("waiting for answers")?;
            ensure!(read > 0, "the broker closed a connection");
            received.push(&scratch[..read]);
        };
        answers.take(answer, request, Instant::now(), window)?;
    }
    Ok(answers.outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_take_turns_at_the_whole_rate() {
        let begun = Instant::now();
        let mut due: Vec<Duration> = (0..2)
            .flat_map(|index| {
                let schedule = Schedule::new(begun, 1_000, index, 2);
                (0..3).map(move |number| schedule.due(number) - begun)
            })
            .collect();
        due.sort();
        assert_eq!(due, (0..6).map(Duration::from_millis).collect::<Vec<_>>());
    }
}
