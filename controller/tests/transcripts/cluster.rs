//! A controller with its disk: what is durable survives a crash, the rest does not.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use bytes::Bytes;
use controller::decide::{Now, Settings};
use controller::metadata::{Listener, MetadataImage, encode_batch};
use controller::quota::Mutator;
use controller::raft::{Endpoint, Voter, VoterSet};
use controller::{
    Action, Controller, ControllerConfig, Event, FormattedFile, Loader, Request, RequestToken,
    SnapshotId, format_files,
};
use protocol::messages::alter_partition_reassignments::{ReassignablePartition, ReassignableTopic};
use protocol::messages::assign_replicas_to_dirs::{
    RequestDirectoryData, RequestPartitionData, RequestTopicData,
};
use protocol::messages::create_partitions::CreatePartitionsTopic;
use protocol::messages::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use protocol::messages::delete_topics::DeleteTopicState;
use protocol::messages::elect_leaders::TopicPartitions;
use protocol::messages::update_features::FeatureUpdateKey;
use protocol::messages::{
    AllocateProducerIdsRequest, AlterPartitionReassignmentsRequest, AssignReplicasToDirsRequest,
    BrokerHeartbeatRequest, BrokerRegistrationRequest, CreatePartitionsRequest,
    CreateTopicsRequest, DeleteTopicsRequest, DescribeQuorumRequest, ElectLeadersRequest,
    UnregisterBrokerRequest, UpdateFeaturesRequest, broker_registration, describe_quorum,
};
use protocol::model::{
    BrokerId, DirectoryId, LeaderEpoch, MonotonicNs, Offset, ReplicaKey, TimestampMs, Uuid,
};
use protocol::record_batch::{Batches, RecordBatch};
use protocol::records::metadata::{BeginTransactionRecord, FeatureLevelRecord, MetadataRecord};

use crate::{configs, quotas, show};

#[derive(Default)]
pub struct Cluster {
    settings: Settings,
    voters: Vec<Voter>,
    is_static: bool,
    files: Vec<FormattedFile>,
    quorum_state: Option<String>,
    /// Batches with the offset behind each.
    log: Vec<(Offset, Bytes)>,
    durable_end_offset: Offset,
    controller: Option<Controller>,
    /// Not yet durable.
    unpersisted: Option<String>,
    actions: Vec<Action>,
    now_ms: u64,
    token: u64,
    starts: u8,
    metadata_offset: BTreeMap<i32, i64>,
    incarnations: BTreeMap<i32, u8>,
}

/// `name=value` arguments, and words without a value.
pub struct Arguments<'a>(Vec<&'a str>);

impl<'a> Arguments<'a> {
    pub fn value(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    }

    fn number<T: std::str::FromStr>(&self, name: &str, default: T) -> T {
        self.value(name)
            .map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name}={value}")))
    }

    pub fn has(&self, word: &str) -> bool {
        self.0.contains(&word)
    }

    pub fn words(&self) -> impl Iterator<Item = &'a str> {
        self.0.iter().copied().filter(|word| !word.contains('='))
    }
}

fn id(kind: u8, number: u8) -> Uuid {
    Uuid::from_random([kind, number, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16])
}

impl Cluster {
    pub fn execute(&mut self, command: &str, output: &mut String) {
        if let Some(command) = command.strip_prefix("quiet ") {
            return self.execute(command, &mut String::new());
        }
        let mut words = command.split_whitespace();
        let Some(verb) = words.next() else { return };
        let arguments = Arguments(words.collect());
        match verb {
            "format" => self.format(&arguments),
            "config" => self.configure(&arguments),
            "start" => self.start(output),
            "crash" => self.crash(output),
            "settle" => self.settle(output),
            "image" => self.image(output),
            "clock" => self.now_ms += arguments.number("ms", 0),
            "persisted" => {
                self.quorum_state = self.unpersisted.take();
                self.step(Event::QuorumStatePersisted, output);
            }
            "flushed" => {
                let end = self.log_end_offset().0;
                self.flushed(Offset(arguments.number("offset", end)), output);
            }
            "storage-failed" => self.step(Event::StorageFailed, output),
            "leave-transaction-open" => self.leave_transaction_open(),
            "tick" => self.step(Event::Tick, output),
            "deadline" => {
                let deadline = self.controller.as_ref().unwrap().next_deadline();
                let deadline = deadline.map(|at| at.0 / 1_000_000);
                writeln!(output, "deadline {deadline:?} ms, now {} ms", self.now_ms).unwrap();
            }
            _ => self.request(verb, &arguments, output),
        }
    }

    fn format(&mut self, arguments: &Arguments<'_>) {
        self.is_static = arguments.has("static");
        let directory = (!self.is_static).then_some(id(9, 1));
        self.voters = (1..=arguments.number("voters", 1))
            .map(|voter| Voter {
                key: ReplicaKey { id: BrokerId(voter), directory_id: directory },
                endpoints: vec![Endpoint {
                    name: "CONTROLLER".to_owned(),
                    host: "localhost".to_owned(),
                    port: 9093,
                }],
                kraft_versions: 0..=1,
            })
            .collect();
        let voters = VoterSet::new(self.voters.clone()).unwrap();
        self.files = format_files(self.now().wall, (!self.is_static).then_some(&voters));
        self.settings.cluster_id = "cluster".to_owned();
    }

    fn configure(&mut self, arguments: &Arguments<'_>) {
        let settings = &mut self.settings;
        settings.partitions_default = arguments.number("partitions", 1);
        settings.replication_factor_default = arguments.number("replication-factor", 1);
        settings.delete_topic_enable = arguments.number("delete-topic-enable", true);
        settings.local_broker =
            arguments.value("local-broker").map(|id| BrokerId(id.parse().unwrap()));
        if let Some(value) = arguments.value("retention.ms") {
            let file = BTreeMap::from([("log.retention.ms".to_owned(), value.to_owned())]);
            settings.file = Arc::new(file);
        }
    }

    fn now(&self) -> Now {
        Now {
            monotonic: MonotonicNs(self.now_ms * 1_000_000),
            wall: TimestampMs(1_700_000_000_000 + self.now_ms as i64),
        }
    }

    /// What was shown last; what the log says when nobody is there to show it.
    pub fn committed(&self) -> MetadataImage {
        match &self.controller {
            Some(controller) if controller.high_watermark().is_some() => {
                (**controller.committed_image()).clone()
            }
            _ => self.load().image().clone(),
        }
    }

    fn log_end_offset(&self) -> Offset {
        self.log.last().map_or(Offset::ZERO, |&(end, _)| end)
    }

    fn load(&self) -> Loader {
        let mut loader = Loader::new();
        for file in &self.files {
            let name = file.path.rsplit('/').next().unwrap();
            if let Some(id) = SnapshotId::from_file_name(name) {
                loader.snapshot(id, file.bytes.clone()).unwrap();
            }
        }
        for (_, batch) in &self.log {
            for batch in Batches::new(batch.clone()) {
                loader.batch(&batch.unwrap()).unwrap();
            }
        }
        loader
    }

    fn start(&mut self, output: &mut String) {
        self.starts += 1;
        let config = ControllerConfig {
            node_id: BrokerId(1),
            directory_id: id(9, 1),
            incarnation_id: id(8, self.starts),
            listeners: vec![Listener {
                name: "CONTROLLER".into(),
                host: "localhost".into(),
                port: 9093,
                security_protocol: 0,
            }],
            static_voters: self.is_static.then(|| VoterSet::new(self.voters.clone()).unwrap()),
            bootstrap: Vec::new(),
            settings: self.settings.clone(),
        };
        match self.load().finish(config, self.quorum_state.as_deref().map(str::as_bytes)) {
            Ok(controller) => {
                self.controller = Some(controller);
                self.step(Event::Start, output);
            }
            Err(error) => writeln!(output, "no controller: {error}").unwrap(),
        }
    }

    /// Loses what is not durable, and the process.
    fn crash(&mut self, output: &mut String) {
        self.controller = None;
        self.unpersisted = None;
        let durable_end_offset = self.durable_end_offset;
        self.log.retain(|(end, _)| *end <= durable_end_offset);
        writeln!(output, "the log ends at {}", self.log_end_offset()).unwrap();
    }

    /// As if a leader had stopped between the batches of its first records.
    fn leave_transaction_open(&mut self) {
        let records = [
            MetadataRecord::BeginTransaction(BeginTransactionRecord { name: Some("half".into()) }),
            MetadataRecord::FeatureLevel(FeatureLevelRecord {
                name: "metadata.version".into(),
                feature_level: 20,
            }),
        ];
        let base_offset = self.log_end_offset();
        let next_offset = Offset(base_offset.0 + records.len() as i64);
        let batch = encode_batch(base_offset, LeaderEpoch(1), self.now().wall, &records);
        self.log.push((next_offset, batch));
        self.durable_end_offset = next_offset;
    }

    fn step(&mut self, event: Event, output: &mut String) {
        let now = self.now();
        let controller = self.controller.as_mut().expect("the controller is started");
        if let Err(refused) = controller.step(now, event, &mut self.actions) {
            writeln!(output, "refused: {refused}").unwrap();
        }
        for action in std::mem::take(&mut self.actions) {
            writeln!(output, "{}", show::action(&action)).unwrap();
            match action {
                Action::PersistQuorumState { text } => self.unpersisted = Some(text),
                Action::Append { base_offset, next_offset, batch } => {
                    assert_eq!(base_offset, self.log_end_offset());
                    RecordBatch::new(batch.clone()).unwrap().verify_crc().unwrap();
                    self.log.push((next_offset, batch));
                }
                Action::Publish { image, .. } => {
                    assert!(image.next_offset() <= self.durable_end_offset);
                }
                Action::Respond { .. } => {}
            }
        }
    }

    fn flushed(&mut self, durable_end_offset: Offset, output: &mut String) {
        if durable_end_offset <= self.log_end_offset() {
            self.durable_end_offset = self.durable_end_offset.max(durable_end_offset);
        }
        self.step(Event::Flushed { durable_end_offset }, output);
    }

    /// Persists and flushes until nothing is left; then live and replayed state must be equal.
    fn settle(&mut self, output: &mut String) {
        loop {
            if self.unpersisted.is_some() {
                self.quorum_state = self.unpersisted.take();
                self.step(Event::QuorumStatePersisted, output);
            } else if self.durable_end_offset < self.log_end_offset() {
                self.flushed(self.log_end_offset(), output);
            } else {
                break;
            }
        }
        let controller = self.controller.as_ref().unwrap();
        // INV-5
        assert_eq!(**controller.committed_image(), *self.load().image());
        assert_eq!(**controller.committed_image(), *controller.appended_image());
    }

    fn image(&self, output: &mut String) {
        let image = self.controller.as_ref().unwrap().committed_image();
        for broker in image.brokers().values() {
            let (id, epoch, fenced) = (broker.id, broker.epoch, broker.fenced);
            writeln!(output, "broker {id} epoch {epoch} fenced {fenced}").unwrap();
        }
        for topic in image.topics().iter() {
            writeln!(output, "topic {} {}", topic.name, topic.id).unwrap();
            for (id, partition) in &topic.partitions {
                let list = |brokers: &[BrokerId]| {
                    let ids: Vec<_> = brokers.iter().map(ToString::to_string).collect();
                    ids.join(",")
                };
                writeln!(
                    output,
                    "  {id}: replicas {} isr {} elr {} leader {:?} leader epoch {} partition epoch {}",
                    list(&partition.replicas),
                    list(&partition.isr),
                    list(&partition.eligible_leader_replicas),
                    partition.leader.map(|leader| leader.0),
                    partition.leader_epoch,
                    partition.partition_epoch.0,
                )
                .unwrap();
            }
        }
        for (resource, configs) in image.configs().iter() {
            writeln!(output, "configs of {:?} {:?}: {configs:?}", resource.kind, resource.name)
                .unwrap();
        }
        for (entity, quotas) in image.client_quotas().iter() {
            writeln!(output, "quotas of {entity:?}: {quotas:?}").unwrap();
        }
    }

    fn request(&mut self, verb: &str, arguments: &Arguments<'_>, output: &mut String) {
        let request = match verb {
            "create" => self.create(arguments),
            "delete" => delete(arguments),
            "alter" => configs::alter(false, arguments),
            "replace" => configs::alter(true, arguments),
            "limit" => quotas::alter(arguments),
            "grow" => Request::CreatePartitions(CreatePartitionsRequest {
                topics: arguments
                    .words()
                    .map(|name| CreatePartitionsTopic {
                        name: name.into(),
                        count: arguments.number("count", 1),
                        assignments: None,
                    })
                    .collect(),
                ..CreatePartitionsRequest::default()
            }),
            "elect" => elect(arguments),
            "reassign" => reassign(arguments),
            "features" => features(arguments),
            "unregister" => Request::UnregisterBroker(UnregisterBrokerRequest {
                broker_id: arguments.number("broker", 1),
            }),
            "quorum" => describe_quorum(arguments),
            "register" => self.register(arguments),
            "heartbeat" => self.heartbeat(arguments),
            "assign" => self.assign(arguments),
            "producer-ids" => {
                let broker_id = arguments.number("broker", 1);
                let broker_epoch = arguments.number("epoch", self.broker_epoch(broker_id));
                Request::AllocateProducerIds(AllocateProducerIdsRequest { broker_id, broker_epoch })
            }
            _ => panic!("no such command: {verb}"),
        };
        self.token += 1;
        let token = RequestToken(self.token);
        let seed = [self.token as u8; 16];
        let mutator = arguments.value("by").map(|user| {
            let strict = arguments.number("strict", true);
            Box::new(Mutator { user: user.into(), client_id: None, strict })
        });
        self.step(Event::Request { token, request, mutator, seed }, output);
    }

    fn broker_epoch(&self, broker: i32) -> i64 {
        let image = self.controller.as_ref().unwrap().appended_image();
        image.broker(BrokerId(broker)).map_or(-1, |broker| broker.epoch.0)
    }

    fn register(&mut self, arguments: &Arguments<'_>) -> Request {
        let broker_id = arguments.number("broker", 1);
        let incarnation = self.incarnations.entry(broker_id).or_default();
        if !arguments.has("again") {
            *incarnation += 1;
        }
        let incarnation = *incarnation;
        let directory = |index: u8| id(7, broker_id as u8 * 10 + index);
        Request::BrokerRegistration(BrokerRegistrationRequest {
            broker_id,
            cluster_id: arguments.value("cluster").unwrap_or("cluster").into(),
            incarnation_id: id(broker_id as u8, incarnation),
            listeners: vec![broker_registration::Listener {
                name: "PLAINTEXT".into(),
                host: "localhost".into(),
                port: 9092,
                security_protocol: 0,
            }],
            features: controller::metadata::SUPPORTED_FEATURES
                .iter()
                .map(|(name, range)| broker_registration::Feature {
                    name: (*name).into(),
                    min_supported_version: *range.start(),
                    max_supported_version: arguments.number("feature-max", *range.end()),
                })
                .collect(),
            rack: arguments.value("rack").map(Into::into),
            is_migrating_zk_broker: false,
            log_dirs: (0..arguments.number("dirs", 1)).map(directory).collect(),
            previous_broker_epoch: if arguments.has("clean") {
                self.broker_epoch(broker_id)
            } else {
                -1
            },
        })
    }

    fn heartbeat(&mut self, arguments: &Arguments<'_>) -> Request {
        let broker_id = arguments.number("broker", 1);
        let committed = self.controller.as_ref().unwrap().committed_image().next_offset().0 - 1;
        let read = self.metadata_offset.entry(broker_id).or_default();
        *read = arguments.number("read", committed);
        Request::BrokerHeartbeat(BrokerHeartbeatRequest {
            broker_id,
            current_metadata_offset: *read,
            broker_epoch: arguments.number("epoch", self.broker_epoch(broker_id)),
            want_fence: arguments.has("fence"),
            want_shut_down: arguments.has("shutdown"),
            offline_log_dirs: arguments
                .value("offline")
                .map(|index| vec![id(7, broker_id as u8 * 10 + index.parse::<u8>().unwrap())])
                .unwrap_or_default(),
            cordoned_log_dirs: arguments.has("cordon").then(Vec::<DirectoryId>::new),
        })
    }

    fn assign(&self, arguments: &Arguments<'_>) -> Request {
        let broker_id = arguments.number("broker", 1);
        let image = self.controller.as_ref().unwrap().appended_image();
        let topics = arguments.words().map(|name| RequestTopicData {
            topic_id: image.topic_by_name(name).map_or(Uuid::ONE, |topic| topic.id),
            partitions: vec![RequestPartitionData {
                partition_index: arguments.number("partition", 0),
            }],
        });
        Request::AssignReplicasToDirs(AssignReplicasToDirsRequest {
            broker_id,
            broker_epoch: self.broker_epoch(broker_id),
            directories: vec![RequestDirectoryData {
                id: id(7, broker_id as u8 * 10 + arguments.number("dir", 0)),
                topics: topics.collect(),
            }],
        })
    }

    fn create(&self, arguments: &Arguments<'_>) -> Request {
        let assignments = |text: &str| {
            text.split(',')
                .enumerate()
                .map(|(index, brokers)| CreatableReplicaAssignment {
                    partition_index: index as i32,
                    broker_ids: brokers.split('+').map(|id| id.parse().unwrap()).collect(),
                })
                .collect()
        };
        let configs = |text: &str| {
            text.split(';')
                .map(|config| match config.split_once(':') {
                    Some((name, value)) => {
                        CreatableTopicConfig { name: name.into(), value: Some(value.into()) }
                    }
                    None => CreatableTopicConfig { name: config.into(), value: None },
                })
                .collect()
        };
        let topic = |name: &str| CreatableTopic {
            name: if name == "''" { "".into() } else { name.into() },
            num_partitions: arguments.number("partitions", -1),
            replication_factor: arguments.number("replication-factor", -1),
            assignments: arguments.value("assign").map(assignments).unwrap_or_default(),
            configs: arguments.value("configs").map(configs).unwrap_or_default(),
        };
        Request::CreateTopics(CreateTopicsRequest {
            topics: arguments
                .words()
                .filter(|word| *word != "--validate-only")
                .map(topic)
                .collect(),
            validate_only: arguments.has("--validate-only"),
            ..CreateTopicsRequest::default()
        })
    }
}

fn elect(arguments: &Arguments<'_>) -> Request {
    let partition: i32 = arguments.number("partition", 0);
    let topic = |name: &str| TopicPartitions { topic: name.into(), partitions: vec![partition] };
    let topics: Vec<_> = arguments.words().filter(|it| *it != "unclean").map(topic).collect();
    Request::ElectLeaders(ElectLeadersRequest {
        election_type: arguments.number("type", i8::from(arguments.has("unclean"))),
        topic_partitions: (!topics.is_empty()).then_some(topics),
        ..ElectLeadersRequest::default()
    })
}

fn reassign(arguments: &Arguments<'_>) -> Request {
    let replicas = |text: &str| match text {
        "none" => Vec::new(),
        text => text.split(',').map(|id| id.parse().unwrap()).collect(),
    };
    let partition = ReassignablePartition {
        partition_index: arguments.number("partition", 0),
        replicas: arguments.value("to").map(replicas),
    };
    let topic =
        |name: &str| ReassignableTopic { name: name.into(), partitions: vec![partition.clone()] };
    Request::AlterPartitionReassignments(AlterPartitionReassignmentsRequest {
        allow_replication_factor_change: !arguments.has("same-size"),
        topics: arguments.words().filter(|word| *word != "same-size").map(topic).collect(),
        ..AlterPartitionReassignmentsRequest::default()
    })
}

fn features(arguments: &Arguments<'_>) -> Request {
    let update = |(name, level): (&str, &str)| FeatureUpdateKey {
        feature: name.into(),
        max_version_level: level.parse().unwrap(),
        allow_downgrade: arguments.has("allow-downgrade"),
        upgrade_type: arguments.number("type", 1),
    };
    let is_option = |name: &str| ["type", "version"].contains(&name);
    let updates = arguments.0.iter().filter_map(|word| word.split_once('='));
    Request::UpdateFeatures {
        version: arguments.number("version", 2),
        request: UpdateFeaturesRequest {
            feature_updates: updates.filter(|(name, _)| !is_option(name)).map(update).collect(),
            validate_only: arguments.has("--validate-only"),
            ..UpdateFeaturesRequest::default()
        },
    }
}

fn describe_quorum(arguments: &Arguments<'_>) -> Request {
    let topic = |name: &str| describe_quorum::RequestTopicData {
        topic_name: name.into(),
        partitions: vec![describe_quorum::RequestPartitionData { partition_index: 0 }],
    };
    Request::DescribeQuorum {
        version: arguments.number("version", 2),
        request: DescribeQuorumRequest { topics: arguments.words().map(topic).collect() },
    }
}

fn delete(arguments: &Arguments<'_>) -> Request {
    let version = arguments.number("version", 6);
    let mut request = DeleteTopicsRequest::default();
    if version < 6 {
        request.topic_names = arguments.words().map(Into::into).collect();
    } else {
        let by_name = arguments
            .words()
            .map(|name| DeleteTopicState { name: Some(name.into()), topic_id: Uuid::ZERO });
        let by_id = arguments.value("id").map(|id| DeleteTopicState {
            name: arguments.value("and-name").map(Into::into),
            topic_id: id.parse().unwrap(),
        });
        request.topics = by_name.chain(by_id).collect();
    }
    Request::DeleteTopics { version, request }
}
