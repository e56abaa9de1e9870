//! A conversation with a broker, written down line by line.

use crate::Broker;
use crate::wire::Connection;
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use protocol::error_code::ErrorCode;
use protocol::messages::create_topics::{CreatableTopic, CreatableTopicConfig};
use protocol::messages::fetch::{FetchPartition, FetchTopic, PartitionData};
use protocol::messages::metadata::MetadataRequestTopic;
use protocol::messages::produce::{
    PartitionProduceData, PartitionProduceResponse, TopicProduceData,
};
use protocol::messages::{
    CreateTopicsRequest, FetchRequest, FetchResponse, MetadataRequest, ProduceRequest,
};
use protocol::model::{TimestampMs, Uuid};
use protocol::record_batch::{BatchBuilder, BatchOptions, Batches};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A broker that follows the metadata log by itself knows a new topic a little later.
const KNOWN_WITHIN: Duration = Duration::from_secs(10);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// The first versions of Produce and of Fetch that name topics by id.
const TOPIC_ID_VERSION: i16 = 13;

pub struct Talk {
    pub connection: Connection,
    /// The start of the topics' names.
    name: &'static str,
    ids: BTreeMap<String, Uuid>,
    /// Sessions in the order in which they were seen.
    sessions: Vec<i32>,
    text: String,
}

impl Talk {
    /// `name` is that of the subject, and the start of its topics' names.
    pub fn with(broker: &Broker, name: &'static str) -> Result<Self> {
        let connection = Connection::open(broker.address())?;
        let (ids, sessions, text) = (BTreeMap::new(), Vec::new(), String::new());
        Ok(Talk { connection, name, ids, sessions, text })
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn say(&mut self, what: impl std::fmt::Display, answer: impl std::fmt::Display) {
        writeln!(self.text, "{what}: {answer}").expect("a string takes all");
    }

    /// The whole name of the topic called `topic` in this conversation.
    pub fn topic(&self, topic: &str) -> String {
        format!("{}-{topic}", self.name.replace('_', "-"))
    }

    /// Creates a topic and waits until the broker serves it.
    pub fn create(
        &mut self,
        topic: &str,
        partition_count: i32,
        configs: &[(&str, &str)],
    ) -> Result<()> {
        let name = self.topic(topic);
        let configs = configs.iter().map(|(name, value)| CreatableTopicConfig {
            name: (*name).into(),
            value: Some((*value).into()),
        });
        let creatable = CreatableTopic {
            name: name.as_str().into(),
            num_partitions: partition_count,
            replication_factor: 1,
            configs: configs.collect(),
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest {
            topics: vec![creatable],
            timeout_ms: 30_000,
            validate_only: false,
        };
        let answer = self.connection.call(7, &request)?;
        let created = answer.topics.first().context("the topic is not answered")?;
        ensure!(created.error_code == 0, "{name}: {}", code(created.error_code));
        self.ids.insert(name.clone(), created.topic_id);
        self.await_topic(&name, partition_count)
    }

    fn await_topic(&mut self, name: &str, partition_count: i32) -> Result<()> {
        let asked = MetadataRequestTopic { name: Some(name.into()), ..Default::default() };
        let request = MetadataRequest { topics: Some(vec![asked]), ..Default::default() };
        let deadline = Instant::now() + KNOWN_WITHIN;
        loop {
            let answer = self.connection.call(12, &request)?;
            let partitions = answer.topics.first().map_or(&[][..], |topic| &topic.partitions);
            let led = partitions.iter().filter(|it| it.error_code == 0 && it.leader_id >= 0);
            if led.count() == usize::try_from(partition_count)? {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{name} is not served");
            std::thread::park_timeout(LOOK_AGAIN_AFTER);
        }
    }

    /// What names a topic of this conversation, or one that is not there, in `version`.
    pub fn named(&self, version: i16, topic: &str) -> (String, Uuid) {
        if version < TOPIC_ID_VERSION {
            return (self.topic(topic), Uuid::ZERO);
        }
        (String::new(), self.id(topic))
    }

    /// The id of a topic of this conversation, or one that no topic has.
    pub fn id(&self, topic: &str) -> Uuid {
        self.ids.get(&self.topic(topic)).copied().unwrap_or(Uuid([7; 16]))
    }

    /// The topic of this conversation that has `id`.
    pub fn topic_of(&self, id: Uuid) -> Option<&str> {
        let (name, _) = self.ids.iter().find(|(_, known)| **known == id)?;
        Some(self.short(name))
    }

    /// What a topic is called in this conversation.
    pub fn short<'a>(&self, name: &'a str) -> &'a str {
        name.strip_prefix(&self.topic("")).unwrap_or(name)
    }

    /// A topic and partitions to fetch: `(partition, offset)`.
    pub fn to_fetch(&self, version: i16, topic: &str, partitions: &[(i32, i64)]) -> FetchTopic {
        let (name, topic_id) = self.named(version, topic);
        let partition = |&(partition, fetch_offset): &(i32, i64)| FetchPartition {
            partition,
            fetch_offset,
            partition_max_bytes: 1 << 20,
            ..FetchPartition::default()
        };
        FetchTopic {
            topic: name.into(),
            topic_id,
            partitions: partitions.iter().map(partition).collect(),
        }
    }

    /// Sends `request` and writes down what is answered.
    pub fn fetch(
        &mut self,
        what: &str,
        version: i16,
        request: &FetchRequest,
    ) -> Result<FetchResponse> {
        let answer = self.connection.call(version, request)?;
        let said = self.fetched(&answer)?;
        self.say(format_args!("v{version} {what}"), said);
        Ok(answer)
    }

    fn fetched(&mut self, answer: &FetchResponse) -> Result<String> {
        let mut said = code(answer.error_code);
        match answer.session_id {
            0 => said.push_str(", no session"),
            id => {
                let known = self.sessions.iter().position(|known| *known == id);
                let number = known.unwrap_or_else(|| {
                    self.sessions.push(id);
                    self.sessions.len() - 1
                });
                write!(said, ", session {}", number + 1)?;
            }
        }
        for topic in &answer.responses {
            let name = match topic.topic.is_empty() {
                true => self.topic_of(topic.topic_id).unwrap_or("unknown"),
                false => self.short(&topic.topic),
            };
            for partition in &topic.partitions {
                write!(said, "; {name}-{} {}", partition.partition_index, data(partition)?)?;
            }
        }
        if !answer.node_endpoints.is_empty() {
            let nodes = answer.node_endpoints.iter().map(|node| node.node_id.to_string());
            write!(said, "; nodes {}", nodes.collect::<Vec<_>>().join(" "))?;
        }
        Ok(said)
    }

    /// Produces `records` to one partition and hands back what is answered for it.
    pub fn produce(
        &mut self,
        version: i16,
        topic: &str,
        partition: i32,
        records: Bytes,
    ) -> Result<PartitionProduceResponse> {
        let (name, topic_id) = self.named(version, topic);
        let request = produce_request(name, topic_id, partition, records);
        let answer = self.connection.call(version, &request)?;
        let topic = answer.responses.into_iter().next().context("the topic is not answered")?;
        topic.partition_responses.into_iter().next().context("the partition is not answered")
    }

    /// Produces one batch of `count` records of now.
    pub fn fill(&mut self, topic: &str, partition: i32, count: usize) -> Result<()> {
        let answer = self.produce(9, topic, partition, batch(count, now_ms()))?;
        ensure!(answer.error_code == 0, "filling {topic}: {}", code(answer.error_code));
        Ok(())
    }
}

/// One partition's records, acknowledged by all.
pub fn produce_request(
    name: String,
    topic_id: Uuid,
    partition: i32,
    records: Bytes,
) -> ProduceRequest {
    let partition_data = PartitionProduceData { index: partition, records: Some(records.into()) };
    let topic =
        TopicProduceData { name: name.into(), topic_id, partition_data: vec![partition_data] };
    ProduceRequest {
        acks: -1,
        timeout_ms: 30_000,
        topic_data: vec![topic],
        ..ProduceRequest::default()
    }
}

/// Records of long ago would not outlive the next check of retention.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// One batch of `count` records, all with the time `timestamp`.
pub fn batch(count: usize, timestamp: i64) -> Bytes {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for index in 0..count {
        let value = format!("value {index}");
        builder.append(TimestampMs(timestamp), Some(b"key"), Some(value.as_bytes()), &[]);
    }
    builder.build()
}

pub fn code(error_code: i16) -> String {
    ErrorCode::try_from(error_code)
        .map_or_else(|_| error_code.to_string(), |it| it.name().to_owned())
}

fn data(partition: &PartitionData) -> Result<String> {
    let mut said = code(partition.error_code);
    write!(
        said,
        " {}..{} stable {}",
        partition.log_start_offset, partition.high_watermark, partition.last_stable_offset
    )?;
    let records = partition.records.as_ref().map(|records| records.contiguous());
    for batch in Batches::new(records.unwrap_or_default()) {
        let batch = batch?;
        let (first, last) = (batch.header().base_offset, batch.header().last_offset());
        write!(said, " has {first}-{last}")?;
    }
    // With an error null and none are the same.
    let aborted = partition.aborted_transactions.as_ref();
    if let Some(aborted) = aborted.filter(|_| partition.error_code == 0) {
        write!(said, " {} aborted", aborted.len())?;
    }
    if partition.diverging_epoch.epoch != -1 || partition.diverging_epoch.end_offset != -1 {
        let diverging = &partition.diverging_epoch;
        write!(said, " diverges at epoch {} end {}", diverging.epoch, diverging.end_offset)?;
    }
    if partition.current_leader.leader_id != -1 || partition.current_leader.leader_epoch != -1 {
        let leader = &partition.current_leader;
        write!(said, " leader {} of epoch {}", leader.leader_id, leader.leader_epoch)?;
    }
    Ok(said)
}
