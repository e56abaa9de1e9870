//! A sorted map that is cheap to keep in many versions.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// Entries of one chunk. A change copies one chunk and the pointers to all: with 100,000 entries some
/// 1,000 pointers and at most 128 entries, where a plain map would copy everything.
const CHUNK_LENGTH_MAX: usize = 128;

type Chunk<K, V> = Arc<Vec<(K, V)>>;

/// A map from `K` to `V`, sorted by `K`. A clone is one pointer; a change copies what it touches when a
/// clone is still in use. Keys and values should be small or shared themselves.
pub struct SharedMap<K, V> {
    /// Sorted, none of them empty.
    chunks: Arc<Vec<Chunk<K, V>>>,
    len: usize,
}

impl<K, V> SharedMap<K, V> {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All entries, in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.chunks.iter().flat_map(|chunk| chunk.iter()).map(|(key, value)| (key, value))
    }

    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }
}

impl<K: Ord + Clone, V: Clone> SharedMap<K, V> {
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let (chunk, index) = self.find(key).ok()?;
        self.chunks.get(chunk)?.get(index).map(|(_, value)| value)
    }

    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.find(key).is_ok()
    }

    /// Sets the value of `key`, and returns the one that it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.find(&key) {
            Ok((chunk, index)) => {
                Some(std::mem::replace(&mut self.chunk_mut(chunk)[index].1, value))
            }
            Err((chunk, index)) => {
                self.len += 1;
                if chunk == self.chunks.len() {
                    Arc::make_mut(&mut self.chunks).push(Arc::new(vec![(key, value)]));
                    return None;
                }
                let entries = self.chunk_mut(chunk);
                entries.insert(index, (key, value));
                if entries.len() > CHUNK_LENGTH_MAX {
                    let upper = entries.split_off(CHUNK_LENGTH_MAX / 2);
                    Arc::make_mut(&mut self.chunks).insert(chunk + 1, Arc::new(upper));
                }
                None
            }
        }
    }

    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let (chunk, index) = self.find(key).ok()?;
        self.len -= 1;
        let (_, value) = self.chunk_mut(chunk).remove(index);
        self.maybe_merge(chunk);
        Some(value)
    }

    /// The value of `key`, to be changed.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let (chunk, index) = self.find(key).ok()?;
        Some(&mut self.chunk_mut(chunk)[index].1)
    }

    /// Where `key` is, or would be inserted: the chunk, and the place within it.
    fn find<Q: Ord + ?Sized>(&self, key: &Q) -> Result<(usize, usize), (usize, usize)>
    where
        K: Borrow<Q>,
    {
        let ends_below =
            |chunk: &Chunk<K, V>| chunk.last().is_some_and(|(last, _)| last.borrow() < key);
        let chunk = self.chunks.partition_point(ends_below);
        match self.chunks.get(chunk) {
            Some(entries) => match entries.binary_search_by(|(known, _)| known.borrow().cmp(key)) {
                Ok(index) => Ok((chunk, index)),
                Err(index) => Err((chunk, index)),
            },
            // Above all keys: at the end of the last chunk, if there is one.
            None => match self.chunks.last() {
                Some(last) => Err((chunk - 1, last.len())),
                None => Err((0, 0)),
            },
        }
    }

    fn chunk_mut(&mut self, chunk: usize) -> &mut Vec<(K, V)> {
        Arc::make_mut(&mut Arc::make_mut(&mut self.chunks)[chunk])
    }

    /// Lets a chunk that has become small join the next one, and one that is empty go.
    fn maybe_merge(&mut self, chunk: usize) {
        let length = self.chunks[chunk].len();
        let chunks = Arc::make_mut(&mut self.chunks);
        if length == 0 {
            chunks.remove(chunk);
        } else if let Some(next) = chunks.get(chunk + 1)
            && length < CHUNK_LENGTH_MAX / 4
            && length + next.len() <= CHUNK_LENGTH_MAX / 2
        {
            let next = chunks.remove(chunk + 1);
            Arc::make_mut(&mut chunks[chunk]).extend(next.iter().cloned());
        }
    }
}

impl<K, V> Clone for SharedMap<K, V> {
    fn clone(&self) -> Self {
        SharedMap { chunks: Arc::clone(&self.chunks), len: self.len }
    }
}

impl<K, V> Default for SharedMap<K, V> {
    fn default() -> Self {
        SharedMap { chunks: Arc::default(), len: 0 }
    }
}

// Equal maps may be cut into chunks differently.
impl<K: PartialEq, V: PartialEq> PartialEq for SharedMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.chunks, &other.chunks)
            || (self.len == other.len && self.iter().eq(other.iter()))
    }
}

impl<K: Eq, V: Eq> Eq for SharedMap<K, V> {}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for SharedMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::decide::Draw;

    /// Against a plain map, with clones that must not change behind their owner's back.
    #[test]
    fn is_a_sorted_map_whose_clones_stay_as_they_were() {
        let mut draw = Draw::new([3; 16]);
        let mut map = SharedMap::default();
        let mut model = BTreeMap::new();
        let mut kept = Vec::new();
        for step in 0..20_000_usize {
            // It grows and shrinks several times.
            let grows = (step / 2_500) % 2 == 0;
            let key = draw.below(3_000);
            if draw.below(4) > 0 || !grows {
                if grows {
                    assert_eq!(map.insert(key, step), model.insert(key, step));
                } else {
                    assert_eq!(map.remove(&key), model.remove(&key));
                }
            } else if let Some(value) = map.get_mut(&key) {
                *value = step;
                model.insert(key, step);
            }
            assert_eq!((map.len(), map.get(&key)), (model.len(), model.get(&key)), "step {step}");
            if step % 1_000 == 0 {
                kept.push((map.clone(), model.clone()));
            }
        }
        kept.push((map.clone(), model));
        for (map, model) in kept {
            assert!(map.iter().eq(model.iter()));
            assert!(map.chunks.iter().all(|chunk| (1..=CHUNK_LENGTH_MAX).contains(&chunk.len())));
            let mut rebuilt = SharedMap::default();
            for (&key, &value) in &model {
                rebuilt.insert(key, value);
            }
            assert_eq!(rebuilt, map);
        }
    }
}
