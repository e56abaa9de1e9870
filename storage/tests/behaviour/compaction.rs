//! Compaction: what stays, what readers see meanwhile, and what a crash in between leaves.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use crate::support::*;
use protocol::model::{Offset, TimestampMs};
use protocol::record_batch::{
    BatchBuilder, BatchOptions, Compression, ControlRecordType, RecordBatch,
};
use reactor::sim::{Crash, Knobs, Random, Simulation};
use storage::{
    Compacted, Compaction, CompactionMemory, LogConfig, Opening, Pace, PartitionLog, Settings,
    TimestampOffset, Volume,
};

const NOW: TimestampMs = TimestampMs(1_000_000);

fn config() -> LogConfig {
    LogConfig {
        segment_size_bytes: 16 << 10,
        cleanup_deletes: false,
        cleanup_compacts: true,
        min_cleanable_dirty_ratio: 0.0,
        delete_retention_ms: 1000,
        file_delete_delay_ms: 0,
        ..small_config()
    }
}

async fn create_compacted(volume: &Rc<Volume>) -> PartitionLog {
    let directory = volume.path().join("orders-0");
    PartitionLog::create(volume, &directory, config(), TOPIC_ID).await.expect("a new log")
}

async fn open_compacted(volume: &Rc<Volume>, opening: Opening) -> PartitionLog {
    let directory = volume.path().join("orders-0");
    PartitionLog::open(volume, &directory, config(), opening).await.expect("the log opens")
}

/// A record a pair: its key, and its value or none.
fn keyed(timestamp: i64, pairs: &[(u64, Option<u64>)]) -> RecordBatch {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for (key, value) in pairs {
        let value = value.map(|value| {
            let mut bytes = value.to_be_bytes().to_vec();
            bytes.resize(300, b'.');
            bytes
        });
        builder.append(TimestampMs(timestamp), Some(&key.to_be_bytes()), value.as_deref(), &[]);
    }
    RecordBatch::new(builder.build()).expect("a valid batch")
}

/// One record that was read: its offset, key and value.
type Read = (i64, u64, Option<u64>);

async fn records(log: &PartitionLog) -> Vec<Read> {
    let number = |bytes: &[u8]| u64::from_be_bytes(bytes[..8].try_into().expect("eight bytes"));
    let batches = read_all(log, log.log_start_offset(), 20_000).await;
    let of_batch = |batch: &RecordBatch| {
        let is_control = batch.header().is_control();
        let records = batch.records(1 << 20).expect("readable").map(|it| it.expect("a record"));
        let records = records.filter(move |_| !is_control);
        let read = records.map(|it| {
            let key = number(it.key.as_deref().expect("a key"));
            (it.offset.0, key, it.value.as_deref().map(number))
        });
        read.collect::<Vec<_>>()
    };
    batches.iter().flat_map(of_batch).collect()
}

/// More memory than any of these logs takes.
fn plenty() -> CompactionMemory {
    CompactionMemory::new(1 << 30)
}

async fn compact_at(log: &PartitionLog, now: TimestampMs) -> Option<Compacted> {
    log.set_high_watermark(log.durable_end_offset());
    let (pace, memory) = (Pace::new(f64::MAX), plenty());
    let how = Compaction { map_size_bytes_max: 1 << 20, memory: &memory, pace: &pace };
    log.compact(now, &how).await.expect("compacted")
}

/// The files of the log by name.
async fn names(log: &PartitionLog) -> Vec<String> {
    let entries = reactor::directory::list(log.directory()).await.expect("listed");
    entries.into_iter().map(|entry| entry.name).collect()
}

/// Twenty keys, each written again and again; about 4 KB a batch, four to a segment.
fn fill(log: &PartitionLog, batches: std::ops::Range<u64>) {
    for n in batches {
        let pairs: Vec<_> = (0..12).map(|i| ((12 * n + i) % 20, Some(12 * n + i))).collect();
        append(log, &keyed(1000 + n as i64, &pairs));
    }
}

#[test]
fn of_each_key_the_last_record_stays_where_it_was() {
    in_both_worlds(|directory| async move {
        let volume = volume(&directory);
        let log = create_compacted(&volume).await;
        fill(&log, 0..40);
        log.flush().await.expect("durable");
        log.set_high_watermark(log.durable_end_offset());
        assert_eq!(log.compaction_due(NOW).await.expect("asked"), Some(1.0));
        let all = records(&log).await;
        let compacted = compact_at(&log, NOW).await.expect("a round");
        assert_eq!(compacted.keys, 20);
        // Segments that were full become one where they have shrunk by the next round.
        assert_eq!(compacted.segments_before, compacted.segments_after);
        assert!(compacted.segments_before > 7, "{compacted:?}");
        let first_dirty = compacted.first_dirty_offset;
        assert_eq!(log.first_dirty_offset(), first_dirty);
        // Below, the last of each key; above, all.
        let mut latest = BTreeMap::new();
        for &(offset, key, _) in all.iter().filter(|it| it.0 < first_dirty.0) {
            latest.insert(key, offset);
        }
        let is_kept = |it: &&Read| it.0 >= first_dirty.0 || latest[&it.1] == it.0;
        let want: Vec<Read> = all.iter().filter(is_kept).copied().collect();
        assert_eq!(records(&log).await, want);
        assert!(want.len() < all.len() / 2);
        // Offsets without a record are skipped, and found by time are only those that are there.
        let gap = log.read(Offset(3), 1, true, log.log_end_offset()).await.expect("readable");
        assert!(gap.base_offset.is_some_and(|base| base > Offset(3)), "{gap:?}");
        let found = log.offset_for_timestamp(TimestampMs(1000)).await.expect("searched");
        assert_eq!(found.map(|it: TimestampOffset| it.offset.0), Some(want[0].0));
        let largest = log.max_timestamp().await.expect("searched").expect("a record");
        assert_eq!(largest.timestamp, TimestampMs(1039));
        assert_eq!(log.log_start_offset(), Offset(0));
        // A round more finds nothing.
        assert_eq!(log.compaction_due(NOW).await.expect("asked"), None);
        reactor::sleep(Duration::from_millis(50)).await;
        let left = names(&log).await;
        let is_odd =
            |it: &&String| [".cleaned", ".swap", ".deleted"].iter().any(|s| it.contains(s));
        assert_eq!(left.iter().find(is_odd), None, "{left:?}");
        // What is appended goes on behind, and a stop of either kind finds the same log.
        fill(&log, 40..46);
        log.flush().await.expect("durable");
        let compacted = compact_at(&log, NOW).await.expect("a round");
        assert!(compacted.segments_after * 3 < compacted.segments_before, "{compacted:?}");
        let want = records(&log).await;
        log.close().await.expect("closed");
        for clean in [true, false] {
            let log = open_compacted(&volume, Opening { clean, ..Opening::default() }).await;
            assert_eq!(records(&log).await, want, "clean: {clean}");
            log.close().await.expect("closed");
        }
    });
}

#[test]
fn a_tombstone_goes_after_its_time_and_its_key_stays_gone() {
    in_both_worlds(|directory| async move {
        let volume = volume(&directory);
        let log = create_compacted(&volume).await;
        append(&log, &keyed(1000, &[(100, Some(1)), (101, Some(2))]));
        fill(&log, 0..8);
        append(&log, &keyed(1000, &[(100, None)]));
        fill(&log, 8..20);
        log.flush().await.expect("durable");
        let of_100 = |all: &[Read]| -> Vec<Option<u64>> {
            all.iter().filter(|it| it.1 == 100).map(|it| it.2).collect()
        };
        compact_at(&log, NOW).await.expect("a round");
        assert_eq!(of_100(&records(&log).await), [None]);
        // It stays for 1,000 ms from the first time that it was met.
        for (after_ms, want) in [(999, &[None][..]), (1000, &[])] {
            fill(&log, 20..30);
            log.flush().await.expect("durable");
            compact_at(&log, TimestampMs(NOW.0 + after_ms)).await.expect("a round");
            assert_eq!(of_100(&records(&log).await), want, "after {after_ms} ms");
        }
        assert!(records(&log).await.iter().any(|it| it.1 == 101));
    });
}

#[test]
fn a_map_that_is_full_leaves_the_rest_to_the_next_round() {
    let marks = in_simulation(3, |directory| async move {
        let volume = volume(&directory);
        let log = create_compacted(&volume).await;
        for n in 0..60 {
            let pairs: Vec<_> = (0..12).map(|i| (12 * n + i, Some(n))).collect();
            append(&log, &keyed(1000, &pairs));
        }
        fill(&log, 0..10);
        log.flush().await.expect("durable");
        log.set_high_watermark(log.durable_end_offset());
        let before = records(&log).await;
        let (pace, memory) = (Pace::new(f64::MAX), plenty());
        let how = Compaction { map_size_bytes_max: 24 * 100, memory: &memory, pace: &pace };
        let mut ends = vec![Offset(0)];
        while log.compaction_due(NOW).await.expect("asked").is_some() {
            let compacted = log.compact(NOW, &how).await.expect("compacted").expect("a round");
            assert!(compacted.first_dirty_offset > *ends.last().expect("one"), "{ends:?}");
            assert!(compacted.keys <= 90);
            ends.push(compacted.first_dirty_offset);
        }
        assert!(ends.len() > 6, "{ends:?}");
        let first_dirty = log.first_dirty_offset().0;
        let mut latest = BTreeMap::new();
        for &(offset, key, _) in before.iter().filter(|it| it.0 < first_dirty) {
            latest.insert(key, offset);
        }
        let want = |it: &&Read| it.0 >= first_dirty || latest[&it.1] == it.0;
        assert_eq!(records(&log).await, before.iter().filter(want).copied().collect::<Vec<_>>());
    });
    assert!(marks["key_map_full"] > 3);
}

#[test]
fn a_record_that_there_is_no_memory_for_ends_compaction_and_a_batch_of_many_does_not() {
    in_simulation(5, |directory| async move {
        let volume = volume(&directory);
        let log = create_compacted(&volume).await;
        let zeros = |key: u64, count: u64, size_bytes: usize| {
            let compression = Compression::Gzip { level: None };
            let options = BatchOptions { compression, ..BatchOptions::default() };
            let mut builder = BatchBuilder::new(options);
            for n in 0..count {
                let key = (key + n % 2).to_be_bytes();
                builder.append(TimestampMs(1000), Some(&key), Some(&vec![0; size_bytes]), &[]);
            }
            RecordBatch::new(builder.build()).expect("a valid batch")
        };
        append(&log, &zeros(100, 100, 20_000));
        fill(&log, 0..20);
        log.flush().await.expect("durable");
        log.set_high_watermark(log.durable_end_offset());
        let pace = Pace::new(f64::MAX);
        // Its records have 2 MB together.
        let memory = CompactionMemory::new(CompactionMemory::needed(30_000));
        let how = Compaction { map_size_bytes_max: 1 << 20, memory: &memory, pace: &pace };
        log.compact(NOW, &how).await.expect("compacted").expect("a round");
        assert_eq!(memory.in_use(), 0);
        let of_zeros = records(&log).await.into_iter().filter(|it| it.1 == 100 || it.1 == 101);
        assert_eq!(of_zeros.map(|it| it.0).collect::<Vec<_>>(), [98, 99]);
        append(&log, &zeros(102, 1, 200_000));
        fill(&log, 20..40);
        log.flush().await.expect("durable");
        log.set_high_watermark(log.durable_end_offset());
        log.compact(NOW, &how).await.expect_err("too large a record");
        assert_eq!(memory.in_use(), 0);
        assert!(records(&log).await.iter().any(|it| it.1 == 102));
    });
}

#[test]
fn an_open_transaction_is_not_touched_and_an_aborted_one_goes() {
    in_both_worlds(|directory| async move {
        let volume = volume(&directory);
        let log = create_compacted(&volume).await;
        let fill_some = |n: u64| fill(&log, n..n + 8);
        fill_some(0);
        append(&log, &transactional(7, 1000));
        append(&log, &marker(7, ControlRecordType::Abort));
        fill_some(8);
        let open = append(&log, &transactional(8, 1000));
        fill_some(16);
        log.flush().await.expect("durable");
        let compacted = compact_at(&log, NOW).await.expect("a round");
        let first_open = Offset(open.0 - 1);
        assert_eq!(compacted.first_dirty_offset, first_open);
        assert_eq!(log.last_stable_offset(), first_open);
        let batches = read_all(&log, Offset(0), 1 << 20).await;
        let data: Vec<_> = batches
            .iter()
            .filter(|it| it.header().is_transactional() && !it.header().is_control())
            .map(|it| (it.header().base_offset, it.header().record_count))
            .collect();
        // The producer's last batch stays, for its sequence, and without its record.
        assert_eq!(data, [(Offset(96), 0), (first_open, 1)]);
        let aborted = log.aborted_transactions(Offset(0), first_open).await.expect("known");
        assert_eq!(aborted.len(), 1);
        append(&log, &marker(8, ControlRecordType::Commit));
        log.flush().await.expect("durable");
        log.set_high_watermark(log.durable_end_offset());
        assert_eq!(log.last_stable_offset(), log.log_end_offset());
    });
}

#[test]
fn who_reads_or_truncates_meanwhile_is_not_disturbed() {
    for seed in 0..40 {
        in_simulation(seed, move |directory| async move {
            let volume = volume(&directory);
            let log = create_compacted(&volume).await;
            fill(&log, 0..40);
            log.flush().await.expect("durable");
            log.set_high_watermark(log.durable_end_offset());
            let reader = {
                let log = log.clone();
                reactor::spawn(async move {
                    let mut reads = 0;
                    for _ in 0..6 {
                        let mut latest = BTreeMap::new();
                        let found = records(&log).await;
                        assert!(found.windows(2).all(|pair| pair[0].0 < pair[1].0));
                        for (offset, key, value) in found {
                            assert_eq!(value, Some(offset as u64), "INV-2: {key} at {offset}");
                            latest.insert(key, offset);
                            reads += 1;
                        }
                        assert_eq!(latest.len(), 20);
                    }
                    reads
                })
            };
            let compactor = {
                let log = log.clone();
                reactor::spawn(async move { compact_at(&log, NOW).await })
            };
            reactor::sleep(Duration::from_micros(seed * 150)).await;
            fill(&log, 40..44);
            if seed % 2 == 1 {
                log.truncate_to(Offset(12 * 39)).await.expect("truncated");
                assert_eq!(log.log_end_offset(), Offset(12 * 39));
            }
            let compacted = compactor.await;
            assert!(reader.await > 100);
            assert!(seed % 2 == 1 || compacted.is_some(), "an append does not end it");
            log.close().await.expect("closed");
            let log = open_compacted(&volume, Opening { clean: true, ..Opening::default() }).await;
            let latest: BTreeMap<_, _> =
                records(&log).await.into_iter().map(|it| (it.1, it.0)).collect();
            assert_eq!(latest.len(), 20);
        });
    }
}

#[test]
fn a_corrupt_batch_ends_compaction_and_nothing_else() {
    let marks = in_simulation(11, |directory| async move {
        let volume = volume(&directory);
        let log = create_compacted(&volume).await;
        fill(&log, 0..20);
        log.flush().await.expect("durable");
        log.set_high_watermark(log.durable_end_offset());
        log.close().await.expect("closed");
        let path = log.directory().join("00000000000000000000.log");
        let file = reactor::file::File::open(&path, reactor::file::Open::Existing).await;
        let file = file.expect("a segment");
        let mut block = reactor::buffer::AlignedBuffer::zeroed(4096);
        block.copy_from_slice(&file.read_range(0..4096).await.expect("read"));
        block[1000] ^= 1;
        file.write_at(block.into_bytes(), 0).await.expect("written");
        let log = open_compacted(&volume, Opening { clean: true, ..Opening::default() }).await;
        log.set_high_watermark(log.durable_end_offset());
        let (pace, memory) = (Pace::new(f64::MAX), plenty());
        let how = Compaction { map_size_bytes_max: 1 << 20, memory: &memory, pace: &pace };
        let error = log.compact(NOW, &how).await.expect_err("a bad batch").to_string();
        assert!(error.contains("00000000000000000000.log at position 0"), "{error}");
        assert_eq!(log.compaction_due(NOW).await.expect("asked"), None);
        // It goes on as it is.
        fill(&log, 20..21);
        log.flush().await.expect("durable");
        let end = log.log_end_offset();
        assert!(log.read(Offset(12 * 19), 1 << 20, true, end).await.is_ok());
        assert_eq!(names(&log).await.iter().filter(|it| it.contains(".cleaned")).count(), 0);
    });
    assert_eq!(marks["log_uncleanable"], 1);
}

/// What the ordeal knows across lives: every record that was appended, by offset.
#[derive(Default)]
struct Known {
    appended: RefCell<BTreeMap<i64, (u64, Option<u64>)>>,
    /// Where each batch began, by where it ended.
    batches: RefCell<BTreeMap<i64, i64>>,
    durable: RefCell<i64>,
    /// Rounds that ended.
    rounds: RefCell<u64>,
    /// When a round may have met a tombstone first, by its offset.
    met: RefCell<BTreeMap<i64, i64>>,
}

impl Known {
    /// After any crash, and after a round at `now`: from the start of the log each key has its latest value, no offset has moved, and
    /// nothing is there that was not.
    async fn check(&self, log: &PartitionLog, now: i64) {
        let end = log.log_end_offset().0;
        assert!(end >= *self.durable.borrow(), "INV-4: {} of {end}", self.durable.borrow());
        *self.durable.borrow_mut() = end;
        self.appended.borrow_mut().retain(|offset, _| *offset < end);
        self.batches.borrow_mut().retain(|batch_end, _| *batch_end < end);
        self.met.borrow_mut().retain(|offset, _| *offset < end);
        let appended = self.appended.borrow().clone();
        let mut latest: BTreeMap<u64, (i64, Option<u64>)> = BTreeMap::new();
        for (&offset, &(key, value)) in appended.iter() {
            latest.insert(key, (offset, value));
        }
        for batch in read_all(log, Offset(0), 20_000).await {
            let header = batch.header();
            let base_offset = self.batches.borrow().get(&header.last_offset().0).copied();
            assert_eq!(base_offset, Some(header.base_offset.0), "a batch keeps its last offset");
        }
        let mut found: BTreeMap<u64, (i64, Option<u64>)> = BTreeMap::new();
        for (offset, key, value) in records(log).await {
            assert_eq!(appended.get(&offset), Some(&(key, value)), "INV-2: {offset}");
            found.insert(key, (offset, value));
        }
        for (key, &(offset, value)) in &latest {
            match (found.get(key), value) {
                (Some(&there), _) => assert_eq!(there, (offset, value), "latest of {key}"),
                (None, Some(_)) => panic!("key {key} is gone: its last record was at {offset}"),
                (None, None) => {
                    let first = self.met.borrow().get(&offset).copied();
                    let is_due = first.is_some_and(|first| first.saturating_add(1000) <= now);
                    assert!(
                        is_due,
                        "the tombstone of {key} at {offset}, met at {first:?}, is gone at {now}"
                    );
                }
            }
        }
        assert!(found.keys().all(|key| latest.contains_key(key)));
    }
}

async fn live(known: Rc<Known>, mut random: Random) {
    let directory = Path::new("/data");
    reactor::directory::create_all(directory).await.expect("made");
    let settings = Settings {
        journal_file_size_bytes_first: 64 << 10,
        journal_file_size_bytes_max: 64 << 10,
        bypass_size_bytes: 4096,
        ..Settings::default()
    };
    let volume = Volume::new(directory, settings, storage::ChunkPool::new(64 << 20));
    let entries = reactor::directory::list(directory).await.expect("listed");
    let log = if entries.iter().any(|it| it.name == "orders-0") && *known.durable.borrow() > 0 {
        open_compacted(&volume, Opening::default()).await
    } else {
        let _ = reactor::directory::remove_all(&directory.join("orders-0")).await;
        known.appended.borrow_mut().clear();
        known.batches.borrow_mut().clear();
        known.met.borrow_mut().clear();
        create_compacted(&volume).await
    };
    known.check(&log, i64::MAX).await;
    let durable = known.clone();
    log.on_durable(move |news| {
        if let Ok(offset) = news {
            *durable.durable.borrow_mut() = offset.0;
        }
    });
    loop {
        for _ in 0..8 {
            let base = log.log_end_offset().0;
            let count = 1 + random.below(14);
            let pairs: Vec<_> = (0..count)
                .map(|i| {
                    let value = (random.below(4) > 0).then_some(base as u64 + i);
                    (random.below(30), value)
                })
                .collect();
            for (i, pair) in pairs.iter().enumerate() {
                known.appended.borrow_mut().insert(base + i as i64, *pair);
            }
            let end = append(&log, &keyed(1000, &pairs));
            known.batches.borrow_mut().insert(end.0 - 1, base);
            log.ready_for_append(4096).await.expect("room");
        }
        log.flush().await.expect("durable");
        if random.below(2) == 0 {
            // Tombstones go at once, at their horizon, or much later.
            let now = TimestampMs(reactor::wall_clock() + random.below(3000) as i64);
            for (&offset, (_, value)) in known.appended.borrow().iter() {
                if value.is_none() {
                    let mut met = known.met.borrow_mut();
                    let first = met.entry(offset).or_insert(now.0);
                    *first = now.0.min(*first);
                }
            }
            if compact_at(&log, now).await.is_some() {
                *known.rounds.borrow_mut() += 1;
                known.check(&log, now.0).await;
            }
        }
    }
}

/// Lives under one seed; in every second one the world is hostile. Returns how many rounds ended.
fn run(seed: u64, planted: Option<&'static str>) -> u64 {
    let world = if seed.is_multiple_of(2) { Knobs::hostile(seed) } else { Knobs::default() };
    let knobs = Knobs { unsynced_lost: 0.9, disk_slow: 0.03, ..world };
    let simulation = Simulation::new(seed, knobs);
    #[cfg(feature = "planted-bugs")]
    if let Some(planted) = planted {
        simulation.plant(planted);
    }
    assert!(planted.is_none() || reactor::sim::has_planted_bugs());
    let node = simulation.add_node("node", [10, 0, 0, 1].into());
    let known = Rc::new(Known::default());
    let mut random = simulation.random("crashes");
    for life in 0..6 {
        let workload = simulation.random(&format!("life {life}"));
        let client = simulation.spawn_client(node, live(known.clone(), workload));
        simulation.run_for(Duration::from_micros(50_000 + random.below(900_000)));
        simulation.crash(node, Crash::PowerLoss);
        drop(client);
    }
    let survivor = known.clone();
    let last = async move {
        if *survivor.durable.borrow() > 0 {
            let volume = volume(Path::new("/data"));
            let log = open_compacted(&volume, Opening::default()).await;
            survivor.check(&log, i64::MAX).await;
        }
    };
    simulation.block_on(node, Duration::from_secs(3600), last).expect("in time");
    *known.rounds.borrow()
}

#[test]
fn a_power_loss_at_any_time_leaves_each_key_its_last_value() {
    let mut rounds = 0;
    for seed in 0..150 {
        println!("SEED={seed:#x}");
        rounds += run(seed, None);
    }
    assert!(rounds > 70, "{rounds} rounds");
}

#[cfg(feature = "planted-bugs")]
#[test]
fn the_ordeal_finds_what_is_planted() {
    for planted in ["compaction_drops_tombstones_early", "compaction_moves_last_offset"] {
        let is_found = |seed| std::panic::catch_unwind(|| run(seed, Some(planted))).is_err();
        assert!((0..20).any(is_found), "{planted} is not found");
    }
}
