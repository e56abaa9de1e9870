//! INV-13 under those who want memory and give none back: the broker asserts it at each request, and
//! clients that do as they should go on.

use std::net::SocketAddr;
use std::time::Duration;

use broker::config::MemoryFloor;
use bytes::Bytes;
use protocol::messages::create_topics::CreatableTopic;
use protocol::messages::fetch::{FetchPartition, FetchTopic};
use protocol::messages::produce::{PartitionProduceData, TopicProduceData};
use protocol::messages::{CreateTopicsRequest, FetchRequest, ProduceRequest};
use protocol::model::TimestampMs;
use protocol::record_batch::{BatchBuilder, BatchOptions};
use reactor::net::TcpStream;
use reactor::sim::{Client, Knobs, NodeId, Simulation};
use simulator::broker_node::BrokerNode;
use simulator::client::{ClientError, Connection};

const TOPIC: &str = "orders";
/// Nothing comes to it: who reads it waits.
const QUIET_TOPIC: &str = "quiet";
const PARTITION_COUNT: i32 = 4;
const FETCH_VERSION: i16 = 12;
const PRODUCE_VERSION: i16 = 9;
const TIMEOUT: Duration = Duration::from_secs(60);
const VALUE_SIZE_BYTES: usize = 8_000;

/// A world with one broker that has little memory, a topic in it, and clients on another host.
struct World {
    simulation: Simulation,
    clients: NodeId,
    address: SocketAddr,
    _broker: BrokerNode,
}

impl World {
    fn new(seed: u64) -> World {
        let knobs = Knobs { socket_buffer_bytes: 4096..4097, ..Knobs::default() };
        let simulation = Simulation::new(seed, knobs);
        let overrides = "socket.request.max.bytes=200000\nmessage.max.bytes=20000\n";
        let mut broker = BrokerNode::add(&simulation, 2, storage::Settings::default(), overrides)
            .expect("formatted");
        broker.set_memory(MemoryFloor {
            chunks: 512 << 10,
            answers: 256 << 10,
            parked: 256 << 10,
            groups: 4 << 20,
        });
        let clients = simulation.add_node("clients", [10, 0, 0, 2].into());
        let address = broker.address();
        broker.start(&simulation);
        let world = World { simulation, clients, address, _broker: broker };
        world.finish(create_topics(address));
        world.finish(fill(address, 60));
        world
    }

    fn spawn<F: Future<Output = ()> + 'static>(&self, client: F) -> Client<()> {
        self.simulation.spawn_client(self.clients, client)
    }

    /// Runs `client` to its end, and says how long it took.
    fn finish<F: Future<Output = ()> + 'static>(&self, client: F) -> Duration {
        let began = self.simulation.now();
        let limit = Duration::from_secs(600);
        self.simulation.block_on(self.clients, limit, client).expect("it ends");
        self.simulation.now() - began
    }
}

fn creatable(name: &str) -> CreatableTopic {
    CreatableTopic {
        name: name.into(),
        num_partitions: PARTITION_COUNT,
        replication_factor: 1,
        ..CreatableTopic::default()
    }
}

async fn create_topics(address: SocketAddr) {
    loop {
        reactor::sleep(Duration::from_millis(100)).await;
        let Ok(mut connection) = Connection::open(address, TIMEOUT).await else { continue };
        let request = CreateTopicsRequest {
            topics: vec![creatable(TOPIC), creatable(QUIET_TOPIC)],
            ..CreateTopicsRequest::default()
        };
        let response = connection.call(&request, 7).await.expect("an answer");
        assert!(response.topics.iter().all(|topic| topic.error_code == 0), "{response:?}");
        return;
    }
}

fn batch() -> Bytes {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.append(TimestampMs(1), None, Some(&[b'.'; VALUE_SIZE_BYTES]), &[]);
    builder.build()
}

fn produce(partition: i32) -> ProduceRequest {
    ProduceRequest {
        acks: -1,
        timeout_ms: 30_000,
        topic_data: vec![TopicProduceData {
            name: TOPIC.into(),
            partition_data: vec![PartitionProduceData {
                index: partition,
                records: Some(batch().into()),
            }],
            ..TopicProduceData::default()
        }],
        ..ProduceRequest::default()
    }
}

fn fetch(topic: &str, max_wait_ms: i32, repeat: usize) -> FetchRequest {
    let partition = |partition| FetchPartition {
        partition,
        partition_max_bytes: 1 << 20,
        ..FetchPartition::default()
    };
    let partitions = (0..repeat).flat_map(|_| (0..PARTITION_COUNT).map(partition));
    let topic = FetchTopic {
        topic: topic.into(),
        partitions: partitions.collect(),
        ..FetchTopic::default()
    };
    FetchRequest {
        max_wait_ms,
        min_bytes: 1,
        max_bytes: 50 << 20,
        session_epoch: -1,
        topics: vec![topic],
        ..FetchRequest::default()
    }
}

/// One record after the other to all partitions; each is acknowledged.
async fn fill(address: SocketAddr, count: i32) {
    let mut connection = Connection::open(address, TIMEOUT).await.expect("connected");
    for number in 0..count {
        let request = produce(number % PARTITION_COUNT);
        let response = connection.call(&request, PRODUCE_VERSION).await.expect("an answer");
        let result = &response.responses[0].partition_responses[0];
        assert_eq!(result.error_code, 0, "{response:?}");
    }
}

/// Reads until it has had `count` bytes, over and over from the start. An answer may be empty where
/// memory is short.
async fn read(address: SocketAddr, count: usize) {
    let mut connection = Connection::open(address, TIMEOUT).await.expect("connected");
    let mut size_bytes = 0;
    while size_bytes < count {
        let request = fetch(TOPIC, 500, 1);
        let response = connection.call(&request, FETCH_VERSION).await.expect("an answer");
        for partition in response.responses.iter().flat_map(|topic| &topic.partitions) {
            assert_eq!(partition.error_code, 0, "{response:?}");
            let records = partition.records.as_ref().map(|records| records.clone().contiguous());
            size_bytes += records.map_or(0, |records| records.len());
        }
    }
}

/// Asks for all there is, three times at once, and takes nothing.
async fn ask_and_never_read(address: SocketAddr) {
    let Ok(mut connection) = Connection::open(address, TIMEOUT).await else { return };
    for _ in 0..3 {
        if connection.send(&fetch(TOPIC, 500, 1), FETCH_VERSION).await.is_err() {
            return;
        }
    }
    std::future::pending().await
}

/// Announces a large frame and sends no more of it.
async fn announce_and_never_send(address: SocketAddr) {
    let stream = TcpStream::connect(address).await.expect("connected");
    let announced = Bytes::copy_from_slice(&190_000_i32.to_be_bytes());
    stream.write_all(&[announced]).await.expect("sent");
    std::future::pending().await
}

/// Waits for more than will ever come.
async fn park(address: SocketAddr) {
    let Ok(mut connection) = Connection::open(address, Duration::from_secs(1 << 20)).await else {
        return;
    };
    loop {
        let request = fetch(QUIET_TOPIC, i32::MAX, 1);
        let answered: Result<_, ClientError> = connection.call(&request, FETCH_VERSION).await;
        if answered.is_err() {
            return;
        }
    }
}

/// Names each partition `repeat` times in one request, which is many times larger in memory.
async fn ask_widely(address: SocketAddr, repeat: usize) {
    let mut connection = Connection::open(address, TIMEOUT).await.expect("connected");
    let response = connection.call(&fetch(QUIET_TOPIC, 500, repeat), FETCH_VERSION).await;
    let response = response.expect("an answer");
    let count: usize = response.responses.iter().map(|topic| topic.partitions.len()).sum();
    // However often it is named, a partition is answered once.
    assert_eq!(count, PARTITION_COUNT as usize);
}

#[test]
fn good_clients_go_on_beside_those_who_keep_memory() {
    let world = World::new(1);
    let address = world.address;
    let mut hostile = Vec::new();
    hostile.extend((0..40).map(|_| world.spawn(ask_and_never_read(address))));
    hostile.extend((0..20).map(|_| world.spawn(announce_and_never_send(address))));
    hostile.extend((0..100).map(|_| world.spawn(park(address))));
    world.simulation.run_for(Duration::from_secs(2));
    let produced = world.finish(fill(address, 40));
    let took = world.finish(read(address, 1_000_000));
    world.finish(ask_widely(address, 30));
    assert!(produced < Duration::from_secs(15), "{produced:?}");
    // What stuck readers keep comes back after ten seconds without progress.
    assert!(took < Duration::from_secs(30), "{took:?}");
    let marks = world.simulation.marks();
    for mark in ["answer_waits_for_memory", "requests_wait_for_memory", "parked_fetch_makes_room"] {
        assert!(marks.contains_key(mark), "{mark}: {marks:?}");
    }
}
