//! What all cores of a node have told, as far as they have.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use protocol::api::ApiKey;

use super::core_counts::RequestCounts;
use super::core_report::{CoreReport, PartitionReport};
use super::process_use::ProcessUse;
use crate::config::MemoryShares;
use crate::cores::ClusterView;

/// A node at one time. What a core counts does not go down between two reports.
#[derive(Debug)]
pub struct NodeReport {
    pub version: &'static str,
    pub node_id: i32,
    pub uptime: Duration,
    /// `None` where the host does not tell.
    pub process: Option<ProcessUse>,
    pub watchdog_kicks: u64,
    pub log_dirs: Vec<PathBuf>,
    /// What each core may use.
    pub memory: MemoryShares,
    /// By index; `None` for a core that did not answer in time.
    pub cores: Vec<Option<Box<CoreReport>>>,
}

impl NodeReport {
    /// The cores that answered.
    pub fn answers(&self) -> impl Iterator<Item = (usize, &CoreReport)> {
        let cores = self.cores.iter().enumerate();
        cores.filter_map(|(index, core)| Some((index, core.as_deref()?)))
    }

    /// The newest metadata that a core serves by; `None` where no core answered.
    pub fn view(&self) -> Option<&ClusterView> {
        let views = self.answers().map(|(_, core)| &*core.state.view);
        views.max_by_key(|view| view.version())
    }

    /// By API, of all cores together.
    pub fn requests(&self) -> BTreeMap<ApiKey, RequestCounts> {
        let mut all: BTreeMap<ApiKey, RequestCounts> = BTreeMap::new();
        for (api_key, counts) in self.answers().flat_map(|(_, core)| &core.requests) {
            all.entry(*api_key).or_default().add(counts);
        }
        all
    }

    /// All partitions with the names of their topics, but for those whose topic is about to go.
    pub fn partitions(&self) -> impl Iterator<Item = (&str, &PartitionReport)> {
        self.answers().flat_map(|(_, core)| {
            core.partitions.iter().filter_map(|partition| {
                let topic = core.state.view.image.topic_by_id(partition.key.0)?;
                Some((&*topic.name, partition))
            })
        })
    }

    /// Why, for a log directory that has failed on some core.
    pub fn directory_failure(&self, directory: usize) -> Option<&str> {
        self.answers()
            .find_map(|(_, core)| core.state.directory_failures.get(directory)?.as_deref())
    }
}
