//! From a frame to its handler, and from a response to the slices that are sent.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use bytes::Bytes;
use protocol::api::ApiKey;
use protocol::header;
use protocol::wire::{ApiMessage, DecodeError, Decoder, EncodeError};
use reactor::sync::Event;

use super::{api_versions, table};
use crate::cores::{Core, Unanswered};

/// What a handler knows of where a request comes from.
#[derive(Clone)]
pub struct RequestContext {
    pub core: Rc<Core>,
    /// Set when nothing more is read from the connection: what can wait no longer does.
    pub ending: Event,
}

/// What of a request's header its answer needs.
#[derive(Clone, Debug)]
pub struct RequestHead {
    pub api_key: ApiKey,
    pub version: i16,
    pub correlation_id: i32,
}

/// An answer, whole or to come. No parts at all where the request wants none (`acks=0`).
pub enum Answer {
    Ready(Vec<Bytes>),
    Later(LaterAnswer),
}

/// An answer that other cores are still working on.
pub type LaterAnswer = Pin<Box<dyn Future<Output = Result<Vec<Bytes>, Refusal>>>>;

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
    #[error("a produce request without acknowledgement failed")]
    UnacknowledgedProduce,
    #[error(transparent)]
    Stopping(#[from] Unanswered),
}

impl Answer {
    /// The answer if it is ready now.
    pub async fn try_ready(&mut self) -> Option<Result<Vec<Bytes>, Refusal>> {
        match self {
            Answer::Ready(parts) => Some(Ok(std::mem::take(parts))),
            Answer::Later(answer) => futures_lite::future::poll_once(answer).await,
        }
    }

    pub async fn ready(self) -> Result<Vec<Bytes>, Refusal> {
        match self {
            Answer::Ready(parts) => Ok(parts),
            Answer::Later(answer) => answer.await,
        }
    }
}

impl RequestHead {
    /// The whole frame of `response`: length, header, body; records by reference.
    pub fn respond(&self, response: &impl ApiMessage) -> Result<Vec<Bytes>, Refusal> {
        let encoded = header::encode_response(self.correlation_id, response, self.version)?;
        Ok(encoded.into_parts())
    }
}

/// Hands the request in `frame` to its handler. On return it has taken effect, or stands in the
/// queues of those it concerns in the order of the calls; but a fetch reads when its answer is awaited.
///
/// Errors: the connection must be closed.
pub async fn serve(context: &RequestContext, frame: Bytes) -> Result<Answer, Refusal> {
    let mut decoder = Decoder::new(frame);
    let (api_key, header) = header::decode_request_header(&mut decoder).map_err(Refusal::Header)?;
    let head = RequestHead {
        api_key,
        version: header.request_api_version,
        correlation_id: header.correlation_id,
    };
    let handler =
        table::find(head.api_key).ok_or(Refusal::UnsupportedApi { api_key: head.api_key })?;
    if !handler.versions.contains(&head.version) {
        // ApiVersions alone answers a version it does not know, so that clients can step down.
        if head.api_key == ApiKey::ApiVersions {
            return api_versions::unsupported_version(&head).map(Answer::Ready);
        }
        let RequestHead { api_key, version, .. } = head;
        return Err(Refusal::UnsupportedVersion { api_key, version });
    }
    (handler.serve)(context.clone(), head, decoder).await
}
