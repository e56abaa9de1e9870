//! Clients that do as they should. Each asks for something at its times, and counts what it waits from when
//! it should have asked: a broker that is busy for a second is seen by all that were due in it.

use super::scene::Scene;
use crate::wire::Connection;
use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use protocol::messages::create_topics::CreatableTopic;
use protocol::messages::fetch::{FetchPartition, FetchTopic};
use protocol::messages::produce::{PartitionProduceData, TopicProduceData};
use protocol::messages::{ApiVersionsRequest, CreateTopicsRequest, FetchRequest, ProduceRequest};
use protocol::model::TimestampMs;
use protocol::record_batch::{BatchBuilder, BatchOptions};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub const GOOD: &str = "good";
pub const PRODUCE_VERSION: i16 = 9;
pub const FETCH_VERSION: i16 = 12;
const PERIOD: Duration = Duration::from_millis(20);
const RECORD_SIZE_BYTES: usize = 1_000;
/// How long a topic that was made may be unknown.
const SHOWN_DEADLINE: Duration = Duration::from_secs(30);

/// What a good client does all the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GoodClients {
    /// Produces a record, with acks=all.
    Produces,
    /// The same, but a large one: the log goes on in a new segment every few.
    ProducesMuch,
    /// Reads from the start of the log.
    Fetches,
    /// Connects, asks for the versions of the APIs, and leaves.
    Connects,
}

impl GoodClients {
    pub const ALL: [Self; 3] = [Self::Produces, Self::Fetches, Self::Connects];

    /// Which column of the table it is.
    pub fn verb(self) -> &'static str {
        match self {
            Self::Produces | Self::ProducesMuch => "produce",
            Self::Fetches => "fetch",
            Self::Connects => "connect",
        }
    }

    /// Goes on until the scene is over; what each request waited, in microseconds. Errors: one failed, or
    /// got no answer.
    pub fn go_on(self, scene: &Scene) -> Result<(Self, Histogram<u64>)> {
        let mut connection = Connection::open(scene.address)?;
        let waited = match self {
            Self::Produces => paced(scene, || produce(&mut connection, GOOD, 0, RECORD_SIZE_BYTES)),
            Self::ProducesMuch => {
                paced(scene, || produce(&mut connection, GOOD, 0, 100 * RECORD_SIZE_BYTES))
            }
            Self::Fetches => paced(scene, || read_start(&mut connection)),
            Self::Connects => paced(scene, || connect(scene)),
        };
        Ok((self, waited.context(self.verb())?))
    }
}

fn paced(scene: &Scene, mut ask: impl FnMut() -> Result<()>) -> Result<Histogram<u64>> {
    let mut waited_us = Histogram::new(3)?;
    let mut due = Instant::now();
    while !scene.is_over() {
        thread::park_timeout(due.saturating_duration_since(Instant::now()));
        if Instant::now() < due {
            continue;
        }
        ask()?;
        waited_us.record(due.elapsed().as_micros().try_into()?)?;
        due += PERIOD;
    }
    ensure!(!waited_us.is_empty(), "nothing was asked");
    Ok(waited_us)
}

fn connect(scene: &Scene) -> Result<()> {
    let request = ApiVersionsRequest::default();
    Connection::open(scene.address)?.call(0, &request).map(drop)
}

fn read_start(connection: &mut Connection) -> Result<()> {
    let mut wanted = fetch(GOOD, 1, 500, 1);
    wanted.max_bytes = 10_000;
    ensure!(can_be_read(connection, &wanted)?, "{GOOD} cannot be read");
    Ok(())
}

/// One record of this size, acknowledged by all.
pub fn produce(
    connection: &mut Connection,
    topic: &str,
    index: i32,
    size_bytes: usize,
) -> Result<()> {
    let request = produce_request(topic, index, BatchOptions::default(), size_bytes)?;
    let answer = connection.call(PRODUCE_VERSION, &request)?;
    let error_code = answer.responses[0].partition_responses[0].error_code;
    ensure!(error_code == 0, "{answer:?}");
    Ok(())
}

/// Makes `topics`, and waits until each of their partitions can be read: a broker may know of them later than
/// its controller.
pub fn create_topics(connection: &mut Connection, topics: Vec<CreatableTopic>) -> Result<()> {
    let all: Vec<_> = topics.iter().map(|it| (it.name.clone(), it.num_partitions)).collect();
    let created = connection.call(7, &CreateTopicsRequest { topics, ..Default::default() })?;
    ensure!(created.topics.iter().all(|topic| topic.error_code == 0), "{created:?}");
    all.iter().try_for_each(|(topic, count)| await_topic(connection, topic, *count))
}

/// Waits until the first `count` partitions of `topic` can be read.
pub fn await_topic(connection: &mut Connection, topic: &str, count: i32) -> Result<()> {
    let until = Instant::now() + SHOWN_DEADLINE;
    while !can_be_read(connection, &fetch(topic, count, 0, 1))? {
        ensure!(Instant::now() < until, "{topic} cannot be read");
        thread::park_timeout(PERIOD);
    }
    Ok(())
}

fn can_be_read(connection: &mut Connection, wanted: &FetchRequest) -> Result<bool> {
    let answer = connection.call(FETCH_VERSION, wanted)?;
    let mut partitions = answer.responses.iter().flat_map(|topic| &topic.partitions);
    Ok(answer.error_code == 0 && partitions.all(|partition| partition.error_code == 0))
}

pub fn produce_request(
    topic: &str,
    index: i32,
    options: BatchOptions,
    size_bytes: usize,
) -> Result<ProduceRequest> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    let mut builder = BatchBuilder::new(options);
    builder.append(TimestampMs(now as i64), None, Some(&vec![b'.'; size_bytes]), &[]);
    let data = PartitionProduceData { index, records: Some(builder.build().into()) };
    let topic_data = TopicProduceData {
        name: topic.into(),
        partition_data: vec![data],
        ..TopicProduceData::default()
    };
    Ok(ProduceRequest {
        acks: -1,
        timeout_ms: 30_000,
        topic_data: vec![topic_data],
        ..ProduceRequest::default()
    })
}

/// The first partitions of `topic` from their start, each named `repeat` times.
pub fn fetch(topic: &str, count: i32, max_wait_ms: i32, repeat: usize) -> FetchRequest {
    let partition = |partition| FetchPartition {
        partition,
        partition_max_bytes: 50 << 20,
        ..FetchPartition::default()
    };
    let partitions = (0..repeat).flat_map(|_| (0..count).map(partition)).collect();
    FetchRequest {
        max_wait_ms,
        min_bytes: 1,
        max_bytes: 50 << 20,
        session_epoch: -1,
        topics: vec![FetchTopic { topic: topic.into(), partitions, ..FetchTopic::default() }],
        ..FetchRequest::default()
    }
}
