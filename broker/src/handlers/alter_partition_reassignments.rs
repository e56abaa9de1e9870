//! AlterPartitionReassignments (KIP-455, KIP-860): the controller decides. Replicas
//! change their order, and go; new ones are refused.

use std::ops::RangeInclusive;

use controller::{Request, Response};
use protocol::messages::{AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse};

use super::request::{Refusal, RequestContext, RequestHead};
use crate::controller_core::ControllerQuestion;

pub const VERSIONS: RangeInclusive<i16> = 0..=1;

pub async fn serve(
    context: &RequestContext,
    _head: &RequestHead,
    request: AlterPartitionReassignmentsRequest,
) -> Result<AlterPartitionReassignmentsResponse, Refusal> {
    let core = &context.core;
    let question = ControllerQuestion::of(Request::AlterPartitionReassignments(request));
    match core.ask(core.node.controller_core, question).await.await? {
        Response::AlterPartitionReassignments(response) => Ok(response),
        other => unreachable!("{other:?} answers no AlterPartitionReassignments"),
    }
}
