//! What requests take that name as much as they can: their frames, what they are decoded to, and their
//! answers. It stays within what the broker lends for them, by `PER_DECODED_BYTE` of its memory.

use crate::wire::{self, Connection};
use crate::{Broker, Kind, Layout, Quorum, Report, Setting, Site};
use anyhow::{Result, ensure};
use bytes::Bytes;
use protocol::messages::create_topics::CreatableTopic;
use protocol::messages::delete_records::{DeleteRecordsPartition, DeleteRecordsTopic};
use protocol::messages::delete_topics::DeleteTopicState;
use protocol::messages::describe_configs::DescribeConfigsResource;
use protocol::messages::fetch::{FetchPartition, FetchTopic};
use protocol::messages::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use protocol::messages::metadata::MetadataRequestTopic;
use protocol::messages::produce::{PartitionProduceData, TopicProduceData};
use protocol::messages::{
    CreateTopicsRequest, DeleteRecordsRequest, DeleteTopicsRequest, DescribeConfigsRequest,
    FetchRequest, FindCoordinatorRequest, ListOffsetsRequest, MetadataRequest, ProduceRequest,
};
use protocol::wire::{Decoder, Encoder, Request, WireString};

/// Enough that lines for requests are longer than any of these.
const LINES: [&str; 1] = ["millrace.memory.bytes=17179869184"];
const TOPIC: &str = "wide";
const PARTITION_COUNT: i32 = 8;
/// What each request names.
const COUNT: usize = 50_000;
/// As the broker has them.
const PER_DECODED_BYTE: usize = 12;
const USUAL_SIZE_BYTES: usize = 4 << 10;
const GROWTH: usize = 8;
/// What a process takes now and then beside.
const BESIDE_BYTES: u64 = 4 << 20;

pub fn run(report: &mut Report) {
    let setting = Setting { kind: Kind::Millrace, cores: 2, quorum: Quorum::Static };
    let layout = Layout { lines: LINES.map(str::to_owned).to_vec(), ..Layout::default() };
    let name = |what: &str| format!("wide requests, millrace: {what}");
    let started =
        report.always(&name("starts"), |tools| Site::format_and_start_as(tools, setting, &layout));
    let Some((site, broker)) = started else { return };
    if report.always(&name("has a topic"), |_| create(&broker)).is_none() {
        return;
    }
    if report.always(&name("stops cleanly"), |_| broker.stop()).is_none() {
        return;
    }
    println!("request: frame, decoded arrays, lent, taken at most (KiB), taken for a decoded byte");
    Measure { report, site: &site }.all();
}

fn create(broker: &Broker) -> Result<()> {
    let mut connection = Connection::open(broker.address())?;
    let topics = vec![creatable(TOPIC.into())];
    let created = connection.call(7, &CreateTopicsRequest { topics, ..Default::default() })?;
    ensure!(created.topics.iter().all(|topic| topic.error_code == 0), "{created:?}");
    Ok(())
}

fn creatable(name: WireString) -> CreatableTopic {
    CreatableTopic {
        name,
        num_partitions: PARTITION_COUNT,
        replication_factor: 1,
        ..CreatableTopic::default()
    }
}

struct Measure<'a> {
    report: &'a mut Report,
    site: &'a Site,
}

impl Measure<'_> {
    fn all(&mut self) {
        let names = || (0..COUNT).map(|number| WireString::from(format!("t{number}")));
        let indexes = || (0..COUNT).map(|index| index as i32 % PARTITION_COUNT);
        let produced = |index| PartitionProduceData { index, records: None };
        self.one(
            "Produce to many partitions",
            &ProduceRequest {
                acks: -1,
                timeout_ms: 30_000,
                topic_data: vec![TopicProduceData {
                    name: TOPIC.into(),
                    partition_data: indexes().map(produced).collect(),
                    ..TopicProduceData::default()
                }],
                ..ProduceRequest::default()
            },
            9,
        );
        let topic = |name| TopicProduceData {
            name,
            partition_data: vec![produced(0)],
            ..TopicProduceData::default()
        };
        self.one(
            "Produce to many topics that are not there",
            &ProduceRequest {
                acks: -1,
                timeout_ms: 30_000,
                topic_data: names().map(topic).collect(),
                ..ProduceRequest::default()
            },
            9,
        );
        let wanted = |partition| FetchPartition {
            partition,
            partition_max_bytes: 1 << 20,
            ..FetchPartition::default()
        };
        let fetch = |topics| FetchRequest {
            max_wait_ms: 500,
            min_bytes: 1,
            max_bytes: 50 << 20,
            session_epoch: -1,
            topics,
            ..FetchRequest::default()
        };
        let partitions = indexes().map(wanted).collect();
        let topic = FetchTopic { topic: TOPIC.into(), partitions, ..FetchTopic::default() };
        self.one("Fetch of many partitions, parked", &fetch(vec![topic]), 12);
        let topic =
            |topic| FetchTopic { topic, partitions: vec![wanted(0)], ..FetchTopic::default() };
        self.one(
            "Fetch of many topics that are not there",
            &fetch(names().map(topic).collect()),
            12,
        );
        let partition = |partition_index| ListOffsetsPartition {
            partition_index,
            timestamp: -1,
            ..ListOffsetsPartition::default()
        };
        let partitions = indexes().map(partition).collect();
        let topics = vec![ListOffsetsTopic { name: TOPIC.into(), partitions }];
        self.one(
            "ListOffsets",
            &ListOffsetsRequest { replica_id: -1, topics, ..Default::default() },
            7,
        );
        let topic = |name| MetadataRequestTopic { name: Some(name), ..Default::default() };
        self.one(
            "Metadata of topics that are not there",
            &MetadataRequest {
                topics: Some(names().map(topic).collect()),
                allow_auto_topic_creation: false,
                ..MetadataRequest::default()
            },
            12,
        );
        self.one(
            "FindCoordinator",
            &FindCoordinatorRequest { coordinator_keys: names().collect(), ..Default::default() },
            4,
        );
        self.one(
            "CreateTopics, to validate only",
            &CreateTopicsRequest {
                topics: names().map(creatable).collect(),
                validate_only: true,
                ..CreateTopicsRequest::default()
            },
            7,
        );
        let state = |name| DeleteTopicState { name: Some(name), ..Default::default() };
        self.one(
            "DeleteTopics that are not there",
            &DeleteTopicsRequest { topics: names().map(state).collect(), ..Default::default() },
            6,
        );
        let partition = |partition_index| DeleteRecordsPartition { partition_index, offset: 0 };
        let partitions = indexes().map(partition).collect();
        let topics = vec![DeleteRecordsTopic { name: TOPIC.into(), partitions }];
        self.one("DeleteRecords", &DeleteRecordsRequest { topics, timeout_ms: 30_000 }, 2);
        let resource = |resource_name| DescribeConfigsResource {
            resource_type: 2,
            resource_name,
            configuration_keys: None,
        };
        self.one(
            "DescribeConfigs of topics that are not there",
            &DescribeConfigsRequest {
                resources: names().map(resource).collect(),
                ..Default::default()
            },
            4,
        );
    }

    fn one<R: Request>(&mut self, what: &str, request: &R, version: i16) {
        let site = self.site;
        let name = format!("wide requests, millrace: {what}");
        self.report.case(&name, &[], |tools| {
            // A new process each time: memory that was used before and is free would not be seen.
            let broker = site.start(tools)?;
            let frame_bytes = wire::frame(0, version, request)?.len();
            let decoded_bytes = decoded_bytes(request, version)?;
            let mut lent_bytes = USUAL_SIZE_BYTES;
            while lent_bytes / PER_DECODED_BYTE < decoded_bytes {
                lent_bytes *= GROWTH;
            }
            let mut connection = Connection::open(broker.address())?;
            broker.forget_peak()?;
            let before = broker.resident_bytes()?;
            connection.call(version, request)?;
            let taken_bytes = broker.peak_resident_bytes()?.saturating_sub(before);
            println!(
                "{what}: {}, {}, {}, {}, {:.1}",
                frame_bytes >> 10,
                decoded_bytes >> 10,
                lent_bytes >> 10,
                taken_bytes >> 10,
                taken_bytes as f64 / decoded_bytes as f64,
            );
            let bound = (frame_bytes + lent_bytes) as u64 + BESIDE_BYTES;
            ensure!(taken_bytes <= bound, "{} KiB of {}", taken_bytes >> 10, bound >> 10);
            broker.stop()
        });
    }
}

/// What the arrays of `request` take once they are decoded: the least limit that lets it through.
fn decoded_bytes<R: Request>(request: &R, version: i16) -> Result<usize> {
    let encoded = Encoder::encode_framed(&|encoder| request.encode(encoder, version))?;
    let body = Bytes::from(encoded.parts().concat()).slice(4..);
    let (mut refused, mut taken) = (0, 1 << 30);
    while taken - refused > 1 {
        let limit = usize::midpoint(refused, taken);
        let mut decoder = Decoder::new(body.clone());
        decoder.limit_elements(limit);
        match R::decode(&mut decoder, version) {
            Ok(_) => taken = limit,
            Err(_) => refused = limit,
        }
    }
    Ok(taken)
}
