//! From a frame to its handler, and from a response to the slices that are sent.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use controller::quota::Mutator;
use protocol::api::ApiKey;
use protocol::header;
use protocol::wire::{ApiMessage, DecodeError, Decoder, EncodeError, WireString};
use reactor::net::IpAddr;
use reactor::sync::Event;

use super::{api_versions, table};
use crate::cores::{Core, Unanswered};
use crate::memory::{Granted, Lent, PER_DECODED_BYTE, Patience, USUAL_SIZE_BYTES};
use crate::metrics::ApiCounts;
use crate::quota::{QuotaClient, Throttle, Working};

/// How long a request waits for memory before others are asked again to make room.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// What a handler knows of where a request comes from.
#[derive(Clone)]
pub struct RequestContext {
    pub core: Rc<Core>,
    /// Memory that the request has for what it is decoded to and for its answer.
    pub granted_bytes: usize,
    /// The most that it could get.
    pub granted_bytes_max: usize,
    /// Where the client is, as Kafka writes it.
    pub client_host: Rc<str>,
    /// Of the connection.
    pub throttle: Rc<Throttle>,
    /// Set when nothing more is read from the connection: what can wait no longer does.
    pub ending: Event,
}

/// What of a request's header its answer needs.
#[derive(Clone)]
pub struct RequestHead {
    pub api_key: ApiKey,
    pub version: i16,
    pub correlation_id: i32,
    /// What the client calls itself.
    pub client_id: Option<WireString>,
    /// Of its API on this core.
    pub counts: Rc<ApiCounts>,
    /// Who asks; `None` where nobody is limited.
    pub client: Option<Rc<QuotaClient>>,
}

/// A request that is being answered.
pub struct Served {
    pub answer: Answer,
    /// The memory that it was granted, to be kept until the answer is sent; a fetch takes its memory when
    /// its answer is awaited, or those who ask and never read would keep that of all they asked.
    pub granted: Option<Granted>,
    /// Who hears how long it took.
    pub counts: Rc<ApiCounts>,
}

/// What is sent: no parts at all where the request wants none (`acks=0`).
#[derive(Debug, Default)]
pub struct Reply {
    pub parts: Vec<Bytes>,
    /// Memory that the parts keep from being freed, to be given back when they are sent.
    pub lent: Vec<Lent>,
    /// Memory of a request that got it when its answer was awaited.
    pub granted: Option<Granted>,
}

/// An answer, whole or to come.
pub enum Answer {
    Ready(Reply),
    /// Cores are working on it, whether it is awaited or not.
    Later(LaterAnswer),
    /// Nothing is done before it is awaited.
    OnDemand(LaterAnswer),
}

/// An answer that other cores work on.
pub type LaterAnswer = Pin<Box<dyn Future<Output = Result<Reply, Refusal>>>>;

/// Why a connection is closed instead of answered, as Kafka does.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("request header: {0}")]
    Header(#[source] DecodeError),
    #[error("version {version} of {api_key:?} is not supported")]
    UnsupportedVersion { api_key: ApiKey, version: i16 },
    #[error("{api_key:?} is not supported")]
    UnsupportedApi { api_key: ApiKey },
    #[error("{api_key:?} request of version {version}: {source}")]
    Body { api_key: ApiKey, version: i16, source: DecodeError },
    #[error("cannot encode a response: {0}")]
    Response(#[from] EncodeError),
    #[error("a request takes more memory than it has")]
    TakesMore,
    #[error("a request takes more memory than there is for requests")]
    TakesTooMuch,
    #[error("a produce request without acknowledgement failed")]
    UnacknowledgedProduce,
    #[error(transparent)]
    Stopping(#[from] Unanswered),
}

impl Answer {
    /// An answer that keeps no one's memory.
    pub fn ready(parts: Vec<Bytes>) -> Self {
        Answer::Ready(Reply { parts, ..Reply::default() })
    }

    /// The reply if it is ready now. What is done on demand is not begun.
    pub async fn try_reply(&mut self) -> Option<Result<Reply, Refusal>> {
        match self {
            Answer::Ready(reply) => Some(Ok(std::mem::take(reply))),
            Answer::Later(answer) => futures_lite::future::poll_once(answer).await,
            Answer::OnDemand(_) => None,
        }
    }

    pub async fn reply(self) -> Result<Reply, Refusal> {
        match self {
            Answer::Ready(reply) => Ok(reply),
            Answer::Later(answer) | Answer::OnDemand(answer) => answer.await,
        }
    }

    /// Waits for what is under way, for an answer that nobody wants any more.
    pub async fn abandon(self, core: &Core) {
        if let Answer::Later(answer) = self
            && let Ok(reply) = answer.await
        {
            core.give_back(reply.lent);
        }
    }
}

impl RequestHead {
    /// The whole frame of `response`: length, header, body; records by reference.
    pub fn respond(&self, response: &impl ApiMessage) -> Result<Vec<Bytes>, Refusal> {
        response.error_codes(&mut |code| self.counts.says(code));
        let encoded = header::encode_response(self.correlation_id, response, self.version)?;
        Ok(encoded.into_parts())
    }

    /// Who asks for partitions to be made or deleted, if that may be limited; refused where it is since
    /// `strict_version`.
    pub fn mutator(&self, strict_version: i16) -> Option<Box<Mutator>> {
        Some(self.client.as_ref()?.mutator(self.version >= strict_version))
    }

    /// The controller has said that the client has to wait: its connection is not read for as long.
    pub fn wait(&self, core: &Core, throttle_time_ms: i32) {
        if let Some(client) = &self.client {
            client.has_mutated(core, throttle_time_ms);
        }
    }
}

impl RequestContext {
    /// Of a connection, before it has asked for anything.
    pub fn new(core: &Rc<Core>, client: IpAddr) -> Self {
        let ending = Event::new();
        let throttle = Rc::new(Throttle::new(ending.clone()));
        RequestContext {
            core: core.clone(),
            granted_bytes: 0,
            granted_bytes_max: 0,
            client_host: client_host(client).into(),
            throttle,
            ending,
        }
    }

    /// That the request has `size_bytes` for its answer, or all that there is for requests: an answer
    /// that is larger is made alone. Errors: it is to be served again, with more.
    pub fn check_granted(&self, size_bytes: usize) -> Result<(), Refusal> {
        let needed = size_bytes.min(self.granted_bytes_max);
        if needed <= self.granted_bytes { Ok(()) } else { Err(Refusal::TakesMore) }
    }
}

/// Hands the request in `frame` to its handler. On return it has taken effect, or stands in the
/// queues of those it concerns in the order of the calls; but a fetch reads when its answer is awaited.
///
/// Errors: the connection must be closed.
pub async fn serve(context: &RequestContext, frame: Bytes) -> Result<Served, Refusal> {
    let size_bytes = frame.len();
    let mut decoder = Decoder::new(frame);
    let (api_key, header) = header::decode_request_header(&mut decoder).map_err(Refusal::Header)?;
    let counts = context.core.counts.api(api_key).ok_or(Refusal::UnsupportedApi { api_key })?;
    let counts = counts.clone();
    let head = RequestHead {
        api_key,
        version: header.request_api_version,
        correlation_id: header.correlation_id,
        client_id: header.client_id.clone(),
        counts: counts.clone(),
        client: context
            .core
            .limits_clients()
            .then(|| QuotaClient::new(header.client_id, size_bytes, &context.throttle)),
    };
    counts.asked();
    if api_key != ApiKey::Fetch {
        let serving = serve_granted(context, &head, decoder, patience_of(api_key));
        let (answer, granted) = match &head.client {
            None => serving.await?,
            Some(client) => {
                let (answer, granted) = Working::new(client.clone(), serving).await?;
                (of_limited(&context.core, client, answer).await, granted)
            }
        };
        return Ok(Served { answer, granted: Some(granted), counts });
    }
    let context = context.clone();
    let client = head.client.clone();
    let on_demand = async move {
        let serving = serve_granted(&context, &head, decoder, Patience::MayPark);
        let (answer, granted) = serving.await?;
        Ok(Reply { granted: Some(granted), ..answer.reply().await? })
    };
    let on_demand: LaterAnswer = match client {
        Some(client) => Box::pin(Working::new(client, on_demand)),
        None => Box::pin(on_demand),
    };
    Ok(Served { answer: Answer::OnDemand(on_demand), granted: None, counts })
}

/// Those who wait for others of their group do so without the memory of those who do not.
fn patience_of(api_key: ApiKey) -> Patience {
    match api_key {
        ApiKey::JoinGroup | ApiKey::SyncGroup => Patience::MayPark,
        _ => Patience::Prompt,
    }
}

/// `address` as Java writes it, which Kafka's tools show: a slash, and no group of zeros left out.
fn client_host(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => format!("/{address}"),
        IpAddr::V6(address) => {
            let groups = address.segments().map(|group| format!("{group:x}"));
            format!("/{}", groups.join(":"))
        }
    }
}

/// `answer` to a client that may be limited: how long it was worked on counts.
async fn of_limited(core: &Rc<Core>, client: &Rc<QuotaClient>, answer: Answer) -> Answer {
    match answer {
        Answer::Ready(_) => {
            client.has_asked(core).await;
            answer
        }
        Answer::Later(later) => Answer::Later(Box::pin(Working::new(client.clone(), later))),
        Answer::OnDemand(later) => Answer::OnDemand(Box::pin(Working::new(client.clone(), later))),
    }
}

/// Gives the request in `decoder` as much memory as it takes, and hands it to its handler.
async fn serve_granted(
    context: &RequestContext,
    head: &RequestHead,
    decoder: Decoder,
    patience: Patience,
) -> Result<(Answer, Granted), Refusal> {
    let core = &context.core;
    let granted_bytes_max = core.requests.size_bytes(patience);
    let mut granted_bytes = USUAL_SIZE_BYTES;
    let mut granted = take_memory(core, patience, granted_bytes).await;
    loop {
        let mut body = decoder.clone();
        body.limit_elements(granted_bytes / PER_DECODED_BYTE);
        let context = RequestContext { granted_bytes, granted_bytes_max, ..context.clone() };
        match serve_with(context, head, body).await {
            Ok(answer) => return Ok((answer, granted)),
            Err(
                Refusal::TakesMore
                | Refusal::Body { source: DecodeError::ElementsTooLarge { .. }, .. },
            ) => {}
            Err(refusal) => return Err(refusal),
        }
        granted_bytes =
            core.requests.more_than(patience, granted_bytes).ok_or(Refusal::TakesTooMuch)?;
        // Who waits holds nothing.
        drop(granted);
        granted = take_memory(core, patience, granted_bytes).await;
    }
}

/// Memory for a request. Where it is short, fetches that have waited for a while answer with what they
/// have, as many as are needed, and readers that take nothing go.
async fn take_memory(core: &Core, patience: Patience, size_bytes: usize) -> Granted {
    if let Some(granted) = core.requests.try_take(patience, size_bytes) {
        return granted;
    }
    reactor::mark!(requests_wait_for_memory);
    let mut taking = std::pin::pin!(core.requests.take(patience, size_bytes));
    loop {
        if patience == Patience::MayPark {
            core.end_parked_fetches(size_bytes.div_ceil(USUAL_SIZE_BYTES));
        }
        core.sends.end_stuck(patience);
        if let Ok(granted) = reactor::timeout(LOOK_AGAIN_AFTER, taking.as_mut()).await {
            return granted;
        }
        if let Some(granted) = core.requests.try_take(patience, size_bytes) {
            return granted;
        }
    }
}

/// One attempt. Nothing has taken effect where it takes more memory.
async fn serve_with(
    context: RequestContext,
    head: &RequestHead,
    body: Decoder,
) -> Result<Answer, Refusal> {
    let handler =
        table::find(head.api_key).ok_or(Refusal::UnsupportedApi { api_key: head.api_key })?;
    if !handler.versions.contains(&head.version) {
        // ApiVersions alone answers a version it does not know, so that clients can step down.
        if head.api_key == ApiKey::ApiVersions {
            return api_versions::unsupported_version(head).map(Answer::ready);
        }
        let RequestHead { api_key, version, .. } = *head;
        return Err(Refusal::UnsupportedVersion { api_key, version });
    }
    (handler.serve)(context, head.clone(), body).await
}
