//! A connection that speaks the protocol itself: what no client library sends or shows.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use protocol::api::ApiKey;
use protocol::header::{decode_response_header, encode_request};
use protocol::wire::{ApiMessage, Decoder, Message, Request};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const ANSWER_DEADLINE: Duration = Duration::from_secs(30);
/// The first version of a request's header that has tagged fields.
const FLEXIBLE_HEADER_VERSION: i16 = 2;
const FRAME_SIZE_BYTES_MAX: usize = 64 << 20;

/// One connection to a broker; requests are answered one after the other.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    correlation_id: i32,
}

impl Connection {
    pub fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(ANSWER_DEADLINE))?;
        Ok(Self { stream, correlation_id: 0 })
    }

    /// Sends `request` in `version` and waits for its answer.
    pub fn call<R: Request>(&mut self, version: i16, request: &R) -> Result<R::Response> {
        self.send(version, request)?;
        self.receive::<R>(version)
    }

    /// Sends `request` in `version` and does not wait: [`Connection::receive`] does.
    pub fn send<R: Request>(&mut self, version: i16, request: &R) -> Result<()> {
        self.correlation_id += 1;
        Ok(self.stream.write_all(&frame(self.correlation_id, version, request)?)?)
    }

    /// Waits for the answer to the request that was sent last.
    pub fn receive<R: Request>(&mut self, version: i16) -> Result<R::Response> {
        let mut size = [0; 4];
        self.stream
            .read_exact(&mut size)
            .with_context(|| format!("{} is not answered", R::NAME))?;
        let size = usize::try_from(i32::from_be_bytes(size))?;
        ensure!(size <= FRAME_SIZE_BYTES_MAX, "an answer of {size} bytes");
        let mut answer = vec![0; size];
        self.stream.read_exact(&mut answer)?;
        let mut decoder = Decoder::new(answer.into());
        let header = decode_response_header(&mut decoder, R::Response::API_KEY, version)?;
        ensure!(header.correlation_id == self.correlation_id, "it answers another request");
        Ok(R::Response::decode(&mut decoder, version)?)
    }
}

impl Connection {
    /// Sends `body` as a request of any version, and hands back what follows the correlation id of the
    /// answer. `None`: the connection was closed instead.
    pub fn raw(&mut self, key: ApiKey, version: i16, body: &[u8]) -> Result<Option<Bytes>> {
        let mut request = Vec::new();
        request.extend_from_slice(&i16::from(key).to_be_bytes());
        request.extend_from_slice(&version.to_be_bytes());
        request.extend_from_slice(&7_i32.to_be_bytes());
        // No client id; and no tagged fields, where the version has them or would have.
        request.extend_from_slice(&(-1_i16).to_be_bytes());
        if key.request_header_version(version) >= FLEXIBLE_HEADER_VERSION {
            request.push(0);
        }
        request.extend_from_slice(body);
        let size = i32::try_from(request.len())?;
        self.stream.write_all(&size.to_be_bytes())?;
        self.stream.write_all(&request)?;
        let mut size = [0; 4];
        match self.stream.read_exact(&mut size) {
            Ok(()) => {}
            Err(error)
                if [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset]
                    .contains(&error.kind()) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        }
        let mut answer = vec![0; usize::try_from(i32::from_be_bytes(size))?];
        ensure!((4..=FRAME_SIZE_BYTES_MAX).contains(&answer.len()), "{} bytes", answer.len());
        self.stream.read_exact(&mut answer)?;
        ensure!(answer[..4] == 7_i32.to_be_bytes(), "it answers another request");
        Ok(Some(Bytes::from(answer).slice(4..)))
    }
}

/// A whole frame, for connections whose answers nobody reads.
pub fn frame<R: Request>(correlation_id: i32, version: i16, request: &R) -> Result<Bytes> {
    Ok(encode_request(correlation_id, Some("wire"), request, version)?.contiguous())
}
