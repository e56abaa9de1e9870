//! Batches on their way to the leaders of a topic's partitions, each acknowledged once.

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};
use bytes::Bytes;
use client::{ClientError, Cluster, check};
use protocol::error_code::ErrorCode;
use protocol::messages::init_producer_id::InitProducerIdRequest;
use protocol::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use protocol::model::{ProducerEpoch, ProducerId, Sequence, TimestampMs};
use protocol::record_batch::{BatchBuilder, BatchOptions, BatchProducer, Compression};

use super::partitioner::partition_of_key;
use crate::cli::lines::Line;
use crate::cli::storage::wall_clock_ms;

/// Records of a batch before compression: half of what max.message.bytes allows by default.
const BATCH_SIZE_BYTES: usize = 512 << 10;

/// Of all batches together, before they are sent.
const GATHERED_SIZE_BYTES_MAX: usize = 8 << 20;

/// The newest version that names topics instead of telling their ids.
const PRODUCE_VERSION_MAX: i16 = 12;

/// Of every in-sync replica.
const ACKS_OF_ALL: i16 = -1;

pub struct Producer {
    cluster: Cluster,
    topic: String,
    compression: Compression,
    id: ProducerId,
    epoch: ProducerEpoch,
    partition_count: i32,
    /// Where records without a key go now.
    turn: i32,
    gathered: BTreeMap<i32, BatchBuilder>,
    gathered_size_bytes: usize,
    /// How many records each partition has acknowledged: its next sequence, too.
    acknowledged: BTreeMap<i32, u64>,
}

/// A batch that is built, so that it is the same each time it is sent.
struct Batch {
    bytes: Bytes,
    record_count: i32,
}

impl Producer {
    /// Gets an id that tells records that are sent twice. The topic has to be there.
    pub fn open(mut cluster: Cluster, topic: &str, compression: Compression) -> Result<Producer> {
        let partition_count = cluster.retry(|cluster| {
            let metadata = cluster.metadata(Some(&[topic]))?;
            let topic = metadata.topics.first();
            Ok(topic.map_or((ErrorCode::UnknownTopicOrPartition.code(), 0), |topic| {
                (topic.error_code, topic.partitions.len())
            }))
        })?;
        let (error_code, partition_count) = partition_count;
        if error_code == ErrorCode::UnknownTopicOrPartition.code() {
            bail!("there is no topic {topic:?}; millrace topic create {topic} makes it");
        }
        check(&format!("topic {topic:?}"), error_code, None)?;
        let request = InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: i32::MAX,
            producer_id: -1,
            producer_epoch: -1,
            ..InitProducerIdRequest::default()
        };
        let given = cluster.retry(|cluster| {
            let given = cluster.call(&request)?;
            check("a producer's id", given.error_code, None)?;
            Ok(given)
        })?;
        Ok(Producer {
            cluster,
            topic: topic.to_owned(),
            compression,
            id: ProducerId(given.producer_id),
            epoch: ProducerEpoch(given.producer_epoch),
            partition_count: i32::try_from(partition_count)?,
            turn: 0,
            gathered: BTreeMap::new(),
            gathered_size_bytes: 0,
            acknowledged: BTreeMap::new(),
        })
    }

    /// Records that are acknowledged, by partition.
    pub fn acknowledged(&self) -> &BTreeMap<i32, u64> {
        &self.acknowledged
    }

    pub fn acknowledged_count(&self) -> u64 {
        self.acknowledged.values().sum()
    }

    /// Takes `record`; it is on its way after the next [`Producer::flush`] at the latest.
    pub fn append(&mut self, record: Line) -> Result<()> {
        let partition = match (record.partition, &record.key) {
            (Some(partition), _) => partition,
            (None, Some(key)) => partition_of_key(key, self.partition_count),
            (None, None) => self.turn,
        };
        ensure!(
            partition < self.partition_count,
            "topic {} has no partition {partition}: it has {}",
            self.topic,
            self.partition_count
        );
        let field = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let headers = record.headers.iter().map(|(name, value)| name.len() + field(value));
        let size = field(&record.key) + field(&record.value) + headers.sum::<usize>();
        let batch = self.gathered.get(&partition).map_or(0, BatchBuilder::size_bytes);
        if batch > 0 && batch + size > BATCH_SIZE_BYTES
            || self.gathered_size_bytes + size > GATHERED_SIZE_BYTES_MAX
        {
            self.flush()?;
        }
        let options = self.options_for(partition);
        let batch = self.gathered.entry(partition).or_insert_with(|| BatchBuilder::new(options));
        let before = batch.size_bytes();
        let timestamp = match record.timestamp_ms {
            Some(timestamp) => timestamp,
            None => wall_clock_ms()?,
        };
        let headers: Vec<(&[u8], Option<&[u8]>)> = record
            .headers
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_deref()))
            .collect();
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        batch.append(TimestampMs(timestamp), key, value, &headers);
        let added = batch.size_bytes() - before;
        self.gathered_size_bytes += added;
        // The next partition's turn comes with a full batch, or when this one is sent.
        let is_in_turn = record.partition.is_none() && record.key.is_none();
        if is_in_turn && before + added > BATCH_SIZE_BYTES / 2 {
            self.turn = (self.turn + 1) % self.partition_count;
        }
        Ok(())
    }

    fn options_for(&self, partition: i32) -> BatchOptions {
        let acknowledged = self.acknowledged.get(&partition).copied().unwrap_or(0);
        // Sequences begin again behind the largest: see `Sequence::plus`.
        let base_sequence = Sequence((acknowledged % (1 << 31)) as i32);
        BatchOptions {
            compression: self.compression,
            producer: Some(BatchProducer {
                id: self.id,
                epoch: self.epoch,
                base_sequence: Some(base_sequence),
            }),
            ..BatchOptions::default()
        }
    }

    /// Sends all that was taken; on return it is acknowledged. Errors: what the cluster refuses, or
    /// still refuses after the deadline.
    pub fn flush(&mut self) -> Result<(), ClientError> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let build = |(partition, builder): (i32, BatchBuilder)| {
            let record_count = builder.record_count();
            (partition, Batch { bytes: builder.build(), record_count })
        };
        let mut waiting: BTreeMap<i32, Batch> =
            std::mem::take(&mut self.gathered).into_iter().map(build).collect();
        self.gathered_size_bytes = 0;
        self.turn = (self.turn + 1) % self.partition_count;
        let Producer { cluster, topic, acknowledged, .. } = self;
        cluster.retry(|cluster| send(cluster, topic, &mut waiting, acknowledged))
    }
}

/// Sends `waiting` to the leaders, and moves what they acknowledge to `acknowledged`.
fn send(
    cluster: &mut Cluster,
    topic: &str,
    waiting: &mut BTreeMap<i32, Batch>,
    acknowledged: &mut BTreeMap<i32, u64>,
) -> Result<(), ClientError> {
    let metadata = cluster.metadata(Some(&[topic]))?;
    let mut by_leader: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for described in &metadata.topics {
        check(&format!("topic {topic:?}"), described.error_code, None)?;
        for partition in &described.partitions {
            if waiting.contains_key(&partition.partition_index) {
                let index = partition.partition_index;
                by_leader.entry(partition.leader_id).or_default().push(index);
            }
        }
    }
    for (leader, partitions) in by_leader {
        if leader < 0 {
            let what = format!("partitions {partitions:?} of {topic:?}");
            check(&what, ErrorCode::LeaderNotAvailable.code(), None)?;
        }
        let data = |index: &i32| PartitionProduceData {
            index: *index,
            records: waiting.get(index).map(|batch| batch.bytes.clone().into()),
        };
        let request = ProduceRequest {
            transactional_id: None,
            acks: ACKS_OF_ALL,
            timeout_ms: i32::try_from(cluster.deadline().as_millis()).unwrap_or(i32::MAX),
            topic_data: vec![TopicProduceData {
                name: topic.into(),
                partition_data: partitions.iter().map(data).collect(),
                ..TopicProduceData::default()
            }],
        };
        let response = cluster.call_broker(leader, &request, PRODUCE_VERSION_MAX)?;
        let mut refused = Ok(());
        for answer in response.responses.iter().flat_map(|topic| &topic.partition_responses) {
            // It was written before, and the answer was lost.
            let is_there = answer.error_code == ErrorCode::DuplicateSequenceNumber.code();
            let what = format!("partition {} of {topic:?}", answer.index);
            match check(&what, answer.error_code, answer.error_message.as_deref()) {
                Err(error) if !is_there => {
                    // Of several the one that asking again does not help.
                    if refused.as_ref().err().is_none_or(ClientError::is_retriable) {
                        refused = Err(error);
                    }
                }
                _ => {
                    if let Some(batch) = waiting.remove(&answer.index) {
                        *acknowledged.entry(answer.index).or_default() +=
                            u64::from(batch.record_count.unsigned_abs());
                    }
                }
            }
        }
        refused?;
    }
    match waiting.is_empty() {
        true => Ok(()),
        false => check(&format!("topic {topic:?}"), ErrorCode::LeaderNotAvailable.code(), None),
    }
}
