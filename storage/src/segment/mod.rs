//! Segments: the files that a log is made of.

mod files;
mod growth;
mod scan;
mod select;

pub(crate) use files::{FileKind, SegmentFile, path_of};
pub(crate) use growth::{Indexes, NextBatch, Segment};
pub(crate) use scan::{ScanEnd, Scanned, Scanner};
pub(crate) use select::{Selection, Stop, select};
