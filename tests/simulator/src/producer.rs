//! A producer: idempotent with several requests in flight and retries, or plain without them.

use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use protocol::error_code::ErrorCode;
use protocol::messages::produce::{
    PartitionProduceData, PartitionProduceResponse, TopicProduceData,
};
use protocol::messages::{
    InitProducerIdRequest, InitProducerIdResponse, ProduceRequest, ProduceResponse,
};
use protocol::model::{ProducerEpoch, ProducerId, Sequence, TimestampMs};
use protocol::record_batch::{BatchBuilder, BatchOptions, BatchProducer, Compression};
use reactor::sim::Random;

use crate::client::{ClientError, Connection};
use crate::record::{Keying, NAME_HEADER, ProducerIdentity, RecordId};
use crate::topic::Topic;
use crate::verdict::Failure;
use crate::workload::Workload;

/// `max.in.flight.requests.per.connection` of an idempotent Kafka producer: as many batches as a broker
/// remembers to tell a retry.
pub const IN_FLIGHT_MAX: usize = 5;
/// What a broken connection has to send again is small enough to get through between two breaks.
const REQUEST_PARTITION_COUNT_MAX: usize = 3;
const RECONNECT_BACKOFF: Duration = Duration::from_millis(50);
/// The last version that names topics, and the first with their ids (KIP-516).
const VERSION_BY_NAME: i16 = 12;
const VERSION_BY_ID: i16 = 13;
const ALL_IN_SYNC: i16 = -1;

/// What one producer does.
#[derive(Clone, Debug)]
pub struct ProducerPlan {
    pub index: u32,
    pub idempotent: bool,
    pub in_flight_max: usize,
    /// Its share of each round of the workload.
    pub round_batch_count: usize,
    pub batch_record_count_max: u64,
    pub value_size_bytes_max: u64,
    /// It waits for up to this between two batches.
    pub pause_max: Duration,
    pub by_topic_id: bool,
    pub compression: Compression,
}

struct Batch {
    numbers: Range<u64>,
    bytes: Bytes,
}

#[derive(Default)]
struct Partition {
    next_number: u64,
    /// Sent or to be sent again, oldest first.
    unacknowledged: VecDeque<Batch>,
}

/// The partitions of a request in flight.
type Request = Vec<i32>;

struct Producer {
    workload: Rc<Workload>,
    topic: Rc<Topic>,
    plan: ProducerPlan,
    random: Random,
    identity: ProducerIdentity,
    /// Given by the broker, once, to an idempotent producer.
    id: Option<(ProducerId, ProducerEpoch)>,
    partitions: Vec<Partition>,
    batches_made: usize,
}

/// Produces until the workload drains and everything is acknowledged, until the topic is gone, or until
/// the run has failed.
pub async fn produce(workload: Rc<Workload>, topic: Rc<Topic>, plan: ProducerPlan, random: Random) {
    let identity = ProducerIdentity {
        topic: topic.number,
        index: plan.index,
        generation: 0,
        idempotent: plan.idempotent,
    };
    let partitions = (0..topic.plan.partition_count).map(|_| Partition::default()).collect();
    let mut producer =
        Producer { workload, topic, plan, random, identity, id: None, partitions, batches_made: 0 };
    while !producer.is_done() {
        match producer.run_connection().await {
            Ok(()) => {}
            Err(ClientError::Connection(_)) => {
                producer.connection_lost();
                reactor::sleep(RECONNECT_BACKOFF).await;
            }
            Err(ClientError::Broken(failure)) => producer.workload.fail(failure),
        }
    }
}

impl Producer {
    fn has_more(&self) -> bool {
        let share = self.plan.round_batch_count * self.workload.round.get();
        !self.workload.is_draining() && self.batches_made < share
    }

    /// All is acknowledged that it has sent, and more will not be; or nobody wants it any more.
    fn is_done(&self) -> bool {
        let waits = |(partition, index): (&Partition, i32)| {
            let is_damaged = self.topic.history.borrow().is_damaged(index);
            !is_damaged && !partition.unacknowledged.is_empty()
        };
        self.workload.has_failed()
            || self.topic.is_gone()
            || (self.workload.is_draining() && !self.partitions.iter().zip(0..).any(waits))
    }

    /// Nobody knows what became of the batches in flight. An idempotent producer sends them again; a
    /// plain one never does, and goes on under a new name: what the old connection has still on its way
    /// may take effect after what the new one sends.
    fn connection_lost(&mut self) {
        if !self.plan.idempotent {
            self.identity.generation += 1;
            for partition in &mut self.partitions {
                *partition = Partition::default();
            }
        }
    }

    /// Works on one connection until all is done, or it breaks.
    async fn run_connection(&mut self) -> Result<(), ClientError> {
        let mut connection = self.workload.connect().await?;
        if self.plan.idempotent && self.id.is_none() {
            self.id = Some(self.init_producer_id(&mut connection).await?);
        }
        let mut in_flight = VecDeque::new();
        // How many batches of each partition are in flight on this connection.
        let mut sent = vec![0; self.partitions.len()];
        loop {
            while in_flight.len() < self.plan.in_flight_max {
                let Some(request) = self.next_request(&sent) else { break };
                self.send(&mut connection, &request, &mut sent).await?;
                in_flight.push_back(request);
            }
            let Some(request) = in_flight.pop_front() else {
                let changed = self.workload.round_changed.notified();
                if self.is_done() {
                    return Ok(());
                }
                if !self.has_more() {
                    changed.await;
                }
                continue;
            };
            let response: ProduceResponse = connection.receive().await?;
            self.take_answer(&request, &response, &mut sent)?;
        }
    }

    async fn init_producer_id(
        &self,
        connection: &mut Connection,
    ) -> Result<(ProducerId, ProducerEpoch), ClientError> {
        let request = InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: 1,
            ..InitProducerIdRequest::default()
        };
        let response: InitProducerIdResponse = connection.call(&request, 4).await?;
        if response.error_code != ErrorCode::None.code() {
            return Err(std::io::Error::other("no producer id yet").into());
        }
        self.workload.given_producer_id(response.producer_id)?;
        Ok((ProducerId(response.producer_id), ProducerEpoch(response.producer_epoch)))
    }

    /// The partitions whose next batches make the next request: first those that wait to be sent again.
    fn next_request(&mut self, sent: &[usize]) -> Option<Request> {
        let waiting = |partitions: &[Partition]| -> Request {
            let waits = |&index: &usize| sent[index] < partitions[index].unacknowledged.len();
            let waiting = (0..partitions.len()).filter(waits).map(|index| index as i32);
            waiting.take(REQUEST_PARTITION_COUNT_MAX).collect()
        };
        let again = waiting(&self.partitions);
        if !again.is_empty() {
            return Some(again);
        }
        if !self.has_more() {
            return None;
        }
        for _ in 0..self.random.within(1..REQUEST_PARTITION_COUNT_MAX as u64 + 1) {
            let partition = self.random.index(self.partitions.len());
            // One batch of a partition in a request, and no more in flight than the broker remembers.
            if self.partitions[partition].unacknowledged.len() == sent[partition]
                && sent[partition] < IN_FLIGHT_MAX
            {
                self.make_batch(partition);
            }
        }
        let fresh = waiting(&self.partitions);
        (!fresh.is_empty()).then_some(fresh)
    }

    fn make_batch(&mut self, partition: usize) {
        let first = self.partitions[partition].next_number;
        let count = self.random.within(1..self.plan.batch_record_count_max + 1);
        let producer = self.id.map(|(id, epoch)| BatchProducer {
            id,
            epoch,
            base_sequence: Some(Sequence(first as i32)),
        });
        let compression = self.plan.compression;
        let mut builder =
            BatchBuilder::new(BatchOptions { compression, producer, ..BatchOptions::default() });
        let now = TimestampMs(reactor::wall_clock());
        for number in first..first + count {
            let id = RecordId { producer: self.identity, number };
            let size_bytes = self.random.within(1..self.plan.value_size_bytes_max + 1) as usize;
            let (name, value) = (id.key(), id.value(size_bytes));
            match self.topic.plan.role.keying() {
                Keying::Own => builder.append(now, Some(&name), Some(&value), &[]),
                Keying::Few(key_count) => {
                    let key = id.key_among(key_count).to_be_bytes();
                    let value = (!id.is_tombstone()).then_some(&value[..]);
                    builder.append(now, Some(&key), value, &[(NAME_HEADER, Some(&name))]);
                }
            }
        }
        let batch = Batch { numbers: first..first + count, bytes: builder.build() };
        self.partitions[partition].next_number = batch.numbers.end;
        self.partitions[partition].unacknowledged.push_back(batch);
        self.batches_made += 1;
    }

    async fn send(
        &mut self,
        connection: &mut Connection,
        request: &Request,
        sent: &mut [usize],
    ) -> Result<(), ClientError> {
        if !self.plan.pause_max.is_zero() {
            reactor::sleep(self.random.span(&(Duration::ZERO..self.plan.pause_max))).await;
        }
        let mut partition_data = Vec::with_capacity(request.len());
        for &index in request {
            let slot = index as usize;
            let batch = &self.partitions[slot].unacknowledged[sent[slot]];
            sent[slot] += 1;
            tracing::debug!(
                topic = self.topic.number, index, producer = ?self.identity, numbers = ?batch.numbers,
                "sent"
            );
            let records = Some(batch.bytes.clone().into());
            partition_data.push(PartitionProduceData { index, records });
        }
        let by_id = self.plan.by_topic_id;
        let topic = TopicProduceData {
            name: if by_id { Default::default() } else { self.topic.plan.name.as_str().into() },
            topic_id: if by_id { self.topic.id.get() } else { Default::default() },
            partition_data,
        };
        let request = ProduceRequest {
            transactional_id: None,
            acks: ALL_IN_SYNC,
            timeout_ms: self.workload.request_timeout.as_millis() as i32,
            topic_data: vec![topic],
        };
        connection.send(&request, if by_id { VERSION_BY_ID } else { VERSION_BY_NAME }).await
    }

    fn take_answer(
        &mut self,
        request: &Request,
        response: &ProduceResponse,
        sent: &mut [usize],
    ) -> Result<(), ClientError> {
        let answers: Vec<&PartitionProduceResponse> =
            response.responses.iter().flat_map(|topic| &topic.partition_responses).collect();
        let answered: Vec<i32> = answers.iter().map(|answer| answer.index).collect();
        if answered != *request {
            let what = format!("partitions {answered:?} are answered of {request:?}");
            return Err(Failure::broken(12, what).into());
        }
        for answer in answers {
            self.take_result(answer)?;
            sent[answer.index as usize] -= 1;
        }
        Ok(())
    }

    /// Takes the result of a partition's oldest batch. Any error ends the connection: what follows in
    /// flight would be out of sequence.
    fn take_result(&mut self, answer: &PartitionProduceResponse) -> Result<(), ClientError> {
        let partition = &mut self.partitions[answer.index as usize];
        let error = ErrorCode::try_from(answer.error_code).unwrap_or(ErrorCode::UnknownServerError);
        let identity = self.identity;
        let ids =
            |batch: Batch| batch.numbers.map(move |number| RecordId { producer: identity, number });
        let mut history = self.topic.history.borrow_mut();
        match error {
            ErrorCode::None => {
                let batch = partition.unacknowledged.pop_front().expect("it was sent");
                history.acknowledged(answer.index, answer.base_offset, ids(batch))?;
                Ok(())
            }
            ErrorCode::DuplicateSequenceNumber if self.plan.idempotent => {
                let batch = partition.unacknowledged.pop_front().expect("it was sent");
                history.acknowledged_somewhere(answer.index, ids(batch));
                Ok(())
            }
            error if error.is_retriable() && error != ErrorCode::CorruptMessage => {
                let reason = format!("partition {} answers {error}", answer.index);
                Err(std::io::Error::other(reason).into())
            }
            // All before this batch is acknowledged: it is the next, or one that the broker has already.
            error => {
                let oldest = partition.unacknowledged.front().map(|batch| batch.numbers.clone());
                let what = format!(
                    "partition={} a batch is refused with {error}: {identity:?} {oldest:?} {}",
                    answer.index,
                    answer.error_message.as_deref().unwrap_or_default()
                );
                Err(Failure::broken(6, what).into())
            }
        }
    }
}
