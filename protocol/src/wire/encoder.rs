//! Writes a message in two passes over the same generated code: the first only counts, the second
//! writes into a buffer of exactly that size.
//!
//! A tagged field is preceded by its size, so the first pass notes these sizes in the order in which
//! it meets them, and the second takes them from there in the same order.

use bytes::{BufMut, Bytes};

use super::{EncodeError, Records};
use crate::model::Uuid;

/// A message on its way out: slices to be sent in this order, with one vectored write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Encoded {
    parts: Vec<Bytes>,
    size_bytes: usize,
}

impl Encoded {
    pub fn parts(&self) -> &[Bytes] {
        &self.parts
    }

    pub fn into_parts(self) -> Vec<Bytes> {
        self.parts
    }

    /// The sum over all parts.
    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// All bytes in one piece: a reference where there is one part, a copy where there are more.
    pub fn contiguous(&self) -> Bytes {
        self.parts.iter().cloned().collect::<Records>().contiguous()
    }
}

/// What is written: a header, a message, or both.
pub type Write<'a> = dyn Fn(&mut Encoder) -> Result<(), EncodeError> + 'a;

/// Where the bytes of a message go. `flexible` arguments say whether the version has compact lengths.
#[derive(Debug)]
pub struct Encoder {
    pass: Pass,
    /// Sizes of the tagged fields, in the order in which they begin.
    tag_sizes: Vec<usize>,
}

#[derive(Debug)]
enum Pass {
    /// `size` counts everything, `spliced` the part of it that will not be copied.
    Size {
        size: usize,
        spliced: usize,
    },
    Write {
        out: Vec<u8>,
        splices: Vec<Splice>,
        next_tag: usize,
    },
}

/// Record slices that belong behind the first `position` bytes of the written ones.
#[derive(Debug)]
struct Splice {
    position: usize,
    records: Records,
}

/// An open tagged field; goes back to `end_tag`.
#[derive(Debug)]
#[must_use]
pub struct TagMark {
    index: usize,
    start: usize,
}

macro_rules! number {
    ($name:ident, $type:ty, $put:ident) => {
        #[inline]
        pub fn $name(&mut self, value: $type) {
            match &mut self.pass {
                Pass::Size { size, .. } => *size += size_of::<$type>(),
                Pass::Write { out, .. } => out.$put(value),
            }
        }
    };
}

impl Encoder {
    /// Runs `write` twice and returns what it wrote. `write` must do the same both times.
    pub fn encode(write: &Write<'_>) -> Result<Encoded, EncodeError> {
        let (mut encoder, size) = Encoder::sized(0, write)?;
        write(&mut encoder)?;
        Ok(encoder.into_encoded(size))
    }

    /// The same as a frame: the first four bytes say how many follow.
    pub fn encode_framed(write: &Write<'_>) -> Result<Encoded, EncodeError> {
        let (mut encoder, size) = Encoder::sized(size_of::<i32>(), write)?;
        encoder.i32(size as i32);
        write(&mut encoder)?;
        Ok(encoder.into_encoded(size_of::<i32>() + size))
    }

    /// How many bytes `write` would write.
    pub fn size(write: &Write<'_>) -> Result<usize, EncodeError> {
        let mut encoder = Encoder::counting();
        write(&mut encoder)?;
        Ok(encoder.written())
    }

    /// An encoder at the start of its second pass, with room for `before` more bytes, and how many
    /// bytes `write` will write.
    fn sized(before: usize, write: &Write<'_>) -> Result<(Encoder, usize), EncodeError> {
        let mut encoder = Encoder::counting();
        write(&mut encoder)?;
        let size = encoder.written();
        // Lengths are signed 32-bit numbers everywhere in Kafka, that of the frame included.
        if size > i32::MAX as usize {
            return Err(EncodeError::TooLong { length: size });
        }
        let out = Vec::with_capacity(before + size - encoder.spliced());
        encoder.pass = Pass::Write { out, splices: Vec::new(), next_tag: 0 };
        Ok((encoder, size))
    }

    fn counting() -> Self {
        Encoder { pass: Pass::Size { size: 0, spliced: 0 }, tag_sizes: Vec::new() }
    }

    /// Cuts the written bytes where record slices belong between them.
    fn into_encoded(self, size_bytes: usize) -> Encoded {
        let mut parts = Vec::new();
        if let Pass::Write { out, splices, .. } = self.pass {
            // The capacity was exact, so that this moves the bytes and does not copy them.
            let mut own = Bytes::from(out);
            let mut cut = 0;
            for Splice { position, records } in splices {
                parts.push(own.split_to(position - cut));
                cut = position;
                parts.extend(records.slices().cloned());
            }
            parts.push(own);
        }
        parts.retain(|part| !part.is_empty());
        let written: usize = parts.iter().map(Bytes::len).sum();
        assert_eq!(written, size_bytes, "the two passes of an encoding differ");
        Encoded { parts, size_bytes }
    }

    /// Bytes counted or written so far, without the spliced ones in the second pass.
    fn written(&self) -> usize {
        match &self.pass {
            Pass::Size { size, .. } => *size,
            Pass::Write { out, .. } => out.len(),
        }
    }

    fn spliced(&self) -> usize {
        match &self.pass {
            Pass::Size { spliced, .. } => *spliced,
            Pass::Write { .. } => 0,
        }
    }

    number!(i8, i8, put_i8);
    number!(i16, i16, put_i16);
    number!(u16, u16, put_u16);
    number!(i32, i32, put_i32);
    number!(u32, u32, put_u32);
    number!(i64, i64, put_i64);
    number!(f64, f64, put_f64);

    #[inline]
    pub fn bool(&mut self, value: bool) {
        self.i8(i8::from(value));
    }

    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) {
        match &mut self.pass {
            Pass::Size { size, .. } => *size += bytes.len(),
            Pass::Write { out, .. } => out.extend_from_slice(bytes),
        }
    }

    pub fn uuid(&mut self, value: Uuid) {
        self.raw(&value.0);
    }

    pub fn unsigned_varint(&mut self, mut value: u32) {
        match &mut self.pass {
            Pass::Size { size, .. } => *size += varint_size(value),
            Pass::Write { out, .. } => {
                while value > 0x7f {
                    out.put_u8(value as u8 | 0x80);
                    value >>= 7;
                }
                out.put_u8(value as u8);
            }
        }
    }

    /// A length that the size check at the end of the first pass has bounded, or will refuse.
    fn length(&mut self, length: usize, flexible: bool) {
        if flexible {
            self.unsigned_varint((length as u32).wrapping_add(1));
        } else {
            self.i32(length as i32);
        }
    }

    fn null(&mut self, flexible: bool) {
        if flexible { self.unsigned_varint(0) } else { self.i32(-1) }
    }

    pub fn string(&mut self, value: &str, flexible: bool) -> Result<(), EncodeError> {
        let length = i16::try_from(value.len())
            .map_err(|_| EncodeError::StringTooLong { length: value.len() })?;
        if flexible {
            self.unsigned_varint(length as u32 + 1);
        } else {
            self.i16(length);
        }
        self.raw(value.as_bytes());
        Ok(())
    }

    pub fn nullable_string(
        &mut self,
        value: Option<&str>,
        flexible: bool,
    ) -> Result<(), EncodeError> {
        match value {
            Some(value) => self.string(value, flexible)?,
            None if flexible => self.unsigned_varint(0),
            None => self.i16(-1),
        }
        Ok(())
    }

    pub fn bytes(&mut self, value: &[u8], flexible: bool) {
        self.length(value.len(), flexible);
        self.raw(value);
    }

    pub fn nullable_bytes(&mut self, value: Option<&[u8]>, flexible: bool) {
        match value {
            Some(value) => self.bytes(value, flexible),
            None => self.null(flexible),
        }
    }

    /// The length of `records`, and their slices by reference.
    pub fn records(&mut self, records: &Records, flexible: bool) {
        let length = records.size_bytes();
        self.length(length, flexible);
        match &mut self.pass {
            Pass::Size { size, spliced } => {
                *size += length;
                *spliced += length;
            }
            Pass::Write { out, splices, .. } if length > 0 => {
                splices.push(Splice { position: out.len(), records: records.clone() });
            }
            Pass::Write { .. } => {}
        }
    }

    pub fn nullable_records(&mut self, records: Option<&Records>, flexible: bool) {
        match records {
            Some(records) => self.records(records, flexible),
            None => self.null(flexible),
        }
    }

    /// The number of elements; the elements themselves follow.
    pub fn array_length(&mut self, count: usize, flexible: bool) {
        self.length(count, flexible);
    }

    /// The number of elements of an array that may be null.
    pub fn nullable_array_length(&mut self, count: Option<usize>, flexible: bool) {
        match count {
            Some(count) => self.length(count, flexible),
            None => self.null(flexible),
        }
    }

    /// Begins tagged field `tag`; everything up to `end_tag` belongs to it.
    pub fn begin_tag(&mut self, tag: u32) -> TagMark {
        self.unsigned_varint(tag);
        let index = match &mut self.pass {
            Pass::Size { .. } => {
                self.tag_sizes.push(0);
                self.tag_sizes.len() - 1
            }
            Pass::Write { next_tag, .. } => {
                let index = *next_tag;
                *next_tag += 1;
                let size = self.tag_sizes.get(index).copied().unwrap_or_default();
                self.unsigned_varint(size as u32);
                index
            }
        };
        TagMark { index, start: self.written() }
    }

    pub fn end_tag(&mut self, mark: TagMark) {
        if matches!(self.pass, Pass::Write { .. }) {
            return;
        }
        let tag_size = self.written() - mark.start;
        if let Some(slot) = self.tag_sizes.get_mut(mark.index) {
            *slot = tag_size;
        }
        self.unsigned_varint(tag_size as u32);
    }
}

/// Bytes of an unsigned varint: seven bits each.
fn varint_size(value: u32) -> usize {
    let bits = u32::BITS - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}
