//! A broker with little memory, and clients that want more of it than there is: it stays below what it was
//! given, and clients that do as they should go on.

use crate::wire::{self, Connection};
use crate::{Broker, Kind, Layout, Quorum, Report, Setting, Site, Tools};
use anyhow::{Context, Result, ensure};
use protocol::messages::create_topics::CreatableTopic;
use protocol::messages::fetch::{FetchPartition, FetchTopic};
use protocol::messages::metadata::MetadataRequestTopic;
use protocol::messages::produce::{PartitionProduceData, TopicProduceData};
use protocol::messages::{CreateTopicsRequest, FetchRequest, MetadataRequest, ProduceRequest};
use protocol::model::TimestampMs;
use protocol::record_batch::{BatchBuilder, BatchOptions};
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const MEMORY_BYTES: u64 = 210_000_000;
const LINES: [&str; 3] =
    ["millrace.memory.bytes=210000000", "socket.request.max.bytes=16777216", "num.partitions=8"];
/// What a process takes beside: its program, its cores, metadata, spare blocks; ADR 0116 lists it.
const BESIDE_BYTES: u64 = 64 << 20;
/// What a connection takes that does nothing.
const PER_CONNECTION_BYTES: u64 = 16 << 10;
const IDLE_CONNECTION_COUNT: usize = 5_000;

const FILLED: &str = "filled";
const QUIET: &str = "quiet";
const GOOD: &str = "good";
const PARTITION_COUNT: i32 = 8;
/// More than all of a broker's memory for answers and records.
const FILLED_BATCH_COUNT: i32 = 256;
const FILLED_BATCH_SIZE_BYTES: usize = 1_000_000;

const PRODUCE_VERSION: i16 = 9;
const FETCH_VERSION: i16 = 12;
const METADATA_VERSION: i16 = 12;
/// How long good clients are watched beside each kind of others.
const WATCHED_FOR: Duration = Duration::from_secs(8);
/// What none of their requests may take: readers that take no records lose their place after ten seconds.
const LATENCY_MAX: Duration = Duration::from_secs(15);

pub fn run(report: &mut Report, kind: Kind) {
    let setting = Setting { kind, cores: 2, quorum: Quorum::Static };
    let name = |what: &str| format!("little memory, {}: {what}", kind.name());
    let layout = Layout { lines: LINES.map(str::to_owned).to_vec(), ..Layout::default() };
    let started =
        report.always(&name("starts"), |tools| Site::format_and_start_as(tools, setting, &layout));
    let Some((_site, broker)) = started else { return };
    let filled = report.always(&name("takes more than it can keep in memory"), |_| fill(&broker));
    if filled.is_none() {
        return;
    }
    for (what, attack) in ATTACKS {
        report.case(&name(what), &[], |_| beside(&broker, what, *attack));
    }
    report.always(&name("stops cleanly"), |_: &Tools| broker.stop());
}

/// Makes a trouble that lasts until what it returns is dropped.
type Attack = fn(SocketAddr, &AtomicBool) -> Result<Vec<TcpStream>>;

const ATTACKS: &[(&str, Attack)] = &[
    ("nobody disturbs", |_, _| Ok(Vec::new())),
    ("200 announce frames of 16 MiB and send them byte by byte", announce),
    ("100 ask for all records again and again and read none", |address, _| {
        ask_and_never_read(address, 100, &fetch(FILLED, 500, 1), FETCH_VERSION)
    }),
    ("100 ask for metadata of 5,000 topics again and again and read none", |address, _| {
        ask_and_never_read(address, 100, &metadata(5_000), METADATA_VERSION)
    }),
    ("300 wait for records of 8,000 partitions each", |address, _| {
        ask(address, 300, 1, &fetch(QUIET, 600_000, 1_000), FETCH_VERSION)
    }),
    ("5,000 are idle", idle),
    ("connections come and go as fast as they can", flood),
];

/// Good clients while `attack` lasts: they are served, and the broker's memory stays below its number.
fn beside(broker: &Broker, what: &str, attack: Attack) -> Result<()> {
    let address = broker.address();
    let is_over = AtomicBool::new(false);
    broker.forget_peak()?;
    thread::scope(|scope| {
        let held = attack_in_background(scope, attack, address, &is_over);
        let watched = (0..2).map(|_| scope.spawn(|| good_client(address, WATCHED_FOR)));
        let watched: Vec<_> = watched.collect();
        let mut latencies = Vec::new();
        let mut failed = None;
        for client in watched {
            match client.join().expect("a client does not panic") {
                Ok(of_client) => latencies.extend(of_client),
                Err(error) => failed = Some(error),
            }
        }
        is_over.store(true, Ordering::Relaxed);
        let held = held.join().expect("an attack does not panic").context("the attack failed")?;
        if let Some(error) = failed {
            return Err(error).context("a good client failed");
        }
        latencies.sort_unstable();
        let at = |part: f64| latencies[((latencies.len() - 1) as f64 * part) as usize];
        let peak = broker.peak_resident_bytes()?;
        println!(
            "{what}: {} requests of good clients, p50 {:?} p99 {:?} max {:?}; peak {} MiB, {} held",
            latencies.len(),
            at(0.5),
            at(0.99),
            at(1.0),
            peak >> 20,
            held.len(),
        );
        ensure!(at(1.0) < LATENCY_MAX, "a good client's request took {:?}", at(1.0));
        let bound = MEMORY_BYTES + BESIDE_BYTES + held.len() as u64 * PER_CONNECTION_BYTES;
        let is_bounded = broker.kind() == Kind::Kafka || peak <= bound;
        ensure!(is_bounded, "{} MiB resident, of at most {}", peak >> 20, bound >> 20);
        Ok(())
    })
}

fn attack_in_background<'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    attack: Attack,
    address: SocketAddr,
    is_over: &'scope AtomicBool,
) -> thread::ScopedJoinHandle<'scope, Result<Vec<TcpStream>>> {
    scope.spawn(move || {
        let held = attack(address, is_over)?;
        while !is_over.load(Ordering::Relaxed) {
            thread::park_timeout(Duration::from_millis(20));
        }
        Ok(held)
    })
}

/// Produces a record and reads the start of the log, over and over. How long each request took.
fn good_client(address: SocketAddr, lasts: Duration) -> Result<Vec<Duration>> {
    let until = Instant::now() + lasts;
    let mut connection = Connection::open(address)?;
    let mut latencies = Vec::new();
    while Instant::now() < until {
        let began = Instant::now();
        produce(&mut connection, GOOD, 0, 1_000)?;
        latencies.push(began.elapsed());
        let began = Instant::now();
        let mut wanted = fetch(GOOD, 500, 1);
        wanted.max_bytes = 10_000;
        let answer = connection.call(FETCH_VERSION, &wanted)?;
        let errors = answer.responses.iter().flat_map(|topic| &topic.partitions);
        ensure!(errors.clone().all(|partition| partition.error_code == 0), "{answer:?}");
        latencies.push(began.elapsed());
    }
    Ok(latencies)
}

fn fill(broker: &Broker) -> Result<()> {
    let mut connection = Connection::open(broker.address())?;
    let topic = |name: &str| CreatableTopic {
        name: name.into(),
        num_partitions: PARTITION_COUNT,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    let topics = [FILLED, QUIET, GOOD].map(topic).to_vec();
    let created = connection.call(7, &CreateTopicsRequest { topics, ..Default::default() })?;
    ensure!(created.topics.iter().all(|topic| topic.error_code == 0), "{created:?}");
    for number in 0..FILLED_BATCH_COUNT {
        produce(&mut connection, FILLED, number % PARTITION_COUNT, FILLED_BATCH_SIZE_BYTES)?;
    }
    Ok(())
}

fn produce(connection: &mut Connection, topic: &str, index: i32, size_bytes: usize) -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.append(TimestampMs(now as i64), None, Some(&vec![b'.'; size_bytes]), &[]);
    let data = PartitionProduceData { index, records: Some(builder.build().into()) };
    let topic_data = TopicProduceData {
        name: topic.into(),
        partition_data: vec![data],
        ..TopicProduceData::default()
    };
    let request = ProduceRequest {
        acks: -1,
        timeout_ms: 30_000,
        topic_data: vec![topic_data],
        ..ProduceRequest::default()
    };
    let answer = connection.call(PRODUCE_VERSION, &request)?;
    let error_code = answer.responses[0].partition_responses[0].error_code;
    ensure!(error_code == 0, "{answer:?}");
    Ok(())
}

/// All partitions of `topic` from their start, each named `repeat` times.
fn fetch(topic: &str, max_wait_ms: i32, repeat: usize) -> FetchRequest {
    let partition = |partition| FetchPartition {
        partition,
        partition_max_bytes: 50 << 20,
        ..FetchPartition::default()
    };
    let partitions = (0..repeat).flat_map(|_| (0..PARTITION_COUNT).map(partition)).collect();
    FetchRequest {
        max_wait_ms,
        min_bytes: 1,
        max_bytes: 50 << 20,
        session_epoch: -1,
        topics: vec![FetchTopic { topic: topic.into(), partitions, ..FetchTopic::default() }],
        ..FetchRequest::default()
    }
}

fn metadata(count: usize) -> MetadataRequest {
    let topic = |number| MetadataRequestTopic {
        name: Some(format!("no-such-topic-{number}").into()),
        ..MetadataRequestTopic::default()
    };
    MetadataRequest {
        topics: Some((0..count).map(topic).collect()),
        allow_auto_topic_creation: false,
        ..MetadataRequest::default()
    }
}

/// `count` connections that send `request` `repeat` times, as far as it is taken.
fn ask<R: protocol::wire::Request>(
    address: SocketAddr,
    count: usize,
    repeat: i32,
    request: &R,
    version: i16,
) -> Result<Vec<TcpStream>> {
    let frames = (0..repeat).map(|number| wire::frame(number, version, request));
    let frames = frames.collect::<Result<Vec<_>>>()?.concat();
    let connections = (0..count).map(|_| TcpStream::connect(address));
    let connections = connections.collect::<std::io::Result<Vec<_>>>()?;
    for mut connection in &connections {
        connection.set_nonblocking(true)?;
        let mut rest = &frames[..];
        // What is not taken now stays unsent: those who ask do not wait for each other.
        while let Ok(sent) = connection.write(rest)
            && sent > 0
        {
            rest = &rest[sent..];
        }
    }
    Ok(connections)
}

fn ask_and_never_read<R: protocol::wire::Request>(
    address: SocketAddr,
    count: usize,
    request: &R,
    version: i16,
) -> Result<Vec<TcpStream>> {
    ask(address, count, 60, request, version)
}

fn announce(address: SocketAddr, is_over: &AtomicBool) -> Result<Vec<TcpStream>> {
    let connections = (0..200).map(|_| TcpStream::connect(address));
    let connections = connections.collect::<std::io::Result<Vec<_>>>()?;
    for mut connection in &connections {
        connection.write_all(&(16_000_000_i32).to_be_bytes())?;
    }
    while !is_over.load(Ordering::Relaxed) {
        for mut connection in &connections {
            // The broker may have lost its patience.
            let _sent = connection.write(&[0]);
        }
        thread::park_timeout(Duration::from_millis(200));
    }
    Ok(connections)
}

fn idle(address: SocketAddr, _is_over: &AtomicBool) -> Result<Vec<TcpStream>> {
    let connections = (0..IDLE_CONNECTION_COUNT).map(|_| TcpStream::connect(address));
    connections.collect::<std::io::Result<_>>().context("opening 5,000 connections (ulimit -n?)")
}

fn flood(address: SocketAddr, is_over: &AtomicBool) -> Result<Vec<TcpStream>> {
    while !is_over.load(Ordering::Relaxed) {
        // The ports of closed connections may run out: then this waits like anyone.
        if TcpStream::connect(address).is_err() {
            thread::park_timeout(Duration::from_millis(10));
        }
    }
    Ok(Vec::new())
}
