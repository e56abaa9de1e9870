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
    /// `.deleted` or `.cleaned`: left over, nothing of the log.
    Discarded,
    /// `.swap`: the result of a compaction that was about to replace segments.
    Swap,
    /// Checkpoints and whatever else is there.
    Other,
}

impl SegmentFile {
    pub(crate) fn parse(name: &str) -> SegmentFile {
        if name.ends_with(".deleted") || name.ends_with(".cleaned") {
            return SegmentFile::Discarded;
        }
        if name.ends_with(".swap") {
            return SegmentFile::Swap;
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
            ("00000000000000000042.log.swap", SegmentFile::Swap),
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
