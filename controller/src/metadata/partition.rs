//! One partition's metadata. Sources: KIP-497, KIP-858, KIP-966.

use protocol::model::{BrokerId, DirectoryId, LeaderEpoch, PartitionEpoch, PartitionId, TopicId};
use protocol::records::metadata::{PartitionChangeRecord, PartitionRecord};

/// Whether the leader must first make good what an unclean election may have lost. Source: KIP-704.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LeaderRecoveryState {
    #[default]
    Recovered,
    Recovering,
}

/// What the cluster knows of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Partition {
    /// In order of preference: the first is the preferred leader.
    pub replicas: Vec<BrokerId>,
    /// The log directory of each of `replicas`; zero where it is not yet assigned.
    pub directories: Vec<DirectoryId>,
    pub isr: Vec<BrokerId>,
    pub removing_replicas: Vec<BrokerId>,
    pub adding_replicas: Vec<BrokerId>,
    /// Outside of the ISR, yet with all committed records. Source: KIP-966.
    pub eligible_leader_replicas: Vec<BrokerId>,
    pub last_known_elr: Vec<BrokerId>,
    pub leader: Option<BrokerId>,
    pub leader_recovery_state: LeaderRecoveryState,
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: PartitionEpoch,
}

/// What one PartitionChangeRecord changes; `None` leaves a field as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionChange {
    pub isr: Option<Vec<BrokerId>>,
    /// `Some(None)`: the partition has no leader from now on.
    pub leader: Option<Option<BrokerId>>,
    pub replicas: Option<Vec<BrokerId>>,
    pub removing_replicas: Option<Vec<BrokerId>>,
    pub adding_replicas: Option<Vec<BrokerId>>,
    pub eligible_leader_replicas: Option<Vec<BrokerId>>,
    pub last_known_elr: Option<Vec<BrokerId>>,
    pub leader_recovery_state: Option<LeaderRecoveryState>,
    pub directories: Option<Vec<DirectoryId>>,
}

/// The wire's "leader did not change" of a PartitionChangeRecord; -1 is "no leader".
const LEADER_UNCHANGED: i32 = -2;
const RECOVERY_STATE_UNCHANGED: i8 = -1;

impl LeaderRecoveryState {
    pub fn from_wire(raw: i8) -> Option<Self> {
        match raw {
            0 => Some(LeaderRecoveryState::Recovered),
            1 => Some(LeaderRecoveryState::Recovering),
            _ => None,
        }
    }

    pub fn to_wire(self) -> i8 {
        match self {
            LeaderRecoveryState::Recovered => 0,
            LeaderRecoveryState::Recovering => 1,
        }
    }
}

fn brokers(raw: &[i32]) -> Vec<BrokerId> {
    raw.iter().copied().map(BrokerId).collect()
}

fn maybe_brokers(raw: &Option<Vec<i32>>) -> Option<Vec<BrokerId>> {
    raw.as_deref().map(brokers)
}

fn wire(brokers: &[BrokerId]) -> Vec<i32> {
    brokers.iter().map(|broker| broker.0).collect()
}

fn maybe_wire(brokers: &Option<Vec<BrokerId>>) -> Option<Vec<i32>> {
    brokers.as_deref().map(wire)
}

impl Partition {
    pub fn from_record(record: &PartitionRecord) -> Self {
        let replicas = brokers(&record.replicas);
        // Records of version 0 know no directories.
        let mut directories = record.directories.clone();
        directories.resize(replicas.len(), DirectoryId::ZERO);
        Partition {
            directories,
            isr: brokers(&record.isr),
            removing_replicas: brokers(&record.removing_replicas),
            adding_replicas: brokers(&record.adding_replicas),
            eligible_leader_replicas: maybe_brokers(&record.eligible_leader_replicas)
                .unwrap_or_default(),
            last_known_elr: maybe_brokers(&record.last_known_elr).unwrap_or_default(),
            leader: BrokerId::from_wire(record.leader),
            leader_recovery_state: LeaderRecoveryState::from_wire(record.leader_recovery_state)
                .unwrap_or_default(),
            leader_epoch: LeaderEpoch(record.leader_epoch),
            partition_epoch: PartitionEpoch(record.partition_epoch),
            replicas,
        }
    }

    pub fn to_record(&self, topic_id: TopicId, partition_id: PartitionId) -> PartitionRecord {
        // Kafka leaves these two out when they are empty.
        let not_empty = |brokers: &[BrokerId]| (!brokers.is_empty()).then(|| wire(brokers));
        PartitionRecord {
            partition_id: partition_id.0,
            topic_id,
            replicas: wire(&self.replicas),
            isr: wire(&self.isr),
            removing_replicas: wire(&self.removing_replicas),
            adding_replicas: wire(&self.adding_replicas),
            leader: BrokerId::to_wire(self.leader),
            leader_recovery_state: self.leader_recovery_state.to_wire(),
            leader_epoch: self.leader_epoch.0,
            partition_epoch: self.partition_epoch.0,
            directories: self.directories.clone(),
            eligible_leader_replicas: not_empty(&self.eligible_leader_replicas),
            last_known_elr: not_empty(&self.last_known_elr),
        }
    }

    /// Applies one change. A record that names a leader starts a leader epoch, also when it is the
    /// same leader; every record starts a partition epoch.
    pub fn apply(&mut self, change: PartitionChange) {
        let set = |field: &mut Vec<BrokerId>, value: Option<Vec<BrokerId>>| {
            if let Some(value) = value {
                *field = value;
            }
        };
        if let Some(replicas) = change.replicas {
            // A record that moves replicas carries their directories, unless it is of version 0.
            self.directories.resize(replicas.len(), DirectoryId::ZERO);
            self.replicas = replicas;
        }
        if let Some(directories) = change.directories {
            self.directories = directories;
        }
        set(&mut self.isr, change.isr);
        set(&mut self.removing_replicas, change.removing_replicas);
        set(&mut self.adding_replicas, change.adding_replicas);
        set(&mut self.eligible_leader_replicas, change.eligible_leader_replicas);
        set(&mut self.last_known_elr, change.last_known_elr);
        if let Some(leader) = change.leader {
            self.leader = leader;
            self.leader_epoch = self.leader_epoch.next();
        }
        if let Some(state) = change.leader_recovery_state {
            self.leader_recovery_state = state;
        }
        self.partition_epoch = self.partition_epoch.next();
    }

    /// What of INV-10 this partition breaks; `None` when it is as it must be.
    pub(crate) fn broken_invariant(&self) -> Option<&'static str> {
        let Partition { replicas, isr, eligible_leader_replicas: elr, .. } = self;
        if isr.iter().any(|replica| !replicas.contains(replica)) {
            Some("the ISR is within the replicas")
        } else if elr.iter().any(|replica| isr.contains(replica)) {
            Some("no eligible leader replica is in the ISR")
        } else if self.leader.is_some_and(|leader| !isr.contains(&leader)) {
            Some("the leader is in the ISR")
        } else if self.directories.len() != replicas.len() {
            Some("every replica has a directory")
        } else {
            None
        }
    }

    /// The directory that holds `broker`'s replica.
    pub fn directory_of(&self, broker: BrokerId) -> Option<DirectoryId> {
        let index = self.replicas.iter().position(|&replica| replica == broker)?;
        self.directories.get(index).copied()
    }
}

impl PartitionChange {
    pub fn from_record(record: &PartitionChangeRecord) -> Self {
        PartitionChange {
            isr: maybe_brokers(&record.isr),
            leader: (record.leader != LEADER_UNCHANGED).then(|| BrokerId::from_wire(record.leader)),
            replicas: maybe_brokers(&record.replicas),
            removing_replicas: maybe_brokers(&record.removing_replicas),
            adding_replicas: maybe_brokers(&record.adding_replicas),
            eligible_leader_replicas: maybe_brokers(&record.eligible_leader_replicas),
            last_known_elr: maybe_brokers(&record.last_known_elr),
            leader_recovery_state: LeaderRecoveryState::from_wire(record.leader_recovery_state),
            directories: record.directories.clone(),
        }
    }

    pub fn to_record(&self, topic_id: TopicId, partition_id: PartitionId) -> PartitionChangeRecord {
        PartitionChangeRecord {
            partition_id: partition_id.0,
            topic_id,
            isr: maybe_wire(&self.isr),
            leader: self.leader.map_or(LEADER_UNCHANGED, BrokerId::to_wire),
            replicas: maybe_wire(&self.replicas),
            removing_replicas: maybe_wire(&self.removing_replicas),
            adding_replicas: maybe_wire(&self.adding_replicas),
            leader_recovery_state: self
                .leader_recovery_state
                .map_or(RECOVERY_STATE_UNCHANGED, LeaderRecoveryState::to_wire),
            directories: self.directories.clone(),
            eligible_leader_replicas: maybe_wire(&self.eligible_leader_replicas),
            last_known_elr: maybe_wire(&self.last_known_elr),
        }
    }

    /// Whether it changes nothing, so that no record is worth writing.
    pub fn is_empty(&self) -> bool {
        *self == PartitionChange::default()
    }
}
