//! What a core tells of itself when it is asked: how it is, or all that it counts.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use controller::quota::QuotaKind;
use protocol::api::ApiKey;
use protocol::model::{LeaderEpoch, Offset};
use reactor::directory::Space;
use storage::JournalUse;

use super::core_counts::{RequestCounts, Throttles};
use crate::cores::{ClusterView, Core};
use crate::memory::MemoryInUse;
use crate::replica::{Partition, PartitionKey};

/// Partitions that are looked at in a row before others of the core's tasks run.
const PARTITIONS_IN_A_ROW: usize = 128;

/// How long a directory's disk may take to tell its space; a report goes on without.
const SPACE_WAIT_MAX: Duration = Duration::from_millis(300);

/// How a core is.
#[derive(Clone, Debug)]
pub struct CoreState {
    /// On the accepting core: clients are let in.
    pub is_accepting: bool,
    pub is_stopping: bool,
    /// The metadata that it serves by.
    pub view: Arc<ClusterView>,
    /// Why, for each of the node's log directories that has failed.
    pub directory_failures: Vec<Option<Arc<str>>>,
}

/// What a core has counted since it began, and what it holds now.
#[derive(Debug)]
pub struct CoreReport {
    pub state: CoreState,
    pub cpu: Duration,
    pub connection_count: usize,
    pub connections: u64,
    pub refused_connections: u64,
    pub requests: Vec<(ApiKey, RequestCounts)>,
    pub refused_requests: u64,
    pub throttles: BTreeMap<QuotaKind, Throttles>,
    pub received_bytes: u64,
    pub sent_bytes: u64,
    pub messages: u64,
    /// Requests to other cores that wait for a place in their lanes.
    pub waiting_messages: usize,
    pub memory_reads: u64,
    pub memory_read_bytes: u64,
    pub disk_reads: u64,
    pub disk_read_bytes: u64,
    pub memory: MemoryInUse,
    pub volumes: Vec<VolumeReport>,
    pub partitions: Vec<PartitionReport>,
}

/// One core's part of one log directory.
#[derive(Debug)]
pub struct VolumeReport {
    pub journal: JournalUse,
    /// What was appended and is in no segment yet.
    pub unwritten_bytes: u64,
    /// Of the file system; asked by the accepting core alone, and unknown where it does not answer.
    pub space: Option<Space>,
}

/// One partition of a core.
#[derive(Debug)]
pub struct PartitionReport {
    pub key: PartitionKey,
    pub leader_epoch: LeaderEpoch,
    pub log_start_offset: Offset,
    pub last_stable_offset: Offset,
    pub high_watermark: Offset,
    pub log_end_offset: Offset,
    pub size_bytes: u64,
    pub appended_records: u64,
    pub appended_bytes: u64,
    pub fetched_bytes: u64,
}

impl CoreState {
    pub fn of(core: &Core) -> Self {
        let failure = |volume: &Rc<storage::Volume>| {
            volume.failure().map(|error| Arc::from(error.to_string().as_str()))
        };
        CoreState {
            is_accepting: core.counts.is_accepting.get() && !core.stop.is_set(),
            is_stopping: core.stop.is_set(),
            view: core.view(),
            directory_failures: core.volumes.iter().map(failure).collect(),
        }
    }
}

impl CoreReport {
    /// Of `core`. Other tasks run in between where there are many partitions.
    pub async fn of(core: &Core) -> Self {
        let mut partitions = Vec::new();
        let mut last = None;
        loop {
            let next = core.partitions_behind(last, PARTITIONS_IN_A_ROW);
            partitions.extend(next.iter().map(|(key, owned)| PartitionReport::of(*key, owned)));
            match next.last() {
                Some((key, _)) if next.len() == PARTITIONS_IN_A_ROW => last = Some(*key),
                _ => break,
            }
            reactor::yield_now().await;
        }
        let counts = &core.counts;
        CoreReport {
            volumes: volumes(core).await,
            partitions,
            state: CoreState::of(core),
            cpu: reactor::core::cpu_time(),
            connection_count: core.connections.len(),
            connections: counts.connections.get(),
            refused_connections: counts.refused_connections.get(),
            requests: counts.requests().collect(),
            refused_requests: counts.refused_requests.get(),
            throttles: counts.throttles(),
            received_bytes: counts.received_bytes.get(),
            sent_bytes: counts.sent_bytes.get(),
            messages: counts.messages.get(),
            waiting_messages: core.mesh.waiting_count(),
            memory_reads: counts.memory_reads.get(),
            memory_read_bytes: counts.memory_read_bytes.get(),
            disk_reads: counts.disk_reads.get(),
            disk_read_bytes: counts.disk_read_bytes.get(),
            memory: core.memory_in_use(),
        }
    }
}

async fn volumes(core: &Core) -> Vec<VolumeReport> {
    let mut volumes = Vec::with_capacity(core.volumes.len());
    for volume in &core.volumes {
        let space = if core.index == core.node.accepting_core && volume.failure().is_none() {
            let space = reactor::directory::space(volume.path());
            reactor::timeout(SPACE_WAIT_MAX, space).await.ok().and_then(Result::ok)
        } else {
            None
        };
        volumes.push(VolumeReport {
            journal: volume.journal_use(),
            unwritten_bytes: volume.dirty_size_bytes(),
            space,
        });
    }
    volumes
}

impl PartitionReport {
    fn of(key: PartitionKey, partition: &Partition) -> Self {
        let log = partition.log();
        PartitionReport {
            key,
            leader_epoch: partition.leader_epoch(),
            log_start_offset: log.log_start_offset(),
            last_stable_offset: partition.last_stable_offset(),
            high_watermark: partition.high_watermark(),
            log_end_offset: log.log_end_offset(),
            size_bytes: log.size_bytes(),
            appended_records: partition.counts.appended_records.get(),
            appended_bytes: partition.counts.appended_bytes.get(),
            fetched_bytes: partition.counts.fetched_bytes.get(),
        }
    }
}
