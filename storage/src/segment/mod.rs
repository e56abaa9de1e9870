//! Segments: the files that a log is made of.

mod files;
mod growth;
mod scan;
mod select;

pub(crate) use files::{CLEANED, DELETED, FileKind, SWAP, SegmentFile, path_of, suffixed};
pub(crate) use growth::{Indexes, NextBatch, Segment};
pub(crate) use scan::{ScanEnd, Scanned, Scanner};
pub(crate) use select::{Selection, Stop, select};
