//! A journal file: its name, and the header in its first block that says which use of it is current.
//!
//! A header is void (the file holds nothing) or live under a file epoch, which grows with each use over
//! all files of a core's journal and over restarts, and a random use id. Every record repeats both: one
//! of an earlier use, of another file, or of bytes that a client sent is never taken for a new one.
//! A block of zeros is a file that was not finished. The header stands in the block twice, so that no
//! single bad sector takes a file's records away.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use reactor::buffer::{ALIGNMENT, AlignedBuffer};
use reactor::file::{File, Open};

use super::record::{Fields, HEADER_SIZE_BYTES, RecordHeader};
use crate::error::StorageError;

/// Where the first group begins.
pub(super) const HEADER_BLOCK_SIZE_BYTES: u64 = ALIGNMENT as u64;

const PREFIX: &str = "millrace-journal-";
const MAGIC: [u8; 8] = *b"MRjrnl\0\x01";
const VOID: u32 = 0;
const LIVE: u32 = 1;
/// The header's own bytes: magic, state, core, file epoch, use id, oldest sequence, CRC.
const COPY_SIZE_BYTES: usize = 44;
const COPY_POSITIONS: [usize; 2] = [0, ALIGNMENT / 2];

/// One use of one file, told from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileUse {
    /// Orders the uses of a core's files; from 1 on.
    pub(super) file_epoch: u64,
    /// Random: what was written under the same epoch elsewhere differs in it.
    pub(super) use_id: u64,
}

impl FileUse {
    /// The sequence of the first record of a run that begins with this use. No file ever holds 2^32
    /// records, so that a run's sequences are above those of all runs before it, whose files had lower
    /// epochs.
    pub(super) fn sequence_min(self) -> u64 {
        self.file_epoch << 32
    }
}

/// What the first block of a file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// All zeros: the file was being made.
    Unfinished,
    /// Nothing in it counts; its last use had this epoch.
    Void { file_epoch: u64 },
    /// Records count that were written in this use, and by it none of the journal's below
    /// `oldest_sequence`.
    Live { file_use: FileUse, oldest_sequence: u64 },
    /// Neither: the block is damaged.
    Damaged,
}

impl Header {
    pub(super) fn decode(block: &[u8], core: u32) -> Header {
        if block.iter().all(|&byte| byte == 0) {
            return Header::Unfinished;
        }
        let copies = COPY_POSITIONS.iter().filter_map(|&position| {
            decode_copy(block.get(position..position + COPY_SIZE_BYTES)?, core)
        });
        copies.into_iter().next().unwrap_or(Header::Damaged)
    }

    /// A whole block that says `state` of `file_use`.
    fn encode(state: u32, core: u32, file_use: FileUse, oldest_sequence: u64) -> Bytes {
        let mut copy = Vec::with_capacity(COPY_SIZE_BYTES);
        copy.extend_from_slice(&MAGIC);
        copy.extend_from_slice(&state.to_be_bytes());
        copy.extend_from_slice(&core.to_be_bytes());
        copy.extend_from_slice(&file_use.file_epoch.to_be_bytes());
        copy.extend_from_slice(&file_use.use_id.to_be_bytes());
        copy.extend_from_slice(&oldest_sequence.to_be_bytes());
        let crc = crc32c::crc32c(&copy);
        copy.extend_from_slice(&crc.to_be_bytes());
        let mut block = AlignedBuffer::zeroed(ALIGNMENT);
        for position in COPY_POSITIONS {
            if let Some(field) = block.get_mut(position..position + COPY_SIZE_BYTES) {
                field.copy_from_slice(&copy);
            }
        }
        block.into_bytes()
    }
}

fn decode_copy(bytes: &[u8], core: u32) -> Option<Header> {
    let mut fields = Fields(bytes);
    if fields.take::<8>()? != MAGIC {
        return None;
    }
    let state = fields.u32()?;
    // Under another core's name it is some other file.
    if fields.u32()? != core {
        return None;
    }
    let file_use = FileUse { file_epoch: fields.u64()?, use_id: fields.u64()? };
    let oldest_sequence = fields.u64()?;
    let crc = crc32c::crc32c(bytes.get(..COPY_SIZE_BYTES - 4)?);
    match state {
        _ if fields.u32()? != crc => None,
        VOID => Some(Header::Void { file_epoch: file_use.file_epoch }),
        LIVE => Some(Header::Live { file_use, oldest_sequence }),
        _ => None,
    }
}

/// An open journal file.
#[derive(Clone)]
pub(super) struct JournalFile {
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) core: u32,
    pub(super) number: u64,
}

impl JournalFile {
    pub(super) async fn open(
        directory: &Path,
        core: u32,
        number: u64,
        how: Open,
    ) -> Result<JournalFile, StorageError> {
        let path = directory.join(name_of(core, number));
        let file = File::open(&path, how).await.map_err(StorageError::io("open", &path))?;
        Ok(JournalFile { path, file, core, number })
    }

    /// What the first block says; and the first record's use of the file, if a record stands there.
    pub(super) async fn read_header(&self) -> Result<(Header, Option<FileUse>), StorageError> {
        let end = HEADER_BLOCK_SIZE_BYTES + HEADER_SIZE_BYTES as u64;
        let bytes = self.read(0..end).await?;
        let (block, first) = bytes.split_at(bytes.len().min(HEADER_BLOCK_SIZE_BYTES as usize));
        let first = RecordHeader::decode(first)
            .filter(|header| header.place.position == HEADER_BLOCK_SIZE_BYTES)
            .map(|header| header.place.file_use);
        Ok((Header::decode(block, self.core), first))
    }

    /// The bytes of `range`, fewer where the file ends earlier.
    pub(super) async fn read(&self, range: std::ops::Range<u64>) -> Result<Bytes, StorageError> {
        self.file.read_range(range).await.map_err(StorageError::io("read", &self.path))
    }

    pub(super) async fn write(&self, bytes: Bytes, position: u64) -> Result<(), StorageError> {
        self.file.write_at(bytes, position).await.map_err(StorageError::io("write", &self.path))
    }

    pub(super) async fn write_durably(
        &self,
        bytes: Bytes,
        position: u64,
    ) -> Result<(), StorageError> {
        let written = self.file.write_durably_at(bytes, position).await;
        written.map_err(StorageError::io("write", &self.path))
    }

    pub(super) async fn flush(&self) -> Result<(), StorageError> {
        self.file.flush().await.map_err(StorageError::io("flush", &self.path))
    }

    /// On return the file is live under `file_use`, durably, and nothing that it holds counts yet.
    pub(super) async fn begin_use(
        &self,
        file_use: FileUse,
        oldest_sequence: u64,
    ) -> Result<(), StorageError> {
        self.write(Header::encode(LIVE, self.core, file_use, oldest_sequence), 0).await?;
        self.flush().await
    }

    /// On return nothing in the file counts any more, durably.
    pub(super) async fn make_void(&self, file_epoch: u64) -> Result<(), StorageError> {
        let file_use = FileUse { file_epoch, use_id: 0 };
        self.write(Header::encode(VOID, self.core, file_use, 0), 0).await?;
        if reactor::planted!(journal_void_not_flushed) {
            return Ok(());
        }
        self.flush().await
    }

    pub(super) async fn remove(self) -> Result<(), StorageError> {
        reactor::directory::remove_file(&self.path)
            .await
            .map_err(StorageError::io("remove", &self.path))
    }
}

pub(super) fn name_of(core: u32, number: u64) -> String {
    format!("{PREFIX}{core}-{number}")
}

/// What `file` is called when it is set aside, where `taken` are names that are there: files that were
/// set aside before stay.
pub(super) fn kept_name_of(file: &JournalFile, taken: &BTreeSet<String>) -> String {
    let name = |index| format!("{PREFIX}kept-{}-{}-{index}", file.core, file.number);
    let free = (0..=taken.len()).map(name).find(|name| !taken.contains(name));
    free.expect("one of more names than are taken is free")
}

/// Core and number of the journal file `name`.
pub(super) fn parse_name(name: &str) -> Option<(u32, u64)> {
    let (core, number) = name.strip_prefix(PREFIX)?.split_once('-')?;
    let (core, number) = (core.parse().ok()?, number.parse().ok()?);
    // `+1` and `01` parse as numbers and are no names of ours.
    (name == name_of(core, number)).then_some((core, number))
}

/// The journal files of `directory`, of all cores, by core and number.
pub(super) async fn list(directory: &Path) -> Result<Vec<(u32, u64)>, StorageError> {
    let entries =
        reactor::directory::list(directory).await.map_err(StorageError::io("list", directory))?;
    let mut files: Vec<_> = entries
        .iter()
        .filter(|entry| !entry.is_directory)
        .filter_map(|entry| parse_name(&entry.name))
        .collect();
    files.sort_unstable();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_core_and_number() {
        for (name, want) in [
            ("millrace-journal-0-0", Some((0, 0))),
            ("millrace-journal-12-345", Some((12, 345))),
            ("millrace-journal-kept-0-1-7", None),
            ("millrace-journal-not-empty", None),
            ("millrace-journal-0-01", None),
            ("millrace-journal-+0-1", None),
            ("millrace-journal-0", None),
            ("meta.properties", None),
        ] {
            assert_eq!(parse_name(name), want, "{name}");
        }
    }

    #[test]
    fn a_header_is_read_back_or_found_damaged() {
        let file_use = FileUse { file_epoch: 7, use_id: 0xfeed };
        let is_live = Header::Live { file_use, oldest_sequence: 5 };
        let live = Header::encode(LIVE, 3, file_use, 5).to_vec();
        let void = Header::encode(VOID, 3, file_use, 5).to_vec();
        let flipped = |positions: &[usize]| {
            let mut block = live.clone();
            positions.iter().for_each(|&position| block[position] ^= 1);
            block
        };
        for (what, block, core, want) in [
            ("live", live.clone(), 3, is_live),
            ("void", void, 3, Header::Void { file_epoch: 7 }),
            ("zeros", vec![0; ALIGNMENT], 3, Header::Unfinished),
            ("no bytes", vec![], 3, Header::Unfinished),
            ("another core's", live.clone(), 4, Header::Damaged),
            ("one copy damaged", flipped(&[9]), 3, is_live),
            ("the other copy damaged", flipped(&[2048 + 9]), 3, is_live),
            ("both damaged", flipped(&[20, 2048 + 30]), 3, Header::Damaged),
            ("cut", live[..20].to_vec(), 3, Header::Damaged),
        ] {
            assert_eq!(Header::decode(&block, core), want, "{what}");
        }
    }
}
