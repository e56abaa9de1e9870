//! What happens to partitions when a broker comes or goes.

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::model::{BrokerEpoch, BrokerId, DirectoryId, PartitionId, TopicId};
use protocol::records::metadata::{BrokerRegistrationChangeRecord, MetadataRecord};

use crate::metadata::{ConfigResource, ELR_VERSION, Partition, PartitionChange, Topic};

use super::View;
use super::partition_change::{ElectionKind, Target};

/// Who is no longer, or newly, to be counted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// The broker stops, but keeps what it has.
    Leaves(BrokerId),
    /// The broker came back without knowing that it had stopped: it may have lost its last writes.
    LostWrites(BrokerId),
    /// The broker may lead from now on.
    Arrives(BrokerId),
}

/// The record that fences a broker, and those that move its partitions before.
pub fn fence_broker(view: &View<'_>, broker: BrokerId) -> Vec<MetadataRecord> {
    let Some(registration) = view.image.broker(broker) else { return Vec::new() };
    if registration.fenced {
        return Vec::new();
    }
    let mut records = move_partitions(view, Move::Leaves(broker));
    records.push(fencing(broker, registration.epoch, 1));
    records
}

/// The record that unfences a broker, and those that give it leaderless partitions.
pub(super) fn unfence_broker(
    view: &View<'_>,
    broker: BrokerId,
    epoch: BrokerEpoch,
) -> Vec<MetadataRecord> {
    let mut records = vec![fencing(broker, epoch, -1)];
    records.extend(move_partitions(view, Move::Arrives(broker)));
    records
}

fn fencing(broker: BrokerId, epoch: BrokerEpoch, fenced: i8) -> MetadataRecord {
    MetadataRecord::BrokerRegistrationChange(BrokerRegistrationChangeRecord {
        broker_id: broker.0,
        broker_epoch: epoch.0,
        fenced,
        ..BrokerRegistrationChangeRecord::default()
    })
}

/// The records of all partitions that `change` concerns.
pub(super) fn move_partitions(view: &View<'_>, change: Move) -> Vec<MetadataRecord> {
    let concerns = |partition: &Partition| match change {
        Move::Leaves(broker) => partition.isr.contains(&broker),
        Move::LostWrites(broker) => {
            partition.isr.contains(&broker) || partition.eligible_leader_replicas.contains(&broker)
        }
        Move::Arrives(_) => partition.leader.is_none(),
    };
    move_those(view, change, |_, _, partition| concerns(partition))
}

/// The records of the partitions that `broker` has in directories that went offline.
pub(super) fn move_from_directories(
    view: &View<'_>,
    broker: BrokerId,
    offline: &[DirectoryId],
) -> Vec<MetadataRecord> {
    move_those(view, Move::Leaves(broker), |_, _, partition| {
        partition.isr.contains(&broker)
            && partition.directory_of(broker).is_some_and(|directory| offline.contains(&directory))
    })
}

/// The records of `partitions` when `broker` cannot hold them any more.
pub(super) fn move_away(
    view: &View<'_>,
    broker: BrokerId,
    partitions: &BTreeSet<(TopicId, PartitionId)>,
) -> Vec<MetadataRecord> {
    move_those(view, Move::Leaves(broker), |topic_id, id, partition| {
        partition.isr.contains(&broker) && partitions.contains(&(topic_id, id))
    })
}

fn move_those(
    view: &View<'_>,
    change: Move,
    concerns: impl Fn(TopicId, PartitionId, &Partition) -> bool,
) -> Vec<MetadataRecord> {
    let mut records = Vec::new();
    for topic in view.image.topics().iter() {
        let partitions = topic.partitions.iter();
        let mut partitions =
            partitions.filter(|&(&id, partition)| concerns(topic.id, id, partition)).peekable();
        if partitions.peek().is_some() {
            let rules = Rules::of(view, topic);
            records.extend(
                partitions.filter_map(|(&id, partition)| {
                    rules.record(view, topic, id, partition, change)
                }),
            );
        }
    }
    records
}

/// What a topic's configuration says of its elections.
pub(super) struct Rules {
    min_isr: usize,
    elr_enabled: bool,
    unclean_election: bool,
}

impl Rules {
    pub(super) fn of(view: &View<'_>, topic: &Topic) -> Self {
        let own = view.image.config(&ConfigResource::topic(&topic.name)).map(Arc::as_ref);
        let min_isr = view.settings.number(view.image, own, "min.insync.replicas");
        Rules {
            min_isr: min_isr.and_then(|number| usize::try_from(number).ok()).unwrap_or(1),
            elr_enabled: view.image.feature_level(ELR_VERSION) > 0,
            unclean_election: view.settings.flag(view.image, own, "unclean.leader.election.enable"),
        }
    }

    fn record(
        &self,
        view: &View<'_>,
        topic: &Topic,
        partition_id: PartitionId,
        partition: &Partition,
        change: Move,
    ) -> Option<MetadataRecord> {
        let (gone, arrived, unclean_shutdown) = match change {
            Move::Leaves(broker) => (Some(broker), None, None),
            Move::LostWrites(broker) => (Some(broker), None, Some(broker)),
            Move::Arrives(broker) => (None, Some(broker), None),
        };
        let isr = partition.isr.iter().copied().filter(|&replica| Some(replica) != gone).collect();
        let target = Target { isr, unclean_shutdown, ..self.target(partition, self.usual()) };
        let change = target
            .change(|replica| Some(replica) != gone && can_lead(view, partition, replica, arrived));
        record_of(topic, partition_id, change)
    }

    /// The record of an election; `None` where nobody else is to lead.
    pub(super) fn elect(
        &self,
        view: &View<'_>,
        topic: &Topic,
        partition_id: PartitionId,
        partition: &Partition,
        kind: ElectionKind,
    ) -> Option<MetadataRecord> {
        let target = self.target(partition, kind);
        let change = target.change(|replica| can_lead(view, partition, replica, None));
        record_of(topic, partition_id, change)
    }

    /// The record that leaves `replicas` of `partition`, all of which it has, with that ISR; `None` where
    /// it is so already.
    pub(super) fn reassign(
        &self,
        view: &View<'_>,
        topic: &Topic,
        partition_id: PartitionId,
        partition: &Partition,
        replicas: Vec<BrokerId>,
        isr: Vec<BrokerId>,
    ) -> Option<MetadataRecord> {
        let directory = |&id: &BrokerId| partition.directory_of(id).unwrap_or(DirectoryId::ZERO);
        let directories: Vec<_> = replicas.iter().map(directory).collect();
        let settled = Partition { replicas, directories, ..partition.clone() };
        let target = Target { isr, ..self.target(&settled, self.usual()) };
        let mut change = target.change(|replica| can_lead(view, partition, replica, None));
        if settled.replicas != partition.replicas {
            change.directories =
                (settled.directories != partition.directories).then_some(settled.directories);
            change.replicas = Some(settled.replicas);
        }
        let ends = |under_way: &Vec<_>| (!under_way.is_empty()).then(Vec::new);
        change.removing_replicas = ends(&partition.removing_replicas);
        change.adding_replicas = ends(&partition.adding_replicas);
        let removed = |replicas: &Vec<BrokerId>| {
            partition.replicas.iter().any(|replica| !replicas.contains(replica))
        };
        // Followers must not go on with a leader that no longer counts them: a new epoch tells them.
        if change.leader.is_none() && change.replicas.as_ref().is_some_and(removed) {
            change.leader = Some(partition.leader);
        }
        record_of(topic, partition_id, change)
    }

    pub(super) fn allows_unclean_election(&self) -> bool {
        self.unclean_election
    }

    fn usual(&self) -> ElectionKind {
        match self.unclean_election {
            true => ElectionKind::Unclean,
            false => ElectionKind::Online,
        }
    }

    /// `partition` as it is.
    fn target<'a>(&self, partition: &'a Partition, election: ElectionKind) -> Target<'a> {
        Target {
            partition,
            isr: partition.isr.clone(),
            unclean_shutdown: None,
            min_isr: self.min_isr,
            elr_enabled: self.elr_enabled,
            election,
        }
    }
}

/// Whether `replica` lives, and can read its log. `arrived` lives from now on.
fn can_lead(
    view: &View<'_>,
    partition: &Partition,
    replica: BrokerId,
    arrived: Option<BrokerId>,
) -> bool {
    view.image.broker(replica).is_some_and(|broker| {
        (Some(replica) == arrived || broker.is_active())
            && partition.directory_of(replica).is_none_or(|id| broker.has_directory(id))
    })
}

fn record_of(topic: &Topic, id: PartitionId, change: PartitionChange) -> Option<MetadataRecord> {
    (!change.is_empty()).then(|| MetadataRecord::PartitionChange(change.to_record(topic.id, id)))
}
