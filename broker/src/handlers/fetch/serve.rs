//! Fetch (KIP-74, KIP-227, KIP-320, KIP-516): reads whole batches below the high watermark, or waits for
//! them. Sessions are not kept: every answer says session 0, which KIP-227 allows.

use std::ops::RangeInclusive;

use protocol::error_code::ErrorCode;
use protocol::messages::fetch::{FetchRequest, FetchResponse};

use super::super::request::{Answer, Refusal, Reply, RequestContext, RequestHead};
use super::plan::Plan;
use super::{merge, rounds};

pub const VERSIONS: RangeInclusive<i16> = 4..=18;

/// The epochs of a request that ends a session or has none, or would open one, instead of the one that
/// it may name. Source: `FetchMetadata.isFull`.
const FULL_FETCH_EPOCHS: [i32; 2] = [-1, 0];

pub async fn serve(
    context: RequestContext,
    head: RequestHead,
    request: FetchRequest,
) -> Result<Answer, Refusal> {
    let RequestContext { core, ending, .. } = context;
    // No answer of ours names a session, so one that a client would go on with is not ours.
    if !FULL_FETCH_EPOCHS.contains(&request.session_epoch) {
        let error_code = ErrorCode::FetchSessionIdNotFound.into();
        let response = FetchResponse { error_code, ..Default::default() };
        return head.respond(&response).map(Answer::ready);
    }
    // Nothing is read before the answers in front of it are sent: a client that asks and asks, and never
    // reads, holds one answer, not a window of them. Kafka serves one request of a connection at a time.
    Ok(Answer::OnDemand(Box::pin(async move {
        let plan = Plan::new(&core, &head, request);
        let rounds::FetchAnswers { results, lent } = rounds::run(&core, &plan, &ending).await?;
        let parts = head.respond(&merge::merge(plan, results))?;
        Ok(Reply { parts, lent, granted: None })
    })))
}
