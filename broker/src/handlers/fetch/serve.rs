//! Fetch (KIP-74, KIP-227, KIP-320, KIP-516, KIP-951): reads whole batches below the high watermark, or
//! waits for them.

use std::ops::RangeInclusive;
use std::rc::Rc;

use protocol::error_code::ErrorCode;
use protocol::messages::fetch::{FetchRequest, FetchResponse, PartitionData};
use protocol::wire::Records;

use super::super::request::{Answer, Refusal, Reply, RequestContext, RequestHead};
use super::plan::Plan;
use super::sessions::{Continued, Continues, FetchSessions, NO_SESSION};
use super::wanted::{TOPIC_ID_VERSION, Wanted, forgotten};
use super::{merge, rounds};
use crate::cores::{Core, CoreRequest};
use crate::memory::PER_DECODED_BYTE;

pub const VERSIONS: RangeInclusive<i16> = 4..=18;

/// The epoch of a request that would begin a session. Source: `FetchMetadata`.
const INITIAL_EPOCH: i32 = 0;
/// That of a request that wants none, and ends the one it names.
const FINAL_EPOCH: i32 = -1;

/// What an answer takes without partitions, and what each partition takes beside its records.
const EMPTY_SIZE_BYTES: usize = 21;
const PARTITION_SIZE_BYTES: usize = 58;

/// What a request is to its session.
enum InSession {
    None,
    Begins,
    GoesOn(Continued),
}

pub async fn serve(
    context: RequestContext,
    head: RequestHead,
    mut request: FetchRequest,
) -> Result<Answer, Refusal> {
    let topics = std::mem::take(&mut request.topics);
    let wanted = Wanted::all(head.version, topics);
    let begun = begin(&context, &head, &mut request, wanted)?;
    let RequestContext { core, ending, .. } = context;
    let (in_session, wanted) = match begun {
        Ok(begun) => begun,
        Err(error) => {
            let response = FetchResponse { error_code: error.into(), ..Default::default() };
            return head.respond(&response).map(Answer::ready);
        }
    };
    // Nothing is read before the answers in front of it are sent: a client that asks and asks, and never
    // reads, holds one answer, not a window of them. Kafka serves one request of a connection at a time.
    Ok(Answer::OnDemand(Box::pin(async move {
        let client = head.client.as_deref();
        let size_bytes_max = client.and_then(|client| client.fetch_size_bytes_max(&core));
        let plan = Plan::new(&core, &request, size_bytes_max, wanted);
        let rounds::FetchAnswers { results, lent } = rounds::run(&core, &plan, &ending).await?;
        let answered = merge::merge(head.version, plan, results);
        if let Some(client) = client {
            let size_bytes = size_bytes(&in_session, &answered);
            let throttle_time_ms = client.has_fetched(&core, size_bytes).await;
            if throttle_time_ms > 0 {
                drop(answered);
                core.give_back(lent);
                return head
                    .respond(&throttled(&in_session, throttle_time_ms))
                    .map(|parts| Reply { parts, ..Reply::default() });
            }
        }
        let parts = head.respond(&finish(&core, head.version, in_session, answered))?;
        Ok(Reply { parts, lent, granted: None })
    })))
}

/// What is to be read, and in which session. The inner error is the answer.
fn begin(
    context: &RequestContext,
    head: &RequestHead,
    request: &mut FetchRequest,
    wanted: Vec<Wanted>,
) -> Result<Result<(InSession, Vec<Wanted>), ErrorCode>, Refusal> {
    let sessions = &context.core.fetch_sessions;
    let (id, epoch) = (request.session_id, request.session_epoch);
    if epoch == FINAL_EPOCH || epoch == INITIAL_EPOCH {
        // One that it names ends in any case.
        end_session(&context.core, id);
        let in_session = if epoch == FINAL_EPOCH { InSession::None } else { InSession::Begins };
        return Ok(Ok((in_session, wanted)));
    }
    // A session's partitions take as much as if the request had named them.
    let partition_count = sessions.partition_count(id) + wanted.len();
    context.check_granted(partition_count * size_of::<Wanted>() * PER_DECODED_BYTE)?;
    let forgotten = forgotten(head.version, std::mem::take(&mut request.forgotten_topics_data));
    let uses_topic_ids = head.version >= TOPIC_ID_VERSION;
    let went_on = sessions.go_on(reactor::now(), (id, epoch), uses_topic_ids, &wanted, &forgotten);
    Ok(went_on.map(|continues| match continues {
        Continues::Ended => (InSession::None, wanted),
        Continues::With(continued) => {
            let wanted = continued.session.borrow().wanted();
            (InSession::GoesOn(continued), wanted)
        }
    }))
}

/// Ends the session `id`, wherever it lives: a client that was connected to another core has begun it
/// there.
fn end_session(core: &Rc<Core>, id: i32) {
    match FetchSessions::owner(id, core.mesh.core_count()) {
        Some(owner) if owner == core.index => core.fetch_sessions.end(id),
        Some(owner) => core.mesh.control(owner, CoreRequest::EndFetchSession { id }),
        None => {}
    }
}

/// About what the answer takes: all of it but the records is as large as one of version 13 and later.
fn size_bytes(in_session: &InSession, answered: &[(Wanted, PartitionData)]) -> usize {
    let is_told = |wanted: &Wanted, data: &PartitionData| match in_session {
        InSession::None | InSession::Begins => true,
        InSession::GoesOn(Continued { session, .. }) => {
            session.borrow().must_tell(&wanted.partition_ref(), data)
        }
    };
    let told = answered.iter().filter(|(wanted, data)| is_told(wanted, data));
    let sizes = told.map(|(_, data)| {
        PARTITION_SIZE_BYTES + data.records.as_ref().map_or(0, Records::size_bytes)
    });
    EMPTY_SIZE_BYTES + sizes.sum::<usize>()
}

/// The answer to a client that has to wait for its records. It begins no session, and one that goes on has
/// told nothing. Source: `FetchContext.getThrottledResponse`.
fn throttled(in_session: &InSession, throttle_time_ms: i32) -> FetchResponse {
    let (session_id, error_code) = match in_session {
        InSession::None | InSession::Begins => (NO_SESSION, ErrorCode::None),
        InSession::GoesOn(Continued { id, epoch, session }) => {
            let is_its_turn = session.borrow().epoch == *epoch;
            let error = match is_its_turn {
                true => ErrorCode::None,
                false => ErrorCode::InvalidFetchSessionEpoch,
            };
            (*id, error)
        }
    };
    let error_code = error_code.into();
    FetchResponse { throttle_time_ms, error_code, session_id, ..Default::default() }
}

/// The response with what the session, if there is one, has not told yet.
fn finish(
    core: &Rc<Core>,
    version: i16,
    in_session: InSession,
    mut answered: Vec<(Wanted, PartitionData)>,
) -> FetchResponse {
    let session_id = match in_session {
        InSession::None => NO_SESSION,
        InSession::Begins => {
            let uses_topic_ids = version >= TOPIC_ID_VERSION;
            core.fetch_sessions.begin(
                reactor::now(),
                uses_topic_ids,
                &answered,
                reactor::random::u64,
            )
        }
        InSession::GoesOn(Continued { id, epoch, session }) => {
            let mut session = session.borrow_mut();
            // Another connection has gone on with it meanwhile.
            if session.epoch != epoch {
                let error_code = ErrorCode::InvalidFetchSessionEpoch.into();
                return FetchResponse { error_code, session_id: id, ..Default::default() };
            }
            answered.retain(|(wanted, data)| session.tell(&wanted.partition_ref(), data));
            id
        }
    };
    let listener = &core.node.config.listener.name;
    let response = merge::response(version, &core.view(), listener, answered);
    FetchResponse { session_id, ..response }
}
