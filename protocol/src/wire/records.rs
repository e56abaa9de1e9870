//! Record batches inside a message: never copied, never looked into.

use bytes::Bytes;

/// The bytes of record batches, as slices in their order. A decoded one has one slice, of the frame;
/// one made from the log has a slice for each chunk it crosses.
/// Two are equal when their bytes are, however they are cut.
#[derive(Debug, Clone, Default)]
pub struct Records {
    /// Apart, so that the usual single slice needs no allocation.
    first: Bytes,
    rest: Vec<Bytes>,
}

impl Records {
    /// No records; not the same as null where a field is nullable.
    pub const EMPTY: Records = Records { first: Bytes::new(), rest: Vec::new() };

    /// Adds `slice` behind what is there. An empty one leaves no trace.
    pub fn push(&mut self, slice: Bytes) {
        if slice.is_empty() {
            return;
        }
        if self.first.is_empty() {
            self.first = slice;
        } else {
            self.rest.push(slice);
        }
    }

    /// The slices in order, none of them empty.
    pub fn slices(&self) -> impl Iterator<Item = &Bytes> {
        std::iter::once(&self.first).filter(|slice| !slice.is_empty()).chain(&self.rest)
    }

    /// The sum over all slices.
    pub fn size_bytes(&self) -> usize {
        self.slices().map(Bytes::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// All bytes in one piece: a reference where there is one slice, a copy where there are more.
    pub fn contiguous(&self) -> Bytes {
        if self.rest.is_empty() {
            return self.first.clone();
        }
        let mut all = Vec::with_capacity(self.size_bytes());
        self.slices().for_each(|slice| all.extend_from_slice(slice));
        Bytes::from(all)
    }
}

impl PartialEq for Records {
    fn eq(&self, other: &Self) -> bool {
        self.size_bytes() == other.size_bytes()
            && self.slices().flatten().eq(other.slices().flatten())
    }
}

impl Eq for Records {}

impl From<Bytes> for Records {
    fn from(slice: Bytes) -> Self {
        Records { first: slice, rest: Vec::new() }
    }
}

impl FromIterator<Bytes> for Records {
    fn from_iter<T: IntoIterator<Item = Bytes>>(slices: T) -> Self {
        let mut records = Records::EMPTY;
        slices.into_iter().for_each(|slice| records.push(slice));
        records
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equality_is_of_bytes_not_of_cuts() {
        let cut = |parts: &[&'static str]| -> Records {
            parts.iter().map(|part| Bytes::from_static(part.as_bytes())).collect()
        };
        assert_eq!(cut(&["ab", "", "c"]), cut(&["a", "bc"]));
        assert_eq!(cut(&["ab", "c"]).contiguous(), Bytes::from_static(b"abc"));
        assert_ne!(cut(&["abc"]), cut(&["abd"]));
        assert_eq!(cut(&["", ""]), Records::EMPTY);
        assert_eq!(cut(&["", "a", "b"]).slices().count(), 2);
    }
}
