//! Whatever a disk does to journal files, a replay appends only what belongs where it appends it, and
//! says so where something that was acknowledged is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use protocol::model::{LeaderEpoch, Offset, PartitionId};
use reactor::buffer::AlignedBuffer;
use reactor::file::{File, Open};
use reactor::sim::{Knobs, Random, Simulation};
use storage::Settings;
use storage::journal::{Damage, FenceKind, Group, Journal, Replay, Share, Verdict};

use crate::support::*;

const BLOCK: u64 = 4096;
const PARTITIONS: u64 = 4;

/// A batch: base offset, offset after it, bytes.
type Entry = (i64, i64, Bytes);

#[derive(Default)]
struct Partition {
    log: Vec<Entry>,
    segment_end: i64,
    /// Groups that appended to it, with the end before.
    ends: Vec<(usize, i64)>,
    /// Groups that fenced it, with the log before.
    fenced: Vec<(usize, Vec<Entry>)>,
}

impl Partition {
    fn end(&self) -> i64 {
        self.log.last().map_or(0, |(_, next, _)| *next)
    }
}

/// What was done before the damage.
#[derive(Default)]
struct History {
    partitions: BTreeMap<i32, Partition>,
    group_count: usize,
    /// Contents of all journal files at some time half way.
    earlier: BTreeMap<String, Bytes>,
}

fn settings() -> Settings {
    Settings {
        journal_file_size_bytes_first: 64 << 10,
        journal_file_size_bytes_max: 64 << 10,
        ..Settings::default()
    }
}

/// Commits groups, fences and checkpoints; all of it is acknowledged.
async fn write_history(directory: &Path, random: &mut Random) -> History {
    let mut history = History::default();
    let journal = Journal::open(directory, 0, &settings()).await.expect("opened");
    let steps = 5 + random.below(80);
    let snapshot_at = random.below(steps);
    for step in 0..steps {
        if step == snapshot_at {
            for name in journal_files(directory).await {
                let bytes = reactor::directory::read(&directory.join(&name)).await.expect("read");
                history.earlier.insert(name, bytes.into());
            }
        }
        match random.below(12) {
            0 => fence(&journal, &mut history, random).await,
            1 => {
                let mark = journal.mark();
                history.partitions.values_mut().for_each(|known| known.segment_end = known.end());
                journal.recycle_before(mark).await.expect("recycled");
            }
            _ => commit(&journal, &mut history, random).await,
        }
    }
    // So that no task of the journal writes while its files are being damaged.
    reactor::sleep(Duration::from_secs(5)).await;
    history
}

async fn commit(journal: &Journal, history: &mut History, random: &mut Random) {
    let mut group = Group::with_capacity(1);
    let index = history.group_count;
    let durable: BTreeMap<i32, i64> =
        history.partitions.iter().map(|(partition, known)| (*partition, known.end())).collect();
    for share in 0..1 + random.below(4) {
        let partition = random.below(PARTITIONS) as i32;
        let known = history.partitions.entry(partition).or_default();
        let base = known.end();
        let next = base + 1 + random.below(3) as i64;
        let size = if random.below(8) == 0 { 9_000 } else { random.below(1_000) as usize };
        let mut body = format!("{index}/{share} ").into_bytes();
        body.resize(size.max(body.len()), b'.');
        let body = Bytes::from(body);
        group.push(
            Share {
                topic_id: TOPIC_ID,
                partition: PartitionId(partition),
                base_offset: Offset(base),
                next_offset: Offset(next),
                leader_epoch: LeaderEpoch(0),
                durable_end_offset: Offset(durable.get(&partition).copied().unwrap_or(0)),
            },
            std::slice::from_ref(&body),
        );
        known.ends.push((index, base));
        known.log.push((base, next, body));
    }
    journal.commit(group).await.expect("committed");
    history.group_count += 1;
}

async fn fence(journal: &Journal, history: &mut History, random: &mut Random) {
    let partition = random.below(PARTITIONS) as i32;
    let index = history.group_count;
    let known = history.partitions.entry(partition).or_default();
    let keep = random.below(known.log.len() as u64 + 1) as usize;
    let mut group = Group::with_capacity(1);
    group.fence(TOPIC_ID, PartitionId(partition), FenceKind::Truncation);
    journal.commit(group).await.expect("committed");
    history.group_count += 1;
    known.fenced.push((index, known.log.clone()));
    known.log.truncate(keep);
    known.segment_end = known.end();
    known.ends.clear();
}

async fn journal_files(directory: &Path) -> Vec<String> {
    let entries = reactor::directory::list(directory).await.expect("listed");
    let names = entries.into_iter().filter(|entry| !entry.is_directory).map(|entry| entry.name);
    names.filter(|name| name.starts_with("millrace-journal-")).collect()
}

/// Does one thing to one of the files. Returns false where it may have taken any number of groups from
/// the journal's end.
async fn damage(directory: &Path, history: &History, random: &mut Random) -> bool {
    let files = journal_files(directory).await;
    let name = files.get(random.index(files.len())).expect("there is one");
    let path = directory.join(name);
    let file = File::open(&path, Open::Existing).await.expect("opened");
    let blocks = file.size() / BLOCK;
    if blocks == 0 {
        return false; // cut to nothing before
    }
    let block = random.below(blocks);
    match random.below(7) {
        0..=2 => {
            let mut bytes = block_of(&file, block).await;
            let position = random.below(BLOCK) as usize;
            bytes[position] ^= 1 << random.below(8);
            file.write_at(bytes.into_bytes(), block * BLOCK).await.expect("written");
            true
        }
        3 => {
            let zeros = AlignedBuffer::zeroed(BLOCK as usize).into_bytes();
            file.write_at(zeros, block * BLOCK).await.expect("written");
            true
        }
        4 => {
            let bytes = block_of(&file, random.below(blocks)).await.into_bytes();
            file.write_at(bytes, block * BLOCK).await.expect("written");
            true
        }
        5 => {
            let other = directory.join(files.get(random.index(files.len())).expect("there is one"));
            let aside = directory.join("aside");
            for (from, to) in [(&path, &aside), (&other, &path), (&aside, &other)] {
                if from != to && path != other {
                    reactor::directory::rename(from, to).await.expect("renamed");
                }
            }
            true
        }
        _ if random.below(2) == 0 => {
            file.truncate(block * BLOCK).await.expect("truncated");
            false
        }
        _ => {
            if let Some(bytes) = history.earlier.get(name) {
                let mut buffer =
                    AlignedBuffer::zeroed(bytes.len().next_multiple_of(BLOCK as usize));
                buffer[..bytes.len()].copy_from_slice(bytes);
                file.write_at(buffer.into_bytes(), 0).await.expect("written");
            }
            false
        }
    }
}

async fn block_of(file: &File, block: u64) -> AlignedBuffer {
    let (buffer, read) = file.read_at(AlignedBuffer::zeroed(BLOCK as usize), block * BLOCK).await;
    read.expect("read");
    buffer
}

/// What one run found.
#[derive(Default)]
struct Outcome {
    appended: usize,
    corrupt: usize,
    damages: Vec<Damage>,
}

/// Replays over what segments hold. `hit` is how many groups at the journal's end may be gone without
/// a trace: one that is damaged looks as one that was never written whole.
async fn check(directory: &Path, history: &History, hit: Option<usize>) -> Outcome {
    let replay = Replay::read(directory).await.expect("read");
    let damages = replay.damages().to_vec();
    let mut outcome = Outcome { damages, ..Outcome::default() };
    let safe_count = hit.map_or(0, |hit| history.group_count.saturating_sub(hit));
    for (partition, known) in &history.partitions {
        let lost_fences = known.fenced.iter().filter(|(group, _)| *group >= safe_count);
        let may_return: BTreeSet<&Entry> = lost_fences.flat_map(|(_, log)| log).collect();
        let mut end = known.segment_end;
        let mut is_corrupt = false;
        for record in replay.records(TOPIC_ID, PartitionId(*partition)) {
            match record.verdict(Offset(end)) {
                Verdict::Skip | Verdict::Drop => {}
                Verdict::Corrupt => {
                    is_corrupt = true;
                    break;
                }
                // A record of this test is one batch: none begins within it.
                Verdict::Append { from } if from != record.share.base_offset => {
                    is_corrupt = true;
                    break;
                }
                Verdict::Append { from } => {
                    let body = replay.body(record).await.expect("sound");
                    let entry = (from.0, record.share.next_offset.0, body);
                    assert!(
                        known.log.contains(&entry) || may_return.contains(&entry),
                        "{partition}: {}..{} is stale",
                        entry.0,
                        entry.1
                    );
                    end = entry.1;
                    outcome.appended += 1;
                }
            }
        }
        outcome.corrupt += usize::from(is_corrupt);
        let safe_end = known.ends.iter().find(|(group, _)| *group >= safe_count);
        let safe_end = safe_end.map_or(known.end(), |(_, end)| *end);
        assert!(
            end >= safe_end || is_corrupt || !outcome.damages.is_empty(),
            "{partition}: {end} of {safe_end}, and nothing says so"
        );
    }
    replay.void().await.expect("void");
    Journal::open(directory, 0, &settings()).await.expect("opened");
    outcome
}

fn run(seed: u64, damage_count: usize) -> (Outcome, BTreeMap<&'static str, u64>) {
    let simulation = Simulation::new(seed, Knobs::default());
    let node = simulation.add_node("node", [10, 0, 0, 1].into());
    let mut random = simulation.random("journal");
    let all = async move {
        let directory = PathBuf::from("/data");
        reactor::directory::create_all(&directory).await.expect("made");
        let history = write_history(&directory, &mut random).await;
        let mut hit = Some(damage_count);
        for _ in 0..damage_count {
            if !damage(&directory, &history, &mut random).await {
                hit = None;
            }
        }
        check(&directory, &history, hit).await
    };
    let outcome = simulation.block_on(node, Duration::from_secs(3600), all).expect("in time");
    (outcome, simulation.marks())
}

#[test]
fn damaged_files_never_give_a_stale_record() {
    let mut reached = BTreeSet::new();
    let (mut appended, mut corrupt, mut kinds) = (0, 0, BTreeSet::new());
    for seed in 0..400 {
        println!("SEED={seed:#x}");
        let (outcome, marks) = run(seed, 1 + seed as usize % 3);
        appended += outcome.appended;
        corrupt += outcome.corrupt;
        kinds.extend(
            outcome.damages.iter().map(std::mem::discriminant).map(|kind| format!("{kind:?}")),
        );
        reached.extend(marks.into_keys());
    }
    assert!(reached.contains("journal_record_misplaced"));
    assert!(appended > 400 * 10, "{appended} records were appended");
    assert!(corrupt > 20, "{corrupt} partitions were found corrupt");
    assert!(kinds.len() >= 4, "{kinds:?}");
}

#[test]
fn undamaged_files_give_all_of_it() {
    for seed in 0..50 {
        println!("SEED={seed:#x}");
        let (outcome, _) = run(seed, 0);
        assert_eq!((outcome.corrupt, outcome.damages), (0, vec![]));
    }
}

/// Runs `test` in a world of its own, in a directory that is there.
fn in_world<F: Future<Output = ()> + 'static>(test: impl FnOnce(PathBuf) -> F + 'static) {
    let simulation = Simulation::new(9, Knobs::default());
    let node = simulation.add_node("node", [10, 0, 0, 1].into());
    let all = async move {
        let directory = PathBuf::from("/data");
        reactor::directory::create_all(&directory).await.expect("made");
        test(directory).await;
    };
    simulation.block_on(node, Duration::from_secs(3600), all).expect("in time");
}

/// Commits a group with one record, which takes `block_count` blocks.
async fn commit_one(journal: &Journal, partition: i32, base: i64, block_count: usize) {
    let mut group = Group::with_capacity(1);
    group.push(
        Share {
            topic_id: TOPIC_ID,
            partition: PartitionId(partition),
            base_offset: Offset(base),
            next_offset: Offset(base + 1),
            leader_epoch: LeaderEpoch(0),
            durable_end_offset: Offset(base),
        },
        &[Bytes::from(vec![b'x'; block_count * BLOCK as usize - 200])],
    );
    assert_eq!(group.size_bytes(), block_count * BLOCK as usize);
    journal.commit(group).await.expect("committed");
}

async fn commit_fence(journal: &Journal, partition: i32) {
    let mut group = Group::with_capacity(1);
    group.fence(TOPIC_ID, PartitionId(partition), FenceKind::Truncation);
    journal.commit(group).await.expect("committed");
}

async fn zero_block(directory: &Path, name: &str, block: u64) {
    let file = File::open(&directory.join(name), Open::Existing).await.expect("opened");
    let zeros = AlignedBuffer::zeroed(BLOCK as usize).into_bytes();
    file.write_at(zeros, block * BLOCK).await.expect("written");
}

/// Base offsets of a partition's records, and what becomes of them in a log that ends at `end`.
fn verdicts(replay: &Replay, partition: i32, end: i64) -> Vec<(i64, Verdict)> {
    let records = replay.records(TOPIC_ID, PartitionId(partition)).iter();
    records.map(|record| (record.share.base_offset.0, record.verdict(Offset(end)))).collect()
}

#[test]
fn a_lost_fence_lets_nothing_back() {
    in_world(|directory| async move {
        let journal = Journal::open(&directory, 0, &settings()).await.expect("opened");
        commit_one(&journal, 0, 0, 1).await; // block 1
        commit_one(&journal, 1, 0, 1).await;
        commit_fence(&journal, 0).await; // block 3
        commit_fence(&journal, 1).await; // block 4
        commit_one(&journal, 1, 0, 1).await;
        commit_one(&journal, 2, 0, 1).await;
        for block in [3, 4] {
            zero_block(&directory, "millrace-journal-0-0", block).await;
        }
        let replay = Replay::read(&directory).await.expect("read");
        assert!(matches!(replay.damages(), [Damage::RecordsMissing { count: 2, .. }]));
        // Nothing tells whether the record of partition 0 still counts. That of partition 1 does not:
        // the later one repeats the fence.
        let append = Verdict::Append { from: Offset(0) };
        assert_eq!(verdicts(&replay, 0, 0), [(0, Verdict::Corrupt)]);
        assert_eq!(verdicts(&replay, 0, 1), [(0, Verdict::Skip)]);
        assert_eq!(verdicts(&replay, 1, 0), [(0, append)]);
        assert_eq!(verdicts(&replay, 2, 0), [(0, append)]);
    });
}

#[test]
fn what_was_lost_from_the_middle_is_missed() {
    in_world(|directory| async move {
        let journal = Journal::open(&directory, 0, &settings()).await.expect("opened");
        for base in 0..4 {
            commit_one(&journal, 0, base, 1).await; // blocks 1, 2, 3, 4
        }
        zero_block(&directory, "millrace-journal-0-0", 3).await;
        let replay = Replay::read(&directory).await.expect("read");
        assert!(matches!(replay.damages(), [Damage::RecordsMissing { count: 1, .. }]));
        assert_eq!(verdicts(&replay, 0, 2).last(), Some(&(3, Verdict::Corrupt)));
        assert_eq!(
            verdicts(&replay, 0, 3).last(),
            Some(&(3, Verdict::Append { from: Offset(3) })),
            "the segment has what is lost"
        );
    });
}

#[test]
fn a_file_that_was_given_back_is_void_whatever_the_disk_shows() {
    in_world(|directory| async move {
        let journal = Journal::open(&directory, 0, &settings()).await.expect("opened");
        let path = directory.join("millrace-journal-0-0");
        commit_one(&journal, 0, 0, 10).await;
        let earlier = reactor::directory::read(&path).await.expect("read");
        reactor::sleep(Duration::from_secs(1)).await;
        commit_one(&journal, 1, 0, 10).await;
        journal.recycle_before(journal.mark()).await.expect("recycled");
        commit_one(&journal, 2, 0, 1).await;
        // As if the write that voided it had been lost.
        let file = File::open(&path, Open::Existing).await.expect("opened");
        let mut buffer = AlignedBuffer::zeroed(earlier.len());
        buffer.copy_from_slice(&earlier);
        file.write_at(buffer.into_bytes(), 0).await.expect("written");
        let replay = Replay::read(&directory).await.expect("read");
        assert_eq!(replay.damages(), []);
        assert_eq!(verdicts(&replay, 0, 0), []);
        assert_eq!(verdicts(&replay, 1, 0), [(0, Verdict::Append { from: Offset(0) })]);
        assert_eq!(verdicts(&replay, 2, 0), [(0, Verdict::Append { from: Offset(0) })]);
    });
}

#[test]
fn a_header_that_was_not_written_hides_no_record() {
    in_world(|directory| async move {
        let path = directory.join("millrace-journal-0-0");
        let journal = Journal::open(&directory, 0, &settings()).await.expect("opened");
        commit_one(&journal, 0, 0, 1).await;
        journal.clear().await.expect("cleared");
        let file = File::open(&path, Open::Existing).await.expect("opened");
        let void = block_of(&file, 0).await.into_bytes();
        let journal = Journal::open(&directory, 0, &settings()).await.expect("opened");
        commit_one(&journal, 1, 0, 1).await;
        for (block, want) in [
            (void, Damage::StaleHeader { path: path.clone() }),
            (
                AlignedBuffer::zeroed(BLOCK as usize).into_bytes(),
                Damage::Header { path: path.clone() },
            ),
        ] {
            let found = matches!(want, Damage::StaleHeader { .. });
            file.write_at(block, 0).await.expect("written");
            let replay = Replay::read(&directory).await.expect("read");
            assert_eq!(replay.damages(), [want]);
            assert_eq!(verdicts(&replay, 0, 0), []);
            assert_eq!(verdicts(&replay, 1, 0).len(), usize::from(found));
        }
    });
}

#[test]
fn files_of_anything_hold_no_records() {
    for seed in 0..200 {
        println!("SEED={seed:#x}");
        let simulation = Simulation::new(seed, Knobs::default());
        let node = simulation.add_node("node", [10, 0, 0, 1].into());
        let mut random = simulation.random("bytes");
        let all = async move {
            let directory = PathBuf::from("/data");
            let guard = directory.join("millrace-journal-not-empty");
            reactor::directory::create_all(&guard).await.expect("made");
            for number in 0..3 {
                let mut bytes = vec![0; random.below(5 * BLOCK) as usize];
                bytes.iter_mut().for_each(|byte| *byte = random.below(256) as u8);
                // Some begin as a header and a record do.
                for (position, magic) in [(0, &b"MRjrnl\0\x01"[..]), (BLOCK as usize, b"MRjr")] {
                    if let Some(start) = bytes.get_mut(position..position + magic.len()) {
                        start.copy_from_slice(magic);
                    }
                }
                let path = directory.join(format!("millrace-journal-0-{number}"));
                reactor::directory::write_atomic(&path, &bytes).await.expect("written");
            }
            let replay = Replay::read(&directory).await.expect("read");
            assert_eq!(replay.partitions().count(), 0);
            replay.void().await.expect("void");
            Journal::open(&directory, 0, &settings()).await.expect("opened");
        };
        simulation.block_on(node, Duration::from_secs(60), all).expect("in time");
    }
}
