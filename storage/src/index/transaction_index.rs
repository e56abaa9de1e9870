//! `.txnindex`: the transactions that were aborted, each in the segment that holds its marker.
//!
//! An entry is a version of 2 bytes, then producer id, first offset, last offset (the marker's) and last
//! stable offset, 8 bytes each, all big-endian. There is no file without an entry. Source: Kafka's
//! `TransactionIndex` and `AbortedTxn`.

use protocol::model::{Offset, ProducerId};

use super::InvalidIndex;

const VERSION: i16 = 0;
const ENTRY_SIZE_BYTES: usize = 2 + 4 * 8;

/// A transaction of which no `read_committed` reader sees a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    pub producer_id: ProducerId,
    pub first_offset: Offset,
    /// Of its marker.
    pub last_offset: Offset,
    /// What it was once the marker was there: all later aborted transactions begin at or behind it.
    pub last_stable_offset: Offset,
}

/// The file of `aborted`, in the order of their markers.
pub(crate) fn encode(aborted: &[AbortedTransaction]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(aborted.len() * ENTRY_SIZE_BYTES);
    for one in aborted {
        bytes.extend_from_slice(&VERSION.to_be_bytes());
        bytes.extend_from_slice(&one.producer_id.0.to_be_bytes());
        for offset in [one.first_offset, one.last_offset, one.last_stable_offset] {
            bytes.extend_from_slice(&offset.0.to_be_bytes());
        }
    }
    bytes
}

/// Errors: another version, markers that do not follow each other within the segment from
/// `base_offset` to `next_offset`, or a size that is no multiple of an entry's.
pub(crate) fn decode(
    base_offset: Offset,
    next_offset: Offset,
    bytes: &[u8],
) -> Result<Vec<AbortedTransaction>, InvalidIndex> {
    let (raw, rest) = bytes.as_chunks::<ENTRY_SIZE_BYTES>();
    let mut aborted: Vec<AbortedTransaction> = Vec::with_capacity(raw.len());
    for entry in raw {
        let invalid = InvalidIndex { entry: aborted.len() };
        let one = decode_entry(entry).ok_or(invalid)?;
        let after = aborted.last().map_or(base_offset, |last| last.last_offset.next());
        if one.last_offset < after || one.last_offset >= next_offset {
            return Err(InvalidIndex { entry: aborted.len() });
        }
        aborted.push(one);
    }
    if rest.is_empty() { Ok(aborted) } else { Err(InvalidIndex { entry: aborted.len() }) }
}

fn decode_entry(entry: &[u8; ENTRY_SIZE_BYTES]) -> Option<AbortedTransaction> {
    let (version, fields) = entry.split_first_chunk()?;
    let (fields, _) = fields.as_chunks::<8>();
    let &[producer_id, first_offset, last_offset, last_stable_offset] =
        fields.first_chunk::<4>()?;
    let offset = |field| Offset::from_wire(i64::from_be_bytes(field));
    let (first_offset, last_offset) = (offset(first_offset)?, offset(last_offset)?);
    let is_valid = i16::from_be_bytes(*version) == VERSION && first_offset <= last_offset;
    is_valid.then_some(AbortedTransaction {
        producer_id: ProducerId::from_wire(i64::from_be_bytes(producer_id))?,
        first_offset,
        last_offset,
        last_stable_offset: offset(last_stable_offset)?,
    })
}

/// Adds those of one segment's `aborted` that a reader of `from..upper_bound` must know. Returns whether
/// no later segment can have any.
pub(crate) fn collect(
    aborted: &[AbortedTransaction],
    from: Offset,
    upper_bound: Offset,
    found: &mut Vec<AbortedTransaction>,
) -> bool {
    for one in aborted {
        if one.last_offset >= from && one.first_offset < upper_bound {
            found.push(*one);
        }
        if one.last_stable_offset >= upper_bound {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aborted(first: i64, last: i64, last_stable: i64) -> AbortedTransaction {
        AbortedTransaction {
            producer_id: ProducerId(7),
            first_offset: Offset(first),
            last_offset: Offset(last),
            last_stable_offset: Offset(last_stable),
        }
    }

    /// Two that overlap, then one by itself.
    fn sample() -> Vec<AbortedTransaction> {
        vec![aborted(100, 109, 105), aborted(105, 112, 113), aborted(120, 125, 126)]
    }

    #[test]
    fn reads_back_its_bytes_and_refuses_others() {
        let bytes = encode(&sample());
        assert_eq!(bytes.len(), 3 * 34);
        // As Apache Kafka's `TransactionIndex` writes the first.
        let kafkas: Vec<u8> = [0_i64, 7, 100, 109, 105]
            .iter()
            .flat_map(|field| field.to_be_bytes())
            .skip(6)
            .collect();
        assert_eq!(bytes[..34], kafkas);
        assert_eq!(decode(Offset(90), Offset(126), &bytes), Ok(sample()));
        assert_eq!(decode(Offset(90), Offset(126), &[]), Ok(Vec::new()));
        for (base, next) in [(110, 126), (90, 125)] {
            assert!(decode(Offset(base), Offset(next), &bytes).is_err(), "{base}..{next}");
        }
        assert!(decode(Offset(90), Offset(126), &bytes[..35]).is_err());
        let mut newer = bytes;
        newer[1] = 1;
        assert!(decode(Offset(90), Offset(126), &newer).is_err());
    }

    #[test]
    fn a_reader_is_told_of_what_it_may_meet() {
        for (from, upper_bound, want, is_last) in [
            (0, 100, &[][..], true),
            (0, 101, &[0], true),
            (0, 106, &[0, 1], true),
            (110, 114, &[1], true),
            (113, 120, &[], true),
            (113, 126, &[2], true),
            (0, 200, &[0, 1, 2], false),
            (126, 200, &[], false),
        ] {
            let mut found = Vec::new();
            let ended = collect(&sample(), Offset(from), Offset(upper_bound), &mut found);
            let want: Vec<_> = want.iter().map(|&index: &usize| sample()[index]).collect();
            assert_eq!((found, ended), (want, is_last), "{from}..{upper_bound}");
        }
    }
}
