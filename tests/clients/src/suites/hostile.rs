//! Bytes that no client sends: an answer or a closed connection, no memory to speak of, no effect on
//! others.

use super::round::{Round, other_client_goes_on};
use crate::{Broker, Kind, Tools};
use anyhow::{Context, Result, ensure};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// How long the broker may take to answer or to close.
const ANSWER_DEADLINE: Duration = Duration::from_secs(20);
const IDLE_CONNECTION_COUNT: usize = 1_000;
const RANDOM_CONNECTION_COUNT: usize = 200;
const SEED: u64 = 0x6d69_6c6c_7261_6365;

/// How much more memory the attacks may leave resident. Idle connections keep small buffers; a frame
/// that claims gigabytes must not get them. A JVM grows its heap as it likes.
fn growth_bytes_max(kind: Kind) -> u64 {
    match kind {
        Kind::Millrace => 64 << 20,
        Kind::Kafka => 512 << 20,
    }
}

pub fn attack(round: &mut Round, broker: &Broker) {
    let address = broker.address();
    let before = broker.resident_bytes();
    for (what, bytes) in hostile_frames() {
        let name = round.case_name(format!("{what}: answered or closed"));
        round.report.case(&name, &[], |_| send_and_drain(address, &bytes).map(drop));
    }
    let name =
        round.case_name("ApiVersions of an unknown version is answered with UNSUPPORTED_VERSION");
    round.report.case(&name, &[], |_| unsupported_version(address));
    let name = round.case_name("a request cut anywhere closes the connection");
    round.report.case(&name, &[], |_| truncated(address));
    let name = round.case_name("random bytes are answered or closed");
    round.report.case(&name, &[], |_| random_bytes(address));
    let name = round.case_name("1,000 idle connections disturb nobody");
    round.report.case(&name, &[Tools::FRANZ_GO], |tools| {
        let idle = (0..IDLE_CONNECTION_COUNT)
            .map(|_| TcpStream::connect(address))
            .collect::<std::io::Result<Vec<_>>>()
            .context("opening 1,000 connections (ulimit -n?)")?;
        // Half of them have begun a frame and say no more.
        for mut connection in idle.iter().step_by(2) {
            connection.write_all(&[0, 0])?;
        }
        other_client_goes_on(tools, broker, "beside-idle-connections")?;
        let (before, now) = (*before.as_ref().ok().context("RSS")?, broker.resident_bytes()?);
        let grown = now.saturating_sub(before);
        println!("resident: {} MiB before, {} MiB with 1,000 idle", before >> 20, now >> 20);
        ensure!(grown < growth_bytes_max(broker.kind()), "grew by {} MiB", grown >> 20);
        Ok(())
    });
    let name = round.case_name("other clients go on after the attacks");
    let topic = "after-attacks";
    round
        .report
        .case(&name, &[Tools::FRANZ_GO], |tools| other_client_goes_on(tools, broker, topic));
}

/// Bytes that no client sends, and what they are.
pub(super) fn hostile_frames() -> Vec<(&'static str, Vec<u8>)> {
    let million = [0x00, 0x0f, 0x42, 0x40];
    vec![
        ("Metadata of a million topics in 20 bytes", frame(3, 1, &million)),
        (
            "Produce with a million topics in 20 bytes",
            frame(0, 3, &[&[0xff, 0xff, 0, 1, 0, 0, 0, 1], &million[..]].concat()),
        ),
        (
            "a compact array of four billion elements",
            frame(3, 12, &[0x00, 0xff, 0xff, 0xff, 0xff, 0x0f]),
        ),
        ("a frame of two gigabytes announced", [&i32::MAX.to_be_bytes()[..], &[0; 16]].concat()),
        ("a frame of negative length", (-1_i32).to_be_bytes().to_vec()),
        ("an empty frame", vec![0; 4]),
        ("an unknown API", frame(999, 0, &[])),
        ("an HTTP request", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
    ]
}

/// A whole frame: length, request header version 1 with an empty client id, then `body`.
fn frame(api_key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let correlation_id = 7_i32.to_be_bytes();
    let parts: [&[u8]; 5] =
        [&api_key.to_be_bytes(), &version.to_be_bytes(), &correlation_id, &[0, 0], body];
    let content = parts.concat();
    [&(content.len() as i32).to_be_bytes()[..], &content].concat()
}

/// Sends `bytes`, says that no more will come, and reads to the end. A reset is an end too.
fn send_and_drain(address: SocketAddr, bytes: &[u8]) -> Result<Vec<u8>> {
    let mut connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(ANSWER_DEADLINE))?;
    if connection.write_all(bytes).is_err() || connection.shutdown(Shutdown::Write).is_err() {
        return Ok(Vec::new());
    }
    let mut answer = Vec::new();
    match connection.read_to_end(&mut answer) {
        Ok(_) => Ok(answer),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(answer),
        Err(error) => Err(error).context("neither an answer nor an end"),
    }
}

/// KIP-511: the answer has version 0, so that any client can read it.
fn unsupported_version(address: SocketAddr) -> Result<()> {
    let mut connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(ANSWER_DEADLINE))?;
    // The header of a version from 3 on ends with its tagged fields, here none.
    connection.write_all(&frame(18, 127, &[0]))?;
    let mut start = [0; 10];
    connection.read_exact(&mut start)?;
    let [_, _, _, _, correlation_id @ .., error_high, error_low] = start;
    ensure!(i32::from_be_bytes(correlation_id) == 7, "correlation id {correlation_id:?}");
    let error = i16::from_be_bytes([error_high, error_low]);
    ensure!(error == 35, "error code {error}, not UNSUPPORTED_VERSION");
    Ok(())
}

fn truncated(address: SocketAddr) -> Result<()> {
    let whole = frame(18, 0, &[]);
    let answer = send_and_drain(address, &whole)?;
    ensure!(answer.len() > 4, "the whole request got no answer");
    for length in 0..whole.len() {
        let answer = send_and_drain(address, &whole[..length])?;
        ensure!(answer.is_empty(), "{length} bytes of a request were answered");
    }
    Ok(())
}

fn random_bytes(address: SocketAddr) -> Result<()> {
    let mut random = Random::new(SEED);
    for round in 0..RANDOM_CONNECTION_COUNT {
        let bytes = random_frame(&mut random);
        send_and_drain(address, &bytes).with_context(|| format!("round {round} of {SEED:#x}"))?;
    }
    Ok(())
}

/// Random contents of random length, half of them behind a length that is right.
pub(super) fn random_frame(random: &mut Random) -> Vec<u8> {
    let length = 1 + random.draw() as usize % 4096;
    let bytes: Vec<u8> = (0..length).map(|_| random.draw() as u8).collect();
    if random.draw().is_multiple_of(2) {
        return bytes;
    }
    // A known API in a known version, so that the body's decoder is reached.
    let [api_key, version] = [random.draw() % 4, random.draw() % 10];
    let content = [&[0, api_key as u8, 0, version as u8], &bytes[..]].concat();
    [&(content.len() as i32).to_be_bytes()[..], &content].concat()
}

/// xorshift64: all that is needed is that a failure can be repeated.
pub(super) struct Random(u64);

impl Random {
    /// `seed` is not 0.
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn draw(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
