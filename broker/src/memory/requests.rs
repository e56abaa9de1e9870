//! Memory for requests as decoded, for what their answers are made of, and for what waits: fetches that
//! are parked, acknowledgements to come.

use reactor::sync::{Budget, Share};

/// What a request is taken to need: one or two topics, a partition each. Those that need more say so.
pub const USUAL_SIZE_BYTES: usize = 4 << 10;

/// What a request needs for each byte that its decoded arrays take: the parts that its owners are asked,
/// their results, the answer as a structure and as bytes. Measured with fetches of 10,000 partitions.
pub const PER_DECODED_BYTE: usize = 10;

/// A request that needs more than it has got asks for so many times as much.
const GROWTH: usize = 8;

/// The part of the memory, one in so many, that is kept for requests that do not wait for records to
/// come: however many fetches are parked, a produce is not kept waiting by them.
const PROMPT_PART: usize = 4;

/// Whether a request may be parked until there are records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    Prompt,
    MayPark,
}

/// Memory that a request has, until its answer is sent.
pub struct Granted {
    pub patience: Patience,
    _share: Share,
}

/// One core's memory for requests, first come, first served, in two lines.
pub struct RequestMemory {
    prompt: Line,
    may_park: Line,
}

struct Line {
    budget: Budget,
    size_bytes: usize,
}

impl RequestMemory {
    pub fn new(size_bytes: usize) -> Self {
        let line = |size_bytes| Line { budget: Budget::new(size_bytes), size_bytes };
        let prompt = size_bytes / PROMPT_PART;
        RequestMemory { prompt: line(prompt), may_park: line(size_bytes - prompt) }
    }

    fn line(&self, patience: Patience) -> &Line {
        match patience {
            Patience::Prompt => &self.prompt,
            Patience::MayPark => &self.may_park,
        }
    }

    /// All that a request can get.
    pub fn size_bytes(&self, patience: Patience) -> usize {
        self.line(patience).size_bytes
    }

    pub fn in_use(&self) -> usize {
        [&self.prompt, &self.may_park]
            .map(|line| line.size_bytes - line.budget.available())
            .iter()
            .sum()
    }

    /// `size_bytes`, if they are free and nobody waits.
    pub fn try_take(&self, patience: Patience, size_bytes: usize) -> Option<Granted> {
        let share = self.line(patience).budget.try_take(size_bytes)?;
        Some(Granted { patience, _share: share })
    }

    /// Waits for `size_bytes`, at most all there is (asserted).
    pub async fn take(&self, patience: Patience, size_bytes: usize) -> Granted {
        Granted { patience, _share: self.line(patience).budget.take(size_bytes).await }
    }

    /// What to ask for after `size_bytes` were too few; `None` where that was all there is.
    pub fn more_than(&self, patience: Patience, size_bytes: usize) -> Option<usize> {
        let more = (size_bytes * GROWTH).min(self.size_bytes(patience));
        (more > size_bytes).then_some(more)
    }
}
