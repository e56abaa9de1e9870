//! Offsets of records in a partition.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};

/// Position of a record in its partition, counted from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub i64);

/// Distance between two offsets of one partition. `Offset + Offset` does not compile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OffsetDelta(pub i64);

impl Offset {
    pub const ZERO: Offset = Offset(0);

    /// From the wire, where -1 means "none".
    pub fn from_wire(raw: i64) -> Option<Self> {
        (raw >= 0).then_some(Offset(raw))
    }

    /// To the wire, where "none" is -1.
    pub fn to_wire(value: Option<Self>) -> i64 {
        value.map_or(-1, |value| value.0)
    }

    /// The offset after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Offset(self.0 + 1)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Sub for Offset {
    type Output = OffsetDelta;
    fn sub(self, other: Offset) -> OffsetDelta {
        OffsetDelta(self.0 - other.0)
    }
}

impl Add<OffsetDelta> for Offset {
    type Output = Offset;
    fn add(self, delta: OffsetDelta) -> Offset {
        Offset(self.0 + delta.0)
    }
}

impl AddAssign<OffsetDelta> for Offset {
    fn add_assign(&mut self, delta: OffsetDelta) {
        self.0 += delta.0;
    }
}
