//! Produce (KIP-98, KIP-467, KIP-516, KIP-951): checks batches where the request was read, appends them where
//! their partitions live, and answers when they may be acknowledged.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use bytes::BytesMut;
use protocol::error_code::ErrorCode;
use protocol::messages::produce::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse,
    ProduceRequest, ProduceResponse, TopicProduceData, TopicProduceResponse,
};
use protocol::model::{BrokerId, Offset, TimestampMs, Uuid};
use protocol::record_batch::{
    BatchError, Batches, Codec, Compression, Depth, InvalidBatch, RecompressError, RecordBatch,
    TimestampType, ValidationRules, recompress, set_max_timestamp, validate_for_append,
};

use protocol::wire::Records;

use super::current_leader::{CurrentLeaders, LeaderEndpoint};
use super::metadata::INTERNAL_TOPICS;
use super::request::{Answer, Refusal, Reply, RequestContext, RequestHead};
use super::route::{self, ByCore, Route};
use crate::cores::{Awaiting, ClusterView, Core};
use crate::replica::{ProducePart, ProduceParts, ProduceResult, TopicSettings};

pub const VERSIONS: RangeInclusive<i16> = 3..=13;

/// The first version that may carry zstd.
const ZSTD_VERSION: i16 = 7;
/// The first version that tells of the current leader, with an error that asks for it (KIP-951).
const CURRENT_LEADER_VERSION: i16 = 10;
/// The first version that names topics by id.
const TOPIC_ID_VERSION: i16 = 13;

/// The client id of Kafka's tools where they may do more than others.
const ADMIN_CLIENT: &str = "__admin_client";

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
    let core = context.core.clone();
    let acks = request.acks;
    let deadline = deadline(acks, request.timeout_ms);
    let Plan { topics, mut results, parts } = plan(&context, &head, request)?;
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
        let throttle_time_ms = match &head.client {
            Some(client) => client.has_produced(&core, acks != 0).await,
            None => 0,
        };
        if acks == 0 {
            // There is nobody to tell of an error but by closing the connection, as Kafka does.
            let failed = results.iter().any(|result| result.error != ErrorCode::None);
            return if failed { Err(Refusal::UnacknowledgedProduce) } else { Ok(Reply::default()) };
        }
        let response = merge(&core, head.version, topics, results);
        let parts = head.respond(&ProduceResponse { throttle_time_ms, ..response })?;
        Ok(Reply { parts, ..Reply::default() })
    })))
}

/// When a request's waiting ends. The client's timeout bounds the waiting for replicas: acks=1 waits for
/// none. Source: `ReplicaManager.delayedProduceRequestRequired`.
fn deadline(acks: i16, timeout_ms: i32) -> Option<reactor::Instant> {
    let timeout = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
    (acks == -1).then(|| reactor::now() + timeout.max(FLUSH_WAIT_MIN))
}

/// What is asked of whom, and what each partition is answered so far.
struct Plan {
    topics: Vec<AnswerTopic>,
    results: Vec<ProduceResult>,
    parts: ByCore<ProducePart>,
}

/// Checks every partition's records and sorts them by owner. What is refused has its result already.
///
/// Errors: what is compressed anew takes more memory than the request has.
fn plan(
    context: &RequestContext,
    head: &RequestHead,
    mut request: ProduceRequest,
) -> Result<Plan, Refusal> {
    let core = &context.core;
    let view = core.view();
    let broker = core.node.config.node_id;
    let now = TimestampMs(reactor::wall_clock());
    let mut topics = Vec::with_capacity(request.topic_data.len());
    let mut results = Vec::new();
    let mut parts = ByCore::new();
    let mut recompressed_size_bytes = 0;
    drop_repeats(&mut request.topic_data);
    for topic in request.topic_data {
        let mut indexes = Vec::with_capacity(topic.partition_data.len());
        for data in topic.partition_data {
            let slot = results.len();
            indexes.push(data.index);
            let found = find(&view, broker, head.version, &topic.name, topic.topic_id, data.index)
                .and_then(|route| {
                    check_request(request.acks, request.transactional_id.is_some())?;
                    check_not_internal(&view, head, route)?;
                    let settings = view
                        .settings_of(route.key.0)
                        .ok_or_else(|| refused(ErrorCode::UnknownTopicOrPartition, None))?;
                    Ok((route, settings, only_batch(data.records)?))
                });
            let checked = match found {
                Ok((route, settings, batch)) => {
                    if let Some(size_bytes) = recompression_size_bytes(&batch, settings) {
                        recompressed_size_bytes += size_bytes;
                        context.check_granted(recompressed_size_bytes)?;
                    }
                    let size_bytes_max = core.node.memory.batch_size_bytes_max();
                    check_records(batch, settings, now, head.version, size_bytes_max)
                        .map(|batch| (route, batch))
                }
                Err(refusal) => Err(refusal),
            };
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
    Ok(Plan { topics, results, parts })
}

/// Of a partition that is named twice the last records count: Kafka puts them into a map.
fn drop_repeats(topics: &mut [TopicProduceData]) {
    let partition_count: usize = topics.iter().map(|topic| topic.partition_data.len()).sum();
    if partition_count <= 1 {
        return;
    }
    let mut named = BTreeSet::new();
    for TopicProduceData { name, topic_id, partition_data } in topics.iter_mut().rev() {
        // From the last to the first.
        partition_data.reverse();
        partition_data.retain(|data| named.insert((name.clone(), *topic_id, data.index)));
        partition_data.reverse();
    }
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

/// Kafka's own topics are written by brokers, and by its tools. Source: `ReplicaManager.appendRecordsToLeader`.
fn check_not_internal(
    view: &ClusterView,
    head: &RequestHead,
    route: Route,
) -> Result<(), ProduceResult> {
    let topic = view.image.topic_by_id(route.key.0);
    let is_internal = topic.is_some_and(|topic| INTERNAL_TOPICS.contains(&&*topic.name));
    if !is_internal || head.client_id.as_deref() == Some(ADMIN_CLIENT) {
        return Ok(());
    }
    let message = "clients do not write to internal topics";
    Err(refused(ErrorCode::InvalidTopicException, Some(message.to_owned())))
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

/// The codec that `batch` is to have on its topic, if it is another one than it has.
fn another_codec(batch: &RecordBatch, settings: &TopicSettings) -> Option<Compression> {
    let codec = batch.header().codec();
    settings.compression.filter(|compression| codec != Ok(compression.codec()))
}

/// The most that `batch` takes once it is compressed anew, if it is to be. What was not compressed does not
/// become larger by more than a codec's frame.
fn recompression_size_bytes(batch: &RecordBatch, settings: &TopicSettings) -> Option<usize> {
    another_codec(batch, settings)?;
    match batch.header().codec() {
        Ok(Codec::None) => Some(batch.size_bytes()),
        Ok(_) => Some(settings.message_size_bytes_max),
        // It will be refused.
        Err(_) => None,
    }
}

/// `batch`, valid, as it is to be appended.
fn check_records(
    batch: RecordBatch,
    settings: &TopicSettings,
    now: TimestampMs,
    version: i16,
    kept_size_bytes_max: usize,
) -> Result<RecordBatch, ProduceResult> {
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
    let recompression = another_codec(&batch, settings);
    let rules = ValidationRules {
        depth: if recompression.is_some() { Depth::Records } else { settings.validation },
        now,
        timestamp_type,
        timestamp_before_max_ms: settings.timestamp_before_ms_max,
        timestamp_after_max_ms: settings.timestamp_after_ms_max,
        is_compacted: settings.compacted,
        decompressed_size_bytes_max: DECOMPRESSED_SIZE_BYTES_MAX,
    };
    let validated = validate_for_append(&batch, &rules).map_err(|invalid| refusal(&invalid))?;
    let batch = match recompression {
        Some(compression) => recompressed(&batch, compression, settings, kept_size_bytes_max)?,
        None => batch,
    };
    check_fits(&batch, kept_size_bytes_max)?;
    if validated.max_timestamp == batch.header().max_timestamp || settings.log_append_time {
        return Ok(batch);
    }
    let mut bytes = BytesMut::from(batch.into_bytes());
    set_max_timestamp(&mut bytes, validated.max_timestamp);
    RecordBatch::new(bytes.freeze()).map_err(|error| refusal(&InvalidBatch::Batch(error)))
}

fn recompressed(
    batch: &RecordBatch,
    compression: Compression,
    settings: &TopicSettings,
    kept_size_bytes_max: usize,
) -> Result<RecordBatch, ProduceResult> {
    let size_bytes_max = settings.message_size_bytes_max.min(kept_size_bytes_max);
    recompress(batch, compression, DECOMPRESSED_SIZE_BYTES_MAX, size_bytes_max).map_err(|error| {
        let code = match error {
            RecompressError::TooLarge { .. } => ErrorCode::MessageTooLarge,
            RecompressError::Batch(_) | RecompressError::Decompress(_) => ErrorCode::CorruptMessage,
            RecompressError::Compress { .. } => ErrorCode::UnknownServerError,
        };
        refused(code, Some(error.to_string()))
    })
}

/// Since version 3 a partition's records are exactly one batch. Source: `ProduceRequest.validateRecords`.
fn only_batch(records: Option<Records>) -> Result<RecordBatch, ProduceResult> {
    let records = records.map(|records| records.contiguous()).unwrap_or_default();
    let invalid = |message: &str| refused(ErrorCode::InvalidRecord, Some(message.to_owned()));
    let mut batches = Batches::new(records);
    let first = match batches.next() {
        None => return Err(invalid("the records hold no whole batch")),
        Some(Err(error)) => return Err(refusal(&InvalidBatch::Batch(error))),
        Some(Ok(first)) => first,
    };
    // The beginning of another one is cut off, as Kafka does.
    match batches.next() {
        None => Ok(first),
        Some(_) => Err(invalid("the records hold more than one batch")),
    }
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
        InvalidBatch::Batch(BatchError::UnknownCodec { .. }) => {
            ErrorCode::UnsupportedCompressionType
        }
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

fn merge(
    core: &Core,
    version: i16,
    topics: Vec<AnswerTopic>,
    results: Vec<ProduceResult>,
) -> ProduceResponse {
    let view = core.view();
    let mut leaders = CurrentLeaders::new(&view, &core.node.config.listener.name);
    let mut results = results.into_iter();
    let mut responses = Vec::with_capacity(topics.len());
    for AnswerTopic { name, topic_id, indexes } in topics {
        let mut partition_responses = Vec::with_capacity(indexes.len());
        for (index, result) in indexes.into_iter().zip(&mut results) {
            let asks_for_leader = result.error == ErrorCode::NotLeaderOrFollower;
            let mut response = partition_response(index, result);
            if version >= CURRENT_LEADER_VERSION && asks_for_leader {
                let topic = match version >= TOPIC_ID_VERSION {
                    true => view.image.topic_by_id(topic_id),
                    false => view.image.topic_by_name(&name),
                };
                let (leader_id, leader_epoch) = leaders.name(topic.map(|it| &**it), index);
                response.current_leader = LeaderIdAndEpoch { leader_id, leader_epoch };
            }
            partition_responses.push(response);
        }
        responses.push(TopicProduceResponse { name, topic_id, partition_responses });
    }
    let endpoint = |leader: LeaderEndpoint| NodeEndpoint {
        node_id: leader.node_id,
        host: leader.host.into(),
        port: i32::from(leader.port),
        rack: leader.rack.map(Into::into),
    };
    let node_endpoints = leaders.into_endpoints().map(endpoint).collect();
    ProduceResponse { responses, node_endpoints, ..Default::default() }
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
