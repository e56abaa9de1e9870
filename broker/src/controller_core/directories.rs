//! The log directories of a node: opened at the start, each with its identity, or found to have failed.
//! One that fails later is told of by its cores; see [`super::ControllerCore::directory_failed`].

use std::io;
use std::path::{Path, PathBuf};

use protocol::model::{BrokerId, DirectoryId, Uuid};
use storage::{LogDirectory, MetaProperties, TopicPartition};

use super::startup::{METADATA_DIRECTORY, StartError};
use crate::config::BrokerConfig;

/// One of `log.dirs`.
pub struct OpenedDirectory {
    pub path: PathBuf,
    /// `None` where it could not be read or written; nothing of it is used.
    online: Option<(DirectoryId, LogDirectory)>,
}

/// The directories of a node, in the order of `log.dirs`.
pub struct OpenedDirectories {
    pub directories: Vec<OpenedDirectory>,
    pub cluster_id: String,
    pub metadata_id: DirectoryId,
    /// Of the metadata log, where that has a directory of its own.
    pub own_of_metadata: Option<LogDirectory>,
}

impl OpenedDirectory {
    pub fn online(&self) -> Option<&LogDirectory> {
        self.online.as_ref().map(|(_, directory)| directory)
    }

    pub fn id(&self) -> Option<DirectoryId> {
        self.online.as_ref().map(|(id, _)| *id)
    }

    /// Does `work` on the directory while it is online. Where that fails, it is left out from here on,
    /// as far as the start can go on without it.
    pub async fn keep_unless(
        &mut self,
        work: impl AsyncFnOnce(&mut LogDirectory) -> Result<(), StartError>,
        metadata: &Path,
    ) -> Result<(), StartError> {
        let Some((_, directory)) = &mut self.online else { return Ok(()) };
        if let Err(error) = work(directory).await {
            unless_fatal(error, &self.path, metadata)?;
            self.online = None;
        }
        Ok(())
    }
}

/// Opens all directories of `config`. As in Apache Kafka, one that cannot be read or written is left
/// out, unless it is the metadata log's or none is left; an empty one is formatted for the others'
/// cluster. Nothing else of them is changed.
pub async fn open(config: &BrokerConfig) -> Result<OpenedDirectories, StartError> {
    let metadata = config.metadata_log_dir.as_path();
    let mut identity = Identity::new(config.node_id);
    let mut found = Vec::new();
    for path in &config.log_dirs {
        found.push((path, identity.read(path, metadata).await?));
    }
    let own = (!config.log_dirs.iter().any(|path| path == metadata)).then_some(metadata);
    let own_meta = match own {
        Some(path) => identity.read(path, metadata).await?,
        None => Meta::New,
    };
    let cluster_id = identity.cluster_id(metadata)?;
    let mut directories = Vec::new();
    for (path, meta) in found {
        let opened = open_one(config, &cluster_id, path, meta).await;
        let opened = opened.or_else(|error| unless_fatal(error, path, metadata).map(|()| None));
        directories.push(OpenedDirectory { path: path.clone(), online: opened? });
    }
    if directories.iter().all(|directory| directory.online().is_none()) {
        return Err(StartError::NoDirectory);
    }
    check_partitions(&directories, metadata)?;
    let own_of_metadata = match own {
        Some(path) => open_one(config, &cluster_id, path, own_meta).await?,
        None => None,
    };
    let metadata_id = match &own_of_metadata {
        Some((id, _)) => *id,
        None => directories
            .iter()
            .find(|directory| directory.path == metadata)
            .and_then(OpenedDirectory::id)
            .ok_or(StartError::NoDirectory)?,
    };
    let own_of_metadata = own_of_metadata.map(|(_, directory)| directory);
    Ok(OpenedDirectories { directories, cluster_id, metadata_id, own_of_metadata })
}

/// What a directory says of itself.
enum Meta {
    Known(MetaProperties),
    /// It is not formatted.
    New,
    Failed,
}

/// `None` for one that is known to have failed.
async fn open_one(
    config: &BrokerConfig,
    cluster_id: &str,
    path: &Path,
    meta: Meta,
) -> Result<Option<(DirectoryId, LogDirectory)>, StartError> {
    let known = match meta {
        Meta::Known(meta) => meta.directory_id,
        Meta::New => {
            tracing::info!(directory = %path.display(), "a new log directory: it is formatted");
            let io = |source: io::Error| StartError::Read { path: path.to_owned(), source };
            reactor::directory::create_all(path).await.map_err(io)?;
            None
        }
        Meta::Failed => return Ok(None),
    };
    let directory = LogDirectory::open(path).await?;
    directory.prepare_space(&config.storage).await;
    let id = known.unwrap_or_else(random_uuid);
    if known.is_none() {
        // New, or of an older Kafka, which gave directories no id.
        let (cluster_id, node_id) = (cluster_id.to_owned(), config.node_id);
        let meta = MetaProperties { cluster_id, node_id, directory_id: Some(id) };
        meta.write(path).await?;
    }
    Ok(Some((id, directory)))
}

/// Fails the start, unless it can go on without the directory.
fn unless_fatal(error: StartError, path: &Path, metadata: &Path) -> Result<(), StartError> {
    let is_failure = match &error {
        StartError::Storage(error) => error.is_io(),
        StartError::Read { .. } => true,
        _ => false,
    };
    if !is_failure || path == metadata {
        return Err(error);
    }
    reactor::mark!(directory_failed_at_start);
    tracing::error!(directory = %path.display(), %error, "log directory is left out");
    Ok(())
}

/// No partition lies in two directories, and the metadata log lies where it is configured to. Apache
/// Kafka refuses the same: which of two copies holds what was acknowledged, nobody can tell.
fn check_partitions(directories: &[OpenedDirectory], metadata: &Path) -> Result<(), StartError> {
    let mut seen: std::collections::BTreeMap<&TopicPartition, &Path> = Default::default();
    for directory in directories {
        for partition in directory.online().into_iter().flat_map(LogDirectory::partitions) {
            let is_metadata = partition.to_string() == METADATA_DIRECTORY;
            if is_metadata && directory.path != metadata {
                return Err(StartError::MetadataElsewhere {
                    found: directory.path.clone(),
                    configured: metadata.to_owned(),
                });
            }
            if let Some(first) = seen.insert(partition, &directory.path) {
                return Err(StartError::InTwoDirectories {
                    partition: partition.clone(),
                    first: first.to_owned(),
                    second: directory.path.clone(),
                });
            }
        }
    }
    Ok(())
}

/// All directories are of one cluster and of this node.
struct Identity {
    node_id: BrokerId,
    first: Option<(String, PathBuf)>,
    metadata_is_known: bool,
}

impl Identity {
    fn new(node_id: BrokerId) -> Self {
        Identity { node_id, first: None, metadata_is_known: false }
    }

    async fn read(&mut self, path: &Path, metadata: &Path) -> Result<Meta, StartError> {
        let meta = match MetaProperties::read(path).await {
            Ok(Some(meta)) => meta,
            Ok(None) => return Ok(Meta::New),
            Err(error) => {
                return unless_fatal(error.into(), path, metadata).map(|()| Meta::Failed);
            }
        };
        self.metadata_is_known |= path == metadata;
        if meta.node_id != self.node_id {
            return Err(StartError::OtherNode {
                directory: path.to_owned(),
                found: meta.node_id.0,
                configured: self.node_id.0,
            });
        }
        match &self.first {
            Some((expected, first)) if *expected != meta.cluster_id => {
                return Err(StartError::OtherCluster {
                    directory: path.to_owned(),
                    first: first.clone(),
                    found: meta.cluster_id,
                    expected: expected.clone(),
                });
            }
            Some(_) => {}
            None => self.first = Some((meta.cluster_id.clone(), path.to_owned())),
        }
        Ok(Meta::Known(meta))
    }

    /// The cluster of those that are formatted; that of the metadata log is.
    fn cluster_id(self, metadata: &Path) -> Result<String, StartError> {
        let not_formatted = || StartError::NotFormatted { directory: metadata.to_owned() };
        let first = self.first.filter(|_| self.metadata_is_known);
        first.map(|(cluster_id, _)| cluster_id).ok_or_else(not_formatted)
    }
}

/// An id for a directory or a process.
pub fn random_uuid() -> Uuid {
    loop {
        let mut bytes = [0; 16];
        reactor::random::fill(&mut bytes);
        let uuid = Uuid::from_random(bytes);
        if !uuid.is_reserved() {
            return uuid;
        }
    }
}
