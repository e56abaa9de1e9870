//! Produce (KIP-98, KIP-467, KIP-516): checks batches where the request was read, appends them where
//! their partitions live, and answers when they may be acknowledged.

use std::ops::RangeInclusive;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use protocol::error_code::ErrorCode;
use protocol::messages::produce::{
    BatchIndexAndErrorMessage, PartitionProduceData, PartitionProduceResponse, ProduceRequest,
    ProduceResponse, TopicProduceResponse,
};
use protocol::model::{BrokerId, Offset, TimestampMs, Uuid};
use protocol::record_batch::{
    BatchError, Batches, Codec, Depth, InvalidBatch, RecordBatch, TimestampType, ValidationRules,
    set_max_timestamp, validate_for_append,
};

use super::request::{Answer, Refusal, Reply, RequestContext, RequestHead};
use super::route::{self, ByCore, Route};
use crate::cores::{Awaiting, ClusterView};
use crate::replica::{ProducePart, ProduceParts, ProduceResult, TopicSettings};

pub const VERSIONS: RangeInclusive<i16> = 3..=13;

/// The first version that may carry zstd.
const ZSTD_VERSION: i16 = 7;
/// The first version that names topics by id.
const TOPIC_ID_VERSION: i16 = 13;

/// What a compressed batch of a compacted topic may grow to while its keys are looked at.
const DECOMPRESSED_SIZE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Below this a client's timeout is not taken by its word: it was made for replicas, and Kafka answers
/// a partition of one replica at once, where we wait for its flush.
const FLUSH_WAIT_MIN: Duration = Duration::from_secs(1);

/// One topic of the answer and how many of the results, in order, are its partitions'.
struct AnswerTopic {
    name: protocol::wire::WireString,
    topic_id: Uuid,
    indexes: Vec<i32>,
}

/// What waits for one core: the slots of its parts, and the answer to come.
struct Asked {
    slots: Vec<usize>,
    answer: Awaiting<Vec<ProduceResult>>,
}

pub async fn serve(
    context: RequestContext,
    head: RequestHead,
    request: ProduceRequest,
) -> Result<Answer, Refusal> {
    let core = &context.core;
    let acks = request.acks;
    let deadline = deadline(acks, request.timeout_ms);
    let (topics, mut results, parts) = plan(&context, &head, request);
    let mut asked = Vec::with_capacity(parts.core_count());
    for (owner, slots, parts) in parts.into_parts() {
        let question = ProduceParts { parts, until_durable: acks != 0, deadline };
        asked.push(Asked { slots, answer: core.ask(owner, question).await });
    }
    Ok(Answer::Later(Box::pin(async move {
        for Asked { slots, answer } in asked {
            for (slot, result) in slots.into_iter().zip(answer.await?) {
                results[slot] = result;
            }
        }
        if acks == 0 {
            // There is nobody to tell of an error but by closing the connection, as Kafka does.
            let failed = results.iter().any(|result| result.error != ErrorCode::None);
            return if failed { Err(Refusal::UnacknowledgedProduce) } else { Ok(Reply::default()) };
        }
        let parts = head.respond(&merge(topics, results))?;
        Ok(Reply { parts, ..Reply::default() })
    })))
}

/// When a request's waiting ends. The client's timeout bounds the waiting for replicas: acks=1 waits for
/// none. Source: `ReplicaManager.delayedProduceRequestRequired`.
fn deadline(acks: i16, timeout_ms: i32) -> Option<reactor::Instant> {
    let timeout = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
    (acks == -1).then(|| reactor::now() + timeout.max(FLUSH_WAIT_MIN))
}

/// Checks every partition's records and sorts them by owner. What is refused has its result already.
fn plan(
    context: &RequestContext,
    head: &RequestHead,
    request: ProduceRequest,
) -> (Vec<AnswerTopic>, Vec<ProduceResult>, ByCore<ProducePart>) {
    let core = &context.core;
    let view = core.view();
    let broker = core.node.config.node_id;
    let now = TimestampMs(reactor::wall_clock());
    let mut topics = Vec::with_capacity(request.topic_data.len());
    let mut results = Vec::new();
    let mut parts = ByCore::new();
    for topic in request.topic_data {
        let mut indexes = Vec::with_capacity(topic.partition_data.len());
        for data in topic.partition_data {
            let slot = results.len();
            indexes.push(data.index);
            let checked =
                find(&view, broker, head.version, &topic.name, topic.topic_id, data.index)
                    .and_then(|route| {
                        check_request(request.acks, request.transactional_id.is_some())?;
                        let settings = view
                            .settings_of(route.key.0)
                            .ok_or_else(|| refused(ErrorCode::UnknownTopicOrPartition, None))?;
                        let batch = check_records(data, settings, now, head.version)?;
                        check_fits(&batch, core.node.memory.batch_size_bytes_max())?;
                        Ok((route, batch))
                    });
            results.push(match checked {
                Ok((route, batch)) => {
                    let part = ProducePart { partition: route.key, batches: vec![batch] };
                    parts.push(route.core, slot, part);
                    refused(ErrorCode::UnknownServerError, None)
                }
                Err(refusal) => refusal,
            });
        }
        topics.push(AnswerTopic { name: topic.name, topic_id: topic.topic_id, indexes });
    }
    (topics, results, parts)
}

fn find(
    view: &ClusterView,
    broker: BrokerId,
    version: i16,
    name: &str,
    topic_id: Uuid,
    index: i32,
) -> Result<Route, ProduceResult> {
    let route = if version >= TOPIC_ID_VERSION {
        route::by_id(view, broker, topic_id, index)
    } else {
        route::by_name(view, broker, name, index)
    };
    route.map_err(|error| refused(error, None))
}

fn check_request(acks: i16, transactional: bool) -> Result<(), ProduceResult> {
    if ![-1, 0, 1].contains(&acks) {
        return Err(refused(ErrorCode::InvalidRequiredAcks, None));
    }
    if transactional {
        let message = "this broker has no transactions yet";
        return Err(refused(ErrorCode::InvalidTxnState, Some(message.to_owned())));
    }
    Ok(())
}

/// That a batch, which its topic allows, can be kept and sent with the memory there is.
fn check_fits(batch: &RecordBatch, size_bytes_max: usize) -> Result<(), ProduceResult> {
    let size_bytes = batch.size_bytes();
    if size_bytes <= size_bytes_max {
        return Ok(());
    }
    let message = format!(
        "the batch has {size_bytes} bytes; with its millrace.memory.bytes this broker takes \
         {size_bytes_max} at most"
    );
    Err(refused(ErrorCode::MessageTooLarge, Some(message)))
}

/// The one batch of a partition's records, valid and ready to be appended.
fn check_records(
    data: PartitionProduceData,
    settings: &TopicSettings,
    now: TimestampMs,
    version: i16,
) -> Result<RecordBatch, ProduceResult> {
    let records = data.records.map(|records| records.contiguous()).unwrap_or_default();
    let batch = only_batch(records)?;
    if batch.size_bytes() > settings.message_size_bytes_max {
        let message = format!(
            "the batch has {} bytes, max.message.bytes is {}",
            batch.size_bytes(),
            settings.message_size_bytes_max
        );
        return Err(refused(ErrorCode::MessageTooLarge, Some(message)));
    }
    if batch.header().is_transactional() {
        let message = "this broker has no transactions yet";
        return Err(refused(ErrorCode::InvalidTxnState, Some(message.to_owned())));
    }
    if version < ZSTD_VERSION && batch.header().codec() == Ok(Codec::Zstd) {
        return Err(refused(ErrorCode::UnsupportedCompressionType, None));
    }
    let timestamp_type = if settings.log_append_time {
        TimestampType::LogAppendTime
    } else {
        TimestampType::CreateTime
    };
    let rules = ValidationRules {
        depth: Depth::Header,
        now,
        timestamp_type,
        timestamp_before_max_ms: settings.timestamp_before_ms_max,
        timestamp_after_max_ms: settings.timestamp_after_ms_max,
        is_compacted: settings.compacted,
        decompressed_size_bytes_max: DECOMPRESSED_SIZE_BYTES_MAX,
    };
    let validated = validate_for_append(&batch, &rules).map_err(|invalid| refusal(&invalid))?;
    if validated.max_timestamp == batch.header().max_timestamp || settings.log_append_time {
        return Ok(batch);
    }
    let mut bytes = BytesMut::from(batch.into_bytes());
    set_max_timestamp(&mut bytes, validated.max_timestamp);
    RecordBatch::new(bytes.freeze()).map_err(|error| refusal(&InvalidBatch::Batch(error)))
}

/// Since version 3 a partition's records are exactly one batch. Source: `ProduceRequest.validateRecords`.
fn only_batch(records: Bytes) -> Result<RecordBatch, ProduceResult> {
    let invalid = |message: &str| refused(ErrorCode::InvalidRecord, Some(message.to_owned()));
    let mut batches = Batches::new(records);
    let first = match batches.next() {
        None => return Err(invalid("the records hold no whole batch")),
        Some(Err(error)) => return Err(refusal(&InvalidBatch::Batch(error))),
        Some(Ok(first)) => first,
    };
    if batches.partial_size_bytes() > 0 {
        return Err(invalid("the records hold more than one batch"));
    }
    Ok(first)
}

fn refused(error: ErrorCode, message: Option<String>) -> ProduceResult {
    ProduceResult::refused(error, message)
}

/// What a client is told of an invalid batch. Source: `LogValidator`, `UnifiedLog.append`.
fn refusal(invalid: &InvalidBatch) -> ProduceResult {
    let code = match invalid {
        // Since version 3 only magic 2 may come; what never was one is no batch.
        InvalidBatch::Batch(
            BatchError::Magic { magic: 0 | 1 } | BatchError::OffsetRange { .. },
        ) => ErrorCode::InvalidRecord,
        InvalidBatch::Batch(_) => ErrorCode::CorruptMessage,
        InvalidBatch::Timestamp { .. } => ErrorCode::InvalidTimestamp,
        InvalidBatch::Records(records) => match records.first().map(|record| record.fault) {
            Some(protocol::record_batch::RecordFault::Timestamp { .. }) => {
                ErrorCode::InvalidTimestamp
            }
            _ => ErrorCode::InvalidRecord,
        },
        InvalidBatch::Record { .. } => ErrorCode::CorruptMessage,
        InvalidBatch::BaseOffset { .. }
        | InvalidBatch::RecordCount { .. }
        | InvalidBatch::OffsetRange { .. }
        | InvalidBatch::Control
        | InvalidBatch::SequenceMissing { .. }
        | InvalidBatch::ProducerEpochMissing { .. }
        | InvalidBatch::ProducerIdMissing
        | InvalidBatch::LogAppendTime
        | InvalidBatch::OffsetDelta { .. } => ErrorCode::InvalidRecord,
    };
    let record_errors = match invalid {
        InvalidBatch::Records(records) => records
            .iter()
            .map(|record| (record.record_index as i32, record.fault.to_string()))
            .collect(),
        _ => Vec::new(),
    };
    ProduceResult { record_errors, ..refused(code, Some(invalid.to_string())) }
}

fn merge(topics: Vec<AnswerTopic>, results: Vec<ProduceResult>) -> ProduceResponse {
    let mut results = results.into_iter();
    let responses = topics
        .into_iter()
        .map(|AnswerTopic { name, topic_id, indexes }| TopicProduceResponse {
            name,
            topic_id,
            partition_responses: indexes
                .into_iter()
                .zip(&mut results)
                .map(|(index, result)| partition_response(index, result))
                .collect(),
        })
        .collect();
    ProduceResponse { responses, ..Default::default() }
}

fn partition_response(index: i32, result: ProduceResult) -> PartitionProduceResponse {
    PartitionProduceResponse {
        index,
        error_code: result.error.into(),
        base_offset: Offset::to_wire(result.base_offset),
        log_append_time_ms: result.log_append_time.map_or(-1, |time| time.0),
        log_start_offset: Offset::to_wire(result.log_start_offset),
        record_errors: result
            .record_errors
            .into_iter()
            .map(|(batch_index, message)| BatchIndexAndErrorMessage {
                batch_index,
                batch_index_error_message: Some(message.into()),
            })
            .collect(),
        error_message: result.message.map(Into::into),
        ..Default::default()
    }
}
