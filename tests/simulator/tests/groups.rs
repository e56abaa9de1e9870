//! A coordinator that is short of something: of disk, or of memory.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use broker::config::MemoryFloor;
use protocol::error_code::ErrorCode;
use protocol::messages::create_topics::CreatableTopic;
use protocol::messages::offset_commit::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use protocol::messages::offset_fetch::OffsetFetchRequestGroup;
use protocol::messages::produce::{PartitionProduceData, TopicProduceData};
use protocol::messages::{
    CreateTopicsRequest, FindCoordinatorRequest, OffsetCommitRequest, OffsetFetchRequest,
    ProduceRequest,
};
use protocol::model::TimestampMs;
use protocol::record_batch::{BatchBuilder, BatchOptions};
use reactor::sim::{Crash, DiskFaults, Knobs, NodeId, Simulation};
use simulator::broker_node::BrokerNode;
use simulator::client::Connection;
use storage::Settings;

const TOPIC: &str = "orders";
const LIMIT: Duration = Duration::from_secs(300);
const OVERRIDES: &str = "offsets.topic.num.partitions=2\noffsets.topic.replication.factor=1\n\
     socket.request.max.bytes=400000\nmessage.max.bytes=70000\n";

struct Host {
    simulation: Simulation,
    broker: BrokerNode,
    client: NodeId,
}

impl Host {
    /// With the topic, and the coordinators' own.
    fn new(seed: u64, memory: Option<MemoryFloor>) -> Host {
        let simulation = Simulation::new(seed, Knobs::default());
        let settings = Settings { reserve_size_bytes_max: 1 << 20, ..Settings::default() };
        let mut broker =
            BrokerNode::add(&simulation, 2, settings, OVERRIDES).expect("a configuration");
        if let Some(floor) = memory {
            broker.set_memory(floor);
        }
        let client = simulation.add_node("client", IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)));
        broker.start(&simulation);
        let host = Host { simulation, broker, client };
        host.run(async |mut connection| {
            let topic = CreatableTopic {
                name: TOPIC.into(),
                num_partitions: 1,
                replication_factor: 1,
                ..Default::default()
            };
            let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
            let response = connection.call(&request, 7).await.expect("an answer");
            assert_eq!(response.topics[0].error_code, 0);
            let keys = vec!["group".into()];
            let request = FindCoordinatorRequest { coordinator_keys: keys, ..Default::default() };
            let response = connection.call(&request, 4).await.expect("an answer");
            assert_eq!(response.coordinators[0].error_code, 0);
        });
        host
    }

    fn run<T: 'static>(&self, work: impl AsyncFnOnce(Connection) -> T + 'static) -> T {
        let address = self.broker.address();
        let working = async move { work(connect(address).await).await };
        self.simulation.block_on(self.client, LIMIT, working).expect("in time")
    }

    fn commit(&self, group: &str, offset: i64) -> ErrorCode {
        self.commit_with_note(group, offset, "")
    }

    fn commit_with_note(&self, group: &str, offset: i64, note: &str) -> ErrorCode {
        let partition = OffsetCommitRequestPartition {
            committed_offset: offset,
            committed_metadata: Some(note.into()),
            ..Default::default()
        };
        let topic = OffsetCommitRequestTopic {
            name: TOPIC.into(),
            partitions: vec![partition],
            ..Default::default()
        };
        let request = OffsetCommitRequest {
            group_id: group.into(),
            topics: vec![topic],
            ..Default::default()
        };
        self.run(async move |mut connection| {
            loop {
                let response = connection.call(&request, 9).await.expect("an answer");
                let code = response.topics[0].partitions[0].error_code;
                let code = ErrorCode::try_from(code).expect("a code of Kafka's");
                if code != ErrorCode::CoordinatorLoadInProgress {
                    return code;
                }
                reactor::sleep(Duration::from_millis(50)).await;
            }
        })
    }

    fn committed(&self, group: &str) -> i64 {
        let group =
            OffsetFetchRequestGroup { group_id: group.into(), topics: None, ..Default::default() };
        let request = OffsetFetchRequest { groups: vec![group], ..Default::default() };
        self.run(async move |mut connection| {
            loop {
                let response = connection.call(&request, 8).await.expect("an answer");
                let answer = &response.groups[0];
                if answer.error_code == 0 {
                    return answer.topics[0].partitions[0].committed_offset;
                }
                reactor::sleep(Duration::from_millis(50)).await;
            }
        })
    }

    fn produce(&self) -> ErrorCode {
        let mut builder = BatchBuilder::new(BatchOptions::default());
        builder.append(TimestampMs(1), None, Some(&[b'.'; 60_000]), &[]);
        let data = PartitionProduceData { index: 0, records: Some(builder.build().into()) };
        let topic = TopicProduceData {
            name: TOPIC.into(),
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
            let code = response.responses[0].partition_responses[0].error_code;
            ErrorCode::try_from(code).expect("a code of Kafka's")
        })
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

#[test]
fn offsets_are_committed_while_the_disk_is_full() {
    for seed in [1, 2] {
        let host = Host::new(seed, None);
        assert_eq!(host.commit("group", 1), ErrorCode::None);
        let faults = DiskFaults { capacity_bytes: Some(24 << 20), ..DiskFaults::default() };
        host.simulation
            .set_disk_faults(host.broker.node, Path::new("/data"), faults)
            .expect("a disk");
        let mut accepted = 0;
        while host.produce() == ErrorCode::None {
            accepted += 1;
            assert!(accepted < 1_000, "a full disk refuses");
        }
        for offset in 2..300 {
            assert_eq!(host.commit("group", offset), ErrorCode::None, "seed {seed}: {offset}");
        }
        assert_eq!(host.produce(), ErrorCode::KafkaStorageError, "seed {seed}: it is still full");
        assert_eq!(host.committed("group"), 299, "seed {seed}");
        host.broker.crash(&host.simulation, Crash::PowerLoss);
        host.broker.start(&host.simulation);
        assert_eq!(host.committed("group"), 299, "seed {seed}");
        assert!(host.simulation.marks().contains_key("coordinator_goes_on_while_full"));
    }
}

#[test]
fn groups_take_no_more_memory_than_their_share() {
    let floor = MemoryFloor { groups: 64 << 10, ..MemoryFloor::default() };
    let host = Host::new(3, Some(floor));
    let mut accepted = 0;
    let note = "n".repeat(1_000);
    while host.commit_with_note(&format!("group-{accepted}"), 1, &note) == ErrorCode::None {
        accepted += 1;
        assert!(accepted < 1_000, "there is an end");
    }
    assert!(accepted > 20, "{accepted}");
    assert_eq!(host.commit("another", 1), ErrorCode::CoordinatorNotAvailable);
    // Those that are there go on.
    for group in 0..accepted {
        assert_eq!(host.commit(&format!("group-{group}"), 2), ErrorCode::None);
    }
    assert_eq!(host.committed("group-0"), 2);
    assert!(host.simulation.marks().contains_key("groups_take_too_much"));
}
