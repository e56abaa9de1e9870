//! A Kafka client's connection: requests go out in a pipeline, answers come back in their order.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use protocol::api::ApiKey;
use protocol::error_code::ErrorCode;
use protocol::frame::FrameDecoder;
use protocol::header::{decode_response_header, encode_request};
use protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use protocol::wire::{ApiMessage, Decoder, Request};
use reactor::net::TcpStream;

use crate::verdict::Failure;

/// No answer of the workload's is larger.
const RESPONSE_SIZE_BYTES_MAX: usize = 64 << 20;
const READ_SIZE_BYTES: usize = 64 << 10;

/// Why a client's call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The connection is of no use any more; what was asked may have happened or not.
    #[error("connection: {0}")]
    Connection(#[from] io::Error),
    /// An answer that no broker may give.
    #[error("{0}")]
    Broken(Failure),
}

impl From<reactor::time::Elapsed> for ClientError {
    fn from(elapsed: reactor::time::Elapsed) -> Self {
        ClientError::Connection(io::Error::new(io::ErrorKind::TimedOut, elapsed))
    }
}

impl From<Failure> for ClientError {
    fn from(failure: Failure) -> Self {
        ClientError::Broken(failure)
    }
}

/// A connection with its requests in flight. Dropping it closes it.
pub struct Connection {
    stream: TcpStream,
    frames: FrameDecoder,
    next_correlation_id: i32,
    in_flight: VecDeque<Sent>,
    timeout: Duration,
}

struct Sent {
    correlation_id: i32,
    api_key: ApiKey,
    version: i16,
}

impl Connection {
    /// Connects and asks for the versions, as every client does. Whatever takes longer than `timeout`
    /// ends the connection.
    pub async fn open(address: SocketAddr, timeout: Duration) -> Result<Self, ClientError> {
        let stream = reactor::timeout(timeout, TcpStream::connect(address)).await??;
        let mut connection = Connection {
            stream,
            frames: FrameDecoder::new(RESPONSE_SIZE_BYTES_MAX),
            next_correlation_id: 0,
            in_flight: VecDeque::new(),
            timeout,
        };
        let request = ApiVersionsRequest {
            client_software_name: "simulator".into(),
            client_software_version: "1".into(),
        };
        let response: ApiVersionsResponse = connection.call(&request, 3).await?;
        if response.error_code != ErrorCode::None.code() || response.api_keys.is_empty() {
            return Err(Failure::broken(12, format!("ApiVersions answers {response:?}")).into());
        }
        Ok(connection)
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Sends a request and returns as soon as it is on its way; [`Self::receive`] gives its answer.
    pub async fn send<R: Request>(&mut self, request: &R, version: i16) -> Result<(), ClientError> {
        let correlation_id = self.next_correlation_id;
        self.next_correlation_id = correlation_id.wrapping_add(1);
        let frame = encode_request(correlation_id, Some("simulator"), request, version)
            .expect("the workload fills only fields that the version has");
        let written = self.stream.write_all(frame.parts());
        reactor::timeout(self.timeout, written).await??;
        self.in_flight.push_back(Sent { correlation_id, api_key: R::API_KEY, version });
        Ok(())
    }

    /// The answer to the oldest request in flight, which is one of type `R`'s (asserted).
    /// Errors: another request's answer, or bytes that are none, break INV-12.
    pub async fn receive<R: ApiMessage>(&mut self) -> Result<R, ClientError> {
        let sent = self.in_flight.pop_front().expect("a request is in flight");
        assert!(
            sent.api_key == R::API_KEY,
            "{:?} is asked for, not {:?}",
            sent.api_key,
            R::API_KEY
        );
        let frame = reactor::timeout(self.timeout, self.next_frame()).await??;
        let mut decoder = Decoder::new(frame);
        let undecodable = |error: protocol::wire::DecodeError| {
            Failure::broken(12, format!("an answer to {:?} is none: {error}", sent.api_key))
        };
        let header = decode_response_header(&mut decoder, sent.api_key, sent.version)
            .map_err(undecodable)?;
        if header.correlation_id != sent.correlation_id {
            let what = format!(
                "answer {} to {:?} where {} was due",
                header.correlation_id, sent.api_key, sent.correlation_id
            );
            return Err(Failure::broken(12, what).into());
        }
        let response = R::decode(&mut decoder, sent.version).map_err(undecodable)?;
        decoder.finish().map_err(undecodable)?;
        Ok(response)
    }

    /// Sends a request and waits for its answer; nothing else is in flight (asserted by `receive`).
    pub async fn call<R: Request>(
        &mut self,
        request: &R,
        version: i16,
    ) -> Result<R::Response, ClientError> {
        self.send(request, version).await?;
        self.receive::<R::Response>().await
    }

    async fn next_frame(&mut self) -> Result<bytes::Bytes, ClientError> {
        loop {
            let next = self.frames.next_frame().map_err(|error| {
                Failure::broken(12, format!("what the broker sends is no frame: {error}"))
            })?;
            if let Some(frame) = next {
                return Ok(frame);
            }
            let buffer = self.frames.buffer_mut();
            buffer.reserve(READ_SIZE_BYTES);
            if self.stream.read_into(buffer).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
    }
}
