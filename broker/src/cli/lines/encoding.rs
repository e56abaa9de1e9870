//! Bytes as hexadecimal digits and as Base64 (RFC 4648, padded).

use anyhow::{Result, bail};

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const HEX: &[u8; 16] = b"0123456789abcdef";
const PADDING: u8 = b'=';

pub fn to_hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(HEX[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

pub fn from_hex(text: &[u8]) -> Result<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    if !text.len().is_multiple_of(2) {
        bail!("an odd number of hexadecimal digits");
    }
    let mut bytes = Vec::with_capacity(text.len() / 2);
    for pair in text.chunks_exact(2) {
        match (digit(pair[0]), digit(pair[1])) {
            (Some(high), Some(low)) => bytes.push((high << 4 | low) as u8),
            _ => bail!("{:?} are no hexadecimal digits", String::from_utf8_lossy(pair)),
        }
    }
    Ok(bytes)
}

pub fn to_base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for index in 0..4 {
            let sextet = (group >> (18 - 6 * index)) & 63;
            let letter = if index <= chunk.len() { BASE64[sextet as usize] } else { PADDING };
            text.push(char::from(letter));
        }
    }
    text
}

pub fn from_base64(text: &[u8]) -> Result<Vec<u8>> {
    if !text.len().is_multiple_of(4) {
        bail!("the length of Base64 is a multiple of four");
    }
    let padding = text.iter().rev().take_while(|&&byte| byte == PADDING).count();
    if padding > 2 {
        bail!("Base64 ends with two = at most");
    }
    let letters = &text[..text.len() - padding];
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for chunk in letters.chunks(4) {
        let mut group = 0_u32;
        for (index, letter) in chunk.iter().enumerate() {
            match BASE64.iter().position(|known| known == letter) {
                Some(sextet) => group |= (sextet as u32) << (18 - 6 * index),
                None => bail!("{:?} is no letter of Base64", char::from(*letter)),
            }
        }
        bytes.extend_from_slice(&group.to_be_bytes()[1..chunk.len()]);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (bytes, text) in [
            (&b""[..], ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"foob", "Zm9vYg=="),
            (b"fooba", "Zm9vYmE="),
            (b"foobar", "Zm9vYmFy"),
            (&[0xfb, 0xff, 0x00], "+/8A"),
        ] {
            assert_eq!(to_base64(bytes), text);
            assert_eq!(from_base64(text.as_bytes()).expect(text), bytes, "{text}");
        }
        for bad in ["Zg", "Zg=", "Z===", "====", "Z*==", "Zg==Zg=="] {
            assert!(from_base64(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn hexadecimal_digits_come_back() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(from_hex(to_hex(&all).as_bytes()).expect("its own digits"), all);
        assert_eq!(from_hex(b"00fF").expect("both cases"), [0, 255]);
        for bad in ["0", "0g", "+1", "0 "] {
            assert!(from_hex(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
