//! What is done about the end of a segment: the decision table of `docs/storage.md`, as a function.
//!
//! What tells the torn end of a log from one that has rotted is what is known to have been flushed: a
//! recovery point, be it of the core checkpoint or of a clean stop. Below it nothing is ever cut.

/// How the last stop was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    Clean,
    Unclean,
}

/// What the bytes of a segment end with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// A batch.
    Whole,
    /// Zeros: the padding of the last block, and blocks that were allocated and never written.
    Zeros,
    /// What is no whole batch, or one whose CRC, bounds or offsets are wrong.
    Bad,
}

/// Where in its log a segment lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The next segment begins where this one ends, or behind it.
    Followed,
    /// There is another one, which begins before this one ends.
    Overlapped,
    Last,
}

/// Whether the offset at which the good batches end is known to have been passed by a flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// More than these were flushed.
    More,
    NoMore,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// The segment is as it should be.
    Keep,
    /// The zeros are cut off.
    Trim,
    /// The log ends with the last good batch: what follows is cut off, and the segments behind are
    /// removed, the last first.
    EndHere,
    /// The log stays offline, and nothing of it is changed: what was flushed is damaged.
    Refuse,
}

pub(super) fn decide(stop: Stop, end: End, place: Place, claim: Claim) -> Action {
    match (stop, end, place, claim) {
        // A clean stop leaves no other end than a batch.
        (Stop::Clean, End::Zeros | End::Bad, _, _) => Action::Refuse,
        (_, End::Whole, Place::Followed, _) => Action::Keep,
        // A roll leaves zeros behind the last batch until the segment is complete.
        (Stop::Unclean, End::Zeros, Place::Followed, _) => Action::Trim,
        // What is missing from here on was flushed once.
        (_, End::Whole, Place::Overlapped | Place::Last, Claim::More)
        | (Stop::Unclean, End::Zeros, Place::Overlapped | Place::Last, Claim::More)
        | (Stop::Unclean, End::Bad, _, Claim::More) => Action::Refuse,
        // Blocks that were allocated ahead are there for what comes next.
        (_, End::Whole, Place::Last, Claim::NoMore)
        | (Stop::Unclean, End::Zeros, Place::Last, Claim::NoMore) => Action::Keep,
        (Stop::Clean, End::Whole, Place::Overlapped, Claim::NoMore) => Action::Refuse,
        (Stop::Unclean, End::Whole | End::Zeros, Place::Overlapped, Claim::NoMore)
        | (Stop::Unclean, End::Bad, _, Claim::NoMore) => Action::EndHere,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = include_str!("../../../docs/storage.md");

    /// The table as the document shows it: a line per input, all of them.
    fn rendered() -> String {
        let mut table = String::from(
            "| stop | a segment ends with | it is | more was flushed | what is done |\n\
             |---|---|---|---|---|\n",
        );
        for stop in [Stop::Clean, Stop::Unclean] {
            for end in [End::Whole, End::Zeros, End::Bad] {
                for place in [Place::Followed, Place::Overlapped, Place::Last] {
                    for claim in [Claim::NoMore, Claim::More] {
                        let action = decide(stop, end, place, claim);
                        let claim = if claim == Claim::More { "yes" } else { "no" };
                        let line =
                            format!("| {stop:?} | {end:?} | {place:?} | {claim} | {action:?} |");
                        table.push_str(&line);
                        table.push('\n');
                    }
                }
            }
        }
        table
    }

    #[test]
    fn the_document_shows_every_row() {
        let table = rendered();
        assert!(DOCUMENT.contains(&table), "docs/storage.md does not hold this table:\n{table}");
    }

    #[test]
    fn nothing_that_was_flushed_is_ever_cut() {
        for stop in [Stop::Clean, Stop::Unclean] {
            for end in [End::Whole, End::Zeros, End::Bad] {
                for place in [Place::Followed, Place::Overlapped, Place::Last] {
                    let action = decide(stop, end, place, Claim::More);
                    assert_ne!(action, Action::EndHere, "{stop:?} {end:?} {place:?}");
                    let cuts_nothing = decide(Stop::Clean, end, place, Claim::NoMore);
                    assert!(matches!(cuts_nothing, Action::Keep | Action::Refuse), "{end:?}");
                }
            }
        }
    }
}
