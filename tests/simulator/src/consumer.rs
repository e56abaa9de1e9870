//! A consumer: reads all partitions from offset 0, with long polls, and checks all that it is given.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use protocol::error_code::ErrorCode;
use protocol::messages::fetch::{FetchPartition, FetchTopic, PartitionData};
use protocol::messages::{FetchRequest, FetchResponse};
use protocol::record_batch::Batches;
use reactor::sim::Random;

use crate::client::{ClientError, Connection};
use crate::verdict::Failure;
use crate::workload::{TOPIC, Workload};

const RECONNECT_BACKOFF: Duration = Duration::from_millis(50);
/// The last version that names topics, and one with their ids (KIP-516).
const VERSION_BY_NAME: i16 = 12;
const VERSION_BY_ID: i16 = 13;
/// `session_epoch` of a request that wants no session (KIP-227).
const NO_SESSION: i32 = -1;
const DECOMPRESSED_SIZE_BYTES_MAX: usize = 16 << 20;

/// What one consumer does.
#[derive(Clone, Debug)]
pub struct ConsumerPlan {
    pub by_topic_id: bool,
    pub wait_max: Duration,
    pub fetch_size_bytes_max: i32,
    pub partition_size_bytes_max: i32,
}

/// How far one consumer has come. Shared with the run, which waits for it.
pub struct Progress {
    positions: RefCell<Vec<Position>>,
}

#[derive(Clone, Copy, Default)]
struct Position {
    next_offset: i64,
    high_watermark: i64,
}

impl Progress {
    pub fn new(partition_count: i32) -> Rc<Self> {
        let positions = vec![Position::default(); partition_count as usize];
        Rc::new(Progress { positions: RefCell::new(positions) })
    }

    /// Whether everything below `ends` was read.
    pub fn has_reached(&self, ends: &[i64]) -> bool {
        self.positions.borrow().iter().zip(ends).all(|(at, end)| at.next_offset >= *end)
    }

    pub fn next_offsets(&self) -> Vec<i64> {
        self.positions.borrow().iter().map(|position| position.next_offset).collect()
    }
}

struct Consumer {
    workload: Rc<Workload>,
    plan: ConsumerPlan,
    random: Random,
    progress: Rc<Progress>,
}

/// Consumes until the run ends.
pub async fn consume(
    workload: Rc<Workload>,
    plan: ConsumerPlan,
    random: Random,
    progress: Rc<Progress>,
) {
    let mut consumer = Consumer { workload, plan, random, progress };
    while !consumer.workload.has_failed() {
        match consumer.run_connection().await {
            Err(ClientError::Connection(_)) => reactor::sleep(RECONNECT_BACKOFF).await,
            Err(ClientError::Broken(failure)) => consumer.workload.fail(failure),
            Ok(never) => match never {},
        }
    }
}

/// A connection is used until it breaks.
enum Never {}

impl Consumer {
    async fn run_connection(&mut self) -> Result<Never, ClientError> {
        let mut connection = self.workload.connect().await?;
        loop {
            self.fetch(&mut connection).await?;
        }
    }

    async fn fetch(&mut self, connection: &mut Connection) -> Result<(), ClientError> {
        let mut partitions: Vec<FetchPartition> = self
            .progress
            .next_offsets()
            .into_iter()
            .zip(0..)
            .map(|(fetch_offset, partition)| FetchPartition {
                partition,
                fetch_offset,
                partition_max_bytes: self.plan.partition_size_bytes_max,
                ..FetchPartition::default()
            })
            .collect();
        // The first partitions of a request get their bytes first.
        self.random.shuffle(&mut partitions);
        let by_id = self.plan.by_topic_id;
        let request = FetchRequest {
            max_wait_ms: self.plan.wait_max.as_millis() as i32,
            min_bytes: 1,
            max_bytes: self.plan.fetch_size_bytes_max,
            session_epoch: NO_SESSION,
            topics: vec![FetchTopic {
                topic: if by_id { Default::default() } else { TOPIC.into() },
                topic_id: if by_id { self.workload.topic_id.get() } else { Default::default() },
                partitions,
            }],
            ..FetchRequest::default()
        };
        let version = if by_id { VERSION_BY_ID } else { VERSION_BY_NAME };
        let response: FetchResponse = connection.call(&request, version).await?;
        if response.error_code != ErrorCode::None.code() {
            return Err(std::io::Error::other("the fetch is refused").into());
        }
        for data in response.responses.iter().flat_map(|topic| &topic.partitions) {
            self.take(data)?;
        }
        Ok(())
    }

    fn take(&self, data: &PartitionData) -> Result<(), ClientError> {
        let partition = data.partition_index;
        let mut positions = self.progress.positions.borrow_mut();
        let Some(position) = positions.get_mut(partition as usize) else {
            let what = format!("partition {partition} was not asked for");
            return Err(Failure::broken(12, what).into());
        };
        let error = ErrorCode::try_from(data.error_code).unwrap_or(ErrorCode::UnknownServerError);
        match error {
            ErrorCode::None => {}
            error if error.is_retriable() => return Err(std::io::Error::other(error).into()),
            error => {
                // Nothing deletes records here: what was read stays, and so does where it ended.
                let what = format!("partition={partition} {error} at {}", position.next_offset);
                return Err(Failure::broken(2, what).into());
            }
        }
        if data.high_watermark < position.high_watermark {
            let what = format!(
                "partition={partition} high_watermark={} after {}",
                data.high_watermark, position.high_watermark
            );
            return Err(Failure::broken(9, what).into());
        }
        position.high_watermark = data.high_watermark;
        if let Some(records) = &data.records {
            let read = self.read(partition, position.next_offset, records.contiguous())?;
            if read > data.high_watermark {
                let what = format!(
                    "partition={partition} records up to {read} above high_watermark={}",
                    data.high_watermark
                );
                return Err(Failure::broken(2, what).into());
            }
            position.next_offset = read;
        }
        Ok(())
    }

    /// Checks the records from `next_offset` on; returns the offset behind the last.
    fn read(
        &self,
        partition: i32,
        mut next_offset: i64,
        bytes: bytes::Bytes,
    ) -> Result<i64, Failure> {
        let mut history = self.workload.history.borrow_mut();
        let bad = |what: String| Failure::broken(2, format!("partition={partition} {what}"));
        for batch in Batches::new(bytes) {
            let batch = batch.map_err(|error| bad(format!("no batch: {error}")))?;
            batch.verify_crc().map_err(|error| bad(error.to_string()))?;
            if batch.header().base_offset.0 > next_offset {
                let what = format!(
                    "partition={partition} offset={next_offset} is missing: the next batch is at {}",
                    batch.header().base_offset
                );
                return Err(Failure::broken(4, what));
            }
            let records = batch
                .records(DECOMPRESSED_SIZE_BYTES_MAX)
                .map_err(|error| bad(error.to_string()))?;
            for record in records {
                let record = record.map_err(|error| bad(error.to_string()))?;
                // A batch is given whole: it may begin before what was asked for.
                if record.offset.0 >= next_offset {
                    history.read(partition, &record)?;
                    next_offset = record.offset.0 + 1;
                }
            }
        }
        Ok(next_offset)
    }
}
