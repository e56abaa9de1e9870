//! What is shown of a node: asked of its cores when somebody wants to see it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::process;
use super::rounds::{Rounds, answers};
use crate::config::MemoryShares;
use crate::metrics::{CoreState, NodeReport, Observer};

/// At least so long lies between two rounds: of reports, which look at every partition; of states.
const REPORT_PAUSE_MIN: Duration = Duration::from_millis(100);
const STATE_PAUSE_MIN: Duration = Duration::from_millis(10);

/// What is the same for as long as the node runs.
pub struct NodeFacts {
    pub node_id: i32,
    pub log_dirs: Vec<PathBuf>,
    /// What each core may use.
    pub memory: MemoryShares,
}

pub struct Shown {
    observer: Observer,
    facts: NodeFacts,
    began: Instant,
    reports: Rounds<Arc<NodeReport>>,
    states: Rounds<Arc<NodeState>>,
}

/// The state of each core; `None` for one that did not answer in time.
pub type NodeState = Vec<Option<CoreState>>;

impl Shown {
    pub fn new(observer: Observer, facts: NodeFacts) -> Self {
        Shown {
            observer,
            facts,
            began: Instant::now(),
            reports: Rounds::new(REPORT_PAUSE_MIN),
            states: Rounds::new(STATE_PAUSE_MIN),
        }
    }

    pub fn log_dirs(&self) -> &[PathBuf] {
        &self.facts.log_dirs
    }

    pub async fn state(&self) -> Arc<NodeState> {
        self.states.next(async || Arc::new(answers(self.observer.states()).await)).await
    }

    pub async fn report(&self) -> Arc<NodeReport> {
        self.reports.next(async || Arc::new(self.gather().await)).await
    }

    async fn gather(&self) -> NodeReport {
        NodeReport {
            version: env!("CARGO_PKG_VERSION"),
            node_id: self.facts.node_id,
            uptime: self.began.elapsed(),
            process: process::read(),
            watchdog_kicks: reactor::core::watchdog_kicks(),
            log_dirs: self.facts.log_dirs.clone(),
            memory: self.facts.memory,
            cores: answers(self.observer.reports()).await,
        }
    }
}
