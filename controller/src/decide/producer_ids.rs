//! AllocateProducerIds: a broker takes a block of producer ids. Source: KIP-730.

use protocol::error_code::ErrorCode;
use protocol::messages::allocate_producer_ids::{
    AllocateProducerIdsRequest, AllocateProducerIdsResponse,
};
use protocol::model::{BrokerEpoch, BrokerId};
use protocol::records::metadata::{MetadataRecord, ProducerIdsRecord};

use super::brokers::check_broker_epoch;
use super::{Decision, View};

/// Ids in one block. Kafka's `ProducerIdsBlock.PRODUCER_ID_BLOCK_SIZE`.
pub const PRODUCER_ID_BLOCK_LENGTH: i32 = 1_000;

pub fn allocate_producer_ids(
    view: &View<'_>,
    request: &AllocateProducerIdsRequest,
) -> Decision<AllocateProducerIdsResponse> {
    let refuse = |error: ErrorCode| {
        Decision::answer(AllocateProducerIdsResponse {
            error_code: error.into(),
            ..AllocateProducerIdsResponse::default()
        })
    };
    let (broker, epoch) = (BrokerId(request.broker_id), BrokerEpoch(request.broker_epoch));
    if let Err(refusal) = check_broker_epoch(view, broker, epoch) {
        return refuse(refusal.error);
    }
    let start = view.image.next_producer_id();
    let Some(next_producer_id) = start.0.checked_add(i64::from(PRODUCER_ID_BLOCK_LENGTH)) else {
        // All 2^63 ids are given out.
        return refuse(ErrorCode::UnknownServerError);
    };
    let record = ProducerIdsRecord { broker_id: broker.0, broker_epoch: epoch.0, next_producer_id };
    Decision {
        records: vec![MetadataRecord::ProducerIds(record)],
        response: AllocateProducerIdsResponse {
            producer_id_start: start.0,
            producer_id_len: PRODUCER_ID_BLOCK_LENGTH,
            ..AllocateProducerIdsResponse::default()
        },
    }
}
