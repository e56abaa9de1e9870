//! What the core checkpoint keeps of one partition. Numbers are as on disk: plain integers.

use protocol::model::Offset;
use protocol::record_batch::BatchHeader;
use rkyv::{Archive, Deserialize, Serialize};

/// One partition's entry.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct PartitionCheckpoint {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    /// Of one incarnation of the topic, as `partition.metadata` names it.
    pub(crate) topic_id: [u8; 16],
    /// Grows with each entry of the partition.
    pub(crate) generation: u64,
    pub(crate) log_start_offset: i64,
    /// Below it the log is compacted.
    pub(crate) first_dirty_offset: i64,
    /// All below is flushed in segments.
    pub(crate) flushed_end: i64,
    /// `None` where nothing more is claimed: a truncation to `flushed_end` has begun.
    pub(crate) log: Option<LogCheckpoint>,
}

impl PartitionCheckpoint {
    /// Makes this an entry that is newer than itself and says of no offset that all below is flushed
    /// or compacted. Where the log was stays: that is checked against its files before it is believed.
    pub(super) fn withdraw_claims(&mut self) {
        self.generation += 1;
        self.flushed_end = 0;
        self.first_dirty_offset = 0;
    }
}

/// A log at `recovery_point`, as its replay up to there has left it.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogCheckpoint {
    pub(crate) high_watermark: i64,
    /// All below is flushed in segments, and the files of all segments before this one are complete.
    pub(crate) recovery_point: i64,
    /// The one that `recovery_point` lies in.
    pub(crate) segment: SegmentCheckpoint,
    /// Leader epochs with their start offsets.
    pub(crate) leader_epochs: Vec<(i32, i64)>,
    /// As in a `.snapshot` file: up to five batches of each producer.
    pub(crate) producers: Vec<u8>,
}

/// What the active segment needs to go on.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentCheckpoint {
    pub(crate) base_offset: i64,
    /// Where the batch of `recovery_point` goes.
    pub(crate) size_bytes: u32,
    pub(crate) first_timestamp: Option<i64>,
    /// The largest timestamp and the last offset of the first batch that has it.
    pub(crate) max_timestamp: Option<(i64, i64)>,
    /// Bytes behind the last index entry.
    pub(crate) bytes_since_entry: u64,
    pub(crate) offset_index: IndexExtent,
    pub(crate) time_index: IndexExtent,
    /// As in a `.txnindex` file.
    pub(crate) aborted: Vec<u8>,
    /// By which a segment is found out that is another one. `None` in an empty segment.
    pub(crate) last_batch: Option<LastBatch>,
}

/// The entries of a growing index: so many bytes of its file, then `rest`.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct IndexExtent {
    pub(crate) file_size_bytes: u32,
    /// CRC-32C of those bytes.
    pub(crate) file_crc: u32,
    pub(crate) rest: Vec<u8>,
}

/// The last batch of a segment, and where it lies.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LastBatch {
    pub(crate) position: u32,
    pub(crate) size_bytes: u32,
    pub(crate) base_offset: i64,
    /// The batch's own.
    pub(crate) crc: u32,
}

impl LastBatch {
    /// The batch of `header`, at `position`. Its base offset is given: an appended batch gets it
    /// after its header was read.
    pub(crate) fn new(position: u32, base_offset: Offset, header: &BatchHeader) -> LastBatch {
        let size_bytes = header.size_bytes() as u32;
        LastBatch { position, size_bytes, base_offset: base_offset.0, crc: header.crc }
    }
}
