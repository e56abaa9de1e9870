//! Which of the batches in a run of bytes a read takes.

use std::ops::Range;

use protocol::model::Offset;
use protocol::record_batch::{BatchError, BatchHeader, HEADER_SIZE_BYTES};

/// What a read asks for, less what it has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Selection {
    /// Batches that end before this offset are skipped.
    pub(crate) from: Offset,
    pub(crate) size_bytes_max: usize,
    /// The first batch is taken whatever its size.
    pub(crate) min_one_batch: bool,
    /// No batch is taken that reaches beyond.
    pub(crate) upper_bound: Offset,
}

/// Why no more was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The bytes end where a batch does.
    AtEnd,
    /// The next batch begins at `position` and needs this many bytes from there.
    Partial { position: usize, size_bytes: usize },
    /// The bound in bytes or offsets.
    Bound,
}

/// What was taken: `range` of the bytes, which hold the batches of `base_offset..next_offset`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selected {
    pub(crate) range: Range<usize>,
    pub(crate) base_offset: Option<Offset>,
    pub(crate) next_offset: Offset,
    pub(crate) stop: Stop,
}

/// Takes whole batches from `bytes`, which begin with one; those before bytes that are no batch header,
/// if there are any.
///
/// Errors: bytes that are no batch header before the first batch taken, with where they are.
pub(crate) fn select(bytes: &[u8], wanted: Selection) -> Result<Selected, (usize, BatchError)> {
    let mut selected =
        Selected { range: 0..0, base_offset: None, next_offset: wanted.from, stop: Stop::AtEnd };
    let mut position = 0;
    while let Some(rest) = bytes.get(position..).filter(|rest| !rest.is_empty()) {
        if rest.len() < HEADER_SIZE_BYTES {
            selected.stop = Stop::Partial { position, size_bytes: HEADER_SIZE_BYTES };
            break;
        }
        let header = match BatchHeader::parse(rest) {
            Ok(header) => header,
            Err(_) if selected.base_offset.is_some() => {
                selected.stop = Stop::Bound;
                break;
            }
            Err(error) => return Err((position, error)),
        };
        let end = position + header.size_bytes();
        if header.next_offset() > wanted.from {
            if !takes(&header, &selected, wanted) {
                selected.stop = Stop::Bound;
                break;
            }
            if rest.len() < header.size_bytes() {
                selected.stop = Stop::Partial { position, size_bytes: header.size_bytes() };
                break;
            }
            if selected.base_offset.is_none() {
                selected.base_offset = Some(header.base_offset);
                selected.range = position..position;
            }
            selected.range.end = end;
            selected.next_offset = header.next_offset();
        } else if rest.len() < header.size_bytes() {
            selected.stop = Stop::Partial { position, size_bytes: header.size_bytes() };
            break;
        }
        position = end;
    }
    Ok(selected)
}

fn takes(header: &BatchHeader, selected: &Selected, wanted: Selection) -> bool {
    let size_bytes = selected.range.len() + header.size_bytes();
    let is_free = wanted.min_one_batch && selected.base_offset.is_none();
    header.next_offset() <= wanted.upper_bound && (is_free || size_bytes <= wanted.size_bytes_max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_batches::{batch_at, concatenated};

    #[test]
    fn takes_whole_batches_within_bounds() {
        // Offsets 10..13, 13..14, 20..22: a gap, as compaction leaves.
        let batches = [batch_at(10, 3), batch_at(13, 1), batch_at(20, 2)];
        let sizes: Vec<usize> = batches.iter().map(|batch| batch.len()).collect();
        let bytes = concatenated(&batches);
        let (one, two, all) = (sizes[0], sizes[0] + sizes[1], bytes.len());
        for (from, size_bytes_max, min_one_batch, upper_bound, range, next_offset) in [
            (10, all, false, 99, 0..all, 22),
            (12, all, false, 99, 0..all, 22), // within a batch: the whole of it
            (13, all, false, 99, one..all, 22),
            (15, all, false, 99, two..all, 22), // within the gap: the next batch
            (22, all, true, 99, 0..0, 22),
            (10, all - 1, false, 99, 0..two, 14),
            (10, all, false, 21, 0..two, 14), // the last reaches beyond the bound
            (10, all, true, 12, 0..0, 10),    // min_one_batch does not lift the bound
            (10, 1, true, 99, 0..one, 13),
            (10, 1, false, 99, 0..0, 10),
        ] {
            let wanted = Selection {
                from: Offset(from),
                size_bytes_max,
                min_one_batch,
                upper_bound: Offset(upper_bound),
            };
            let selected = select(&bytes, wanted).expect("valid");
            assert_eq!(selected.range, range, "{wanted:?}");
            assert_eq!(selected.next_offset, Offset(next_offset), "{wanted:?}");
        }
    }

    #[test]
    fn says_what_is_missing() {
        let bytes = concatenated(&[batch_at(10, 3), batch_at(13, 1)]);
        let one = batch_at(10, 3).len();
        let wanted = |from| Selection {
            from: Offset(from),
            size_bytes_max: 1 << 20,
            min_one_batch: true,
            upper_bound: Offset(99),
        };
        for (from, cut, want) in [
            (10, bytes.len(), Stop::AtEnd),
            (10, one + 7, Stop::Partial { position: one, size_bytes: HEADER_SIZE_BYTES }),
            (10, bytes.len() - 1, Stop::Partial { position: one, size_bytes: bytes.len() - one }),
            (13, one - 1, Stop::Partial { position: 0, size_bytes: one }),
        ] {
            let selected = select(&bytes[..cut], wanted(from)).expect("valid");
            assert_eq!(selected.stop, want, "cut to {cut}");
        }
        let followed = [&bytes[..], &[0; 100]].concat();
        let selected = select(&followed, wanted(10)).expect("what lies before");
        assert_eq!((selected.range, selected.stop), (0..bytes.len(), Stop::Bound));
        let (position, _) = select(&followed, wanted(14)).unwrap_err();
        assert_eq!(position, bytes.len());
    }
}
