//! Memory for requests as decoded, for what their answers are made of, and for what waits: fetches that
//! are parked, acknowledgements to come.

use reactor::sync::{Budget, Share};

/// What a request is taken to need: one or two topics, a partition each. Those that need more say so.
pub const USUAL_SIZE_BYTES: usize = 4 << 10;

/// What a request needs for each byte that its decoded arrays take: the parts that its owners are asked,
/// their results, the answer as a structure and as bytes. ADR 0117 has what was measured: 10.9 at most.
pub const PER_DECODED_BYTE: usize = 12;

/// A request that needs more than it has got asks for so many times as much.
const GROWTH: usize = 8;

/// The part of the memory, one in so many, that is kept for requests that do not wait for records to
/// come: however many fetches are parked, a produce is not kept waiting by them.
const PROMPT_PART: usize = 4;

/// A request up to this size does not stand in line with larger ones: a topic or two, some partitions each.
const SMALL_SIZE_BYTES_MAX: usize = 32 << 10;

/// The part, one in so many, that is kept for small requests.
const SMALL_PART: usize = 4;

/// Whether a request may be parked until there are records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    Prompt,
    MayPark,
}

/// Memory that a request has, until its answer is sent.
#[derive(Debug)]
pub struct Granted {
    pub patience: Patience,
    _share: Share,
}

/// One core's memory for requests, first come, first served, in a line for each size and patience.
pub struct RequestMemory {
    prompt: Lines,
    may_park: Lines,
}

struct Lines {
    small: Line,
    large: Line,
}

struct Line {
    budget: Budget,
    size_bytes: usize,
}

impl RequestMemory {
    pub fn new(size_bytes: usize) -> Self {
        let prompt = size_bytes / PROMPT_PART;
        RequestMemory { prompt: Lines::new(prompt), may_park: Lines::new(size_bytes - prompt) }
    }

    fn lines(&self, patience: Patience) -> &Lines {
        match patience {
            Patience::Prompt => &self.prompt,
            Patience::MayPark => &self.may_park,
        }
    }

    /// All that a request can get.
    pub fn size_bytes(&self, patience: Patience) -> usize {
        self.lines(patience).large.size_bytes
    }

    pub fn in_use(&self) -> usize {
        [&self.prompt, &self.may_park]
            .into_iter()
            .flat_map(|lines| [&lines.small, &lines.large])
            .map(|line| line.size_bytes - line.budget.available())
            .sum()
    }

    /// `size_bytes`, if they are free and nobody waits.
    pub fn try_take(&self, patience: Patience, size_bytes: usize) -> Option<Granted> {
        let lines = self.lines(patience);
        let first = lines.of(size_bytes).budget.try_take(size_bytes);
        // What large ones leave is for small ones, too.
        let share = first.or_else(|| lines.large.budget.try_take(size_bytes))?;
        Some(Granted { patience, _share: share })
    }

    /// Waits for `size_bytes`, at most all there is (asserted), in the line of this size.
    pub async fn take(&self, patience: Patience, size_bytes: usize) -> Granted {
        let line = self.lines(patience).of(size_bytes);
        Granted { patience, _share: line.budget.take(size_bytes).await }
    }

    /// What to ask for after `size_bytes` were too few; `None` where that was all there is.
    pub fn more_than(&self, patience: Patience, size_bytes: usize) -> Option<usize> {
        let more = (size_bytes * GROWTH).min(self.size_bytes(patience));
        (more > size_bytes).then_some(more)
    }
}

impl Lines {
    fn new(size_bytes: usize) -> Self {
        let line = |size_bytes| Line { budget: Budget::new(size_bytes), size_bytes };
        let small = size_bytes / SMALL_PART;
        Lines { small: line(small), large: line(size_bytes - small) }
    }

    fn of(&self, size_bytes: usize) -> &Line {
        let is_small = size_bytes <= SMALL_SIZE_BYTES_MAX.min(self.small.size_bytes);
        if is_small { &self.small } else { &self.large }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_requests_and_prompt_ones_are_not_kept_waiting_by_others() {
        let memory = RequestMemory::new(16 << 20);
        let all = memory.size_bytes(Patience::MayPark);
        let parked = memory.try_take(Patience::MayPark, all);
        assert!(parked.is_some() && memory.try_take(Patience::MayPark, all).is_none());
        let large = memory.try_take(Patience::Prompt, memory.size_bytes(Patience::Prompt));
        assert!(large.is_some() && memory.try_take(Patience::Prompt, 1 << 20).is_none());
        let small = [Patience::Prompt, Patience::MayPark]
            .map(|patience| memory.try_take(patience, SMALL_SIZE_BYTES_MAX));
        assert!(small.iter().all(Option::is_some));
        assert_eq!(memory.in_use(), (12 << 20) + 2 * SMALL_SIZE_BYTES_MAX);
        drop((parked, large, small));
        assert_eq!(memory.in_use(), 0);
    }
}
