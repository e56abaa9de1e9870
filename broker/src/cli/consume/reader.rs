//! The records of a topic's partitions, read from their leaders.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use client::{ClientError, Cluster, check};
use protocol::error_code::ErrorCode;
use protocol::messages::fetch::{FetchPartition, FetchRequest, FetchTopic, PartitionData};
use protocol::messages::metadata::MetadataResponsePartition;
use protocol::record_batch::{Batches, Record};

use crate::cli::offsets::{At, offsets};

/// The newest version that names topics instead of telling their ids.
const FETCH_VERSION_MAX: i16 = 12;

/// How long a leader may wait for records to come.
const WAIT_MS: i32 = 500;

const ANSWER_SIZE_BYTES: i32 = 16 << 20;
const PARTITION_SIZE_BYTES: i32 = 1 << 20;

/// Far above what a batch that a broker takes by default decompresses to.
const DECOMPRESSED_SIZE_BYTES_MAX: usize = 1 << 30;

/// Where reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    At(At),
    Offset(i64),
    /// As many offsets before the end.
    Last(i64),
}

/// What was read of a partition, and what is to be.
#[derive(Debug)]
struct Position {
    next_offset: i64,
    /// Where it ended when reading began; a reader that follows has no end.
    end_offset: Option<i64>,
}

pub struct Reader {
    cluster: Cluster,
    topic: String,
    positions: BTreeMap<i32, Position>,
    /// Known since the last time a leader refused.
    leaders: BTreeMap<i32, i32>,
}

impl Reader {
    /// Looks up where `partitions`, or all, begin and end.
    pub fn open(
        mut cluster: Cluster,
        topic: &str,
        partitions: &[i32],
        from: From,
        follow: bool,
    ) -> Result<Reader> {
        let metadata = cluster.metadata(Some(&[topic]))?;
        let described = metadata.topics.first().context("the metadata name no topic")?;
        if described.error_code == ErrorCode::UnknownTopicOrPartition.code() {
            bail!("there is no topic {topic:?}; millrace topic list shows those there are");
        }
        let all: Vec<i32> = described.partitions.iter().map(|it| it.partition_index).collect();
        if let Some(missing) = partitions.iter().find(|asked| !all.contains(asked)) {
            bail!("topic {topic} has no partition {missing}: it has {}", all.len());
        }
        let asked = if partitions.is_empty() { &all[..] } else { partitions };
        let (starts, ends, froms) = cluster.retry(|cluster| {
            let mut described = described_partitions(cluster, topic)?;
            described.retain(|partition| asked.contains(&partition.partition_index));
            if described.iter().any(|partition| partition.leader_id < 0) {
                check(&format!("topic {topic:?}"), ErrorCode::LeaderNotAvailable.code(), None)?;
            }
            let starts = offsets(cluster, topic, &described, At::Beginning)?;
            let ends = offsets(cluster, topic, &described, At::End)?;
            let froms = match from {
                From::At(at) => offsets(cluster, topic, &described, at)?,
                From::Offset(_) | From::Last(_) => BTreeMap::new(),
            };
            Ok((starts, ends, froms))
        })?;
        let mut positions = BTreeMap::new();
        for (partition, end_offset) in ends {
            let start_offset = starts.get(&partition).copied().unwrap_or(0);
            let next_offset = match from {
                // At a time that is after the last record.
                From::At(_) => froms.get(&partition).copied().unwrap_or(end_offset),
                From::Offset(offset) if (start_offset..=end_offset).contains(&offset) => offset,
                From::Offset(offset) => bail!(
                    "partition {partition} of {topic} has offsets {start_offset} to {end_offset}, \
                     not {offset}"
                ),
                From::Last(count) => end_offset.saturating_sub(count).max(start_offset),
            };
            let end_offset = (!follow).then_some(end_offset);
            positions.insert(partition, Position { next_offset, end_offset });
        }
        let leaders = BTreeMap::new();
        Ok(Reader { cluster, topic: topic.to_owned(), positions, leaders })
    }

    /// Whether all was read that was there when reading began.
    pub fn is_done(&self) -> bool {
        self.positions.values().all(Position::is_done)
    }

    /// Reads once from each leader; waits for what comes, but not for long. Records of a partition are
    /// in their order.
    pub fn read(&mut self) -> Result<Vec<(i32, Record)>> {
        let Reader { cluster, topic, positions, leaders } = self;
        let answers = cluster.retry(|cluster| {
            let answers = fetch(cluster, topic, positions, leaders);
            if answers.is_err() {
                leaders.clear();
            }
            answers
        });
        let answers = match answers {
            Err(error) if error.code() == Some(ErrorCode::OffsetOutOfRange) => {
                let what = "records were deleted before they were read, by retention or a request; \
                            --from beginning begins with those that are left";
                return Err(anyhow::Error::new(error).context(what));
            }
            answers => answers?,
        };
        let mut records = Vec::new();
        for answer in answers {
            let partition = answer.partition_index;
            let Some(position) = self.positions.get_mut(&partition) else { continue };
            let what = || format!("partition {partition} of {}, a batch", self.topic);
            let bytes = answer.records.map(|records| records.contiguous()).unwrap_or_default();
            for batch in Batches::new(bytes) {
                let batch = batch.with_context(what)?;
                batch.verify_crc().with_context(what)?;
                if !batch.header().is_control() {
                    for record in batch.records(DECOMPRESSED_SIZE_BYTES_MAX).with_context(what)? {
                        let record = record.with_context(what)?;
                        if position.wants(record.offset.0) {
                            records.push((partition, record));
                        }
                    }
                }
                position.next_offset = position.next_offset.max(batch.header().next_offset().0);
            }
        }
        Ok(records)
    }
}

impl Position {
    fn is_done(&self) -> bool {
        self.end_offset.is_some_and(|end_offset| self.next_offset >= end_offset)
    }

    /// A batch may begin before what was asked for, and go on behind the end.
    fn wants(&self, offset: i64) -> bool {
        offset >= self.next_offset && self.end_offset.is_none_or(|end_offset| offset < end_offset)
    }
}

fn described_partitions(
    cluster: &mut Cluster,
    topic: &str,
) -> Result<Vec<MetadataResponsePartition>, ClientError> {
    let mut topics = cluster.metadata(Some(&[topic]))?.topics;
    let described = topics.pop().unwrap_or_default();
    check(&format!("topic {topic:?}"), described.error_code, None)?;
    Ok(described.partitions)
}

/// What the leaders have of the partitions that are not done.
fn fetch(
    cluster: &mut Cluster,
    topic: &str,
    positions: &BTreeMap<i32, Position>,
    leaders: &mut BTreeMap<i32, i32>,
) -> Result<Vec<PartitionData>, ClientError> {
    if leaders.is_empty() {
        let described = described_partitions(cluster, topic)?;
        leaders.extend(described.iter().map(|it| (it.partition_index, it.leader_id)));
    }
    let mut by_leader: BTreeMap<i32, Vec<FetchPartition>> = BTreeMap::new();
    for (&partition, position) in positions.iter().filter(|(_, position)| !position.is_done()) {
        let leader = leaders.get(&partition).copied().unwrap_or(-1);
        by_leader.entry(leader).or_default().push(FetchPartition {
            partition,
            current_leader_epoch: -1,
            fetch_offset: position.next_offset,
            last_fetched_epoch: -1,
            log_start_offset: -1,
            partition_max_bytes: PARTITION_SIZE_BYTES,
            ..FetchPartition::default()
        });
    }
    let mut answers = Vec::new();
    for (leader, partitions) in by_leader {
        let topics = vec![FetchTopic { topic: topic.into(), partitions, ..FetchTopic::default() }];
        let request = FetchRequest {
            replica_id: -1,
            max_wait_ms: WAIT_MS,
            min_bytes: 1,
            max_bytes: ANSWER_SIZE_BYTES,
            session_epoch: -1,
            topics,
            ..FetchRequest::default()
        };
        let response = cluster.call_broker(leader, &request, FETCH_VERSION_MAX)?;
        check("a fetch", response.error_code, None)?;
        for answer in response.responses.into_iter().flat_map(|topic| topic.partitions) {
            check(
                &format!("partition {} of {topic:?}", answer.partition_index),
                answer.error_code,
                None,
            )?;
            answers.push(answer);
        }
    }
    Ok(answers)
}
