//! Metadata snapshots: what a start reads, what it passes over, and what it refuses. Every test ends
//! with the same question: are all topics still there?

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::error_code::ErrorCode;
use protocol::messages::create_topics::CreatableTopic;
use protocol::messages::metadata::MetadataResponseTopic;
use protocol::messages::{CreateTopicsRequest, MetadataRequest};
use reactor::sim::{Crash, Knobs, NodeId, Simulation};
use simulator::broker_node::BrokerNode;
use simulator::client::Connection;
use storage::Settings;

const DIRECTORY: &str = "/data/__cluster_metadata-0";
const LIMIT: Duration = Duration::from_secs(300);

/// A snapshot after some topics.
const OFTEN: &str = "metadata.log.max.record.bytes.between.snapshots=1000\n";
/// Each append begins a segment, and little is kept.
const KEEP_LITTLE: &str = "metadata.log.segment.ms=0\nmetadata.max.retention.bytes=4000\n";

struct Host {
    simulation: Simulation,
    broker: BrokerNode,
    client: NodeId,
    topic_count: usize,
}

impl Host {
    fn new(seed: u64, lines: &[&str]) -> Host {
        let simulation = Simulation::new(seed, Knobs::default());
        let settings = Settings { reserve_size_bytes_max: 128 << 10, ..Settings::default() };
        let broker = BrokerNode::add(&simulation, 2, settings, &lines.concat());
        let broker = broker.unwrap_or_else(|failure| panic!("{failure}"));
        let client = simulation.add_node("client", IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)));
        broker.start(&simulation);
        Host { simulation, broker, client, topic_count: 0 }
    }

    fn run<T: 'static>(&self, work: impl AsyncFnOnce(Connection) -> T + 'static) -> T {
        let address = self.broker.address();
        let working = async move { work(connect(address).await).await };
        self.simulation.block_on(self.client, LIMIT, working).expect("in time")
    }

    fn create_topics(&mut self, count: usize) {
        for _ in 0..count {
            let name = format!("topic-{}", self.topic_count);
            self.run(async move |mut connection| {
                let topic = CreatableTopic {
                    name: name.into(),
                    num_partitions: 2,
                    replication_factor: 1,
                    ..Default::default()
                };
                let request = CreateTopicsRequest {
                    topics: vec![topic],
                    timeout_ms: 30_000,
                    ..Default::default()
                };
                let response = connection.call(&request, 7).await.expect("an answer");
                assert_eq!(ErrorCode::try_from(response.topics[0].error_code), Ok(ErrorCode::None));
            });
            self.topic_count += 1;
        }
    }

    fn topics(&self) -> Vec<MetadataResponseTopic> {
        self.run(async |mut connection| {
            let request = MetadataRequest { topics: None, ..Default::default() };
            connection.call(&request, 9).await.expect("an answer").topics
        })
    }

    /// All topics that were created exist, with their partitions.
    fn check(&self) {
        let topics = self.topics();
        assert_eq!(topics.len(), self.topic_count);
        for topic in &topics {
            assert_eq!(topic.partitions.len(), 2, "{topic:?}");
            assert!(topic.partitions.iter().all(|partition| partition.leader_id == 1), "{topic:?}");
        }
    }

    fn stop(&self) {
        self.broker.stop();
        let is_running = || self.simulation.is_running(self.broker.node);
        assert!(self.simulation.run_until(|| !is_running(), LIMIT), "a stop ends");
        self.broker.crash(&self.simulation, Crash::Kill);
    }

    fn start(&self) {
        self.broker.start(&self.simulation);
    }

    /// Of `end`, the oldest first; names sort by offset.
    fn files(&self, end: &str) -> Vec<PathBuf> {
        let paths = self.simulation.file_paths(self.broker.node, Path::new(DIRECTORY));
        let paths = paths.expect("a disk").into_iter().map(PathBuf::from);
        let names = paths.filter(|path| path.starts_with(DIRECTORY));
        names.filter(|path| path.to_string_lossy().ends_with(end)).collect()
    }

    fn rot(&self, path: &Path) {
        let size = self.simulation.file_size(self.broker.node, path).expect("a file");
        let rotten = self.simulation.rot(self.broker.node, path, size / 2);
        assert!(rotten.expect("a file"), "{}", path.display());
    }

    fn reached(&self, mark: &str) -> bool {
        self.simulation.marks().contains_key(mark)
    }
}

async fn connect(address: SocketAddr) -> Connection {
    loop {
        match Connection::open(address, Duration::from_secs(30)).await {
            Ok(connection) => return connection,
            Err(_) => reactor::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Where a file of the metadata log begins, or a snapshot ends.
fn offset(path: &Path) -> u64 {
    let name = path.file_name().expect("a file").to_string_lossy();
    name[..20].parse().expect("an offset")
}

#[test]
fn snapshots_take_the_place_of_old_log() {
    for (seed, crash) in [(1, None), (2, Some(Crash::Kill)), (3, Some(Crash::PowerLoss))] {
        let mut host = Host::new(seed, &[OFTEN, KEEP_LITTLE]);
        for _ in 0..4 {
            host.create_topics(10);
            match crash {
                Some(crash) => host.broker.crash(&host.simulation, crash),
                None => host.stop(),
            }
            host.start();
            host.check();
        }
        let (logs, snapshots) = (host.files(".log"), host.files(".checkpoint"));
        let newest = offset(snapshots.last().expect("a snapshot"));
        assert!(offset(&logs[0]) > 0, "seed {seed}: {logs:?}");
        assert!(offset(&logs[0]) <= newest, "seed {seed}: {logs:?} {snapshots:?}");
        assert!(host.reached("snapshot_removed"), "seed {seed}");
    }
}

#[test]
fn snapshots_are_taken_by_time_when_something_changes() {
    let mut host = Host::new(4, &["metadata.log.max.snapshot.interval.ms=60000\n"]);
    host.create_topics(1);
    assert_eq!(host.files(".checkpoint").len(), 1, "that of the formatted directory");
    host.simulation.run_for(Duration::from_secs(600));
    let taken = host.files(".checkpoint");
    host.simulation.run_for(Duration::from_secs(600));
    assert_eq!(host.files(".checkpoint"), taken, "nothing is new");
    let newest = offset(taken.last().expect("a snapshot"));
    host.create_topics(1);
    host.simulation.run_for(Duration::from_secs(61));
    let newer = host.files(".checkpoint");
    assert!(newest > 0 && offset(newer.last().expect("a snapshot")) > newest, "{newer:?}");
    host.check();
}

#[test]
fn a_damaged_snapshot_is_replaced_by_an_older_one_and_the_log() {
    for seed in [5, 6] {
        let mut host = Host::new(seed, &[OFTEN]);
        host.create_topics(30);
        host.stop();
        let snapshots = host.files(".checkpoint");
        assert!(snapshots.len() > 2, "{snapshots:?}");
        // All but the oldest one, from which the whole log goes on.
        snapshots[1..].iter().for_each(|snapshot| host.rot(snapshot));
        host.start();
        host.check();
        assert!(host.reached("snapshot_damaged"), "seed {seed}");
        // Then the start has taken a new one.
        host.stop();
        host.files(".checkpoint")[..snapshots.len()].iter().for_each(|it| host.rot(it));
        host.start();
        host.check();
    }
}

#[test]
fn without_any_snapshot_that_reaches_the_log_a_start_is_refused() {
    let mut host = Host::new(7, &[OFTEN, KEEP_LITTLE]);
    host.create_topics(30);
    host.stop();
    assert!(offset(&host.files(".log")[0]) > 0);
    host.files(".checkpoint").iter().for_each(|snapshot| host.rot(snapshot));
    host.start();
    let is_running = || host.simulation.is_running(host.broker.node);
    host.simulation.run_until(|| !is_running() || host.broker.reason().is_some(), LIMIT);
    let reason = host.broker.reason().expect("a start that fails says why");
    assert!(reason.contains("has no snapshot that can be read"), "{reason}");
}

#[test]
fn a_log_that_is_missing_begins_anew_behind_the_snapshot() {
    let mut host = Host::new(8, &[OFTEN]);
    host.create_topics(30);
    host.stop();
    let newest = host.files(".checkpoint").pop().expect("a snapshot");
    let logs = host.files(".log");
    let removing = async move {
        for log in logs {
            reactor::directory::remove_file(&log).await.expect("a file");
        }
        reactor::directory::sync(Path::new(DIRECTORY)).await.expect("a directory");
    };
    host.simulation.block_on(host.broker.node, LIMIT, removing).expect("in time");
    host.start();
    let kept = host.topics().len();
    assert!(kept > 20, "{kept} topics");
    assert!(host.reached("metadata_log_restarted"));
    let logs: Vec<_> = host.files(".log").iter().map(|log| offset(log)).collect();
    assert_eq!(logs, [offset(&newest)]);
    // What the snapshot has is there, and what comes stays there.
    host.create_topics(3);
    host.topic_count = kept + 3;
    for crash in [Crash::Kill, Crash::PowerLoss] {
        host.broker.crash(&host.simulation, crash);
        host.start();
        host.check();
    }
}
