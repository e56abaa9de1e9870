//! What clients share: the topics, and where clients meet the checkers.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use protocol::error_code::ErrorCode;
use protocol::messages::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};
use reactor::sync::Notify;

use crate::client::{ClientError, Connection};
use crate::topic::{Topic, TopicPlan};
use crate::verdict::Failure;

/// Between two tries of a client that was refused or cut off.
const BACKOFF: Duration = Duration::from_millis(100);
/// `timestamp` of ListOffsets that asks for the high watermark.
const LATEST_TIMESTAMP: i64 = -1;

/// Where a run's clients meet. Shared by `Rc`: all of them run on one thread.
pub struct Workload {
    pub address: SocketAddr,
    /// A client gives a connection up that has not answered for so long.
    pub request_timeout: Duration,
    /// All topics that were ever made.
    pub topics: RefCell<Vec<Rc<Topic>>>,
    /// Each round allows producers their share of batches once more.
    pub round: Cell<usize>,
    pub round_changed: Notify,
    /// Producers end once all is acknowledged that they have sent.
    draining: Cell<bool>,
    /// Producer ids that were given to anyone.
    producer_ids: RefCell<BTreeSet<i64>>,
    /// Alterations that were acknowledged.
    decisions: Cell<u64>,
    /// The first thing that went wrong ends the run.
    failure: RefCell<Option<Failure>>,
}

impl Workload {
    pub fn new(address: SocketAddr, request_timeout: Duration) -> Rc<Self> {
        Rc::new(Workload {
            address,
            request_timeout,
            topics: RefCell::default(),
            round: Cell::new(1),
            round_changed: Notify::new(),
            draining: Cell::new(false),
            producer_ids: RefCell::default(),
            decisions: Cell::new(0),
            failure: RefCell::default(),
        })
    }

    /// A topic of clients' knowledge; nobody has made it yet.
    pub fn plan_topic(&self, plan: TopicPlan) -> Rc<Topic> {
        let number = self.topics.borrow().len() as u32;
        let topic = Topic::new(plan, number);
        self.topics.borrow_mut().push(topic.clone());
        topic
    }

    pub fn next_round(&self) {
        self.round.set(self.round.get() + 1);
        self.round_changed.notify_all();
    }

    pub fn drain(&self) {
        self.draining.set(true);
        self.round_changed.notify_all();
    }

    pub fn is_draining(&self) -> bool {
        self.draining.get()
    }

    pub fn acknowledged_records(&self) -> u64 {
        self.topics.borrow().iter().map(|topic| topic.history.borrow().acknowledged_records).sum()
    }

    /// A producer was given an id, as nobody was before (INV-6).
    pub fn given_producer_id(&self, id: i64) -> Result<(), Failure> {
        match self.producer_ids.borrow_mut().insert(id) {
            true => Ok(()),
            false => Err(Failure::broken(6, format!("producer id {id} was given twice"))),
        }
    }

    pub fn decisions(&self) -> u64 {
        self.decisions.get()
    }

    pub fn count_decision(&self) {
        self.decisions.set(self.decisions.get() + 1);
    }

    pub fn fail(&self, failure: Failure) {
        self.failure.borrow_mut().get_or_insert(failure);
        self.round_changed.notify_all();
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

    /// The high watermark of every partition of `topic` that is not damaged; -1 of one that is.
    pub async fn end_offsets(&self, topic: &Topic) -> Option<Vec<i64>> {
        let partitions = (0..topic.plan.partition_count).map(|index| ListOffsetsPartition {
            partition_index: index,
            timestamp: LATEST_TIMESTAMP,
            ..ListOffsetsPartition::default()
        });
        let name = topic.plan.name.as_str().into();
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: vec![ListOffsetsTopic { name, partitions: partitions.collect() }],
            ..ListOffsetsRequest::default()
        };
        self.persist(async |connection| {
            let response: ListOffsetsResponse = connection.call(&request, 7).await?;
            let mut ends: Vec<_> = (0..topic.plan.partition_count)
                .map(|index| topic.history.borrow().is_damaged(index).then_some(-1))
                .collect();
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
