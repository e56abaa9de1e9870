//! Topics by name and by id.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use protocol::model::{PartitionId, TopicId};

use super::Partition;

/// A topic and its partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    pub name: Arc<str>,
    pub id: TopicId,
    pub partitions: BTreeMap<PartitionId, Arc<Partition>>,
}

/// All topics. A copy of it copies pointers only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topics {
    by_id: BTreeMap<TopicId, Arc<Topic>>,
    ids: BTreeMap<Arc<str>, TopicId>,
    /// Names that hold a `.` or `_`, under the name with `_` for `.`: metrics cannot tell them apart.
    collidable: BTreeMap<String, BTreeSet<Arc<str>>>,
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
            self.collidable.entry(name.replace('.', "_")).or_default().insert(Arc::clone(&name));
        }
        self.ids.insert(Arc::clone(&name), id);
        self.by_id.insert(id, Arc::new(Topic { name, id, partitions: BTreeMap::new() }));
    }

    pub(super) fn remove(&mut self, id: TopicId) -> Option<Arc<Topic>> {
        let topic = self.by_id.remove(&id)?;
        self.ids.remove(&topic.name);
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

    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut Arc<Topic>> {
        self.by_id.values_mut()
    }
}
