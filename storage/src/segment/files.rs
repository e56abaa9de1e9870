//! Names of the files in a partition's directory.

use std::path::{Path, PathBuf};

use protocol::model::Offset;

/// What a file named after an offset holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    Log,
    OffsetIndex,
    TimeIndex,
    TransactionIndex,
    ProducerSnapshot,
}

impl FileKind {
    const ALL: [FileKind; 5] = [
        FileKind::Log,
        FileKind::OffsetIndex,
        FileKind::TimeIndex,
        FileKind::TransactionIndex,
        FileKind::ProducerSnapshot,
    ];

    fn extension(self) -> &'static str {
        match self {
            FileKind::Log => "log",
            FileKind::OffsetIndex => "index",
            FileKind::TimeIndex => "timeindex",
            FileKind::TransactionIndex => "txnindex",
            FileKind::ProducerSnapshot => "snapshot",
        }
    }
}

/// What a file of a partition's directory is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SegmentFile {
    Kept(FileKind, Offset),
    /// `.deleted`: left over, nothing of the log.
    Discarded,
    /// `.cleaned`: of a segment that a compaction has not written whole, or not renamed whole.
    Cleaned(Offset),
    /// `.swap`: of a segment that a compaction was about to put in the place of others.
    Swap(FileKind, Offset),
    /// Checkpoints and whatever else is there.
    Other,
}

impl SegmentFile {
    pub(crate) fn parse(name: &str) -> SegmentFile {
        if name.ends_with(DELETED) {
            return SegmentFile::Discarded;
        }
        for (suffix, is_swap) in [(SWAP, true), (CLEANED, false)] {
            let Some(name) = name.strip_suffix(suffix) else { continue };
            return match SegmentFile::parse(name) {
                SegmentFile::Kept(kind, offset) if is_swap => SegmentFile::Swap(kind, offset),
                SegmentFile::Kept(_, offset) => SegmentFile::Cleaned(offset),
                _ => SegmentFile::Other,
            };
        }
        let Some((offset, extension)) = name.split_once('.') else {
            return SegmentFile::Other;
        };
        let kind = FileKind::ALL.into_iter().find(|kind| kind.extension() == extension);
        let is_number = !offset.is_empty() && offset.bytes().all(|byte| byte.is_ascii_digit());
        match (kind, offset.parse()) {
            (Some(kind), Ok(offset)) if is_number => SegmentFile::Kept(kind, Offset(offset)),
            (Some(_) | None, Ok(_) | Err(_)) => SegmentFile::Other,
        }
    }
}

/// A file of a compaction that is going on: nothing of the log yet.
pub(crate) const CLEANED: &str = ".cleaned";

/// A file of a compaction that is whole, and replaces segments.
pub(crate) const SWAP: &str = ".swap";

/// A file that is deleted, and still there.
pub(crate) const DELETED: &str = ".deleted";

/// `path` with `suffix` behind its name.
pub(crate) fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The file of `kind` for `offset` in `directory`: 20 digits and an extension.
pub(crate) fn path_of(directory: &Path, kind: FileKind, offset: Offset) -> PathBuf {
    directory.join(format!("{:020}.{}", offset.0, kind.extension()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_a_file_is() {
        for (name, want) in [
            ("00000000000000000042.log", SegmentFile::Kept(FileKind::Log, Offset(42))),
            ("00000000000000000042.index", SegmentFile::Kept(FileKind::OffsetIndex, Offset(42))),
            ("00000000000000000042.timeindex", SegmentFile::Kept(FileKind::TimeIndex, Offset(42))),
            (
                "00000000000000000000.snapshot",
                SegmentFile::Kept(FileKind::ProducerSnapshot, Offset(0)),
            ),
            ("00000000000000000042.log.deleted", SegmentFile::Discarded),
            ("00000000000000000042.log.swap", SegmentFile::Swap(FileKind::Log, Offset(42))),
            ("00000000000000000042.index.cleaned", SegmentFile::Cleaned(Offset(42))),
            ("notes.swap", SegmentFile::Other),
            ("00000000000000000010-0000000001.checkpoint", SegmentFile::Other),
            ("partition.metadata", SegmentFile::Other),
            ("99999999999999999999.log", SegmentFile::Other),
            ("+1.log", SegmentFile::Other),
            ("leader-epoch-checkpoint", SegmentFile::Other),
        ] {
            assert_eq!(SegmentFile::parse(name), want, "{name}");
        }
        let path = path_of(Path::new("/d"), FileKind::TimeIndex, Offset(42));
        assert_eq!(path, Path::new("/d/00000000000000000042.timeindex"));
    }
}
