//! What broke clients of other brokers, a row each: versions that are advertised, and what they promise.
//! A row holds for Apache Kafka as for millrace, unless it says that millrace does not have the API.

use super::super::round::Round;
use super::batches;
use super::talk::{Talk, batch, code, now_ms, produce_request};
use crate::wire::Connection;
use crate::{Broker, Kind};
use anyhow::{Context, Result, ensure};
use protocol::api::ApiKey;
use protocol::messages::create_partitions::CreatePartitionsTopic;
use protocol::messages::delete_topics::DeleteTopicState;
use protocol::messages::describe_configs::DescribeConfigsResource;
use protocol::messages::metadata::{MetadataRequestTopic, MetadataResponseTopic};
use protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, CreatePartitionsRequest, DeleteTopicsRequest,
    DescribeConfigsRequest, FetchRequest, FindCoordinatorRequest, InitProducerIdRequest,
    ListOffsetsRequest, MetadataRequest, ProduceRequest,
};
use protocol::model::Uuid;
use protocol::record_batch::Batches;
use protocol::wire::{Decoder, Message};
use std::time::{Duration, Instant};

/// What APIs of transactions and of younger kinds of groups millrace does not have yet.
const NOT_YET: [ApiKey; 8] = [
    ApiKey::AddPartitionsToTxn,
    ApiKey::AddOffsetsToTxn,
    ApiKey::EndTxn,
    ApiKey::WriteTxnMarkers,
    ApiKey::TxnOffsetCommit,
    ApiKey::ConsumerGroupHeartbeat,
    ApiKey::ShareGroupHeartbeat,
    ApiKey::ShareFetch,
];

const COORDINATOR_LOAD_IN_PROGRESS: i16 = 14;

type Row = (&'static str, fn(&mut Talk, &Broker) -> Result<()>);

/// By the numbers of the list that they come from: compatibility is a list of what went wrong elsewhere.
const ROWS: [Row; 22] = [
    (
        "1: Produce is advertised from 0 on, so that old librdkafka compresses, and served from 3",
        |talk, broker| {
            let produce = advertised(talk, ApiKey::Produce)?.context("not advertised")?;
            ensure!(produce == (0, 13), "{produce:?}");
            for version in 0..3 {
                ensure!(
                    is_closed(broker, ApiKey::Produce, version, &[0; 10])?,
                    "version {version}"
                );
            }
            Ok(())
        },
    ),
    (
        "2: an unknown version of ApiVersions is answered in version 0, with that key alone",
        |_, broker| {
            for version in [5, 6, 100, i16::MAX] {
                // A version that nobody knows has a body that nobody knows.
                let answer = Connection::open(broker.address())?.raw(
                    ApiKey::ApiVersions,
                    version,
                    &[9; 5],
                )?;
                let mut body = Decoder::new(answer.context("the connection is closed")?);
                let answer = ApiVersionsResponse::decode(&mut body, 0)?;
                let keys: Vec<_> =
                    answer.api_keys.iter().map(|it| (it.api_key, it.min_version)).collect();
                ensure!(answer.error_code == 35 && keys == [(18, 0)], "{version}: {answer:?}");
                ensure!(body.remaining() == 0, "{version}: {} more bytes", body.remaining());
            }
            Ok(())
        },
    ),
    ("2: the header of its answer is never flexible", |talk, _| {
        let request = ApiVersionsRequest {
            client_software_name: "millrace".into(),
            client_software_version: "1.0".into(),
        };
        for version in 0..=4 {
            // Decoded with a header of version 0.
            let answer = talk.connection.call(version, &request)?;
            ensure!(answer.error_code == 0, "{version}: {}", code(answer.error_code));
        }
        Ok(())
    }),
    ("3: names of client software keep to KIP-511 from version 3 on", |talk, _| {
        for (name, version, want) in [
            ("librdkafka", "2.15.0-dev", 0),
            ("a", "b", 0),
            ("", "1", 42),
            ("name ", "1", 42),
            ("-name", "1", 42),
            ("name", "1.", 42),
        ] {
            let request = ApiVersionsRequest {
                client_software_name: name.into(),
                client_software_version: version.into(),
            };
            for version in [3, 4] {
                let answer = talk.connection.call(version, &request)?;
                ensure!(answer.error_code == want, "{name:?} {version}: {}", answer.error_code);
            }
        }
        Ok(())
    }),
    ("3: features with a minimum of 0 are told from version 4 on alone", |talk, _| {
        let request = ApiVersionsRequest {
            client_software_name: "millrace".into(),
            client_software_version: "1.0".into(),
        };
        for version in [3, 4] {
            let answer = talk.connection.call(version, &request)?;
            let mut features = answer.supported_features.iter();
            let has_zero = features.any(|feature| feature.min_version == 0);
            ensure!(has_zero == (version == 4), "{version}: {:?}", answer.supported_features);
        }
        Ok(())
    }),
    (
        "4: every API goes as low as Kafka 2.1's clients ask for, and as high as 4.3's do",
        |talk, _| {
            for (key, lowest, highest) in [
                (ApiKey::Fetch, 4, 18),
                (ApiKey::ListOffsets, 1, 11),
                (ApiKey::Metadata, 0, 13),
                (ApiKey::OffsetCommit, 2, 10),
                (ApiKey::OffsetFetch, 1, 10),
                (ApiKey::FindCoordinator, 0, 6),
                (ApiKey::JoinGroup, 0, 9),
                (ApiKey::Heartbeat, 0, 4),
                (ApiKey::LeaveGroup, 0, 5),
                (ApiKey::SyncGroup, 0, 5),
                (ApiKey::DescribeGroups, 0, 6),
                (ApiKey::ListGroups, 0, 5),
                (ApiKey::DeleteGroups, 0, 2),
                (ApiKey::OffsetDelete, 0, 0),
                (ApiKey::ApiVersions, 0, 4),
                (ApiKey::CreateTopics, 2, 7),
                (ApiKey::DeleteTopics, 1, 6),
                (ApiKey::DeleteRecords, 0, 2),
                (ApiKey::OffsetForLeaderEpoch, 2, 4),
                (ApiKey::DescribeConfigs, 1, 4),
                (ApiKey::AlterConfigs, 0, 2),
                (ApiKey::DescribeLogDirs, 1, 5),
                (ApiKey::CreatePartitions, 0, 3),
                (ApiKey::IncrementalAlterConfigs, 0, 1),
                (ApiKey::DescribeCluster, 0, 2),
            ] {
                let versions = advertised(talk, key)?;
                ensure!(versions == Some((lowest, highest)), "{key:?}: {versions:?}");
            }
            Ok(())
        },
    ),
    ("5: the oldest versions that clients stop at are served", |talk, _| {
        let request = InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: 60_000,
            ..InitProducerIdRequest::default()
        };
        for version in 0..=5 {
            let mut answer = talk.connection.call(version, &request)?;
            // Apache Kafka has to be given ids by its controller first.
            while answer.error_code == COORDINATOR_LOAD_IN_PROGRESS {
                std::thread::park_timeout(Duration::from_millis(50));
                answer = talk.connection.call(version, &request)?;
            }
            ensure!(answer.error_code == 0 && answer.producer_id >= 0, "{version}: {answer:?}");
        }
        // A coordinator, or that there is none yet: an answer.
        for version in 0..=3 {
            let request = FindCoordinatorRequest { key: "group".into(), ..Default::default() };
            let answer = talk.connection.call(version, &request)?;
            ensure!([0, 15].contains(&answer.error_code), "{version}: {}", answer.error_code);
        }
        Ok(())
    }),
    (
        "6: librdkafka finds idempotence, zstd, times and balanced consumers in the versions",
        |talk, _| {
            for (key, at_least) in [
                (ApiKey::Produce, 7),
                (ApiKey::Fetch, 10),
                (ApiKey::ListOffsets, 1),
                (ApiKey::InitProducerId, 4),
                (ApiKey::FindCoordinator, 0),
                (ApiKey::OffsetCommit, 1),
                (ApiKey::OffsetFetch, 1),
                (ApiKey::JoinGroup, 0),
                (ApiKey::SyncGroup, 0),
                (ApiKey::Heartbeat, 0),
                (ApiKey::LeaveGroup, 0),
            ] {
                let highest = advertised(talk, key)?.map(|(_, highest)| highest);
                ensure!(highest.is_some_and(|highest| highest >= at_least), "{key:?}: {highest:?}");
            }
            Ok(())
        },
    ),
    (
        "7: leader epochs of Metadata 9 and later are those that fetches are taken with",
        |talk, _| {
            for version in 9..=13 {
                let topic = metadata(talk, version, "trap")?;
                let epoch = topic.partitions.first().context("no partition")?.leader_epoch;
                for (current_leader_epoch, want) in [(epoch, 0), (epoch + 1, 75)] {
                    let mut topic = talk.to_fetch(12, "trap", &[(0, 0)]);
                    topic.partitions[0].current_leader_epoch = current_leader_epoch;
                    let got = fetch_error(talk, 12, topic)?;
                    ensure!(got == want, "{version}: epoch {current_leader_epoch}: {}", code(got));
                }
            }
            Ok(())
        },
    ),
    (
        "8: topics have an id from Metadata 10 on, and may be asked for by it from 12 on",
        |talk, _| {
            let topic_id = metadata(talk, 10, "trap")?.topic_id;
            ensure!(topic_id != Uuid::ZERO, "no id");
            for version in 10..=13 {
                let asked = MetadataRequestTopic { topic_id, name: None };
                let request = MetadataRequest { topics: Some(vec![asked]), ..Default::default() };
                let answer = talk.connection.call(version, &request)?;
                let topic = answer.topics.first().context("the topic is not answered")?;
                let want = if version < 12 { 42 } else { 0 };
                ensure!(topic.error_code == want, "{version}: {}", code(topic.error_code));
            }
            Ok(())
        },
    ),
    ("8: what names a topic by a zero id, or by one that is gone, is told so", |talk, _| {
        talk.create("recreated", 1, &[])?;
        let before = talk.named(13, "recreated").1;
        delete(talk, "recreated")?;
        talk.create("recreated", 1, &[])?;
        let after = talk.named(13, "recreated").1;
        ensure!(before != after && after != Uuid::ZERO, "{before} and {after}");
        for (topic_id, want) in [(Uuid::ZERO, 100), (before, 100), (after, 0)] {
            let request = produce_request(String::new(), topic_id, 0, batch(1, now_ms()));
            let got = produced(talk, 13, &request)?;
            ensure!(got == want, "produce with {topic_id}: {}", code(got));
            let mut topic = talk.to_fetch(13, "recreated", &[(0, 0)]);
            topic.topic_id = topic_id;
            let got = fetch_error(talk, 13, topic)?;
            ensure!(got == want, "fetch with {topic_id}: {}", code(got));
        }
        Ok(())
    }),
    ("9: a session by names is not gone on with by ids", |talk, _| {
        let topic = talk.to_fetch(12, "trap", &[(0, 0)]);
        let request = FetchRequest { topics: vec![topic], session_epoch: 0, ..Default::default() };
        let begun = talk.connection.call(12, &request)?;
        ensure!(begun.session_id != 0, "no session: {begun:?}");
        let session_id = begun.session_id;
        let request = FetchRequest { session_id, session_epoch: 1, ..Default::default() };
        let answer = talk.connection.call(13, &request)?;
        ensure!(answer.error_code == 106, "{}", code(answer.error_code));
        Ok(())
    }),
    ("10: Produce 12 and 13 are for transaction.version 2, and work without", |talk, _| {
        for version in [11, 12, 13] {
            let (name, topic_id) = talk.named(version, "trap");
            let request = produce_request(name, topic_id, 0, batch(1, now_ms()));
            let got = produced(talk, version, &request)?;
            ensure!(got == 0, "{version}: {}", code(got));
        }
        Ok(())
    }),
    (
        "10, 11, 12: transactions and younger groups are advertised whole or not at all",
        |talk, broker| {
            for key in NOT_YET {
                let is_advertised = advertised(talk, key)?.is_some();
                ensure!(
                    is_advertised == (broker.kind() == Kind::Kafka),
                    "{key:?} is advertised: {is_advertised}"
                );
                if !is_advertised {
                    ensure!(is_closed(broker, key, 1, &[0; 20])?, "{key:?} is answered");
                }
            }
            Ok(())
        },
    ),
    ("11: each special time is there from the version on that Java asks for it with", |talk, _| {
        for (timestamp, lowest) in [(-3, 7), (-4, 8), (-5, 9), (-6, 11)] {
            for version in 1..=11 {
                let got = list_error(talk, version, timestamp)?;
                let want = if version < lowest { 35 } else { 0 };
                ensure!(got == want, "{timestamp} in version {version}: {}", code(got));
            }
        }
        Ok(())
    }),
    ("13: telemetry is not advertised where nobody receives it", |talk, _| {
        for key in [ApiKey::GetTelemetrySubscriptions, ApiKey::PushTelemetry] {
            ensure!(advertised(talk, key)?.is_none(), "{key:?}");
        }
        Ok(())
    }),
    ("13: a version or a key that is not served closes the connection", |_, broker| {
        for (key, version) in [
            (ApiKey::Metadata, 14),
            (ApiKey::Fetch, 3),
            (ApiKey::Fetch, 19),
            (ApiKey::ListOffsets, 0),
            (ApiKey::CreateTopics, 1),
            (ApiKey::Vote, 0),
            (ApiKey::LeaderAndIsr, 0),
        ] {
            ensure!(is_closed(broker, key, version, &[0; 30])?, "{key:?} {version} is answered");
        }
        Ok(())
    }),
    ("14: the unstable InitProducerId 6 is not offered", |talk, _| {
        let highest = advertised(talk, ApiKey::InitProducerId)?.map(|(_, highest)| highest);
        ensure!(highest == Some(5), "{highest:?}");
        Ok(())
    }),
    ("15: an array longer than its request closes the connection", |_, broker| {
        // A million topics, in twelve bytes.
        let body = [&1_000_001_i32.to_be_bytes()[..], &[0; 8]].concat();
        ensure!(is_closed(broker, ApiKey::Metadata, 1, &body)?, "it is answered");
        Ok(())
    }),
    ("16: asking for a topic's metadata makes it, where it may", |talk, _| {
        let name = talk.topic("made");
        for allow_auto_topic_creation in [false, true, true] {
            let asked =
                MetadataRequestTopic { name: Some(name.as_str().into()), ..Default::default() };
            let request = MetadataRequest {
                topics: Some(vec![asked]),
                allow_auto_topic_creation,
                ..MetadataRequest::default()
            };
            let deadline = Instant::now() + Duration::from_secs(10);
            loop {
                let answer = talk.connection.call(9, &request)?;
                let error_code = answer.topics.first().context("it is not answered")?.error_code;
                if allow_auto_topic_creation && error_code != 0 {
                    // Apache Kafka makes it and says that it is not there yet.
                    ensure!(Instant::now() < deadline, "{}", code(error_code));
                    std::thread::park_timeout(Duration::from_millis(50));
                    continue;
                }
                let want = if allow_auto_topic_creation { 0 } else { 3 };
                ensure!(error_code == want, "{}", code(error_code));
                break;
            }
        }
        Ok(())
    }),
    ("16: CreatePartitions has a row for each topic, and DescribeConfigs every key", |talk, _| {
        let topic =
            |name: String| CreatePartitionsTopic { name: name.into(), count: 3, assignments: None };
        let topics = vec![topic(talk.topic("trap")), topic(talk.topic("gone"))];
        let request = CreatePartitionsRequest { topics, timeout_ms: 30_000, validate_only: true };
        let answer = talk.connection.call(3, &request)?;
        let mut codes: Vec<_> = answer.results.iter().map(|it| it.error_code).collect();
        codes.sort_unstable();
        ensure!(codes == [0, 3], "{codes:?}");
        let resource = DescribeConfigsResource {
            resource_type: 2,
            resource_name: talk.topic("trap").into(),
            configuration_keys: None,
        };
        let request = DescribeConfigsRequest { resources: vec![resource], ..Default::default() };
        let answer = talk.connection.call(4, &request)?;
        let configs = &answer.results.first().context("it is not answered")?.configs;
        ensure!(configs.len() >= 30, "{} keys", configs.len());
        ensure!(configs.iter().all(|config| config.value.is_some()), "a key has no default");
        Ok(())
    }),
    ("16: a fetch from the middle of a batch brings all of it", |talk, _| {
        talk.create("middle", 1, &[])?;
        let records = batches::timed(&[now_ms(); 7]);
        ensure!(talk.produce(9, "middle", 0, records)?.error_code == 0, "not produced");
        for offset in 0..7 {
            let topics = vec![talk.to_fetch(12, "middle", &[(0, offset)])];
            let request =
                FetchRequest { topics, min_bytes: 1, max_bytes: 100, ..Default::default() };
            let answer = talk.connection.call(12, &request)?;
            let partition = answer.responses.first().and_then(|topic| topic.partitions.first());
            let records = partition.and_then(|it| it.records.clone()).unwrap_or_default();
            let batch = Batches::new(records.contiguous()).next().context("no batch")??;
            ensure!(batch.header().record_count == 7, "{offset}: {:?}", batch.header());
        }
        Ok(())
    }),
];

pub fn fall_into(round: &mut Round, broker: &Broker) {
    let name = round.case_name("version traps are laid");
    let laid = round.report.case(&name, &[], |_| {
        let mut talk = Talk::with(broker, "traps")?;
        talk.create("trap", 1, &[])?;
        Ok(talk)
    });
    let Some(mut talk) = laid else { return };
    for (what, row) in ROWS {
        let name = round.case_name(format_args!("version trap {what}"));
        round.report.case(&name, &[], |_| row(&mut talk, broker));
    }
}

/// The lowest and the highest version that ApiVersions tells of.
fn advertised(talk: &mut Talk, key: ApiKey) -> Result<Option<(i16, i16)>> {
    let answer = talk.connection.call(0, &ApiVersionsRequest::default())?;
    let known = answer.api_keys.iter().find(|it| it.api_key == i16::from(key));
    Ok(known.map(|it| (it.min_version, it.max_version)))
}

/// Whether a request is answered by closing its connection.
fn is_closed(broker: &Broker, key: ApiKey, version: i16, body: &[u8]) -> Result<bool> {
    Ok(Connection::open(broker.address())?.raw(key, version, body)?.is_none())
}

fn metadata(talk: &mut Talk, version: i16, topic: &str) -> Result<MetadataResponseTopic> {
    let name = Some(talk.topic(topic).into());
    let asked = MetadataRequestTopic { name, ..Default::default() };
    let request = MetadataRequest { topics: Some(vec![asked]), ..Default::default() };
    let answer = talk.connection.call(version, &request)?;
    answer.topics.into_iter().next().context("the topic is not answered")
}

fn fetch_error(
    talk: &mut Talk,
    version: i16,
    topic: protocol::messages::fetch::FetchTopic,
) -> Result<i16> {
    let request = FetchRequest { topics: vec![topic], ..FetchRequest::default() };
    let answer = talk.connection.call(version, &request)?;
    let partition = answer.responses.first().and_then(|topic| topic.partitions.first());
    Ok(partition.context("the partition is not answered")?.error_code)
}

fn produced(talk: &mut Talk, version: i16, request: &ProduceRequest) -> Result<i16> {
    let answer = talk.connection.call(version, request)?;
    let topic = answer.responses.first().context("the topic is not answered")?;
    Ok(topic.partition_responses.first().context("the partition is not answered")?.error_code)
}

fn list_error(talk: &mut Talk, version: i16, timestamp: i64) -> Result<i16> {
    let request: ListOffsetsRequest = super::offsets::ask(talk, "trap", (0, timestamp, -1), 0);
    let answer = talk.connection.call(version, &request)?;
    let partition = answer.topics.first().and_then(|topic| topic.partitions.first());
    Ok(partition.context("the partition is not answered")?.error_code)
}

pub fn delete(talk: &mut Talk, topic: &str) -> Result<()> {
    let name = Some(talk.topic(topic).into());
    let state = DeleteTopicState { name, topic_id: Uuid::ZERO };
    let request =
        DeleteTopicsRequest { topics: vec![state], timeout_ms: 30_000, ..Default::default() };
    let answer = talk.connection.call(6, &request)?;
    let error_code = answer.responses.first().context("the topic is not answered")?.error_code;
    ensure!(error_code == 0, "{}", code(error_code));
    Ok(())
}
