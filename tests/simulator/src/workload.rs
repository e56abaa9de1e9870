//! What clients share: the topic, what its records look like, and where clients meet the checkers.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use protocol::error_code::ErrorCode;
use protocol::messages::create_topics::{CreatableTopic, CreatableTopicConfig};
use protocol::messages::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use protocol::messages::metadata::MetadataRequestTopic;
use protocol::messages::{
    CreateTopicsRequest, CreateTopicsResponse, ListOffsetsRequest, ListOffsetsResponse,
    MetadataRequest, MetadataResponse,
};
use protocol::model::Uuid;

use crate::client::{ClientError, Connection};
use crate::history::History;
use crate::verdict::Failure;

pub const TOPIC: &str = "orders";
/// Between two tries of a client that was refused or cut off.
const BACKOFF: Duration = Duration::from_millis(100);
/// `timestamp` of ListOffsets that asks for the high watermark.
const LATEST_TIMESTAMP: i64 = -1;

/// Where a run's clients meet. Shared by `Rc`: all of them run on one thread.
pub struct Workload {
    pub address: SocketAddr,
    pub partition_count: i32,
    /// A client gives a connection up that has not answered for so long.
    pub request_timeout: Duration,
    pub history: RefCell<History>,
    /// Known once the topic is made.
    pub topic_id: Cell<Uuid>,
    /// Producers end once all is acknowledged that they have sent.
    pub draining: Cell<bool>,
    /// The first thing that went wrong ends the run.
    failure: RefCell<Option<Failure>>,
}

impl Workload {
    pub fn new(address: SocketAddr, partition_count: i32, request_timeout: Duration) -> Rc<Self> {
        Rc::new(Workload {
            address,
            partition_count,
            request_timeout,
            history: RefCell::new(History::new(partition_count)),
            topic_id: Cell::new(Uuid::ZERO),
            draining: Cell::new(false),
            failure: RefCell::default(),
        })
    }

    pub fn fail(&self, failure: Failure) {
        self.failure.borrow_mut().get_or_insert(failure);
    }

    pub fn has_failed(&self) -> bool {
        self.failure.borrow().is_some()
    }

    pub fn failure(&self) -> Option<Failure> {
        self.failure.borrow().clone()
    }

    pub async fn connect(&self) -> Result<Connection, ClientError> {
        Connection::open(self.address, self.request_timeout).await
    }

    /// Runs `attempt` on a new connection until it succeeds; ends without a value when the run has
    /// failed.
    pub async fn persist<T>(
        &self,
        mut attempt: impl AsyncFnMut(&mut Connection) -> Result<Option<T>, ClientError>,
    ) -> Option<T> {
        while !self.has_failed() {
            let tried = async {
                let mut connection = self.connect().await?;
                attempt(&mut connection).await
            };
            match tried.await {
                Ok(Some(value)) => return Some(value),
                Ok(None) | Err(ClientError::Connection(_)) => reactor::sleep(BACKOFF).await,
                Err(ClientError::Broken(failure)) => self.fail(failure),
            }
        }
        None
    }

    /// Makes the topic, whatever it takes, and learns its id.
    pub async fn create_topic(&self, configs: &[(&str, String)]) -> Option<()> {
        let configs = configs.iter().map(|(name, value)| CreatableTopicConfig {
            name: (*name).into(),
            value: Some(value.as_str().into()),
        });
        let request = CreateTopicsRequest {
            topics: vec![CreatableTopic {
                name: TOPIC.into(),
                num_partitions: self.partition_count,
                replication_factor: 1,
                configs: configs.collect(),
                ..CreatableTopic::default()
            }],
            ..CreateTopicsRequest::default()
        };
        self.persist(async |connection| {
            let response: CreateTopicsResponse = connection.call(&request, 7).await?;
            let Some(result) = response.topics.first() else {
                return Err(Failure::broken(12, "CreateTopics answers no topic".into()).into());
            };
            // A first try may have succeeded without our hearing of it.
            if result.error_code == ErrorCode::TopicAlreadyExists.code() {
                return Ok(Some(()));
            }
            Ok((result.error_code == ErrorCode::None.code()).then_some(()))
        })
        .await?;
        let topic_id = self.persist(async |connection| self.find_topic(connection).await).await?;
        self.topic_id.set(topic_id);
        Some(())
    }

    async fn find_topic(&self, connection: &mut Connection) -> Result<Option<Uuid>, ClientError> {
        let topic = MetadataRequestTopic { name: Some(TOPIC.into()), ..Default::default() };
        let request = MetadataRequest {
            topics: Some(vec![topic]),
            allow_auto_topic_creation: false,
            ..MetadataRequest::default()
        };
        let response: MetadataResponse = connection.call(&request, 12).await?;
        // A topic that was made is known from then on, whatever crashed between (INV-5).
        let Some(topic) = response.topics.first().filter(|topic| topic.error_code == 0) else {
            let what = format!("a topic that was made is not known: {:?}", response.topics);
            return Err(Failure::broken(5, what).into());
        };
        let is_led = topic.partitions.len() == self.partition_count as usize
            && topic.partitions.iter().all(|partition| partition.error_code == 0);
        Ok(is_led.then_some(topic.topic_id))
    }

    /// The high watermark of every partition.
    pub async fn end_offsets(&self) -> Option<Vec<i64>> {
        let partitions = (0..self.partition_count).map(|partition_index| ListOffsetsPartition {
            partition_index,
            timestamp: LATEST_TIMESTAMP,
            ..ListOffsetsPartition::default()
        });
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: vec![ListOffsetsTopic { name: TOPIC.into(), partitions: partitions.collect() }],
            ..ListOffsetsRequest::default()
        };
        self.persist(async |connection| {
            let response: ListOffsetsResponse = connection.call(&request, 7).await?;
            let mut ends = vec![None; self.partition_count as usize];
            for partition in response.topics.iter().flat_map(|topic| &topic.partitions) {
                if partition.error_code == ErrorCode::None.code()
                    && let Some(end) = ends.get_mut(partition.partition_index as usize)
                {
                    *end = Some(partition.offset);
                }
            }
            Ok(ends.into_iter().collect())
        })
        .await
    }
}
