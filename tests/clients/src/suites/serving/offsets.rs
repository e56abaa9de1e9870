//! ListOffsets and OffsetForLeaderEpoch: offsets by time and by what is special, and where epochs end.

use super::batches;
use super::talk::{Talk, code, now_ms};
use anyhow::{Context, Result, ensure};
use protocol::messages::delete_records::{DeleteRecordsPartition, DeleteRecordsTopic};
use protocol::messages::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use protocol::messages::offset_for_leader_epoch::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use protocol::messages::{DeleteRecordsRequest, ListOffsetsRequest, OffsetForLeaderEpochRequest};

const LIST_VERSIONS: std::ops::RangeInclusive<i16> = 1..=11;
const EPOCH_VERSIONS: std::ops::RangeInclusive<i16> = 2..=4;

/// What times are told relative to.
struct Times {
    base_ms: i64,
}

pub fn talk(talk: &mut Talk) -> Result<()> {
    talk.create("timed", 2, &[])?;
    talk.create("cut", 1, &[])?;
    let times = Times { base_ms: now_ms() };
    // Not in the order of their times; the largest is within the second batch.
    for timestamps in [&[0, 10, 20][..], &[30, 90, 40], &[50, 60]] {
        let timestamps: Vec<i64> = timestamps.iter().map(|it| times.base_ms + it).collect();
        for topic in ["timed", "cut"] {
            let answer = talk.produce(9, topic, 0, batches::timed(&timestamps))?;
            ensure!(answer.error_code == 0, "{}", code(answer.error_code));
        }
    }
    cut(talk, 5)?;
    for version in LIST_VERSIONS {
        list(talk, version, &times)?;
    }
    epochs(talk)
}

fn cut(talk: &mut Talk, before: i64) -> Result<()> {
    let partition = DeleteRecordsPartition { partition_index: 0, offset: before };
    let name = talk.topic("cut").into();
    let topic = DeleteRecordsTopic { name, partitions: vec![partition] };
    let request = DeleteRecordsRequest { topics: vec![topic], timeout_ms: 30_000 };
    let answer = talk.connection.call(2, &request)?;
    let partition = answer.topics.first().and_then(|topic| topic.partitions.first());
    let error_code = partition.context("the partition is not answered")?.error_code;
    ensure!(error_code == 0, "{}", code(error_code));
    Ok(())
}

fn list(talk: &mut Talk, version: i16, times: &Times) -> Result<()> {
    let at = |after: i64| times.base_ms + after;
    for (what, topic, partition, timestamp) in [
        ("latest", "timed", 0, -1),
        ("earliest", "timed", 0, -2),
        ("max timestamp", "timed", 0, -3),
        ("earliest local", "timed", 0, -4),
        ("latest tiered", "timed", 0, -5),
        ("earliest pending upload", "timed", 0, -6),
        ("-7", "timed", 0, -7),
        ("time 0", "timed", 0, 0),
        ("the first time", "timed", 0, at(0)),
        ("between two", "timed", 0, at(11)),
        ("the start of a batch", "timed", 0, at(30)),
        ("within a batch", "timed", 0, at(35)),
        ("what an earlier record reaches", "timed", 0, at(50)),
        ("the largest time", "timed", 0, at(90)),
        ("later than all", "timed", 0, at(91)),
        ("latest of nothing", "timed", 1, -1),
        ("earliest of nothing", "timed", 1, -2),
        ("max timestamp of nothing", "timed", 1, -3),
        ("a time of nothing", "timed", 1, at(0)),
        ("earliest of what was cut", "cut", 0, -2),
        ("a time that was cut", "cut", 0, at(0)),
        ("a partition that is not there", "timed", 7, -1),
        ("a topic that is not there", "gone", 0, -1),
    ] {
        for isolation_level in if version >= 2 { 0..=1 } else { 0..=0 } {
            for epoch in if version >= 4 { -1..=1 } else { -1..=-1 } {
                // Of the errors of epochs one is enough.
                if epoch >= 0 && !["latest", "max timestamp"].contains(&what) {
                    continue;
                }
                let request = ask(talk, topic, (partition, timestamp, epoch), isolation_level);
                let answer = talk.connection.call(version, &request)?;
                let answered = answer.topics.first().and_then(|topic| topic.partitions.first());
                let answered = answered.context("the partition is not answered")?;
                let time = match answered.timestamp {
                    -1 => "no time".to_owned(),
                    time => format!("time +{}", time - times.base_ms),
                };
                let isolation = ["", " committed"][isolation_level as usize];
                let as_of =
                    if epoch >= 0 { format!(" as of epoch {epoch}") } else { String::new() };
                talk.say(
                    format_args!("list v{version}{isolation} {what}{as_of}"),
                    format_args!(
                        "{} offset {} {time} epoch {}",
                        code(answered.error_code),
                        answered.offset,
                        answered.leader_epoch
                    ),
                );
            }
        }
    }
    Ok(())
}

pub fn ask(
    talk: &Talk,
    topic: &str,
    (partition_index, timestamp, current_leader_epoch): (i32, i64, i32),
    isolation_level: i8,
) -> ListOffsetsRequest {
    let partition = ListOffsetsPartition { partition_index, timestamp, current_leader_epoch };
    let topic = ListOffsetsTopic { name: talk.topic(topic).into(), partitions: vec![partition] };
    ListOffsetsRequest {
        replica_id: -1,
        isolation_level,
        topics: vec![topic],
        ..ListOffsetsRequest::default()
    }
}

fn epochs(talk: &mut Talk) -> Result<()> {
    for version in EPOCH_VERSIONS {
        for (what, topic, partition, current_leader_epoch, leader_epoch) in [
            ("the leader's epoch", "timed", 0, -1, 0),
            ("a later epoch", "timed", 0, -1, 1),
            ("no epoch", "timed", 0, -1, -1),
            ("the leader's, of whom it is known", "timed", 0, 0, 0),
            ("of a newer leader", "timed", 0, 1, 0),
            ("the epoch of nothing", "timed", 1, -1, 0),
            ("a later one of nothing", "timed", 1, -1, 3),
            ("after a cut", "cut", 0, -1, 0),
            ("a partition that is not there", "timed", 7, -1, 0),
            ("a topic that is not there", "gone", 0, -1, 0),
        ] {
            let partition =
                OffsetForLeaderPartition { partition, current_leader_epoch, leader_epoch };
            let topic = talk.topic(topic).into();
            let topic = OffsetForLeaderTopic { topic, partitions: vec![partition] };
            let replica_id = if version >= 3 { -1 } else { -2 };
            let request = OffsetForLeaderEpochRequest { replica_id, topics: vec![topic] };
            let answer = talk.connection.call(version, &request)?;
            let answered = answer.topics.first().and_then(|topic| topic.partitions.first());
            let answered = answered.context("the partition is not answered")?;
            talk.say(
                format_args!("epoch v{version} {what}"),
                format_args!(
                    "{} epoch {} ends at {}",
                    code(answered.error_code),
                    answered.leader_epoch,
                    answered.end_offset
                ),
            );
        }
    }
    Ok(())
}
