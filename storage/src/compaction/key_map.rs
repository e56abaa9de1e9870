//! The latest offset of each key, by hash.
//!
//! A key is known by 128 bits of SipHash-2-4 under a secret that is drawn anew for each round. Two keys
//! with one hash would cost a record; with a good hash and a billion keys that has odds of one in
//! 10^20, and without the secret nobody can look for such keys, as one can for those of a hash that is
//! known (Kafka's is MD5). See ADR 0126.

use protocol::model::Offset;
use siphasher::sip128::SipHasher24;

/// Two words of hash, and the offset plus one: 0 is a free slot.
type Slot = [u64; 3];

const SLOT_SIZE_BYTES: usize = size_of::<Slot>();

/// Of ten slots this many are used at most: more, and looking for a key takes long.
const LOAD_TENTHS: usize = 9;

/// The keys of one round.
pub(crate) struct KeyMap {
    secret: [u8; 16],
    slots: Vec<Slot>,
    len: usize,
    len_max: usize,
}

/// No further key has room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MapFull;

impl KeyMap {
    /// A map that takes `key_count` keys, or as many as fit into `size_bytes_max`; one at least.
    pub(crate) fn new(key_count: u64, size_bytes_max: usize, secret: [u8; 16]) -> KeyMap {
        let slots_max = (size_bytes_max / SLOT_SIZE_BYTES).max(2);
        let wanted = usize::try_from(key_count.max(1)).unwrap_or(usize::MAX);
        let wanted = wanted.saturating_mul(10).div_ceil(LOAD_TENTHS).saturating_add(1);
        let slot_count = wanted.clamp(2, slots_max);
        let len_max = (slot_count * LOAD_TENTHS / 10).clamp(1, slot_count - 1);
        // Zeros, which take memory only where a key comes to lie.
        KeyMap { secret, slots: vec![[0; 3]; slot_count], len: 0, len_max }
    }

    /// `offset` is the latest of `key` so far. An error changes nothing.
    pub(crate) fn put(&mut self, key: &[u8], offset: Offset) -> Result<(), MapFull> {
        let hash = self.hash(key);
        let index = self.find(hash);
        let Some(slot) = self.slots.get_mut(index) else {
            return Err(MapFull);
        };
        if slot[2] == 0 {
            if self.len == self.len_max {
                return Err(MapFull);
            }
            self.len += 1;
        }
        *slot = [hash[0], hash[1], offset.0 as u64 + 1];
        Ok(())
    }

    /// The latest offset of `key`; `None` where it is none of the map's.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Offset> {
        let slot = self.slots.get(self.find(self.hash(key)))?;
        slot[2].checked_sub(1).map(|offset| Offset(offset as i64))
    }

    /// Memory of its slots.
    pub(crate) fn size_bytes(&self) -> usize {
        self.slots.len() * SLOT_SIZE_BYTES
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The slot of `hash`, or the free one where it goes: there is always one.
    fn find(&self, hash: [u64; 2]) -> usize {
        let count = self.slots.len();
        let mut index = ((u128::from(hash[0]) * count as u128) >> 64) as usize;
        while let Some(slot) = self.slots.get(index) {
            if slot[2] == 0 || slot[..2] == hash {
                break;
            }
            index = (index + 1) % count;
        }
        index
    }

    fn hash(&self, key: &[u8]) -> [u64; 2] {
        let hash = SipHasher24::new_with_key(&self.secret).hash(key);
        [hash.h1, hash.h2]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_latest_offset() {
        let mut map = KeyMap::new(1000, 1 << 20, [7; 16]);
        for offset in 0..5000_i64 {
            let key = (offset % 1000).to_be_bytes();
            assert_eq!(map.put(&key, Offset(offset)), Ok(()));
        }
        assert_eq!(map.len(), 1000);
        for key in 0..1000_i64 {
            assert_eq!(map.get(&key.to_be_bytes()), Some(Offset(4000 + key)));
        }
        assert_eq!(map.get(b"another"), None);
        assert_eq!(map.get(b""), None);
        map.put(b"", Offset(0)).expect("room");
        assert_eq!(map.get(b""), Some(Offset(0)));
    }

    #[test]
    fn a_full_map_knows_what_it_knew() {
        for (key_count, size_bytes_max, len_max) in
            [(100, 100 * SLOT_SIZE_BYTES, 90), (9, 1 << 20, 9), (0, 0, 1), (u64::MAX, 240, 9)]
        {
            let mut map = KeyMap::new(key_count, size_bytes_max, [1; 16]);
            let mut taken = 0_i64;
            while map.put(&taken.to_be_bytes(), Offset(taken)).is_ok() {
                taken += 1;
            }
            assert!(taken as usize >= len_max, "{taken} of {len_max}");
            assert!(map.slots.len() * SLOT_SIZE_BYTES <= size_bytes_max.max(2 * SLOT_SIZE_BYTES));
            for key in 0..taken {
                assert_eq!(map.put(&key.to_be_bytes(), Offset(key + 1)), Ok(()), "known: {key}");
                assert_eq!(map.get(&key.to_be_bytes()), Some(Offset(key + 1)));
            }
            assert_eq!(map.get(&taken.to_be_bytes()), None);
        }
    }

    #[test]
    fn who_does_not_know_the_secret_does_not_know_the_hash() {
        let hash = |secret| KeyMap::new(1, 100, secret).hash(b"key");
        assert_ne!(hash([1; 16]), hash([2; 16]));
        assert_eq!(hash([1; 16]), hash([1; 16]));
    }
}
