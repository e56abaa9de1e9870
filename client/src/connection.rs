//! One connection: a request, then its answer.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use protocol::header::{decode_response_header, encode_request};
use protocol::wire::{ApiMessage, Decoder, Message, Request};

use crate::ClientError;

/// How long a host may take to accept a connection.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

/// Far above any answer that is asked for: a fetch asks for 64 MiB at most, and a broker may exceed
/// that by one batch.
const ANSWER_SIZE_BYTES_MAX: usize = 256 << 20;

/// Requests are answered one after the other.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// As the user named it, for errors.
    server: String,
    client_id: &'static str,
    correlation_id: i32,
}

impl Connection {
    /// Connects to the first of `addresses` that accepts. An answer may take `answer_deadline`.
    pub fn open(
        server: &str,
        addresses: impl Iterator<Item = SocketAddr>,
        client_id: &'static str,
        answer_deadline: Duration,
    ) -> Result<Connection, ClientError> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "it has no address");
        for address in addresses {
            match connect(address, answer_deadline) {
                Ok(stream) => {
                    let server = server.to_owned();
                    return Ok(Connection { stream, server, client_id, correlation_id: 0 });
                }
                Err(error) => last = error,
            }
        }
        Err(ClientError::Connect { server: server.to_owned(), source: last })
    }

    pub fn server(&self) -> &str {
        &self.server
    }

    /// Sends `request` in `version` and waits for its answer. After an error the connection is of no
    /// more use: an answer may still be under way.
    pub fn call<R: Request>(
        &mut self,
        request: &R,
        version: i16,
    ) -> Result<R::Response, ClientError> {
        let api = R::API_KEY;
        self.correlation_id = self.correlation_id.wrapping_add(1);
        let frame = encode_request(self.correlation_id, Some(self.client_id), request, version)
            .map_err(|source| ClientError::Encode { api, version, source })?;
        let broken = |source| ClientError::Broken { server: self.server.clone(), api, source };
        for part in frame.parts() {
            self.stream.write_all(part).map_err(broken)?;
        }
        let no_answer = |source| ClientError::NoAnswer { server: self.server.clone(), api, source };
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).map_err(broken)?;
        let length = usize::try_from(i32::from_be_bytes(length)).map_err(|_| no_answer(None))?;
        if length > ANSWER_SIZE_BYTES_MAX {
            return Err(no_answer(None));
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).map_err(broken)?;
        let mut decoder = Decoder::new(body.into());
        let unreadable = |error| no_answer(Some(error));
        let header = decode_response_header(&mut decoder, R::Response::API_KEY, version)
            .map_err(unreadable)?;
        if header.correlation_id != self.correlation_id {
            return Err(no_answer(None));
        }
        R::Response::decode(&mut decoder, version).map_err(unreadable)
    }
}

fn connect(address: SocketAddr, answer_deadline: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, CONNECT_DEADLINE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(answer_deadline))?;
    stream.set_write_timeout(Some(answer_deadline))?;
    Ok(stream)
}
