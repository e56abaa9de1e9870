//! InitProducerId (KIP-98, KIP-360): a producer id from this core's block, for idempotence. Transactional
//! producers need a coordinator, which there is not yet.

use std::ops::RangeInclusive;

use controller::{Request, Response};
use protocol::error_code::ErrorCode;
use protocol::messages::AllocateProducerIdsRequest;
use protocol::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};

use super::request::{Refusal, RequestContext, RequestHead};
use crate::controller_core::ControllerQuestion;
use crate::cores::ProducerIdBlock;

pub const VERSIONS: RangeInclusive<i16> = 0..=5;

pub async fn serve(
    context: &RequestContext,
    _head: &RequestHead,
    request: InitProducerIdRequest,
) -> Result<InitProducerIdResponse, Refusal> {
    // Source: `KafkaApis.handleInitProducerIdRequest`, `TransactionCoordinator.handleInitProducerId`.
    let names_nobody = request.transactional_id.as_ref().is_some_and(|id| id.is_empty());
    let names_half = (request.producer_id == -1) != (request.producer_epoch == -1);
    if names_nobody || names_half {
        return Ok(refused(ErrorCode::InvalidRequest));
    }
    if request.transactional_id.is_some() {
        return Ok(refused(ErrorCode::CoordinatorNotAvailable));
    }
    let core = &context.core;
    loop {
        if let Some(producer_id) = core.next_producer_id() {
            return Ok(InitProducerIdResponse {
                producer_id: producer_id.0,
                producer_epoch: 0,
                ongoing_txn_producer_id: -1,
                ongoing_txn_producer_epoch: -1,
                ..Default::default()
            });
        }
        // Two that ask at once may waste a block; ids are never given twice.
        let broker_id = core.node.config.node_id;
        let broker_epoch = core.view().image.broker(broker_id).map_or(-1, |broker| broker.epoch.0);
        let request = AllocateProducerIdsRequest { broker_id: broker_id.0, broker_epoch };
        let question = ControllerQuestion::of(Request::AllocateProducerIds(request));
        match core.ask(core.node.controller_core, question).await.await? {
            Response::AllocateProducerIds(block) if block.error_code == 0 => {
                let next = block.producer_id_start;
                let end = next + i64::from(block.producer_id_len);
                core.set_producer_ids(ProducerIdBlock { next, end });
            }
            Response::AllocateProducerIds(_) => {
                return Ok(refused(ErrorCode::CoordinatorLoadInProgress));
            }
            other => unreachable!("{other:?} answers no AllocateProducerIds"),
        }
    }
}

fn refused(error: ErrorCode) -> InitProducerIdResponse {
    InitProducerIdResponse {
        error_code: error.into(),
        producer_id: -1,
        producer_epoch: -1,
        ongoing_txn_producer_id: -1,
        ongoing_txn_producer_epoch: -1,
        ..Default::default()
    }
}
