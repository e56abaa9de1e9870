//! The memory that the logs of a core share: what is read is what was appended, whatever was evicted,
//! and no more is held than was given.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use protocol::model::Offset;
use protocol::record_batch::RecordBatch;
use storage::{ChunkPool, LogConfig, PartitionLog, Settings, Volume};

use crate::support::*;

/// Room for a few chunks of three logs, one of which could fill it alone.
const POOL_SIZE_BYTES: usize = 192 << 10;

fn settings() -> Settings {
    Settings {
        chunk_size_bytes_min: 4 << 10,
        chunk_size_bytes_max: 16 << 10,
        ..Settings::default()
    }
}

struct Log {
    log: PartitionLog,
    batches: Vec<RecordBatch>,
}

async fn logs(directory: &Path, pool: &Rc<ChunkPool>, count: usize) -> Vec<Log> {
    let volume = Volume::new(directory, settings(), pool.clone());
    let mut logs = Vec::new();
    for index in 0..count {
        let path = directory.join(format!("orders-{index}"));
        let config = LogConfig { segment_size_bytes: 48 << 10, ..small_config() };
        let log = PartitionLog::create(&volume, &path, config, TOPIC_ID).await.expect("a new log");
        logs.push(Log { log, batches: Vec::new() });
    }
    logs
}

fn random(bound: u64) -> u64 {
    let mut bytes = [0; 8];
    reactor::random::fill(&mut bytes);
    u64::from_le_bytes(bytes) % bound
}

/// Appends, reads from anywhere and waits for flushes, at random, over three logs in one small pool.
async fn mixed_use(directory: PathBuf) {
    let pool = ChunkPool::new(POOL_SIZE_BYTES);
    let mut logs = logs(&directory, &pool, 3).await;
    for turn in 0..600 {
        let Log { log, batches } = &mut logs[random(3) as usize];
        match random(4) {
            0 | 1 => {
                log.ready_for_append(1_000).await.expect("the log is open");
                let size_bytes = if random(20) == 0 { 9000 } else { 10 + random(2000) as usize };
                let batch = batch(turn, 1 + random(3) as i64, size_bytes);
                append(log, &batch);
                batches.push(batch);
            }
            2 if !batches.is_empty() => {
                let from = Offset(random(log.log_end_offset().0 as u64) as i64);
                let found = read_all(log, from, 1 + random(6000) as usize).await;
                let skipped = batches.len() - found.len();
                for (found, appended) in found.iter().zip(&batches[skipped..]) {
                    assert!(content(found) == content(appended), "from {from}");
                }
                assert!(found.iter().all(|batch| batch.header().next_offset() > from));
            }
            _ => log.flush().await.expect("flushed"),
        }
        // An append makes at most one chunk, for a batch that comes when there is just room.
        let held_bytes = pool.held_bytes();
        assert!(held_bytes <= POOL_SIZE_BYTES, "INV-13: {held_bytes} bytes held");
        assert!(pool.dirty_bytes() <= held_bytes);
    }
    for Log { log, batches } in logs {
        assert_holds(&log, &batches, 5000).await;
        log.close().await.expect("closed");
    }
    assert_eq!((pool.held_bytes(), pool.dirty_bytes()), (0, 0));
}

#[test]
fn what_was_evicted_is_read_from_the_file_and_the_pool_keeps_its_bound() {
    on_real_core(mixed_use);
    for seed in 0..20 {
        in_simulation(seed, mixed_use);
    }
}

/// Fills the pool without waiting for room, then waits for it.
async fn overrun(directory: PathBuf) {
    let pool = ChunkPool::new(POOL_SIZE_BYTES);
    let logs = logs(&directory, &pool, 2).await;
    let batch = batch(0, 1, 3000);
    while pool.held_bytes() <= POOL_SIZE_BYTES {
        append(&logs[0].log, &batch);
    }
    // The other log's appends wait until the first one's bytes are in its file.
    logs[1].log.ready_for_append(1_000).await.expect("open");
    assert!(pool.dirty_bytes() < POOL_SIZE_BYTES, "{} bytes dirty", pool.dirty_bytes());
    append(&logs[1].log, &batch);
    assert!(pool.held_bytes() <= POOL_SIZE_BYTES, "INV-13: {} bytes held", pool.held_bytes());
    assert_holds(&logs[1].log, &[batch], 1).await;
}

#[test]
fn appends_wait_while_no_file_has_what_the_chunks_hold() {
    on_real_core(overrun);
    let marks = in_simulation(7, overrun);
    for mark in ["append_waits_for_chunks", "chunk_pool_all_dirty"] {
        assert!(marks.contains_key(mark), "{mark}: {marks:?}");
    }
}
