//! A partition's segment files as bytes: enough of Kafka's format to see each stored batch, and no
//! code of the broker's own, which is what is being judged.

use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};

/// What the header of one stored batch says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredBatch {
    pub base_offset: i64,
    pub magic: i8,
    pub codec: i16,
    pub record_count: i32,
}

const LENGTH_AT: usize = 8;
const BYTES_BEFORE_LENGTH_COUNTS: usize = 12;
const HEADER_SIZE_BYTES: usize = 61;
const CODEC_MASK: i16 = 0x07;

/// The files of `topic`'s partitions below `data` whose names end with `suffix`, in order.
pub fn files(data: &Path, topic: &str, suffix: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(data)? {
        let folder = entry?.path();
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let of_topic = name.rsplit_once('-').is_some_and(|(of, number)| {
            of == topic && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        });
        if !of_topic {
            continue;
        }
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.to_string_lossy().ends_with(suffix) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Every batch of the segment at `path`, to the last byte of the file.
pub fn batches(path: &Path) -> Result<Vec<StoredBatch>> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    let mut rest = bytes.as_slice();
    let mut found = Vec::new();
    while !rest.is_empty() {
        let position = bytes.len() - rest.len();
        let place = || format!("{} at {position}", path.display());
        ensure!(rest.len() >= HEADER_SIZE_BYTES, "{}: {} bytes are left over", place(), rest.len());
        let length = usize::try_from(i32::from_be_bytes(field(rest, LENGTH_AT)))?;
        let size = BYTES_BEFORE_LENGTH_COUNTS + length;
        ensure!(size <= rest.len(), "{}: a batch of {size} bytes is cut", place());
        found.push(StoredBatch {
            base_offset: i64::from_be_bytes(field(rest, 0)),
            magic: i8::from_be_bytes(field(rest, 16)),
            codec: i16::from_be_bytes(field(rest, 21)) & CODEC_MASK,
            record_count: i32::from_be_bytes(field(rest, 57)),
        });
        rest = &rest[size..];
    }
    Ok(found)
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[at..at + N]);
    field
}
