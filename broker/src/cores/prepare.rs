//! How a core follows the metadata: it first brings its partitions to what a view says, then shows it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use protocol::error_code::ErrorCode;
use protocol::model::{Offset, TopicId, Uuid};
use protocol::wire::WireString;
use reactor::sync::Notify;
use storage::{PartitionLog, StorageError};

use super::checkpoints::write_checkpoints;
use super::core::Core;
use super::message::{ChangedPartition, CoreRequest, Preparation};
use super::together::together;
use super::view::ClusterView;
use crate::coordinator::group::OFFSETS_TOPIC;
use crate::replica::{Partition, PartitionKey};

/// How long after a full disk a log is opened again that it has kept from being opened.
const OPEN_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// One core's preparations, in the order of their views.
pub struct Preparer {
    core: Rc<Core>,
    waiting: RefCell<VecDeque<Arc<Preparation>>>,
    arrived: Notify,
    /// Prepared, and not yet shown.
    prepared: RefCell<Option<Arc<ClusterView>>>,
    /// Partitions whose logs a full disk has kept from being opened: they are tried again.
    unopened: RefCell<BTreeMap<PartitionKey, ChangedPartition>>,
    /// Logs were read that a crash had left.
    has_recovered: Cell<bool>,
}

impl Preparer {
    pub fn new(core: Rc<Core>) -> Rc<Self> {
        Rc::new(Preparer {
            core,
            waiting: RefCell::default(),
            arrived: Notify::new(),
            prepared: RefCell::default(),
            unopened: RefCell::default(),
            has_recovered: Cell::new(false),
        })
    }

    pub fn enqueue(&self, preparation: Arc<Preparation>) {
        self.waiting.borrow_mut().push_back(preparation);
        self.arrived.notify_all();
    }

    /// Works through preparations until the core stops.
    pub async fn run(self: Rc<Self>) {
        let stop = self.core.stop.clone();
        while !stop.is_set() {
            let arrived = self.arrived.notified();
            let next = self.waiting.borrow_mut().pop_front();
            match next {
                Some(preparation) => self.clone().prepare(preparation).await,
                None if self.unopened.borrow().is_empty() => {
                    futures_lite::future::or(arrived, stop.wait()).await;
                }
                None => {
                    let soon = reactor::sleep(OPEN_AGAIN_AFTER);
                    let waiting = futures_lite::future::or(arrived, soon);
                    futures_lite::future::or(waiting, stop.wait()).await;
                    self.open_again().await;
                }
            }
        }
    }

    /// Shows the view of `version`, which was prepared.
    pub fn show(&self, version: Offset) {
        let view =
            self.prepared.borrow_mut().take().expect("a view is prepared before it is shown");
        assert_eq!(view.version(), version, "views are shown in their order");
        let gone = gone_topics(&self.core.view(), &view);
        self.core.show(view);
        if !gone.is_empty() {
            self.core.groups.forget_topics(&self.core, &gone);
        }
        let shown = CoreRequest::Shown { from: self.core.index, version };
        self.core.mesh.control(self.core.node.controller_core, shown);
        if self.has_recovered.replace(false) {
            // Should it crash again soon, what has been read now need not be read once more.
            let core = self.core.clone();
            self.core.tasks.spawn(async move { write_checkpoints(&core).await });
        }
    }

    async fn prepare(self: Rc<Self>, preparation: Arc<Preparation>) {
        let core = &self.core;
        for key in &preparation.removed {
            core.groups.let_go(core, key);
            self.unopened.borrow_mut().remove(key);
        }
        let removed: Vec<_> =
            preparation.removed.iter().filter_map(|key| core.disown(key)).collect();
        together(removed, let_go).await;
        let own = |changed: &&ChangedPartition| {
            preparation.view.core_of(&changed.key) == Some(core.index)
        };
        let changed: Vec<_> = preparation.changed.iter().filter(own).cloned().collect();
        together(changed, |changed| {
            let (preparer, preparation) = (self.clone(), preparation.clone());
            async move { preparer.bring_up_or_say(&preparation.view, changed).await }
        })
        .await;
        let view = Arc::new(preparation.view.clone());
        let version = view.version();
        *self.prepared.borrow_mut() = Some(view);
        let prepared = CoreRequest::Prepared { from: core.index, version };
        core.mesh.control(core.node.controller_core, prepared);
    }

    async fn bring_up_or_say(&self, view: &ClusterView, mut changed: ChangedPartition) {
        let unopened = self.unopened.borrow_mut().remove(&changed.key);
        let is_known = unopened.is_some();
        if let Some(unopened) = unopened {
            // What was found of it at the start still holds.
            changed.opening = unopened.opening;
        }
        let name = &changed.name;
        match self.bring_up(view, &changed).await {
            Ok(()) if is_known => {
                tracing::info!(topic = %name.topic, partition = %name.partition, "online again");
            }
            Ok(()) => {}
            Err(error) => {
                // It stays without an owner: clients are told that nobody leads it here.
                if !is_known {
                    tracing::error!(topic = %name.topic, partition = %name.partition, %error, "offline");
                }
                if error.is_full() {
                    self.unopened.borrow_mut().insert(changed.key, changed);
                } else if error.is_disk_failure() {
                    self.core.volumes[changed.directory].fail(error);
                }
            }
        }
    }

    /// Tries partitions again that a full disk has kept from being opened.
    async fn open_again(&self) {
        let unopened: Vec<_> = self.unopened.borrow().values().cloned().collect();
        for changed in unopened {
            self.bring_up_or_say(&self.core.view(), changed).await;
        }
    }

    /// Opens or makes the partition's log, or tells the partition what changed.
    async fn bring_up(
        &self,
        view: &ClusterView,
        changed: &ChangedPartition,
    ) -> Result<(), StorageError> {
        let core = &self.core;
        let (topic_id, index) = changed.key;
        let known = view.image.topic_by_id(topic_id).and_then(|topic| topic.partitions.get(&index));
        let (Some(metadata), Some(settings)) = (known, view.settings_of(topic_id)) else {
            return Ok(());
        };
        if let Some(partition) = core.partition(&changed.key) {
            partition.set_settings(settings.clone());
            partition.set_leader_epoch(metadata.leader_epoch);
            return Ok(());
        }
        let path = &changed.path;
        let volume = &core.volumes[changed.directory];
        let found = match changed.opening.clone() {
            Some(opening) => {
                self.has_recovered.set(self.has_recovered.get() || !opening.clean);
                let log = PartitionLog::open(volume, path, settings.log.clone(), opening).await?;
                keep_if_of_topic(log, topic_id).await?
            }
            None => None,
        };
        let log = match found {
            Some(log) => log,
            None => PartitionLog::create(volume, path, settings.log.clone(), topic_id).await?,
        };
        let partition = Partition::new(
            changed.name.topic.as_str().into(),
            changed.key,
            metadata.leader_epoch,
            (log, changed.directory),
            settings.clone(),
            core.tasks.clone(),
        );
        core.own(changed.key, partition.clone());
        if changed.name.topic == OFFSETS_TOPIC {
            core.groups.take_over(core, changed.key, partition);
        }
        Ok(())
    }
}

/// Topics that `before` has and `after` has not, by name and id.
fn gone_topics(before: &ClusterView, after: &ClusterView) -> Vec<(WireString, TopicId)> {
    let topics = before.image.topics();
    let gone = topics.iter().filter(|topic| after.image.topic_by_id(topic.id).is_none());
    gone.map(|topic| ((*topic.name).into(), topic.id)).collect()
}

/// Ends a partition whose topic is gone, and deletes its log.
async fn let_go(partition: Rc<Partition>) {
    partition.retire(ErrorCode::UnknownTopicOrPartition);
    if let Err(error) = partition.log().delete().await {
        let (topic, partition) = (&partition.topic, partition.index);
        tracing::error!(%topic, %partition, %error, "cannot delete the log");
    }
}

/// A log of another topic id than the topic of its name has is set aside, as Apache Kafka does it: of an
/// earlier topic, most often, whose deletion a crash has come before. But the file that says so may have
/// rotted, or a person have put the directory there, so that nothing in it is deleted.
async fn keep_if_of_topic(
    log: PartitionLog,
    topic_id: Uuid,
) -> Result<Option<PartitionLog>, StorageError> {
    match log.topic_id() {
        Some(other) if other != topic_id => {
            let directory = log.directory().to_owned();
            let stray = log.set_aside().await?;
            tracing::warn!(
                directory = %directory.display(), topic_id = %other, wanted = %topic_id,
                stray = %stray.display(),
                "a log of another topic than the one of its name: set aside, to be removed by hand"
            );
            Ok(None)
        }
        Some(_) | None => Ok(Some(log)),
    }
}
