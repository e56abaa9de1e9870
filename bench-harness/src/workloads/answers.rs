//! What comes back: each answer is checked against its request, and counted.

use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};
use bytes::Bytes;
use hdrhistogram::Histogram;
use protocol::api::ApiKey;
use protocol::error_code::ErrorCode;
use protocol::header;
use protocol::messages::produce::ProduceResponse;
use protocol::wire::{Decoder, Message};

use super::load::Window;
use super::produce::PRODUCE_VERSION;

/// Latencies are kept in microseconds up to a minute, to three digits.
const LATENCY_US_MAX: u64 = 60_000_000;

/// What came of a run.
pub struct Outcome {
    /// Records acknowledged at any time, warm-up and rest included.
    pub acknowledged_records: i64,
    /// Within the window:
    pub requests: u64,
    pub records: i64,
    pub latency_us: Histogram<u64>,
    /// How long after their time requests of a fixed rate were sent.
    pub sent_late_us: Histogram<u64>,
}

impl Outcome {
    pub fn empty() -> Result<Outcome> {
        Ok(Outcome {
            acknowledged_records: 0,
            requests: 0,
            records: 0,
            latency_us: histogram()?,
            sent_late_us: histogram()?,
        })
    }

    pub fn add(&mut self, other: &Outcome) -> Result<()> {
        self.acknowledged_records += other.acknowledged_records;
        self.requests += other.requests;
        self.records += other.records;
        let added = self
            .latency_us
            .add(&other.latency_us)
            .and_then(|()| self.sent_late_us.add(&other.sent_late_us));
        added.map_err(|error| anyhow!("adding histograms: {error:?}"))
    }
}

fn histogram() -> Result<Histogram<u64>> {
    Histogram::new_with_bounds(1, LATENCY_US_MAX, 3)
        .map_err(|error| anyhow!("a histogram: {error:?}"))
}

/// A request that has no answer yet.
#[derive(Debug, Clone, Copy)]
pub struct Unanswered {
    pub correlation_id: i32,
    pub partition: i32,
    pub record_count: i32,
    /// Where its latency begins.
    pub due: Instant,
}

/// Checks the answers of one connection.
pub struct Answers {
    /// The last base offset of each partition, where base offsets mean anything.
    base_offsets: Option<Vec<i64>>,
    pub outcome: Outcome,
}

impl Answers {
    pub fn new(partition_count: i32, stores: bool) -> Result<Answers> {
        Ok(Answers {
            base_offsets: stores.then(|| vec![-1; partition_count as usize]),
            outcome: Outcome::empty()?,
        })
    }

    /// Takes the answer that came at `now` to the oldest request without one.
    pub fn take(
        &mut self,
        answer: Bytes,
        request: Unanswered,
        now: Instant,
        window: Window,
    ) -> Result<()> {
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
        let Unanswered { partition, record_count, .. } = request;
        let base_offset = base_offset(&response, partition)?;
        if let Some(known) = &mut self.base_offsets {
            let known = &mut known[partition as usize];
            ensure!(base_offset > *known, "partition {partition}: {base_offset} after {known}");
            *known = base_offset;
        }
        let outcome = &mut self.outcome;
        outcome.acknowledged_records += i64::from(record_count);
        if (window.from..window.until).contains(&now) {
            outcome.requests += 1;
            outcome.records += i64::from(record_count);
            let latency_us = now.duration_since(request.due).as_micros() as u64;
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
