//! A bit flips in a file of a node that is down, one kind of file after the other: what the next start
//! does, what is served, what the log says, and what `millrace storage verify` says before. The table is
//! docs/storage.md's.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use protocol::error_code::ErrorCode;
use protocol::messages::create_topics::{CreatableTopic, CreatableTopicConfig};
use protocol::messages::fetch::{FetchPartition, FetchTopic};
use protocol::messages::produce::{PartitionProduceData, TopicProduceData};
use protocol::messages::{CreateTopicsRequest, FetchRequest, ProduceRequest};
use protocol::model::TimestampMs;
use protocol::record_batch::{BatchBuilder, BatchOptions, Batches};
use reactor::sim::{Crash, Knobs, NodeId, Simulation};
use simulator::broker_node::BrokerNode;
use simulator::client::Connection;
use storage::Settings;
use storage::verify::{Severity, verify};

const LIMIT: Duration = Duration::from_secs(300);
const RECORD_COUNT: i64 = 20;
const VALUE_SIZE_BYTES: usize = 700;

/// How the node went down before.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stop {
    Clean,
    Kill,
}

#[derive(Debug)]
enum Served {
    All,
    /// All but so many, which are refused.
    AllBut(usize),
    /// The partition is offline.
    Nothing,
    /// The partition has begun anew: its directory is kept, under a name for strangers.
    SetAside,
    /// The process ends, and its reason has this in it.
    NoStart(&'static str),
}

impl PartialEq for Served {
    /// What is expected of a reason is a part of it.
    fn eq(&self, expected: &Served) -> bool {
        match (self, expected) {
            (Served::NoStart(reason), Served::NoStart(part)) => reason.contains(part),
            (Served::AllBut(count), Served::AllBut(expected)) => count == expected,
            (found, expected) => std::mem::discriminant(found) == std::mem::discriminant(expected),
        }
    }
}

/// What was logged of the file that was hit.
#[derive(Debug, PartialEq)]
enum Said {
    Nothing,
    Warn,
    Error,
}

struct Host {
    simulation: Simulation,
    broker: BrokerNode,
    client: NodeId,
}

impl Host {
    /// A node that has taken `RECORD_COUNT` records into one partition of several segments, and is down.
    fn new(stop: Stop) -> Host {
        let simulation = Simulation::new(1, Knobs::default());
        let settings = Settings { reserve_size_bytes_max: 128 << 10, ..Settings::default() };
        let broker = BrokerNode::add(&simulation, 1, settings, "");
        let broker = broker.unwrap_or_else(|failure| panic!("{failure}"));
        let client = simulation.add_node("client", IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)));
        broker.start(&simulation);
        let host = Host { simulation, broker, client };
        host.create_topic();
        (0..RECORD_COUNT).for_each(|number| host.produce(number));
        // The core checkpoint is written every few seconds.
        host.simulation.run_for(Duration::from_secs(20));
        if stop == Stop::Clean {
            host.broker.stop();
            let is_running = || host.simulation.is_running(host.broker.node);
            assert!(host.simulation.run_until(|| !is_running(), LIMIT), "a stop ends");
        } else {
            // What the checkpoint does not have yet.
            (RECORD_COUNT..RECORD_COUNT + 2).for_each(|number| host.produce(number));
        }
        host.broker.crash(&host.simulation, Crash::Kill);
        host
    }

    fn run<T: 'static>(&self, work: impl AsyncFnOnce(Connection) -> T + 'static) -> T {
        let address = self.broker.address();
        let working = async move { work(connect(address).await).await };
        self.simulation.block_on(self.client, LIMIT, working).expect("in time")
    }

    fn create_topic(&self) {
        self.run(async |mut connection| {
            let config = |name: &'static str, value: &'static str| CreatableTopicConfig {
                name: name.into(),
                value: Some(value.into()),
            };
            let configs = vec![
                config("internal.segment.bytes", "4096"),
                config("index.interval.bytes", "1024"),
            ];
            let topic = CreatableTopic {
                name: "orders".into(),
                num_partitions: 1,
                replication_factor: 1,
                configs,
                ..Default::default()
            };
            let request = CreateTopicsRequest {
                topics: vec![topic],
                timeout_ms: 30_000,
                ..Default::default()
            };
            let response = connection.call(&request, 7).await.expect("an answer");
            assert_eq!(response.topics[0].error_code, ErrorCode::None.code());
        });
    }

    fn produce(&self, number: i64) {
        let mut builder = BatchBuilder::new(BatchOptions::default());
        builder.append(TimestampMs(1), None, Some(&value(number)), &[]);
        let data = PartitionProduceData { index: 0, records: Some(builder.build().into()) };
        let topic = TopicProduceData {
            name: "orders".into(),
            partition_data: vec![data],
            ..Default::default()
        };
        let request = ProduceRequest {
            acks: -1,
            timeout_ms: 30_000,
            topic_data: vec![topic],
            ..Default::default()
        };
        self.run(async move |mut connection| {
            let response = connection.call(&request, 9).await.expect("an answer");
            let answer = &response.responses[0].partition_responses[0];
            assert_eq!((answer.error_code, answer.base_offset), (0, number));
        });
    }

    /// The values at `offset` and behind it that come at once, or the error.
    fn fetch(&self, offset: i64) -> Result<Vec<(i64, Vec<u8>)>, ErrorCode> {
        self.run(async move |mut connection| {
            let partition = FetchPartition {
                fetch_offset: offset,
                partition_max_bytes: 1,
                ..Default::default()
            };
            let topic = FetchTopic {
                topic: "orders".into(),
                partitions: vec![partition],
                ..Default::default()
            };
            let request = FetchRequest {
                max_bytes: 1 << 24,
                session_epoch: -1,
                topics: vec![topic],
                ..Default::default()
            };
            let mut response = connection.call(&request, 12).await.expect("an answer");
            let answer = response.responses.remove(0).partitions.remove(0);
            match ErrorCode::try_from(answer.error_code).expect("a code of Kafka's") {
                ErrorCode::None => {}
                error => return Err(error),
            }
            let bytes = answer.records.unwrap_or_default().contiguous();
            let mut found = Vec::new();
            for batch in Batches::new(bytes) {
                for record in batch.expect("a batch").records(1 << 20).expect("records") {
                    let record = record.expect("a record");
                    found.push((record.offset.0, record.value.expect("a value").to_vec()));
                }
            }
            Ok(found)
        })
    }

    /// Flips a bit in the first file, by name, that ends with `name`, or begins with it.
    fn flip(&self, name: &str, position: Option<u64>) -> PathBuf {
        let paths = self.simulation.file_paths(self.broker.node, Path::new("/data"));
        let is_it = |path: &&String| {
            let file = path.rsplit('/').next().unwrap_or_default();
            path.ends_with(name) || file.starts_with(name)
        };
        let path = paths.expect("a disk").into_iter().find(|path| is_it(&path));
        let path = PathBuf::from(path.unwrap_or_else(|| panic!("no {name}")));
        let size = self.simulation.file_size(self.broker.node, &path).expect("a file");
        let position = position.unwrap_or(size / 2);
        let is_hit = self.simulation.rot(self.broker.node, &path, position).expect("a disk");
        assert!(is_hit, "{} at {position} of {size}", path.display());
        path
    }

    fn verified(&self, path: &Path) -> Option<Severity> {
        let verified = async { verify(Path::new("/data"), &mut |_| {}).await };
        let verified = self.simulation.block_on(self.broker.node, LIMIT, verified);
        let verified = verified.expect("in time").expect("readable");
        let of_file =
            |found: &Path| found == path || path.starts_with(found) && found != Path::new("/data");
        let findings = verified.findings.iter().filter(|finding| of_file(&finding.path));
        findings.map(|finding| finding.severity).max()
    }

    fn served(&self, record_count: i64) -> Served {
        self.broker.start(&self.simulation);
        let has_ended = || self.broker.reason().is_some();
        if self.simulation.run_until(has_ended, Duration::from_secs(10)) {
            let reason = self.broker.reason().expect("it has ended");
            return Served::NoStart(Box::leak(reason.into_boxed_str()));
        }
        let mut refused = 0;
        for offset in (0..record_count).rev() {
            match self.fetch(offset) {
                Ok(found) if found.is_empty() => return Served::SetAside,
                Ok(found) => {
                    assert_eq!(found.first(), Some(&(offset, value(offset))), "offset {offset}");
                    assert!(found.iter().all(|(offset, found)| *found == value(*offset)));
                }
                Err(ErrorCode::KafkaStorageError | ErrorCode::CorruptMessage) => refused += 1,
                Err(ErrorCode::NotLeaderOrFollower | ErrorCode::UnknownTopicOrPartition) => {
                    return Served::Nothing;
                }
                Err(ErrorCode::OffsetOutOfRange) => return Served::SetAside,
                Err(error) => panic!("offset {offset}: {error}"),
            }
        }
        match refused {
            0 => Served::All,
            all if all == record_count as usize => Served::Nothing,
            some => Served::AllBut(some),
        }
    }
}

fn value(number: i64) -> Vec<u8> {
    let word = format!("value {number};");
    word.bytes().cycle().take(VALUE_SIZE_BYTES).collect()
}

async fn connect(address: SocketAddr) -> Connection {
    loop {
        match Connection::open(address, Duration::from_secs(30)).await {
            Ok(connection) => return connection,
            Err(_) => reactor::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// What is logged, for who looks.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("one thread").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// The worst line that names `path`, or a file or directory that it is of.
    fn said_of(&self, path: &Path) -> Said {
        let text = String::from_utf8(self.0.lock().expect("one thread").clone()).expect("text");
        let partition = path.parent().expect("a directory").display().to_string();
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        let (stem, _) = name.split_once('.').unwrap_or((&name, ""));
        let mut said = Said::Nothing;
        for line in text.lines() {
            let is_of = line.contains(&name)
                || (partition != "/data" && line.contains(&partition))
                || (stem.len() == 20 && line.contains(stem));
            match (is_of, line.trim_start().split(' ').next()) {
                (true, Some("ERROR")) => return Said::Error,
                (true, Some("WARN")) => said = Said::Warn,
                _ => {}
            }
        }
        said
    }
}

fn check(name: &str, position: Option<u64>, stop: Stop) -> (Served, Said, Option<Severity>) {
    let host = Host::new(stop);
    let path = host.flip(name, position);
    let verified = host.verified(&path);
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .without_time()
        .finish();
    let record_count = if stop == Stop::Clean { RECORD_COUNT } else { RECORD_COUNT + 2 };
    let served = tracing::subscriber::with_default(subscriber, || host.served(record_count));
    (served, lines.said_of(&path), verified)
}

const DAMAGE: Option<Severity> = Some(Severity::Damage);
const MENDED: Option<Severity> = Some(Severity::Mended);

#[test]
fn a_flipped_bit_in_every_kind_of_file() {
    use Served::*;
    use Stop::*;
    let segment = |extension| format!("orders-0/00000000000000000000.{extension}");
    let in_partition = |name| format!("orders-0/{name}");
    let in_metadata = |name| format!("__cluster_metadata-0/{name}");
    // The file and the byte, or its middle one; what is served; the worst line; the worst finding.
    for (name, position, stop, served, said, verified) in [
        (segment("log"), None, Clean, AllBut(1), Said::Error, DAMAGE),
        (segment("log"), None, Kill, AllBut(1), Said::Error, DAMAGE),
        (segment("index"), Some(7), Clean, All, Said::Warn, DAMAGE),
        (segment("timeindex"), None, Clean, All, Said::Nothing, DAMAGE),
        // The core checkpoint has what these have.
        (in_partition("00000000000000000005.snapshot"), None, Clean, All, Said::Nothing, MENDED),
        (in_partition("leader-epoch-checkpoint"), None, Clean, All, Said::Nothing, MENDED),
        (in_partition("partition.metadata"), Some(0), Clean, Nothing, Said::Error, DAMAGE),
        // The id of another topic: it is not known that it is none.
        (in_partition("partition.metadata"), Some(30), Kill, SetAside, Said::Warn, None),
        ("recovery-point-offset-checkpoint".into(), Some(0), Clean, All, Said::Warn, MENDED),
        ("log-start-offset-checkpoint".into(), Some(0), Clean, All, Said::Warn, MENDED),
        ("replication-offset-checkpoint".into(), Some(0), Clean, All, Said::Warn, MENDED),
        // A key. What comes before it is a comment, and may stay one.
        ("meta.properties".into(), Some(2), Clean, NoStart("meta.properties"), Said::Nothing, None),
        // It was there: the stop was clean.
        (".kafka_cleanshutdown".into(), None, Clean, All, Said::Nothing, None),
        ("millrace-clean-stop".into(), None, Clean, All, Said::Nothing, None),
        ("millrace-checkpoint-0".into(), None, Clean, All, Said::Warn, MENDED),
        ("millrace-checkpoint-0".into(), None, Kill, All, Said::Warn, MENDED),
        // The header is there twice.
        ("millrace-journal-0-0".into(), Some(20), Kill, All, Said::Nothing, None),
        ("millrace-journal-0-0".into(), Some(4296), Kill, All, Said::Error, None),
        (
            in_metadata("00000000000000000000.log"),
            None,
            Clean,
            NoStart("00000000000000000000.log"),
            Said::Warn,
            DAMAGE,
        ),
        (in_metadata("quorum-state"), None, Clean, NoStart("quorum-state"), Said::Nothing, None),
        (
            "bootstrap.checkpoint".into(),
            None,
            Clean,
            NoStart("bootstrap.checkpoint"),
            Said::Nothing,
            None,
        ),
    ] {
        let found = check(&name, position, stop);
        assert_eq!(found, (served, said, verified), "{name} {position:?} {stop:?}");
    }
}
