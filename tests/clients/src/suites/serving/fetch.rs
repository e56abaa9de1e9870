//! Fetches without a session: what is wrong with them, what they wait for, how much they bring.

use super::talk::{Talk, code};
use anyhow::{Result, ensure};
use protocol::messages::FetchRequest;
use protocol::messages::fetch::FetchTopic;
use std::time::{Duration, Instant};

const VERSIONS: [i16; 8] = [4, 5, 7, 11, 12, 13, 16, 18];

/// A fetch that waits for more does so for this long.
const WAIT: Duration = Duration::from_millis(700);

pub fn talk(talk: &mut Talk) -> Result<()> {
    talk.create("read", 3, &[])?;
    for _ in 0..2 {
        talk.fill("read", 0, 3)?;
        talk.fill("read", 1, 2)?;
    }
    for version in VERSIONS {
        bounds(talk, version)?;
        repeats(talk, version)?;
        limits(talk, version)?;
    }
    epochs(talk)?;
    waits(talk)
}

fn request(topics: Vec<FetchTopic>) -> FetchRequest {
    FetchRequest { topics, min_bytes: 1, max_bytes: 1 << 20, ..FetchRequest::default() }
}

fn bounds(talk: &mut Talk, version: i16) -> Result<()> {
    for (what, topic, partition, offset) in [
        ("the start", "read", 0, 0),
        ("the middle of a batch", "read", 0, 4),
        ("the end", "read", 0, 6),
        ("beyond the end", "read", 0, 7),
        ("below the start", "read", 0, -1),
        ("far below it", "read", 0, -7),
        ("nothing", "read", 2, 0),
        ("a partition that is not there", "read", 3, 0),
        ("partition -1", "read", -1, 0),
        ("a topic that is not there", "gone", 0, 0),
    ] {
        let topics = vec![talk.to_fetch(version, topic, &[(partition, offset)])];
        talk.fetch(what, version, &request(topics))?;
    }
    let topics = vec![talk.to_fetch(version, "read", &[(0, 3)])];
    let committed = FetchRequest { isolation_level: 1, ..request(topics) };
    talk.fetch("what is committed", version, &committed)?;
    let nothing = FetchRequest { max_wait_ms: 30_000, ..request(Vec::new()) };
    talk.fetch("no partitions", version, &nothing)?;
    Ok(())
}

fn repeats(talk: &mut Talk, version: i16) -> Result<()> {
    let topics = vec![
        talk.to_fetch(version, "read", &[(1, 0), (0, 0), (1, 3)]),
        talk.to_fetch(version, "read", &[(2, 0), (0, 3)]),
    ];
    talk.fetch("partitions twice", version, &request(topics))?;
    Ok(())
}

/// The first batch comes whatever its size; what comes after it keeps to the limits.
fn limits(talk: &mut Talk, version: i16) -> Result<()> {
    for (what, max_bytes, partition_max_bytes) in [
        ("a byte in all", 1, 1 << 20),
        ("no bytes in all", 0, 1 << 20),
        ("a byte of each", 1 << 20, 1),
        ("no bytes of each", 1 << 20, 0),
        ("a batch and a half in all", 200, 1 << 20),
        ("a batch and a half of each", 1 << 20, 200),
    ] {
        let mut topic = talk.to_fetch(version, "read", &[(2, 0), (1, 0), (0, 0)]);
        topic.partitions.iter_mut().for_each(|it| it.partition_max_bytes = partition_max_bytes);
        talk.fetch(what, version, &FetchRequest { max_bytes, ..request(vec![topic]) })?;
    }
    Ok(())
}

/// The leader's epoch is 0: what clients of older and of newer ones are told.
fn epochs(talk: &mut Talk) -> Result<()> {
    for version in [9, 12, 15, 16, 18] {
        for (what, current_leader_epoch) in [("this leader", 0), ("a newer leader", 1)] {
            let mut topic = talk.to_fetch(version, "read", &[(0, 3)]);
            topic.partitions[0].current_leader_epoch = current_leader_epoch;
            talk.fetch(what, version, &request(vec![topic]))?;
        }
    }
    for version in [12, 18] {
        for (what, last_fetched_epoch, offset) in [
            ("after a record of this epoch", 0, 3),
            ("after one of a newer epoch", 4, 3),
            ("at the end, after this epoch", 0, 6),
            ("beyond the end, after this epoch", 0, 9),
        ] {
            let mut topic = talk.to_fetch(version, "read", &[(0, offset)]);
            topic.partitions[0].last_fetched_epoch = last_fetched_epoch;
            talk.fetch(what, version, &request(vec![topic]))?;
        }
    }
    Ok(())
}

/// What ends a long poll, and what does not.
fn waits(talk: &mut Talk) -> Result<()> {
    for version in [12, 18] {
        for (what, partitions, min_bytes) in [
            ("waits at the end", &[("read", 0, 6)][..], 1),
            ("waits for more than there is", &[("read", 0, 0)], 1 << 19),
            ("waits for no bytes", &[("read", 0, 6)], 0),
            ("waits with an offset out of range", &[("read", 0, 6), ("read", 1, 77)], 1),
            ("waits beside a topic that is not there", &[("read", 0, 6), ("gone", 0, 0)], 1),
            ("waits beside a partition that is not there", &[("read", 0, 6), ("read", 9, 0)], 1),
            ("waits for a topic that is not there", &[("gone", 0, 0)], 1),
        ] {
            let topics = partitions
                .iter()
                .map(|&(topic, partition, offset)| {
                    talk.to_fetch(version, topic, &[(partition, offset)])
                })
                .collect();
            let max_wait_ms = i32::try_from(WAIT.as_millis())?;
            let request = FetchRequest { max_wait_ms, min_bytes, ..request(topics) };
            let began = Instant::now();
            let answer = talk.connection.call(version, &request)?;
            let waited = began.elapsed() >= WAIT;
            let errors = answer.responses.iter().flat_map(|topic| &topic.partitions);
            let mut errors: Vec<String> = errors.map(|it| code(it.error_code)).collect();
            errors.sort();
            ensure!(began.elapsed() < 10 * WAIT, "{what}: {:?}", began.elapsed());
            talk.say(format_args!("v{version} {what}"), format_args!("{waited}, {errors:?}"));
        }
    }
    Ok(())
}
