//! Topics by name and by id.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use protocol::model::{PartitionId, TopicId};

use super::{Partition, SharedMap};

/// A topic and its partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    pub name: Arc<str>,
    pub id: TopicId,
    pub partitions: BTreeMap<PartitionId, Arc<Partition>>,
}

/// All topics. A clone is a few pointers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topics {
    by_id: SharedMap<TopicId, Arc<Topic>>,
    ids: SharedMap<Arc<str>, TopicId>,
    /// Names that hold a `.` or `_`, under the name with `_` for `.`: metrics cannot tell them apart.
    collidable: SharedMap<String, BTreeSet<Arc<str>>>,
}

impl Topics {
    pub fn by_name(&self, name: &str) -> Option<&Arc<Topic>> {
        self.by_id.get(self.ids.get(name)?)
    }

    pub fn by_id(&self, id: TopicId) -> Option<&Arc<Topic>> {
        self.by_id.get(&id)
    }

    /// All topics, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.ids.values().filter_map(|id| self.by_id.get(id))
    }

    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// A topic whose name differs from `name` only by `.` and `_`.
    pub fn colliding_with(&self, name: &str) -> Option<&Arc<str>> {
        self.collidable.get(&name.replace('.', "_"))?.iter().find(|other| ***other != *name)
    }

    pub(super) fn insert(&mut self, name: Arc<str>, id: TopicId) {
        if name.contains(['.', '_']) {
            let key = name.replace('.', "_");
            let mut names = self.collidable.get(&key).cloned().unwrap_or_default();
            names.insert(Arc::clone(&name));
            self.collidable.insert(key, names);
        }
        self.ids.insert(Arc::clone(&name), id);
        self.by_id.insert(id, Arc::new(Topic { name, id, partitions: BTreeMap::new() }));
    }

    pub(super) fn remove(&mut self, id: TopicId) -> Option<Arc<Topic>> {
        let topic = self.by_id.remove(&id)?;
        self.ids.remove(&*topic.name);
        let key = topic.name.replace('.', "_");
        if let Some(names) = self.collidable.get_mut(&key) {
            names.remove(&topic.name);
            if names.is_empty() {
                self.collidable.remove(&key);
            }
        }
        Some(topic)
    }

    pub(super) fn by_id_mut(&mut self, id: TopicId) -> Option<&mut Topic> {
        self.by_id.get_mut(&id).map(Arc::make_mut)
    }
}
