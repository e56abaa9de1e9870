//! Against servers that answer right and wrong, at either pace.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use protocol::frame::FrameDecoder;

use super::*;
use crate::bare;

const PACES: [Pace; 2] = [Pace::Closed { in_flight: 3 }, Pace::Fixed { requests_per_s: 1_000 }];

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
    pace: Pace,
    span: Duration,
) -> Result<(i64, i64)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let topic = Topic { name: "t".to_owned(), partition_count: 2 };
    let load = Load {
        workload: Workload { connection_count: 1, pace, ..Workload::named("P2/32").unwrap() },
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
    for pace in PACES {
        let span = Duration::from_millis(50);
        let (acknowledged, served) = load_against(answer, false, pace, span).unwrap();
        assert!(served > 0, "{pace:?}");
        assert_eq!(acknowledged, served, "{pace:?}");
    }
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
        for pace in PACES {
            // Ends with the first answers, long before the span does.
            let span = Duration::from_secs(60);
            let error = load_against(make, stores, pace, span).unwrap_err().to_string();
            assert!(error.contains(want), "{want}: {pace:?}: {error}");
        }
    }
}
