//! A consumer: reads all partitions from offset 0, with long polls, and checks all that it is given.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use protocol::error_code::ErrorCode;
use protocol::messages::fetch::{FetchPartition, FetchTopic, PartitionData};
use protocol::messages::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use protocol::messages::{FetchRequest, FetchResponse, ListOffsetsRequest, ListOffsetsResponse};
use protocol::record_batch::Batches;
use reactor::sim::Random;

use crate::client::{ClientError, Connection};
use crate::topic::Topic;
use crate::verdict::Failure;
use crate::workload::Workload;

const RECONNECT_BACKOFF: Duration = Duration::from_millis(50);
/// The last version that names topics, and one with their ids (KIP-516).
const VERSION_BY_NAME: i16 = 12;
const VERSION_BY_ID: i16 = 13;
/// `timestamp` of ListOffsets that asks where the log begins.
const EARLIEST_TIMESTAMP: i64 = -2;
/// `session_epoch` of a request that wants no session (KIP-227).
const NO_SESSION: i32 = -1;
const DECOMPRESSED_SIZE_BYTES_MAX: usize = 16 << 20;

/// What one consumer does.
#[derive(Clone, Debug)]
pub struct ConsumerPlan {
    pub by_topic_id: bool,
    /// It names again only what has changed (KIP-227).
    pub in_session: bool,
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
    topic: Rc<Topic>,
    plan: ConsumerPlan,
    random: Random,
    progress: Rc<Progress>,
    session: Session,
}

/// The fetch session that a consumer is in, and the offsets that it was told of; with epoch 0 it ends, and
/// another begins.
#[derive(Default)]
struct Session {
    id: i32,
    epoch: i32,
    offsets: Vec<i64>,
}

/// Consumes until the run ends, or the topic is known to be gone.
pub async fn consume(
    workload: Rc<Workload>,
    topic: Rc<Topic>,
    plan: ConsumerPlan,
    random: Random,
    progress: Rc<Progress>,
) {
    let session = Session::default();
    let mut consumer = Consumer { workload, topic, plan, random, progress, session };
    while !consumer.workload.has_failed() {
        match consumer.run_connection().await {
            Err(ClientError::Connection(_)) => reactor::sleep(RECONNECT_BACKOFF).await,
            Err(ClientError::Broken(failure)) => consumer.workload.fail(failure),
            Ok(Gone) => return,
        }
    }
}

/// The broker says so of a topic that was deleted.
struct Gone;

impl Consumer {
    async fn run_connection(&mut self) -> Result<Gone, ClientError> {
        let mut connection = self.workload.connect().await?;
        self.session.epoch = 0;
        loop {
            if let Some(gone) = self.fetch(&mut connection).await? {
                return Ok(gone);
            }
        }
    }

    async fn fetch(&mut self, connection: &mut Connection) -> Result<Option<Gone>, ClientError> {
        let is_gone = self.topic.is_gone();
        // What a session says of a topic that may be gone is of no use.
        let in_session = self.plan.in_session && !self.topic.may_be_gone();
        if !in_session {
            self.session.epoch = NO_SESSION;
        }
        let offsets = self.progress.next_offsets();
        let is_told = |partition: usize| {
            self.session.epoch > 0 && self.session.offsets.get(partition) == offsets.get(partition)
        };
        let mut partitions: Vec<FetchPartition> = offsets
            .iter()
            .zip(0..)
            .filter(|(_, partition)| !is_told(*partition as usize))
            .map(|(&fetch_offset, partition)| FetchPartition {
                partition,
                fetch_offset,
                partition_max_bytes: self.plan.partition_size_bytes_max,
                ..FetchPartition::default()
            })
            .collect();
        // The first partitions of a request get their bytes first.
        self.random.shuffle(&mut partitions);
        // The name of a topic that was deleted may be another's already.
        let by_id = self.plan.by_topic_id || self.topic.may_be_gone();
        let request = FetchRequest {
            max_wait_ms: self.plan.wait_max.as_millis() as i32,
            min_bytes: 1,
            max_bytes: self.plan.fetch_size_bytes_max,
            session_id: self.session.id,
            session_epoch: self.session.epoch,
            topics: vec![FetchTopic {
                topic: if by_id {
                    Default::default()
                } else {
                    self.topic.plan.name.as_str().into()
                },
                topic_id: if by_id { self.topic.id.get() } else { Default::default() },
                partitions,
            }],
            ..FetchRequest::default()
        };
        let version = if by_id { VERSION_BY_ID } else { VERSION_BY_NAME };
        let response: FetchResponse = connection.call(&request, version).await?;
        let is_ended = response.error_code == ErrorCode::FetchSessionIdNotFound.code();
        if is_ended && self.session.epoch > 0 {
            self.session = Session::default();
            return Ok(None);
        }
        let epoch = if response.session_id == 0 { 0 } else { self.session.epoch + 1 };
        self.session = Session { id: response.session_id, epoch, offsets };
        if response.error_code != ErrorCode::None.code() {
            return Err(std::io::Error::other("the fetch is refused").into());
        }
        let all = || response.responses.iter().flat_map(|topic| &topic.partitions);
        if is_gone {
            return self.check_gone(all()).map(Some);
        }
        let mut has_refusal = false;
        for data in all() {
            if data.error_code == ErrorCode::OffsetOutOfRange.code() {
                self.reset(connection, data.partition_index).await?;
            } else if data.error_code != ErrorCode::None.code()
                && self.topic.history.borrow().is_damaged(data.partition_index)
            {
                has_refusal = true;
            } else {
                self.take(data)?;
            }
        }
        if has_refusal {
            reactor::sleep(RECONNECT_BACKOFF).await;
        }
        Ok(None)
    }

    /// Answers to a request that was sent after the broker had said that the topic is deleted.
    fn check_gone<'a>(
        &self,
        mut answers: impl Iterator<Item = &'a PartitionData>,
    ) -> Result<Gone, ClientError> {
        let is_served = |data: &&PartitionData| data.error_code == ErrorCode::None.code();
        let served = answers.find(is_served);
        match served {
            Some(data) => {
                let what = format!("a deleted topic is served: {data:?}");
                Err(Failure::broken(5, what).into())
            }
            None => Ok(Gone),
        }
    }

    /// Goes on where the log begins, as `auto.offset.reset=earliest` has it.
    async fn reset(&self, connection: &mut Connection, partition: i32) -> Result<(), ClientError> {
        let at = self.progress.next_offsets()[partition as usize];
        let partition_index = partition;
        let asked = ListOffsetsPartition {
            partition_index,
            timestamp: EARLIEST_TIMESTAMP,
            ..ListOffsetsPartition::default()
        };
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: vec![ListOffsetsTopic {
                name: self.topic.plan.name.as_str().into(),
                partitions: vec![asked],
            }],
            ..ListOffsetsRequest::default()
        };
        let response: ListOffsetsResponse = connection.call(&request, 7).await?;
        let found = response.topics.first().and_then(|topic| topic.partitions.first());
        let Some(found) = found.filter(|found| found.error_code == ErrorCode::None.code()) else {
            return Err(std::io::Error::other("no log start offset").into());
        };
        // By name: where the topic may have been deleted, this may be another one's.
        if !self.topic.may_be_gone() {
            self.topic.history.borrow_mut().skipped(partition, at, found.offset)?;
            if let Some(position) = self.progress.positions.borrow_mut().get_mut(partition as usize)
            {
                position.next_offset = position.next_offset.max(found.offset);
            }
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
        if data.log_start_offset > data.high_watermark {
            let what = format!(
                "partition={partition} log_start_offset={} above high_watermark={}",
                data.log_start_offset, data.high_watermark
            );
            return Err(Failure::broken(1, what).into());
        }
        self.topic.history.borrow_mut().begins_at(partition, data.log_start_offset)?;
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
        let mut history = self.topic.history.borrow_mut();
        let bad = |what: String| Failure::broken(2, format!("partition={partition} {what}"));
        for batch in Batches::new(bytes) {
            let batch = batch.map_err(|error| bad(format!("no batch: {error}")))?;
            batch.verify_crc().map_err(|error| bad(error.to_string()))?;
            if batch.header().base_offset.0 > next_offset && !history.is_compacted() {
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
            // Compaction may have taken its last records.
            next_offset = next_offset.max(batch.header().next_offset().0);
        }
        Ok(next_offset)
    }
}
