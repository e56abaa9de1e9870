use super::*;
use crate::test_batches::{batch_at, concatenated};

/// A tail beside the file it is written to.
struct Model {
    tail: Tail,
    written: Vec<u8>,
    file: Vec<u8>,
    durable: u32,
    next_offset: i64,
}

const SEGMENT: Offset = Offset(0);

impl Model {
    fn new() -> Self {
        Model {
            tail: Tail::new(&Settings::default(), SEGMENT, 0, Vec::new()),
            written: Vec::new(),
            file: Vec::new(),
            durable: 0,
            next_offset: 0,
        }
    }

    fn append(&mut self, count: i64) {
        let batch = batch_at(self.next_offset, count);
        let position = self.written.len() as u32;
        self.tail.append(SEGMENT, position, Offset(self.next_offset), batch.len(), |bytes| {
            bytes.copy_from_slice(&batch);
        });
        self.written.extend_from_slice(&batch);
        self.next_offset += count;
    }

    /// One flush; returns how many writes it took.
    fn flush(&mut self) -> usize {
        let size_bytes = self.written.len() as u32;
        let next_offset = Offset(self.next_offset);
        let pending = self.tail.pending_writes(SEGMENT, self.durable, size_bytes, next_offset);
        let mut end = 0;
        for (bytes, position) in &pending.writes {
            assert!(bytes.len().is_multiple_of(ALIGNMENT) && position.is_multiple_of(4096));
            assert!(*position >= end, "writes are in order and do not overlap");
            let start = *position as usize;
            end = position + bytes.len() as u64;
            self.file.resize(self.file.len().max(end as usize), 0);
            self.file[start..end as usize].copy_from_slice(bytes);
        }
        self.durable = pending.end;
        self.tail.trim(Cursor {
            segment: SEGMENT,
            position: pending.end,
            offset: pending.next_offset,
        });
        let whole = &self.written[..pending.end as usize];
        assert!(self.file[..whole.len()] == *whole, "the file holds what is durable");
        assert!(self.file[whole.len()..].iter().all(|&byte| byte == 0), "and zeros behind it");
        pending.writes.len()
    }

    fn read(&self, from: i64, size_bytes_max: usize) -> (Vec<u8>, Offset) {
        let wanted = Selection {
            from: Offset(from),
            size_bytes_max,
            min_one_batch: true,
            upper_bound: Offset(self.next_offset),
        };
        let read = self.tail.read(SEGMENT, 0, wanted).expect("valid");
        assert_eq!(read.size_bytes, read.slices.iter().map(Bytes::len).sum::<usize>());
        (concatenated(&read.slices), read.next_offset)
    }
}

#[test]
fn what_is_flushed_is_what_was_appended() {
    let mut model = Model::new();
    // Counts make batches of 61 bytes and up; 900 of them take 30 KiB and more than one chunk.
    for (round, counts) in
        [[1, 1, 1], [900, 2, 40], [300, 300, 300], [1, 3000, 1]].iter().enumerate()
    {
        counts.iter().for_each(|&count| model.append(count));
        model.flush();
        assert_eq!(model.durable as usize, model.written.len(), "round {round}");
        if round == 1 {
            model.tail.rest(SEGMENT);
            assert!(model.tail.start().is_none());
        }
    }
}

#[test]
fn small_writes_are_gathered_and_large_ones_cut() {
    let mut model = Model::new();
    (0..400).for_each(|_| model.append(5));
    assert_eq!(model.flush(), 1);
    let mut flushes = 0;
    while model.written.len() < 2 * Settings::default().flush_size_bytes_max {
        model.append(5000);
    }
    while (model.durable as usize) < model.written.len() {
        model.flush();
        flushes += 1;
    }
    assert!(flushes > 1, "{flushes} flushes");
    let retained: usize = model.tail.chunks.iter().map(|chunk| chunk.chunk.capacity()).sum();
    assert!(
        retained <= CLEAN_SIZE_BYTES_MAX + Settings::default().chunk_size_bytes_max,
        "{retained} bytes retained"
    );
}

#[test]
fn reads_span_chunks() {
    let mut model = Model::new();
    (0..100).for_each(|_| model.append(50));
    assert!(model.tail.chunks.len() > 2, "{} chunks", model.tail.chunks.len());
    assert_eq!(model.read(0, usize::MAX), (model.written.clone(), Offset(5000)));
    let first = batch_at(0, 50).len();
    assert_eq!(model.read(0, 1), (model.written[..first].to_vec(), Offset(50)));
    for from in [1, 49, 50, 777, 2500, 4999] {
        let skipped: usize = (0..from / 50).map(|n| batch_at(n * 50, 50).len()).sum();
        assert_eq!(model.read(from, usize::MAX).0, model.written[skipped..], "from {from}");
    }
}
