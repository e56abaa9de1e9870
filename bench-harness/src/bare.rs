//! The floor: one reactor core that parses frames, answers produce requests and stores nothing.
//!
//! What a broker adds to this, checking, copying, writing and flushing, is what its own code costs.

use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use protocol::api::ApiKey;
use protocol::error_code::ErrorCode;
use protocol::frame::FrameDecoder;
use protocol::header;
use protocol::messages::api_versions::{ApiVersion, ApiVersionsResponse};
use protocol::messages::produce::{
    PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceResponse,
};
use protocol::wire::{Decoder, Message};
use reactor::net::{TcpListener, TcpStream};
use reactor::task::Group;

const BACKLOG: usize = 128;

/// Kafka's own `socket.request.max.bytes`.
const FRAME_SIZE_BYTES_MAX: usize = 100 * 1024 * 1024;

/// What is read at once: two of the largest requests that the workloads send.
const READ_SIZE_BYTES: usize = 256 * 1024;

const APIS: [ApiKey; 2] = [ApiKey::ApiVersions, ApiKey::Produce];

/// Serves on `127.0.0.1:port` with one core until the process is ended.
pub fn run(port: u16) -> Result<()> {
    let (failed, failure) = std::sync::mpsc::channel();
    let seeds = vec![(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), failed)];
    let cores =
        reactor::launch(reactor::Settings::default(), seeds, |_, (address, failed)| async move {
            let Err(error) = accept(address).await;
            // The receiver lives until the core has ended.
            let _ = failed.send(error);
        })?;
    cores.join();
    Err(failure.recv()?).context("the bare server")
}

async fn accept(address: SocketAddr) -> Result<std::convert::Infallible> {
    let listener = TcpListener::bind(address, BACKLOG)?;
    let connections = Group::new();
    loop {
        let stream = Rc::new(listener.accept().await?.into_stream()?);
        connections.spawn(async move {
            // A peer that breaks off or asks for something else is closed; the others go on.
            if let Err(error) = serve(&stream).await {
                eprintln!("connection closed: {error:#}");
            }
        });
    }
}

/// Answers everything that is there with one vectored write, then reads again.
async fn serve(stream: &TcpStream) -> Result<()> {
    let mut frames = FrameDecoder::new(FRAME_SIZE_BYTES_MAX);
    let mut answers = Vec::new();
    loop {
        // The frames before are dropped, so this takes their memory again instead of new.
        frames.buffer_mut().reserve(READ_SIZE_BYTES);
        if stream.read_into(frames.buffer_mut()).await? == 0 {
            return Ok(());
        }
        while let Some(frame) = frames.next_frame()? {
            answers.extend(answer(frame)?);
        }
        if !answers.is_empty() {
            stream.write_all(&answers).await?;
            answers.clear();
        }
    }
}

/// The answer to one request, as slices to be sent. Errors: it is none that a load sends.
pub fn answer(frame: Bytes) -> Result<Vec<Bytes>> {
    let mut decoder = Decoder::new(frame);
    let (api, header) = header::decode_request_header(&mut decoder)?;
    let (correlation_id, version) = (header.correlation_id, header.request_api_version);
    let encoded = match api {
        ApiKey::Produce => {
            let request = ProduceRequest::decode(&mut decoder, version)?;
            header::encode_response(correlation_id, &acknowledge(request), version)
        }
        ApiKey::ApiVersions => header::encode_response(correlation_id, &versions(), version),
        other => bail!("the bare server does not answer {other}"),
    };
    Ok(encoded?.into_parts())
}

fn acknowledge(request: ProduceRequest) -> ProduceResponse {
    let responses = request
        .topic_data
        .into_iter()
        .map(|topic| TopicProduceResponse {
            name: topic.name,
            topic_id: topic.topic_id,
            partition_responses: topic
                .partition_data
                .into_iter()
                .map(|data| PartitionProduceResponse {
                    index: data.index,
                    error_code: ErrorCode::None.into(),
                    log_start_offset: 0,
                    ..Default::default()
                })
                .collect(),
        })
        .collect();
    ProduceResponse { responses, ..Default::default() }
}

fn versions() -> ApiVersionsResponse {
    let api_keys = APIS
        .iter()
        .filter_map(|&api| {
            let versions = api.versions()?;
            Some(ApiVersion {
                api_key: api.into(),
                min_version: *versions.start(),
                max_version: *versions.end(),
            })
        })
        .collect();
    ApiVersionsResponse { api_keys, ..Default::default() }
}
