//! A topic made for one run, and how many records its broker says it has.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use protocol::error_code::ErrorCode;
use protocol::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
use protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};

use super::client::Client;

/// Versions that Apache Kafka 3.x and 4.x both have.
const CREATE_TOPICS_VERSION: i16 = 7;
const LIST_OFFSETS_VERSION: i16 = 7;

const CREATE_TIMEOUT_MS: i32 = 30_000;

/// `ListOffsets` with this timestamp asks for the end of the log.
const LATEST_TIMESTAMP: i64 = -1;

/// How long a new topic may take to have a leader for each partition.
const LEADER_DEADLINE: Duration = Duration::from_secs(30);
const LEADER_RETRY: Duration = Duration::from_millis(20);

pub struct Topic {
    pub name: String,
    pub partition_count: i32,
}

impl Topic {
    /// Creates the topic, with one replica, and waits until each partition has its leader.
    pub fn create(name: String, partition_count: i32, broker: SocketAddr) -> Result<Topic> {
        let topic = Topic { name, partition_count };
        let mut client = Client::connect(broker)?;
        let request = CreateTopicsRequest {
            topics: vec![CreatableTopic {
                name: topic.name.as_str().into(),
                num_partitions: partition_count,
                replication_factor: 1,
                ..Default::default()
            }],
            timeout_ms: CREATE_TIMEOUT_MS,
            validate_only: false,
        };
        let response = client.call(&request, CREATE_TOPICS_VERSION)?;
        for created in response.topics {
            ensure!(
                created.error_code == i16::from(ErrorCode::None),
                "creating {}: error {} {}",
                topic.name,
                created.error_code,
                created.error_message.as_deref().unwrap_or_default()
            );
        }
        let until = Instant::now() + LEADER_DEADLINE;
        loop {
            match topic.record_count(&mut client) {
                Ok(0) => return Ok(topic),
                Ok(count) => bail!("the new topic {} has {count} records", topic.name),
                Err(error) if Instant::now() > until => {
                    return Err(error).context("a new topic has no leaders");
                }
                Err(_) => thread::sleep(LEADER_RETRY),
            }
        }
    }

    /// Records of all partitions, by their end offsets: nothing was deleted from a topic this new.
    pub fn record_count(&self, client: &mut Client) -> Result<i64> {
        let partition = |partition_index| ListOffsetsPartition {
            partition_index,
            current_leader_epoch: -1,
            timestamp: LATEST_TIMESTAMP,
        };
        let request = ListOffsetsRequest {
            replica_id: -1,
            isolation_level: 0,
            topics: vec![ListOffsetsTopic {
                name: self.name.as_str().into(),
                partitions: (0..self.partition_count).map(partition).collect(),
            }],
            ..Default::default()
        };
        let response = client.call(&request, LIST_OFFSETS_VERSION)?;
        let mut count = 0;
        for answer in response.topics.iter().flat_map(|topic| &topic.partitions) {
            ensure!(
                answer.error_code == i16::from(ErrorCode::None),
                "{}-{}: error {}",
                self.name,
                answer.partition_index,
                answer.error_code
            );
            count += answer.offset;
        }
        Ok(count)
    }
}
