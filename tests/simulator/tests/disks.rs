//! A node with two disks, of which one fails, is missing, or is full: what is on the other is served as
//! if nothing had happened, and what is on the first is lost to nobody.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use protocol::error_code::ErrorCode;
use protocol::messages::create_topics::CreatableTopic;
use protocol::messages::delete_topics::DeleteTopicState;
use protocol::messages::fetch::{FetchPartition, FetchTopic};
use protocol::messages::metadata::{MetadataRequestTopic, MetadataResponsePartition};
use protocol::messages::produce::{PartitionProduceData, TopicProduceData};
use protocol::messages::{
    CreateTopicsRequest, DeleteTopicsRequest, FetchRequest, MetadataRequest, ProduceRequest,
};
use protocol::model::TimestampMs;
use protocol::record_batch::{BatchBuilder, BatchOptions};
use protocol::wire::Records;
use reactor::sim::{Crash, DiskFaults, Knobs, NodeId, Simulation};
use simulator::broker_node::BrokerNode;
use simulator::client::Connection;
use storage::Settings;

const TOPIC: &str = "orders";
const PARTITION_COUNT: i32 = 6;
const LIMIT: Duration = Duration::from_secs(300);
const SECOND_DISK: &str = "/disk2";

struct Host {
    simulation: Simulation,
    broker: BrokerNode,
    client: NodeId,
}

/// What each partition has answered.
type Answers = Vec<ErrorCode>;

impl Host {
    fn new(seed: u64, core_count: usize) -> Host {
        Self::with(seed, core_count, &format!("log.dirs=/data,{SECOND_DISK}\n"))
    }

    fn with(seed: u64, core_count: usize, overrides: &str) -> Host {
        let simulation = Simulation::new(seed, Knobs::default());
        // Small beside the disks that tests make small.
        let settings = Settings { reserve_size_bytes_max: 128 << 10, ..Settings::default() };
        let broker = BrokerNode::add(&simulation, core_count, settings, overrides);
        let broker = broker.unwrap_or_else(|failure| panic!("{failure}"));
        simulation.add_disk(broker.node, Path::new(SECOND_DISK));
        let client = simulation.add_node("client", IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)));
        broker.start(&simulation);
        Host { simulation, broker, client }
    }

    fn run<T: 'static>(&self, work: impl AsyncFnOnce(Connection) -> T + 'static) -> T {
        let address = self.broker.address();
        let working = async move { work(connect(address).await).await };
        self.simulation.block_on(self.client, LIMIT, working).expect("in time")
    }

    fn set_faults(&self, path: &str, faults: DiskFaults) {
        let path = Path::new(path);
        self.simulation.set_disk_faults(self.broker.node, path, faults).expect("a disk");
    }

    fn restart(&self) {
        self.broker.stop();
        let is_running = || self.simulation.is_running(self.broker.node);
        assert!(self.simulation.run_until(|| !is_running(), LIMIT), "a stop ends");
        // What the dead process left goes down with it.
        self.broker.crash(&self.simulation, Crash::Kill);
        self.broker.start(&self.simulation);
    }

    fn create_topic(&self, name: &'static str) {
        self.run(async move |mut connection| {
            let topic = CreatableTopic {
                name: name.into(),
                num_partitions: PARTITION_COUNT,
                replication_factor: 1,
                ..Default::default()
            };
            let request = CreateTopicsRequest {
                topics: vec![topic],
                timeout_ms: 30_000,
                ..Default::default()
            };
            let response = connection.call(&request, 7).await.expect("an answer");
            assert_eq!(code(response.topics[0].error_code), ErrorCode::None);
        });
    }

    /// Produces until every partition refuses. Returns how often that took.
    fn fill(&self, topic: &str, value: &str) -> u32 {
        for accepted in 0..1_000 {
            let answers = self.produce_to(topic, value);
            let refused = count(&answers, ErrorCode::KafkaStorageError);
            let all = answers.len();
            assert_eq!(refused + count(&answers, ErrorCode::None), all, "{answers:?}");
            if refused == all {
                return accepted;
            }
        }
        panic!("a full disk refuses");
    }

    fn delete_topic(&self, name: &'static str) {
        self.run(async move |mut connection| {
            let topic = DeleteTopicState { name: Some(name.into()), ..Default::default() };
            let request = DeleteTopicsRequest {
                topics: vec![topic],
                timeout_ms: 30_000,
                ..Default::default()
            };
            let response = connection.call(&request, 6).await.expect("an answer");
            assert_eq!(code(response.responses[0].error_code), ErrorCode::None);
        });
    }

    fn produce(&self, value: &str) -> Answers {
        self.produce_to(TOPIC, value)
    }

    fn produce_to(&self, topic: &str, value: &str) -> Answers {
        let request = produce_request(topic, value);
        self.run(async move |mut connection| {
            let response = connection.call(&request, 9).await.expect("an answer");
            let answers = &response.responses[0].partition_responses;
            answers.iter().map(|answer| code(answer.error_code)).collect()
        })
    }

    /// The answer of each partition to a fetch from `from` on, and the bytes that came.
    fn fetch(&self, from: i64) -> Vec<(ErrorCode, usize)> {
        self.run(async move |mut connection| {
            let partition = |partition| FetchPartition {
                partition,
                fetch_offset: from,
                partition_max_bytes: 1 << 16,
                ..Default::default()
            };
            let request = FetchRequest {
                max_bytes: 1 << 24,
                session_epoch: -1,
                topics: vec![FetchTopic {
                    topic: TOPIC.into(),
                    partitions: (0..PARTITION_COUNT).map(partition).collect(),
                    ..Default::default()
                }],
                ..Default::default()
            };
            let response = connection.call(&request, 12).await.expect("an answer");
            let partitions = &response.responses[0].partitions;
            let bytes = |it: &Option<Records>| it.as_ref().map_or(0, Records::size_bytes);
            partitions.iter().map(|it| (code(it.error_code), bytes(&it.records))).collect()
        })
    }

    /// Every partition has records at `offsets`.
    fn assert_holds(&self, offsets: Range<i64>) {
        for from in offsets {
            for (answer, bytes) in self.fetch(from) {
                assert_eq!(answer, ErrorCode::None, "offset {from}");
                assert!(bytes > 0, "offset {from}");
            }
        }
    }

    fn metadata(&self) -> Vec<MetadataResponsePartition> {
        self.run(async |mut connection| {
            let topic = MetadataRequestTopic { name: Some(TOPIC.into()), ..Default::default() };
            let request = MetadataRequest { topics: Some(vec![topic]), ..Default::default() };
            let mut response = connection.call(&request, 9).await.expect("an answer");
            let mut partitions = response.topics.remove(0).partitions;
            partitions.sort_by_key(|partition| partition.partition_index);
            partitions
        })
    }
}

fn produce_request(topic: &str, value: &str) -> ProduceRequest {
    let data = |index| PartitionProduceData { index, records: Some(batch(value).into()) };
    let topic = TopicProduceData {
        name: topic.into(),
        partition_data: (0..PARTITION_COUNT).map(data).collect(),
        ..Default::default()
    };
    ProduceRequest { acks: -1, timeout_ms: 30_000, topic_data: vec![topic], ..Default::default() }
}

async fn connect(address: SocketAddr) -> Connection {
    loop {
        match Connection::open(address, Duration::from_secs(30)).await {
            Ok(connection) => return connection,
            Err(_) => reactor::sleep(Duration::from_millis(100)).await,
        }
    }
}

fn batch(value: &str) -> bytes::Bytes {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.append(TimestampMs(1), None, Some(value.as_bytes()), &[]);
    builder.build()
}

fn code(wire: i16) -> ErrorCode {
    ErrorCode::try_from(wire).expect("a code of Kafka's")
}

fn count(answers: &[ErrorCode], wanted: ErrorCode) -> usize {
    answers.iter().filter(|answer| **answer == wanted).count()
}

const HALF: usize = PARTITION_COUNT as usize / 2;

#[test]
fn a_failing_disk_takes_its_own_partitions_alone() {
    for (seed, faults) in [
        (1, DiskFaults { write_error: 1.0, ..DiskFaults::default() }),
        (2, DiskFaults { flush_error: 1.0, ..DiskFaults::default() }),
        (3, DiskFaults { write_error: 1.0, read_error: 1.0, ..DiskFaults::default() }),
    ] {
        let host = Host::new(seed, 2);
        host.create_topic(TOPIC);
        let all = PARTITION_COUNT as usize;
        assert_eq!(count(&host.produce("first"), ErrorCode::None), all, "seed {seed}");

        host.set_faults(SECOND_DISK, faults);
        let answers = host.produce("second");
        assert_eq!(count(&answers, ErrorCode::None), HALF, "seed {seed}: {answers:?}");
        assert_eq!(count(&answers, ErrorCode::KafkaStorageError), HALF, "seed {seed}: {answers:?}");
        host.simulation.run_for(Duration::from_secs(1));
        for (answer, partition) in answers.iter().zip(host.metadata()) {
            let (error, leader, offline) = match answer {
                ErrorCode::None => (ErrorCode::None, 1, vec![]),
                _ => (ErrorCode::LeaderNotAvailable, -1, vec![1]),
            };
            let found = (code(partition.error_code), partition.leader_id);
            assert_eq!(found, (error, leader), "seed {seed}: {partition:?}");
            assert_eq!(partition.offline_replicas, offline, "seed {seed}: {partition:?}");
        }
        let fetched: Answers = host.fetch(0).into_iter().map(|(answer, _)| answer).collect();
        assert_eq!(fetched, answers, "seed {seed}");
        assert_eq!(host.produce("third"), answers, "seed {seed}: it stays so");
        assert!(host.simulation.is_running(host.broker.node));

        // Healed: nothing acknowledged is lost. A failed write may have left anything behind.
        host.set_faults(SECOND_DISK, DiskFaults::default());
        host.restart();
        assert_eq!(count(&host.produce("fourth"), ErrorCode::None), all, "seed {seed}");
        host.assert_holds(0..2);
        assert!(host.simulation.marks().contains_key("directory_failed"), "seed {seed}");
    }
}

#[test]
fn a_full_disk_refuses_records_and_nothing_else() {
    for seed in [6, 7, 8] {
        let host = Host::new(seed, 2);
        host.create_topic(TOPIC);
        host.create_topic("other");
        // Both disks, so that every partition meets it.
        for disk in ["/data", SECOND_DISK] {
            let capacity_bytes = Some(16 << 20);
            host.set_faults(disk, DiskFaults { capacity_bytes, ..DiskFaults::default() });
        }
        let value = "x".repeat(60_000);
        let all = PARTITION_COUNT as usize;
        (0..5).for_each(|_| assert_eq!(count(&host.produce(&value), ErrorCode::None), all));
        let accepted = host.fill("other", &value);
        assert!(accepted > 10, "seed {seed}: {accepted}");
        host.assert_holds(0..5);
        host.create_topic("third");
        host.restart();
        host.assert_holds(0..5);
        // A stop gives back what was allocated ahead.
        host.fill("other", &value);
        assert!(host.metadata().iter().all(|it| it.leader_id == 1), "seed {seed}: all is online");

        host.delete_topic("other");
        host.simulation.run_for(Duration::from_secs(120));
        let answers = host.produce(&value);
        assert_eq!(count(&answers, ErrorCode::None), all, "seed {seed}: {answers:?}");
    }
}

#[test]
fn a_disk_that_hangs_holds_back_answers_and_nothing_more() {
    for seed in [9, 10] {
        let host = Host::new(seed, 2);
        host.create_topic(TOPIC);
        let all = PARTITION_COUNT as usize;
        assert_eq!(count(&host.produce("first"), ErrorCode::None), all, "seed {seed}");
        host.set_faults(SECOND_DISK, DiskFaults { is_stalled: true, ..DiskFaults::default() });
        let address = host.broker.address();
        let produced = host.simulation.spawn_client(host.client, async move {
            let stream = Connection::open(address, Duration::from_secs(120));
            let mut connection = stream.await.expect("the broker answers");
            let request = ProduceRequest { timeout_ms: 90_000, ..produce_request(TOPIC, "second") };
            let response = connection.call(&request, 9).await.expect("an answer");
            let answers = &response.responses[0].partition_responses;
            answers.iter().map(|answer| code(answer.error_code)).collect::<Answers>()
        });
        host.simulation.run_for(Duration::from_secs(45));
        assert_eq!(produced.take_result(), None, "seed {seed}: nothing is acknowledged");
        // What lies on the other disk is read, and so is what is in memory.
        host.assert_holds(0..1);
        host.set_faults(SECOND_DISK, DiskFaults::default());
        host.simulation.run_for(Duration::from_secs(1));
        let answers = produced.take_result().expect("an answer");
        assert_eq!(count(&answers, ErrorCode::None), all, "seed {seed}: {answers:?}");
        host.assert_holds(0..2);
        assert!(host.simulation.marks().contains_key("disk_stalled"), "seed {seed}");
    }
}

#[test]
fn a_start_leaves_out_a_disk_that_cannot_be_read() {
    let host = Host::new(4, 2);
    host.create_topic(TOPIC);
    assert_eq!(count(&host.produce("first"), ErrorCode::None), PARTITION_COUNT as usize);
    host.set_faults(SECOND_DISK, DiskFaults { read_error: 1.0, ..DiskFaults::default() });
    host.broker.crash(&host.simulation, Crash::PowerLoss);
    host.broker.start(&host.simulation);
    let answers = host.produce("second");
    assert_eq!(count(&answers, ErrorCode::None), HALF, "{answers:?}");
    let offline = |it: &MetadataResponsePartition| it.leader_id == -1;
    assert_eq!(host.metadata().iter().filter(|it| offline(it)).count(), HALF);

    host.set_faults(SECOND_DISK, DiskFaults::default());
    host.restart();
    let answers = host.produce("third");
    assert_eq!(count(&answers, ErrorCode::None), PARTITION_COUNT as usize, "{answers:?}");
    host.assert_holds(0..2);
    for mark in ["directory_failed_at_start", "replica_in_absent_directory"] {
        assert!(host.simulation.marks().contains_key(mark), "{mark}");
    }
}

#[test]
fn without_the_metadata_log_the_node_ends() {
    let host = Host::new(5, 2);
    host.create_topic(TOPIC);
    host.set_faults("/data", DiskFaults { flush_error: 1.0, ..DiskFaults::default() });
    let address = host.broker.address();
    let producing = host.simulation.spawn_client(host.client, async move {
        let mut connection = connect(address).await;
        let request = produce_request(TOPIC, "x");
        // Whether it hears of a refusal, or of the end.
        let _ = connection.call(&request, 9).await;
    });
    let is_running = || host.simulation.is_running(host.broker.node);
    assert!(host.simulation.run_until(|| !is_running(), LIMIT), "it ends");
    let reason = host.broker.reason().expect("not by itself");
    assert!(reason.contains("metadata log"), "{reason}");
    drop(producing);
}

#[test]
fn the_metadata_logs_own_directory_stays_locked() {
    let directories = format!("log.dirs={SECOND_DISK}\nmetadata.log.dir=/data\n");
    let host = Host::with(11, 1, &directories);
    host.create_topic(TOPIC);
    for directory in ["/data", SECOND_DISK] {
        let taken = async { reactor::directory::lock(Path::new(directory)).await.map(drop) };
        let taken = host.simulation.block_on(host.broker.node, LIMIT, taken).expect("in time");
        let refused = taken.expect_err("the broker has it").kind();
        assert_eq!(refused, std::io::ErrorKind::WouldBlock, "{directory}");
    }
    host.restart();
    assert_eq!(count(&host.produce("first"), ErrorCode::None), PARTITION_COUNT as usize);
}
