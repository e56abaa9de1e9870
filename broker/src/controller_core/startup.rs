//! How a node's controller comes up: directories, identity, and the metadata log read from its start.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use controller::decide::Settings;
use controller::metadata::{ConfigResource, MetadataImage};
use controller::raft::{Endpoint, KRAFT_VERSION_MAX, Voter, VoterSet};
use controller::{Controller, ControllerConfig, LoadError, Snapshot, SnapshotError};
use protocol::error_code::ErrorCode;
use protocol::model::{DirectoryId, Offset, ReplicaKey};
use protocol::record_batch::BatchError;
use protocol::records::metadata::MetadataRecord;
use storage::{LogDirectory, PartitionLog, ReadError, StorageError, TopicPartition, Volume};

use super::assignments::Assignments;
use super::directories::{self, OpenedDirectories, OpenedDirectory, random_uuid};
use super::metadata_log::{self, LoadedLog};
use super::snapshots::SnapshotKeeper;
use super::views::{Directory, Views};
use crate::config::{BrokerConfig, topic_settings};
use crate::cores::{Core, Placement};

/// The partition directory of the metadata log.
pub const METADATA_DIRECTORY: &str = "__cluster_metadata-0";
/// In the metadata log's directory: whom this node has voted for, and what it knows of leaders.
pub const QUORUM_STATE: &str = "quorum-state";
const BOOTSTRAP_CHECKPOINT: &str = "bootstrap.checkpoint";

/// Why a node does not start; each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("{directory} is not formatted: run `millrace storage format`")]
    NotFormatted { directory: PathBuf },
    #[error(
        "{directory} belongs to node {found}, the configuration is of node {configured}: mend \
         node.id or log.dirs"
    )]
    OtherNode { directory: PathBuf, found: i32, configured: i32 },
    #[error("{directory} belongs to cluster {found}, {first} to cluster {expected}")]
    OtherCluster { directory: PathBuf, first: PathBuf, found: String, expected: String },
    #[error("no log directory can be used: the lines above say why")]
    NoDirectory,
    #[error(
        "partition {partition} is in both {first} and {second}: remove the copy of the directory that \
         has failed last, or move it elsewhere"
    )]
    InTwoDirectories { partition: TopicPartition, first: PathBuf, second: PathBuf },
    #[error(
        "{found} holds the metadata log, which is configured to be in {configured}: mend \
         metadata.log.dir"
    )]
    MetadataElsewhere { found: PathBuf, configured: PathBuf },
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path}: {source}")]
    Snapshot { path: PathBuf, source: SnapshotError },
    #[error("the metadata log cannot be used: {0}")]
    Load(#[from] LoadError),
    #[error("the metadata log holds what is no batch: {0}")]
    Batch(#[from] BatchError),
    #[error("the metadata log cannot be read: {0}")]
    Replay(#[from] ReadError),
    #[error("the controller refuses to {what}: {}", .error.name())]
    Refused { what: &'static str, error: ErrorCode },
    #[error(
        "{directory} has no snapshot that can be read from which the metadata log, which begins at \
         offset {log_start}, goes on: restore the newest *.checkpoint file there from a copy"
    )]
    NoSnapshot { directory: PathBuf, log_start: Offset },
    #[error("stopped while starting")]
    Stopped,
}

/// A node that is ready to join its cluster.
pub struct Started {
    pub machine: Controller,
    pub log: PartitionLog,
    pub snapshots: Rc<SnapshotKeeper>,
    pub views: Views,
    pub directories: Vec<OpenedDirectory>,
    /// Of the metadata log, where that has a directory of its own: locked, as the others are.
    pub own_of_metadata: Option<LogDirectory>,
}

/// Locks and checks the directories, brings to segments what a crash has left in journals, loads the
/// controller, and claims the directories: from here on only a stop in good order is a clean one.
/// Errors leave directories that a clean stop had left as they were.
pub async fn start(core: &Core) -> Result<Started, StartError> {
    let config = &core.node.config;
    let OpenedDirectories { mut directories, cluster_id, metadata_id, own_of_metadata } =
        directories::open(config).await?;
    let metadata = config.metadata_log_dir.as_path();
    let mut online = directories.iter().filter_map(OpenedDirectory::online);
    let is_clean = online.all(LogDirectory::was_clean);
    let cluster_id: Arc<str> = cluster_id.into();
    let settings = Settings {
        cluster_id: cluster_id.to_string(),
        local_broker: Some(config.node_id),
        partitions_default: config.partition_count_default,
        replication_factor_default: config.replication_factor_default,
        delete_topic_enable: config.delete_topics,
        broker_session_timeout_ms: config.broker_session_ms,
        mutation_burst_s: config.controller_quota_windows.span_ms() / 1_000,
        file: Arc::new(named_twice(config.properties.entries().clone())),
    };
    let incarnation_id = random_uuid();
    let bootstrap = read_bootstrap(metadata).await?;
    let directory = metadata.join(METADATA_DIRECTORY);
    let loaded = metadata_log::load(core, &directory, is_clean).await?;
    let snapshots = SnapshotKeeper::new(config.metadata_log, directory.clone(), &loaded);
    let LoadedLog { log, loader, .. } = loaded;
    let stored = read_if_there(&directory.join(QUORUM_STATE)).await?;
    let controller_config = ControllerConfig {
        node_id: config.node_id,
        directory_id: metadata_id,
        incarnation_id,
        listeners: config
            .controller_endpoint
            .iter()
            .map(|listener| controller::metadata::Listener {
                name: listener.name.as_str().into(),
                host: listener.endpoint.host.as_str().into(),
                port: listener.endpoint.port,
                security_protocol: 0,
            })
            .collect(),
        static_voters: static_voters(config),
        bootstrap,
        settings: settings.clone(),
    };
    let image = loader.image().clone();
    let machine = loader.finish(controller_config, stored.as_deref())?;
    for directory in &mut directories {
        directory
            .keep_unless(
                async |online| replay_journals(core, online, &settings, &image).await,
                metadata,
            )
            .await?;
    }
    // Last: a start that fails leaves a clean stop as it was, to Apache Kafka as to us.
    let mut described = Vec::new();
    for directory in &mut directories {
        let claim = async |online: &mut LogDirectory| Ok(online.claim().await?);
        directory.keep_unless(claim, metadata).await?;
        described.push(describe(directory));
    }
    let views = Views {
        cluster_id,
        incarnation_id,
        kraft_version: machine.kraft_version().level(),
        directories: described,
        settings: Arc::new(settings),
        placement: Arc::new(Placement::new(core.mesh.core_count())),
        places: Default::default(),
        assignments: Assignments::default(),
        topic_settings: Arc::default(),
        quotas: Arc::default(),
    };
    Ok(Started { machine, log, snapshots, views, directories, own_of_metadata })
}

/// A node's id stands under its two names, whichever the file says.
fn named_twice(mut file: BTreeMap<String, String>) -> BTreeMap<String, String> {
    for (from, to) in [("node.id", "broker.id"), ("broker.id", "node.id")] {
        if let Some(id) = file.get(from).cloned() {
            file.entry(to.to_owned()).or_insert(id);
        }
    }
    file
}

/// Fails with the error that the controller answered, if it is one.
pub fn check(what: &'static str, error_code: i16) -> Result<(), StartError> {
    match ErrorCode::try_from(error_code) {
        Ok(ErrorCode::None) => Ok(()),
        Ok(error) => Err(StartError::Refused { what, error }),
        Err(_) => Err(StartError::Refused { what, error: ErrorCode::UnknownServerError }),
    }
}

/// This node as a voter of its quorum, with its metadata directory.
pub fn own_voter(config: &BrokerConfig, directory_id: Option<DirectoryId>) -> Voter {
    Voter {
        key: ReplicaKey { id: config.node_id, directory_id },
        endpoints: config
            .controller_endpoint
            .iter()
            .map(|listener| Endpoint {
                name: listener.name.clone(),
                host: listener.endpoint.host.clone(),
                port: listener.endpoint.port,
            })
            .collect(),
        kraft_versions: 0..=KRAFT_VERSION_MAX,
    }
}

/// The voters of `controller.quorum.voters`, which was checked to name this node alone.
fn static_voters(config: &BrokerConfig) -> Option<VoterSet> {
    config.properties.value("controller.quorum.voters").filter(|text| !text.is_empty())?;
    VoterSet::new([own_voter(config, None)]).ok()
}

/// Brings to the segments of a log directory what a crash has left in its journals.
async fn replay_journals(
    core: &Core,
    directory: &mut LogDirectory,
    settings: &Settings,
    image: &MetadataImage,
) -> Result<(), StartError> {
    let began = reactor::now();
    let sizes = core.node.config.storage.clone();
    let volume = Volume::new(directory.path(), sizes, core.chunks.clone());
    let layers = settings.layers(image);
    let config_of = |name: &TopicPartition| {
        let own = image.config(&ConfigResource::topic(&name.topic)).map(|own| &**own);
        topic_settings::settings(&layers, own).log
    };
    let replayed = directory.replay_journals(&volume, &config_of, &mut |_| {}).await?;
    let path = directory.path().display();
    for damage in &replayed.damages {
        tracing::error!(directory = %path, %damage, "a journal is damaged");
    }
    for kept in &replayed.set_aside {
        tracing::error!(directory = %path, file = %kept.display(), "journal file set aside");
    }
    if replayed.appended_bytes > 0 {
        let (partitions, appended_bytes) = (replayed.ends.len(), replayed.appended_bytes);
        let took_ms = (reactor::now() - began).as_millis() as u64;
        tracing::info!(directory = %path, partitions, appended_bytes, took_ms, "replayed");
    }
    Ok(())
}

/// What was found in a directory; the log has a line of it.
fn describe(opened: &OpenedDirectory) -> Directory {
    let partitions = opened.online().into_iter().flat_map(|directory| {
        directory
            .partitions()
            .filter(|name| name.to_string() != METADATA_DIRECTORY)
            .map(|name| (name.clone(), directory.opening(name)))
    });
    let found: BTreeMap<_, _> = partitions.collect();
    if let Some(directory) = opened.online() {
        let last_stop = match directory.was_clean() {
            true => "clean",
            false if directory.is_unused() => "never started",
            false => "unclean",
        };
        tracing::info!(
            directory = %opened.path.display(),
            last_stop,
            partitions = found.len(),
            unfinished_deletions = directory.deleted().len(),
            "log directory opened"
        );
    }
    Directory {
        path: opened.path.clone(),
        id: opened.id(),
        is_offline: opened.online().is_none(),
        partition_count: 0,
        found,
    }
}

async fn read_bootstrap(directory: &Path) -> Result<Vec<MetadataRecord>, StartError> {
    let path = directory.join(BOOTSTRAP_CHECKPOINT);
    match read_if_there(&path).await? {
        None => Ok(Vec::new()),
        Some(bytes) => Snapshot::decode(bytes.into())
            .map(|snapshot| snapshot.records)
            .map_err(|source| StartError::Snapshot { path, source }),
    }
}

async fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, StartError> {
    match reactor::directory::read(path).await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StartError::Read { path: path.to_owned(), source }),
    }
}
