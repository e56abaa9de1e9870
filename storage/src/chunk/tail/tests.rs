use std::path::Path;

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

const POOL_SIZE_BYTES: usize = 4 << 20;

impl Model {
    fn new() -> Self {
        Model::with_pool(&ChunkPool::new(64 << 20))
    }

    fn with_pool(pool: &Rc<ChunkPool>) -> Self {
        let volume = Volume::new(Path::new("/none"), Settings::default(), pool.clone());
        Model {
            tail: Tail::new(&volume, SEGMENT, 0, Vec::new()),
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

    fn flush_all(&mut self) {
        while (self.durable as usize) < self.written.len() {
            self.flush();
        }
    }

    fn read(&self, from: i64, size_bytes_max: usize) -> (Vec<u8>, Offset) {
        let wanted = Selection {
            from: Offset(from),
            size_bytes_max,
            min_one_batch: true,
            upper_bound: Offset(self.next_offset),
        };
        let read = self.tail.read(SEGMENT, 0, wanted).expect("valid").expect("in memory");
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
            model.tail.rest();
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
}

/// Whether the batch at `from` is in memory.
fn is_held(model: &Model, from: i64) -> bool {
    let wanted = Selection {
        from: Offset(from),
        size_bytes_max: 1,
        min_one_batch: true,
        upper_bound: Offset(model.next_offset),
    };
    model.tail.read(SEGMENT, 0, wanted).expect("valid").is_some()
}

#[test]
fn a_pool_bounds_what_its_logs_keep_and_dirty_chunks_stay() {
    let pool = ChunkPool::new(POOL_SIZE_BYTES);
    let (mut first, mut second) = (Model::with_pool(&pool), Model::with_pool(&pool));
    for _ in 0..20 {
        (0..10).for_each(|_| first.append(1000));
        first.flush();
        (0..10).for_each(|_| second.append(1000));
        second.flush();
        assert!(pool.held_bytes() <= POOL_SIZE_BYTES, "{} bytes held", pool.held_bytes());
        assert_eq!(pool.dirty_bytes(), 0);
    }
    assert!(!is_held(&first, 0) && !is_held(&second, 0), "the oldest went first");
    assert!(is_held(&first, first.next_offset - 1) && is_held(&second, second.next_offset - 1));
    // What is dirty stays, whatever else needs place; what is clean goes for it.
    let dirty_from = first.next_offset;
    while pool.has_room() {
        first.append(1000);
    }
    while pool.held_bytes() <= 2 * POOL_SIZE_BYTES {
        second.append(1000);
    }
    assert!(is_held(&first, dirty_from));
    assert!(pool.dirty_bytes() > POOL_SIZE_BYTES);
    first.flush_all();
    second.flush_all();
    assert!(pool.held_bytes() <= POOL_SIZE_BYTES, "{} bytes held", pool.held_bytes());
    drop(first);
    drop(second);
    assert_eq!((pool.held_bytes(), pool.dirty_bytes()), (0, 0));
}

#[test]
fn what_is_read_again_stays_and_leaves_holes_around_it() {
    let pool = ChunkPool::new(POOL_SIZE_BYTES);
    let mut model = Model::with_pool(&pool);
    let mut kept = None;
    for round in 0..40 {
        let from = model.next_offset;
        (0..20).for_each(|_| model.append(1000));
        model.flush();
        match kept {
            None if round == 3 => kept = Some(from),
            None => {}
            Some(kept) => assert!(is_held(&model, kept), "round {round}"),
        }
    }
    let kept = Offset(kept.expect("round 3"));
    assert!(!is_held(&model, 0));
    let (base_offset, segment, position) = model.tail.next_held(Offset::ZERO).expect("the kept");
    assert!(base_offset <= kept && segment == SEGMENT);
    assert_eq!(&model.file[position as usize..][..8], &base_offset.0.to_be_bytes());
    // A read from it ends at the hole behind it.
    let (bytes, next_offset) = model.read(kept.0, usize::MAX);
    assert!(next_offset < Offset(model.next_offset));
    assert!(model.written.windows(bytes.len()).any(|window| window == bytes));
}

#[test]
fn an_evicted_end_is_appended_to() {
    let pool = ChunkPool::new(POOL_SIZE_BYTES);
    let (mut idle, mut busy) = (Model::with_pool(&pool), Model::with_pool(&pool));
    idle.append(7);
    idle.flush();
    for _ in 0..40 {
        (0..20).for_each(|_| busy.append(1000));
        busy.flush();
    }
    assert!(!is_held(&idle, 0));
    idle.append(9);
    idle.flush();
    assert!(!is_held(&idle, 0) && is_held(&idle, 7));
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
