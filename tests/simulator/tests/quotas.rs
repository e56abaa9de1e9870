//! Clients that are limited: however many connections and cores they use, and whether or not they wait as
//! they are told. Source: KIP-219.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use protocol::messages::alter_client_quotas::{OpData, RequestEntityData, RequestEntryData};
use protocol::messages::create_topics::CreatableTopic;
use protocol::messages::fetch::{FetchPartition, FetchTopic};
use protocol::messages::produce::{PartitionProduceData, TopicProduceData};
use protocol::messages::{
    AlterClientQuotasRequest, CreateTopicsRequest, FetchRequest, ProduceRequest, ProduceResponse,
};
use protocol::model::TimestampMs;
use protocol::record_batch::{BatchBuilder, BatchOptions};
use reactor::sim::{Client, Knobs, NodeId, Simulation};
use simulator::broker_node::BrokerNode;
use simulator::client::{ClientError, Connection};

const TOPIC: &str = "orders";
const PARTITION_COUNT: i32 = 4;
const FETCH_VERSION: i16 = 12;
const PRODUCE_VERSION: i16 = 9;
/// Longer than any wait that is told.
const TIMEOUT: Duration = Duration::from_secs(300);
const VALUE_SIZE_BYTES: usize = 8_000;
/// What the quotas here allow, a second; ten seconds of it may come at once.
const QUOTA_BYTES: f64 = 100_000.0;
const BURST_BYTES: f64 = 10.0 * QUOTA_BYTES;

/// A broker of two cores with a topic, and clients on another host.
struct World {
    simulation: Simulation,
    clients: NodeId,
    address: SocketAddr,
    _broker: BrokerNode,
}

impl World {
    fn new() -> World {
        let simulation = Simulation::new(7, Knobs::default());
        let broker = BrokerNode::add(&simulation, 2, storage::Settings::default(), "");
        let broker = broker.expect("formatted");
        let clients = simulation.add_node("clients", [10, 0, 0, 2].into());
        let address = broker.address();
        broker.start(&simulation);
        let world = World { simulation, clients, address, _broker: broker };
        world.finish(create_topic(address));
        world
    }

    fn spawn<T: 'static, F: Future<Output = T> + 'static>(&self, client: F) -> Client<T> {
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

async fn open(address: SocketAddr) -> Connection {
    Connection::open(address, TIMEOUT).await.expect("connected")
}

async fn create_topic(address: SocketAddr) {
    loop {
        reactor::sleep(Duration::from_millis(100)).await;
        let Ok(mut connection) = Connection::open(address, TIMEOUT).await else { continue };
        let topic = CreatableTopic {
            name: TOPIC.into(),
            num_partitions: PARTITION_COUNT,
            replication_factor: 1,
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], ..CreateTopicsRequest::default() };
        let response = connection.call(&request, 7).await.expect("an answer");
        assert!(response.topics.iter().all(|topic| topic.error_code == 0), "{response:?}");
        return;
    }
}

/// Limits every entity of `kind` to `value` of `key`, or no more.
async fn limit(address: SocketAddr, kind: &'static str, key: &'static str, value: Option<f64>) {
    let op = OpData { key: key.into(), value: value.unwrap_or_default(), remove: value.is_none() };
    let entity = RequestEntityData { entity_type: kind.into(), entity_name: None };
    let entries = vec![RequestEntryData { entity: vec![entity], ops: vec![op] }];
    let request = AlterClientQuotasRequest { entries, validate_only: false };
    let response = open(address).await.call(&request, 1).await.expect("an answer");
    assert!(response.entries.iter().all(|entry| entry.error_code == 0), "{response:?}");
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

/// Produces to `partition` for `span`, five requests in flight, and never waits by itself. Returns how many
/// bytes were acknowledged.
async fn push(address: SocketAddr, partition: i32, span: Duration) -> usize {
    let mut connection = open(address).await;
    let began = reactor::now();
    let mut size_bytes = 0;
    while reactor::now() - began < span {
        while connection.in_flight() < 5 {
            connection.send(&produce(partition), PRODUCE_VERSION).await.expect("sent");
        }
        let response: ProduceResponse = connection.receive().await.expect("an answer");
        assert_eq!(response.responses[0].partition_responses[0].error_code, 0, "{response:?}");
        size_bytes += batch().len();
    }
    size_bytes
}

fn fetch(from: [i64; PARTITION_COUNT as usize]) -> FetchRequest {
    let partition = |(partition, fetch_offset): (i32, i64)| FetchPartition {
        partition,
        fetch_offset,
        partition_max_bytes: 1 << 20,
        ..FetchPartition::default()
    };
    let topic = FetchTopic {
        topic: TOPIC.into(),
        partitions: (0..).zip(from).map(partition).collect(),
        ..FetchTopic::default()
    };
    FetchRequest {
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes: 200_000,
        session_epoch: -1,
        topics: vec![topic],
        ..FetchRequest::default()
    }
}

/// Reads `count` records, one after the other of each partition, and never waits by itself. Returns how
/// many answers said to wait.
async fn read(address: SocketAddr, count: usize) -> usize {
    let mut connection = open(address).await;
    let mut from = [0; PARTITION_COUNT as usize];
    let (mut read, mut throttled) = (0, 0);
    while read < count {
        let response = connection.call(&fetch(from), FETCH_VERSION).await.expect("an answer");
        if response.throttle_time_ms > 0 {
            throttled += 1;
            assert!(response.responses.is_empty(), "records beside a wait: {response:?}");
        }
        for partition in response.responses.iter().flat_map(|topic| &topic.partitions) {
            assert_eq!(partition.error_code, 0, "{response:?}");
            let records = partition.records.clone().map(|it| it.contiguous().len()).unwrap_or(0);
            let records = records / batch().len();
            from[partition.partition_index as usize] += records as i64;
            read += records;
        }
    }
    throttled
}

#[test]
fn producers_on_all_cores_share_one_quota() {
    let world = World::new();
    let address = world.address;
    world.finish(limit(address, "client-id", "producer_byte_rate", Some(QUOTA_BYTES)));
    let span = Duration::from_secs(60);
    let pushing: Vec<_> =
        (0..PARTITION_COUNT).map(|index| world.spawn(push(address, index, span))).collect();
    world.simulation.run_for(span * 2);
    let sizes: Vec<_> =
        pushing.iter().map(|push| push.take_result().expect("it has ended")).collect();
    let (sum, allowed) = (sizes.iter().sum::<usize>() as f64, QUOTA_BYTES * span.as_secs_f64());
    assert!((0.85 * allowed..1.15 * (allowed + BURST_BYTES)).contains(&sum), "{sizes:?}");
    assert!(sizes.iter().all(|size| *size > 0), "{sizes:?}");
    let marks = world.simulation.marks();
    assert!(marks.contains_key("connection_is_throttled"), "{marks:?}");
    // Without a quota nobody waits any more.
    world.finish(limit(address, "client-id", "producer_byte_rate", None));
    let took = world.finish(async move {
        push(address, 0, Duration::from_secs(1)).await;
    });
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn readers_wait_without_records_and_have_them_all_in_the_end() {
    let world = World::new();
    let address = world.address;
    let count = 400;
    world.finish(async move {
        let mut connection = open(address).await;
        for number in 0..count {
            let request = produce(number as i32 % PARTITION_COUNT);
            let response = connection.call(&request, PRODUCE_VERSION).await.expect("an answer");
            assert_eq!(response.throttle_time_ms, 0, "{response:?}");
        }
    });
    world.finish(limit(address, "client-id", "consumer_byte_rate", Some(QUOTA_BYTES)));
    let took = world.finish(async move {
        let throttled = read(address, count).await;
        assert!(throttled > 0, "nobody had to wait");
    });
    let bytes = (count * batch().len()) as f64;
    let least = (bytes - BURST_BYTES) / QUOTA_BYTES;
    assert!((0.85 * least..1.15 * bytes / QUOTA_BYTES).contains(&took.as_secs_f64()), "{took:?}");
}

#[test]
fn an_address_connects_at_its_rate() {
    let world = World::new();
    let address = world.address;
    world.finish(limit(address, "ip", "connection_creation_rate", Some(2.0)));
    let span = Duration::from_secs(40);
    let connecting = world.spawn(async move {
        let began = reactor::now();
        let mut count = 0;
        while reactor::now() - began < span {
            match Connection::open(address, TIMEOUT).await {
                Ok(_) => count += 1,
                // It was held for a while, and closed.
                Err(ClientError::Connection(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        count
    });
    world.simulation.run_for(span * 2);
    let count = connecting.take_result().expect("it has ended");
    // Twenty at once, and then two a second.
    assert!((80..=115).contains(&count), "{count} connections");
    let marks = world.simulation.marks();
    assert!(marks.contains_key("address_connects_too_fast"), "{marks:?}");
}
