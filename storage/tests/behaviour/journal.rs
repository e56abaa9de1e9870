//! The journal as its users see it: what is committed is replayed, and nothing else.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use protocol::model::{LeaderEpoch, Offset, PartitionId, Uuid};
use storage::Settings;
use storage::journal::{FenceKind, Group, Journal, Replay, Share, Verdict, guard};

use crate::support::*;

/// Journal files of 64 KiB, so that little data goes through many.
fn small_settings() -> Settings {
    Settings {
        journal_file_size_bytes_first: 64 << 10,
        journal_file_size_bytes_max: 64 << 10,
        ..Settings::default()
    }
}

fn share(partition: i32, offsets: std::ops::Range<i64>, durable: i64) -> Share {
    Share {
        topic_id: TOPIC_ID,
        partition: PartitionId(partition),
        base_offset: Offset(offsets.start),
        next_offset: Offset(offsets.end),
        leader_epoch: LeaderEpoch(0),
        durable_end_offset: Offset(durable),
    }
}

fn body(partition: i32, base_offset: i64, size_bytes: usize) -> Bytes {
    let mut body = format!("{partition}/{base_offset} ").into_bytes();
    body.resize(size_bytes.max(body.len()), b'.');
    body.into()
}

/// Commits one record of `partition` for each of `bases`, each a group of its own.
async fn commit_each(journal: &Journal, partition: i32, bases: std::ops::Range<i64>, size: usize) {
    for base in bases {
        let mut group = Group::with_capacity(Group::record_size_bytes(size));
        group.push(share(partition, base..base + 1, base), &[body(partition, base, size)]);
        journal.commit(group).await.expect("committed");
    }
}

/// What a replay gives for `partition`, as base offsets and bodies.
async fn replayed(replay: &Replay, partition: i32) -> Vec<(i64, Bytes)> {
    let mut found = Vec::new();
    for record in replay.records(TOPIC_ID, PartitionId(partition)) {
        let body = replay.body(record).await.expect("whole");
        found.push((record.share.base_offset.0, body));
    }
    found
}

fn bodies(partition: i32, bases: std::ops::Range<i64>, size: usize) -> Vec<(i64, Bytes)> {
    bases.map(|base| (base, body(partition, base, size))).collect()
}

async fn names(directory: &Path) -> Vec<String> {
    let entries = reactor::directory::list(directory).await.expect("listed");
    entries.into_iter().map(|entry| entry.name).collect()
}

#[test]
fn what_was_committed_is_replayed_in_order() {
    in_both_worlds(|directory: PathBuf| async move {
        let journal = Journal::open(&directory, 0, &small_settings()).await.expect("opened");
        assert!(!guard::exists(&directory).await.expect("listed"), "nothing was written yet");
        let mut group = Group::with_capacity(1);
        group.push(share(0, 0..5, 0), &[body(0, 0, 100), body(0, 3, 5000)]);
        group.push(share(1, 0..1, 0), &[body(1, 0, 9000)]);
        group.push(share(0, 5..6, 0), &[body(0, 5, 10)]);
        assert_eq!(group.size_bytes(), 16384);
        journal.commit(group).await.expect("committed");
        assert!(guard::exists(&directory).await.expect("listed"));
        commit_each(&journal, 1, 1..100, 3000).await;
        assert!(journal.size_bytes() >= 16384 + 99 * 4096, "{}", journal.size_bytes());
        drop(journal);

        let replay = Replay::read(&directory).await.expect("read");
        assert_eq!(replay.damages(), []);
        assert_eq!(replay.partitions().count(), 2);
        let mut first = body(0, 0, 100).to_vec();
        first.extend_from_slice(&body(0, 3, 5000));
        assert_eq!(replayed(&replay, 0).await, [(0, Bytes::from(first)), (5, body(0, 5, 10))]);
        let mut want = vec![(0, body(1, 0, 9000))];
        want.extend(bodies(1, 1..100, 3000));
        assert!(replayed(&replay, 1).await == want);
        replay.void().await.expect("void");
        let replay = Replay::read(&directory).await.expect("read");
        assert_eq!(replay.partitions().count(), 0);
    });
}

#[test]
fn a_fence_voids_what_came_before_it() {
    in_both_worlds(|directory: PathBuf| async move {
        let journal = Journal::open(&directory, 0, &small_settings()).await.expect("opened");
        commit_each(&journal, 0, 0..3, 100).await;
        commit_each(&journal, 1, 0..3, 100).await;
        let mut group = Group::with_capacity(1);
        group.fence(TOPIC_ID, PartitionId(0), FenceKind::Truncation);
        group.fence(Uuid([7; 16]), PartitionId(1), FenceKind::Deletion);
        journal.commit(group).await.expect("committed");
        commit_each(&journal, 0, 1..2, 200).await;
        let replay = Replay::read(&directory).await.expect("read");
        assert_eq!(replayed(&replay, 0).await, bodies(0, 1..2, 200));
        assert_eq!(replayed(&replay, 1).await, bodies(1, 0..3, 100));
    });
}

#[test]
fn files_are_recycled_and_their_old_records_stay_gone() {
    in_both_worlds(|directory: PathBuf| async move {
        let journal = Journal::open(&directory, 0, &small_settings()).await.expect("opened");
        for round in 0..20 {
            let base = round * 20;
            commit_each(&journal, 0, base..base + 20, 3000).await;
            let mark = journal.mark();
            commit_each(&journal, 1, round..round + 1, 10).await;
            journal.recycle_before(mark).await.expect("recycled");
            assert!(journal.size_bytes() <= 3 * (64 << 10), "{}", journal.size_bytes());
        }
        let files = names(&directory).await.len();
        assert!(files <= 6, "{files} files are enough");
        let replay = Replay::read(&directory).await.expect("read");
        assert_eq!(replay.damages(), []);
        let found = replayed(&replay, 0).await;
        let oldest = found.first().map_or(400, |(base, _)| *base);
        assert!(oldest >= 340, "{oldest} was recycled");
        assert!(found == bodies(0, oldest..400, 3000));
    });
}

#[test]
fn a_full_file_is_given_back_though_no_group_follows() {
    in_both_worlds(|directory: PathBuf| async move {
        let journal = Journal::open(&directory, 0, &small_settings()).await.expect("opened");
        commit_each(&journal, 0, 0..12, 3000).await;
        let mut group = Group::with_capacity(1);
        group.push(share(0, 12..13, 12), &[body(0, 12, 3000)]);
        journal.write(group).await.expect("written, and not flushed");
        let given_back = async {
            // The first one may find no file that is ready.
            while journal.size_bytes() > 0 {
                journal.recycle_before(journal.mark()).await.expect("recycled");
                reactor::sleep(Duration::from_millis(1)).await;
            }
        };
        reactor::timeout(Duration::from_secs(60), given_back).await.expect("given back");
        commit_each(&journal, 0, 13..15, 3000).await;
        let replay = Replay::read(&directory).await.expect("read");
        assert_eq!(replay.damages(), []);
        assert!(replayed(&replay, 0).await == bodies(0, 13..15, 3000));
    });
}

#[test]
fn zeroed_files_survive_a_clean_stop() {
    in_both_worlds(|directory: PathBuf| async move {
        let journal = Journal::open(&directory, 0, &small_settings()).await.expect("opened");
        commit_each(&journal, 0, 0..40, 3000).await;
        journal.clear().await.expect("cleared");
        assert!(journal.commit(Group::with_capacity(1)).await.is_err(), "it is closed");
        guard::remove(&directory).await.expect("removed");
        guard::remove(&directory).await.expect("removed twice");
        let before = names(&directory).await;
        assert!(before.len() >= 2, "{before:?}");
        let replay = Replay::read(&directory).await.expect("read");
        assert_eq!(replay.partitions().count(), 0);
        replay.void().await.expect("void");
        let journal = Journal::open(&directory, 0, &small_settings()).await.expect("opened");
        commit_each(&journal, 0, 40..50, 3000).await;
        let after = names(&directory).await;
        assert_eq!(after.len(), before.len() + 1, "the guard alone is new: {after:?}");
        let replay = Replay::read(&directory).await.expect("read");
        assert!(replayed(&replay, 0).await == bodies(0, 40..50, 3000));
    });
}

#[test]
fn a_journal_without_its_guard_is_void() {
    in_both_worlds(|directory: PathBuf| async move {
        let journal = Journal::open(&directory, 0, &small_settings()).await.expect("opened");
        commit_each(&journal, 0, 0..3, 100).await;
        drop(journal);
        guard::remove(&directory).await.expect("removed");
        let replay = Replay::read(&directory).await.expect("read");
        assert_eq!(replay.partitions().count(), 0);
        assert!(Journal::open(&directory, 0, &small_settings()).await.is_err(), "not void yet");
        replay.void().await.expect("void");
        let journal = Journal::open(&directory, 0, &small_settings()).await.expect("opened");
        commit_each(&journal, 1, 0..1, 100).await;
        let replay = Replay::read(&directory).await.expect("read");
        assert_eq!(replayed(&replay, 0).await, []);
        assert_eq!(replayed(&replay, 1).await, bodies(1, 0..1, 100));
    });
}

#[test]
fn what_is_set_aside_is_kept_and_not_replayed() {
    in_both_worlds(|directory: PathBuf| async move {
        let mut all_kept = Vec::new();
        for base in [0, 10] {
            let journal = Journal::open(&directory, 0, &small_settings()).await.expect("opened");
            commit_each(&journal, 0, base..base + 3, 100).await;
            drop(journal);
            let replay = Replay::read(&directory).await.expect("read");
            assert_eq!(replayed(&replay, 0).await, bodies(0, base..base + 3, 100));
            all_kept.extend(replay.set_aside().await.expect("kept"));
        }
        assert_eq!(all_kept.len(), 2, "{all_kept:?}");
        assert_ne!(all_kept.first(), all_kept.last());
        for path in all_kept {
            assert!(reactor::directory::read(&path).await.expect("read").len() >= 64 << 10);
        }
        assert_eq!(Replay::read(&directory).await.expect("read").partitions().count(), 0);
        Journal::open(&directory, 0, &small_settings()).await.expect("opened");
    });
}

#[test]
fn the_journals_of_all_cores_are_read_together() {
    in_both_worlds(|directory: PathBuf| async move {
        for core in 0..3 {
            let journal = Journal::open(&directory, core, &small_settings()).await.expect("opened");
            commit_each(&journal, core as i32, 0..3, 100).await;
        }
        let replay = Replay::read(&directory).await.expect("read");
        for partition in 0..3 {
            assert_eq!(replayed(&replay, partition).await, bodies(partition, 0..3, 100));
        }
        // A partition of which two cores have records that no fence has voided: neither is believed.
        let journal = Journal::open(&directory, 3, &small_settings()).await.expect("opened");
        commit_each(&journal, 0, 3..5, 100).await;
        let replay = Replay::read(&directory).await.expect("read");
        let records = replay.records(TOPIC_ID, PartitionId(0));
        let verdicts: Vec<_> = records.iter().map(|record| record.verdict(Offset(3))).collect();
        let [skip, corrupt] = [Verdict::Skip, Verdict::Corrupt];
        assert_eq!(verdicts, [skip, skip, skip, corrupt, corrupt]);
    });
}
