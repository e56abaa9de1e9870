//! A blocking client for what a run needs beside its load: one request, one answer.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Result, ensure};
use bytes::Bytes;
use protocol::error_code::ErrorCode;
use protocol::header;
use protocol::messages::api_versions::ApiVersionsRequest;
use protocol::wire::{ApiMessage, Decoder, Message, Request};

/// An answer that takes longer fails the run instead of hanging it.
pub const ANSWER_DEADLINE: Duration = Duration::from_secs(30);

/// Far above any answer that a run asks for.
const ANSWER_SIZE_BYTES_MAX: usize = 16 * 1024 * 1024;

const CLIENT_ID: &str = "millrace-bench";

pub struct Client {
    stream: TcpStream,
    correlation_id: i32,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Result<Client> {
        Ok(Client { stream: connect(address)?, correlation_id: 0 })
    }

    /// Sends `request` and waits for its answer.
    pub fn call<R: Request>(&mut self, request: &R, version: i16) -> Result<R::Response> {
        self.correlation_id += 1;
        let encoded =
            header::encode_request(self.correlation_id, Some(CLIENT_ID), request, version)?;
        self.stream.write_all(&encoded.contiguous())?;
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = usize::try_from(i32::from_be_bytes(length))?;
        ensure!(length <= ANSWER_SIZE_BYTES_MAX, "an answer of {length} bytes");
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        let mut decoder = Decoder::new(Bytes::from(body));
        let api = R::API_KEY;
        let answered = header::decode_response_header(&mut decoder, api, version)?;
        ensure!(answered.correlation_id == self.correlation_id, "an answer to another request");
        Ok(<R::Response as Message>::decode(&mut decoder, version)?)
    }

    /// Asks for the broker's versions: the first thing that every client does.
    pub fn api_versions(&mut self) -> Result<()> {
        let request = ApiVersionsRequest {
            client_software_name: CLIENT_ID.into(),
            client_software_version: env!("CARGO_PKG_VERSION").into(),
        };
        let response = self.call(&request, 3)?;
        ensure!(
            response.error_code == i16::from(ErrorCode::None),
            "{} answered error {}",
            <ApiVersionsRequest as ApiMessage>::API_KEY,
            response.error_code
        );
        Ok(())
    }
}

/// A blocking connection whose reads and writes end after [`ANSWER_DEADLINE`].
pub fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_DEADLINE))?;
    stream.set_write_timeout(Some(ANSWER_DEADLINE))?;
    Ok(stream)
}
