//! The frames of a workload, encoded once and sent again and again.

use anyhow::{Context, Result};
use protocol::header;
use protocol::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use protocol::model::TimestampMs;
use protocol::record_batch::{BatchBuilder, BatchOptions};
use protocol::wire::Records;

use super::topic::Topic;
use super::workload::Workload;

/// The last version that names topics, so that a frame needs no id of the broker's.
pub const PRODUCE_VERSION: i16 = 12;

/// Behind the frame's length, the API's key and version.
const CORRELATION_ID_POSITION: usize = 8;

/// What a record takes beside its key, value and headers. Source: `DefaultRecord.MAX_RECORD_OVERHEAD`.
const RECORD_OVERHEAD_BYTES_MAX: usize = 21;

/// acks=all: what is acknowledged is durable at every broker that promises so.
const ACKS_ALL: i16 = -1;
const PRODUCE_TIMEOUT_MS: i32 = 30_000;

/// A whole request. Only its correlation id changes from one time it is sent to the next.
pub struct Frame {
    bytes: Vec<u8>,
    pub partition: i32,
    pub record_count: i32,
}

impl Workload {
    /// One frame for each partition of `topic`.
    pub fn frames(&self, topic: &Topic, now: TimestampMs) -> Result<Vec<Frame>> {
        (0..topic.partition_count).map(|partition| self.frame(topic, partition, now)).collect()
    }

    fn frame(&self, topic: &Topic, partition: i32, now: TimestampMs) -> Result<Frame> {
        // Letters in no order, so that nothing on the way can make them fewer.
        let mut noise = Noise(0x9e37_79b9_7f4a_7c15 ^ (partition as u64 + 1));
        let mut batch = BatchBuilder::new(BatchOptions::default());
        let room = |batch: &BatchBuilder| {
            let larger = batch.size_bytes() + self.record_size_bytes + RECORD_OVERHEAD_BYTES_MAX;
            larger <= self.batch_size_bytes_max
        };
        while batch.record_count() == 0 || room(&batch) {
            let value: Vec<u8> = (0..self.record_size_bytes).map(|_| noise.letter()).collect();
            batch.append(now, None, Some(&value), &[]);
        }
        let record_count = batch.record_count();
        let request = ProduceRequest {
            transactional_id: None,
            acks: ACKS_ALL,
            timeout_ms: PRODUCE_TIMEOUT_MS,
            topic_data: vec![TopicProduceData {
                name: topic.name.as_str().into(),
                partition_data: vec![PartitionProduceData {
                    index: partition,
                    records: Some(Records::from(batch.build())),
                }],
                ..Default::default()
            }],
        };
        let encoded = header::encode_request(0, Some("millrace-bench"), &request, PRODUCE_VERSION)
            .context("a produce request")?;
        Ok(Frame { bytes: encoded.contiguous().to_vec(), partition, record_count })
    }
}

impl Frame {
    /// The request's bytes with this correlation id.
    pub fn with_correlation_id(&mut self, correlation_id: i32) -> &[u8] {
        let end = CORRELATION_ID_POSITION + size_of::<i32>();
        self.bytes[CORRELATION_ID_POSITION..end].copy_from_slice(&correlation_id.to_be_bytes());
        &self.bytes
    }
}

/// xorshift64: the same bytes in each run.
struct Noise(u64);

impl Noise {
    fn letter(&mut self) -> u8 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        b'a' + (self.0 >> 32) as u8 % 26
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use protocol::wire::{Decoder, Message};

    #[test]
    fn a_frame_says_what_its_workload_says() {
        let topic = Topic { name: "t".to_owned(), partition_count: 2 };
        for (name, records) in [("P1", 126), ("P1b/8", 15), ("P2/32", 1), ("P5", 1)] {
            let workload = Workload::named(name).unwrap();
            let mut frames = workload.frames(&topic, TimestampMs(1)).unwrap();
            let frame = &mut frames[1];
            assert_eq!(frame.record_count, records, "{}", workload.name);
            let bytes = Bytes::copy_from_slice(frame.with_correlation_id(77));
            let length = i32::from_be_bytes(*bytes.first_chunk().unwrap());
            assert_eq!(length as usize, bytes.len() - 4, "{}", workload.name);
            let mut decoder = Decoder::new(bytes.slice(4..));
            let (_, header) = header::decode_request_header(&mut decoder).unwrap();
            assert_eq!(header.correlation_id, 77);
            let request = ProduceRequest::decode(&mut decoder, PRODUCE_VERSION).unwrap();
            assert_eq!(request.topic_data[0].partition_data[0].index, 1);
            decoder.finish().unwrap();
        }
    }
}
