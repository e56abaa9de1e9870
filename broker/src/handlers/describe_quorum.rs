//! DescribeQuorum (KIP-595, KIP-836, KIP-853): the controller says who votes, and how far each is.

use std::ops::RangeInclusive;

use controller::{Request, Response};
use protocol::messages::{DescribeQuorumRequest, DescribeQuorumResponse};

use super::request::{Refusal, RequestContext, RequestHead};
use crate::controller_core::ControllerQuestion;

pub const VERSIONS: RangeInclusive<i16> = 0..=2;

pub async fn serve(
    context: &RequestContext,
    head: &RequestHead,
    request: DescribeQuorumRequest,
) -> Result<DescribeQuorumResponse, Refusal> {
    let core = &context.core;
    let question =
        ControllerQuestion::of(Request::DescribeQuorum { version: head.version, request });
    match core.ask(core.node.controller_core, question).await.await? {
        Response::DescribeQuorum(response) => Ok(response),
        other => unreachable!("{other:?} answers no DescribeQuorum"),
    }
}
