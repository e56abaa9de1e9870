//! Reads values from a frame without copying.
//!
//! The bytes come from whoever can open a connection: every length is checked against the bytes
//! that are left before anything is allocated for it, and no input panics. The depth of recursion is
//! the depth of the schema, since no schema refers to itself.

use bytes::{Buf, Bytes};

use super::{DecodeError, Records, WireString};
use crate::model::Uuid;

/// The most elements an array may claim. Kafka bounds them by the bytes left alone; its largest real
/// arrays (partitions of a fetch, of a snapshot chunk) stay below 200,000.
pub const ARRAY_LENGTH_MAX: usize = 1_000_000;

/// The most tagged fields one structure may claim. The schemas know 6 at most.
pub const TAGGED_FIELDS_MAX: usize = 10_000;

/// Elements allocated before the first is decoded: enough for nearly every message, and no more than
/// some hundred KiB for a claim that the bytes do not keep.
const FIRST_CAPACITY_MAX: usize = 1_000;

/// A position in a frame. `flexible` arguments say whether the version has compact lengths (KIP-482).
#[derive(Debug, Clone)]
pub struct Decoder {
    bytes: Bytes,
    total: usize,
    /// What elements of arrays may still take in memory.
    elements_bytes_left: usize,
}

macro_rules! number {
    ($name:ident, $type:ty, $get:ident) => {
        #[inline]
        pub fn $name(&mut self) -> Result<$type, DecodeError> {
            self.need(size_of::<$type>())?;
            Ok(self.bytes.$get())
        }
    };
}

impl Decoder {
    pub fn new(bytes: Bytes) -> Self {
        Decoder { total: bytes.len(), bytes, elements_bytes_left: usize::MAX }
    }

    /// Refuses arrays whose elements take more than `size_bytes` in memory, all together. An element
    /// may be many times larger there than on the wire.
    pub fn limit_elements(&mut self, size_bytes: usize) {
        self.elements_bytes_left = size_bytes;
    }

    /// Bytes read so far.
    pub fn position(&self) -> usize {
        self.total - self.bytes.len()
    }

    pub fn remaining(&self) -> usize {
        self.bytes.len()
    }

    /// What was not read.
    pub fn into_rest(self) -> Bytes {
        self.bytes
    }

    /// Fails when bytes are left. Kafka ignores them in requests and refuses them in records.
    pub fn finish(&self) -> Result<(), DecodeError> {
        match self.remaining() {
            0 => Ok(()),
            remaining => Err(DecodeError::TrailingBytes { position: self.position(), remaining }),
        }
    }

    #[inline]
    fn need(&self, needed: usize) -> Result<(), DecodeError> {
        if needed <= self.bytes.len() { Ok(()) } else { Err(self.truncated(needed)) }
    }

    #[cold]
    fn truncated(&self, needed: usize) -> DecodeError {
        DecodeError::Truncated { position: self.position(), needed, remaining: self.remaining() }
    }

    #[cold]
    fn invalid_length(&self, length: i64) -> DecodeError {
        DecodeError::InvalidLength { position: self.position(), length }
    }

    #[cold]
    fn unexpected_null(&self) -> DecodeError {
        DecodeError::UnexpectedNull { position: self.position() }
    }

    number!(i8, i8, get_i8);
    number!(i16, i16, get_i16);
    number!(u16, u16, get_u16);
    number!(i32, i32, get_i32);
    number!(u32, u32, get_u32);
    number!(i64, i64, get_i64);
    number!(f64, f64, get_f64);

    /// Any byte but 0 is true, as in Kafka.
    #[inline]
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        Ok(self.i8()? != 0)
    }

    pub fn uuid(&mut self) -> Result<Uuid, DecodeError> {
        let mut uuid = [0; 16];
        self.need(uuid.len())?;
        self.bytes.copy_to_slice(&mut uuid);
        Ok(Uuid(uuid))
    }

    /// Seven bits a byte, the lowest first, five bytes at most.
    pub fn unsigned_varint(&mut self) -> Result<u32, DecodeError> {
        let position = self.position();
        let mut value: u32 = 0;
        for shift in [0, 7, 14, 21, 28] {
            self.need(1)?;
            let byte = self.bytes.get_u8();
            if shift == 28 && byte > 0x0f {
                break;
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::VarintTooLong { position })
    }

    /// A compact length: one more than it means, and 0 for null.
    #[inline]
    fn compact_length(&mut self) -> Result<Option<usize>, DecodeError> {
        Ok((self.unsigned_varint()? as usize).checked_sub(1))
    }

    /// The next `length` bytes, by reference.
    pub fn take(&mut self, length: usize) -> Result<Bytes, DecodeError> {
        self.need(length)?;
        Ok(self.bytes.split_to(length))
    }

    fn optional_string(&mut self, flexible: bool) -> Result<Option<WireString>, DecodeError> {
        let length = if flexible {
            self.compact_length()?
        } else {
            // Kafka takes every negative length for null.
            usize::try_from(self.i16()?).ok()
        };
        let Some(length) = length else { return Ok(None) };
        if length > i16::MAX as usize {
            return Err(self.invalid_length(length as i64));
        }
        Ok(Some(WireString::from_utf8_lossy(self.take(length)?)))
    }

    fn optional_bytes(&mut self, flexible: bool) -> Result<Option<Bytes>, DecodeError> {
        let length = if flexible { self.compact_length()? } else { self.length_i32()? };
        length.map(|length| self.take(length)).transpose()
    }

    #[inline]
    fn length_i32(&mut self) -> Result<Option<usize>, DecodeError> {
        Ok(usize::try_from(self.i32()?).ok())
    }

    pub fn string(&mut self, flexible: bool) -> Result<WireString, DecodeError> {
        self.optional_string(flexible)?.ok_or_else(|| self.unexpected_null())
    }

    /// Null is accepted where `null_allowed`, which is the version's, not the field's.
    pub fn nullable_string(
        &mut self,
        flexible: bool,
        null_allowed: bool,
    ) -> Result<Option<WireString>, DecodeError> {
        let string = self.optional_string(flexible)?;
        self.check_null(string, null_allowed)
    }

    pub fn bytes(&mut self, flexible: bool) -> Result<Bytes, DecodeError> {
        self.optional_bytes(flexible)?.ok_or_else(|| self.unexpected_null())
    }

    pub fn nullable_bytes(
        &mut self,
        flexible: bool,
        null_allowed: bool,
    ) -> Result<Option<Bytes>, DecodeError> {
        let bytes = self.optional_bytes(flexible)?;
        self.check_null(bytes, null_allowed)
    }

    pub fn records(&mut self, flexible: bool) -> Result<Records, DecodeError> {
        self.bytes(flexible).map(Records::from)
    }

    pub fn nullable_records(
        &mut self,
        flexible: bool,
        null_allowed: bool,
    ) -> Result<Option<Records>, DecodeError> {
        Ok(self.nullable_bytes(flexible, null_allowed)?.map(Records::from))
    }

    /// An array whose elements take at least `element_size_min` bytes each.
    pub fn array<T>(
        &mut self,
        flexible: bool,
        element_size_min: usize,
        element: impl FnMut(&mut Decoder) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        match self.array_length(flexible, element_size_min)? {
            Some(count) => self.elements(count, element),
            None => Err(self.unexpected_null()),
        }
    }

    pub fn nullable_array<T>(
        &mut self,
        flexible: bool,
        null_allowed: bool,
        element_size_min: usize,
        element: impl FnMut(&mut Decoder) -> Result<T, DecodeError>,
    ) -> Result<Option<Vec<T>>, DecodeError> {
        match self.array_length(flexible, element_size_min)? {
            Some(count) => self.elements(count, element).map(Some),
            None if null_allowed => Ok(None),
            None => Err(self.unexpected_null()),
        }
    }

    /// The checked number of elements: never more than the bytes left can hold.
    fn array_length(
        &mut self,
        flexible: bool,
        element_size_min: usize,
    ) -> Result<Option<usize>, DecodeError> {
        let length = if flexible { self.compact_length()? } else { self.length_i32()? };
        let Some(count) = length else { return Ok(None) };
        if count > ARRAY_LENGTH_MAX || count > self.remaining() / element_size_min.max(1) {
            return Err(DecodeError::ArrayTooLong {
                position: self.position(),
                count,
                remaining: self.remaining(),
            });
        }
        Ok(Some(count))
    }

    fn elements<T>(
        &mut self,
        count: usize,
        mut element: impl FnMut(&mut Decoder) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let size_bytes = count.saturating_mul(size_of::<T>());
        let Some(left) = self.elements_bytes_left.checked_sub(size_bytes) else {
            return Err(DecodeError::ElementsTooLarge { position: self.position(), size_bytes });
        };
        self.elements_bytes_left = left;
        let mut elements = Vec::with_capacity(count.min(FIRST_CAPACITY_MAX));
        for _ in 0..count {
            elements.push(element(self)?);
        }
        Ok(elements)
    }

    fn check_null<T>(
        &self,
        value: Option<T>,
        null_allowed: bool,
    ) -> Result<Option<T>, DecodeError> {
        if value.is_none() && !null_allowed { Err(self.unexpected_null()) } else { Ok(value) }
    }

    /// The tagged fields of one structure. `field` decodes the tags it knows and returns false for
    /// the others, which are skipped.
    /// Kafka writes tags in ascending order but reads them in any, and the last of two wins: so do
    /// we. A known field must use exactly the bytes it claims.
    pub fn tagged_fields(
        &mut self,
        mut field: impl FnMut(&mut Decoder, u32) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        for _ in 0..self.tagged_field_count()? {
            let tag = self.unsigned_varint()?;
            let claimed = self.unsigned_varint()? as usize;
            self.need(claimed)?;
            let before = self.position();
            if !field(self, tag)? {
                self.bytes.advance(claimed);
            }
            let used = self.position() - before;
            if used != claimed {
                return Err(DecodeError::TaggedFieldSize { position: before, tag, claimed, used });
            }
        }
        Ok(())
    }

    /// Skips the tagged fields of a structure that knows none.
    pub fn skip_tagged_fields(&mut self) -> Result<(), DecodeError> {
        for _ in 0..self.tagged_field_count()? {
            self.unsigned_varint()?;
            let claimed = self.unsigned_varint()? as usize;
            self.need(claimed)?;
            self.bytes.advance(claimed);
        }
        Ok(())
    }

    fn tagged_field_count(&mut self) -> Result<usize, DecodeError> {
        let count = self.unsigned_varint()? as usize;
        if count > TAGGED_FIELDS_MAX {
            let position = self.position();
            return Err(DecodeError::TooManyTaggedFields { position, count });
        }
        Ok(count)
    }
}
