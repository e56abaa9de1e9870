//! How far a group is behind, in records and in time.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use client::{ClientError, Cluster, check};
use protocol::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use protocol::messages::metadata::MetadataResponsePartition;
use protocol::record_batch::Batches;

use crate::cli::offsets::{At, offsets};

/// The newest version that names topics instead of telling their ids.
const FETCH_VERSION_MAX: i16 = 12;

/// Far above what a batch that a broker takes by default decompresses to.
const DECOMPRESSED_SIZE_BYTES_MAX: usize = 1 << 30;

/// A partition's log as its leader tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    pub leader: i32,
    pub start_offset: i64,
    pub end_offset: i64,
}

/// The logs of `topic` that have a leader, by partition; none where there is no such topic.
pub fn logs(cluster: &mut Cluster, topic: &str) -> Result<BTreeMap<i32, Log>, ClientError> {
    cluster.retry(|cluster| {
        let Some(partitions) = partitions(cluster, topic)? else { return Ok(BTreeMap::new()) };
        let starts = offsets(cluster, topic, &partitions, At::Beginning)?;
        let ends = offsets(cluster, topic, &partitions, At::End)?;
        let log = |partition: &MetadataResponsePartition| {
            let index = partition.partition_index;
            let (start_offset, end_offset) = (*starts.get(&index)?, *ends.get(&index)?);
            Some((index, Log { leader: partition.leader_id, start_offset, end_offset }))
        };
        Ok(partitions.iter().filter_map(log).collect())
    })
}

/// The partitions of `topic`; `None` where there is no such topic.
pub fn partitions(
    cluster: &mut Cluster,
    topic: &str,
) -> Result<Option<Vec<MetadataResponsePartition>>, ClientError> {
    let mut topics = cluster.metadata(Some(&[topic]))?.topics;
    let described = topics.pop().unwrap_or_default();
    match check(&format!("topic {topic:?}"), described.error_code, None) {
        Ok(()) => Ok(Some(described.partitions)),
        Err(error) => match error.code() {
            Some(protocol::error_code::ErrorCode::UnknownTopicOrPartition) => Ok(None),
            _ => Err(error),
        },
    }
}

/// The timestamp of the first record of `log` at `offset` or behind it, where there is one with a
/// timestamp. Markers of transactions are no records, and of a compacted log many offsets have none.
/// Reads as many batches as it takes, which is one but for those.
pub fn first_timestamp_ms(
    cluster: &mut Cluster,
    topic: &str,
    partition: i32,
    log: Log,
    offset: i64,
) -> Result<Option<i64>> {
    let mut next_offset = offset.max(log.start_offset);
    while next_offset < log.end_offset {
        let what = || format!("partition {partition} of {topic}");
        let records = fetch(cluster, topic, partition, log.leader, next_offset)?;
        let before = next_offset;
        for batch in Batches::new(records) {
            let batch = batch.with_context(what)?;
            batch.verify_crc().with_context(what)?;
            if !batch.header().is_control() {
                for record in batch.records(DECOMPRESSED_SIZE_BYTES_MAX).with_context(what)? {
                    let record = record.with_context(what)?;
                    if record.offset.0 >= next_offset {
                        return Ok(Some(record.timestamp.0).filter(|it| *it >= 0));
                    }
                }
            }
            next_offset = next_offset.max(batch.header().next_offset().0);
        }
        if next_offset == before {
            return Ok(None);
        }
    }
    Ok(None)
}

/// The batch that has `offset`, or the next one.
fn fetch(
    cluster: &mut Cluster,
    topic: &str,
    partition: i32,
    leader: i32,
    offset: i64,
) -> Result<bytes::Bytes, ClientError> {
    let asked = FetchPartition {
        partition,
        current_leader_epoch: -1,
        fetch_offset: offset,
        last_fetched_epoch: -1,
        log_start_offset: -1,
        // The first batch comes whole however large it is.
        partition_max_bytes: 1,
        ..FetchPartition::default()
    };
    let topics =
        vec![FetchTopic { topic: topic.into(), partitions: vec![asked], ..FetchTopic::default() }];
    let request = FetchRequest {
        replica_id: -1,
        max_wait_ms: 0,
        min_bytes: 0,
        max_bytes: 1,
        session_epoch: -1,
        topics,
        ..FetchRequest::default()
    };
    let response = cluster.call_broker(leader, &request, FETCH_VERSION_MAX)?;
    check("a fetch", response.error_code, None)?;
    let mut answers = response.responses.into_iter().flat_map(|topic| topic.partitions);
    let answer = answers.next().unwrap_or_default();
    check(&format!("partition {partition} of {topic:?}"), answer.error_code, None)?;
    Ok(answer.records.map(|records| records.contiguous()).unwrap_or_default())
}
