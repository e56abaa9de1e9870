//! Zig-zag variable-length integers, as records carry them. Source: Kafka's `ByteUtils`.

/// Bytes that an `i32` and an `i64` take at most: 7 bits each.
pub(super) const VARINT_SIZE_BYTES_MAX: usize = 5;
pub(super) const VARLONG_SIZE_BYTES_MAX: usize = 10;

pub(super) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

pub(super) fn unzigzag(raw: u64) -> i64 {
    ((raw >> 1) as i64) ^ -((raw & 1) as i64)
}

pub(super) fn write(out: &mut Vec<u8>, value: i64) {
    let mut raw = zigzag(value);
    while raw >= 0x80 {
        out.push(raw as u8 | 0x80);
        raw >>= 7;
    }
    out.push(raw as u8);
}

pub(super) fn size_bytes(value: i64) -> usize {
    let bits = 64 - (zigzag(value) | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}
