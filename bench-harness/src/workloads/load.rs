//! A load: its lanes, one connection each, run together for a window of time.

use std::net::SocketAddr;
use std::thread;
use std::time::Instant;

use anyhow::{Result, anyhow};
use protocol::model::TimestampMs;

use super::answers::Outcome;
use super::topic::Topic;
use super::workload::{Pace, Workload};
use super::{closed_loop, open_loop};

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

/// Runs `load` to the end of `window` and until every request is answered. `meanwhile` runs beside it
/// on the calling thread.
///
/// Errors: an answer with an error, out of order or late, or a fixed rate that was not kept; the load
/// is void then.
pub fn run<T>(
    load: &Load<'_>,
    window: Window,
    meanwhile: impl FnOnce() -> T,
) -> Result<(Outcome, T)> {
    let begun = Instant::now();
    let lane = |index| match load.workload.pace {
        Pace::Closed { in_flight } => closed_loop::run(load, index, in_flight, window),
        Pace::Fixed { requests_per_s } => {
            open_loop::run(load, index, requests_per_s, begun, window)
        }
    };
    let lane = &lane;
    thread::scope(|scope| {
        let lanes: Vec<_> = (0..load.workload.connection_count)
            .map(|index| scope.spawn(move || lane(index)))
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

#[cfg(test)]
mod tests;
