//! What was lately heard of, and who has it: two generations, the older of which is forgotten when the younger is full.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher};

/// A set of sessions, by slot.
pub type Slots = u128;

/// Hashes ids that are hashes already: 16 of their bytes mixed with a number that peers do not know.
#[derive(Debug, Clone)]
pub struct IdHashing {
    seed: u64,
}

/// See [`IdHashing`].
pub struct IdHasher {
    state: u64,
}

impl IdHashing {
    /// Hashes differently for each seed, so that nobody can choose ids that fall together.
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }
}

impl BuildHasher for IdHashing {
    type Hasher = IdHasher;
    fn build_hasher(&self) -> IdHasher {
        IdHasher { state: self.seed }
    }
}

impl IdHasher {
    fn mix(&mut self, word: u64) {
        let wide = u128::from(self.state ^ word) * 0x9e37_79b9_7f4a_7c15;
        let [low, high] = [wide & u128::from(u64::MAX), wide >> 64].map(|half| u64::try_from(half).expect("64 bits"));
        self.state = low ^ high.rotate_left(23);
    }
}

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
            self.mix(u64::from_le_bytes(*first));
            self.mix(u64::from_le_bytes(*last));
        } else {
            bytes.iter().for_each(|byte| self.mix(u64::from(*byte)));
        }
    }

    // The lengths of ids are all the same.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.state
    }
}

/// A map from ids that are hashes.
pub type IdMap<K, V> = HashMap<K, V, IdHashing>;

/// How far something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stage {
    /// Somebody said that it exists.
    #[default]
    Heard,
    /// It was asked for.
    Asked,
    /// It is at the host, to be judged.
    Judging,
    /// The host took it.
    Here,
    /// It began at this node.
    Made,
    /// The host did not want it.
    Refused,
}

/// What is known of one thing that is passed on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Record {
    /// Sessions that have it, as far as is known.
    pub holders: Slots,
    /// Sessions to whom others said that they send it.
    pub promised: Slots,
    /// The level with which it came ([`crate::wire::Item::level`]).
    pub level: u8,
    pub stage: Stage,
}

/// Records of what came lately: at most twice as many as a generation holds.
#[derive(Debug)]
pub struct Known<K> {
    young: IdMap<K, Record>,
    old: IdMap<K, Record>,
    generation_max: usize,
}

impl<K: Copy + Eq + Hash> Known<K> {
    /// Makes an empty one.
    pub fn new(generation_max: usize, hashing: &IdHashing) -> Self {
        let map = || IdMap::with_hasher(hashing.clone());
        Self { young: map(), old: map(), generation_max }
    }

    /// Returns the record of `id`, where there is one.
    pub fn get(&self, id: &K) -> Option<&Record> {
        self.young.get(id).or_else(|| self.old.get(id))
    }

    /// Returns the record of `id` for a change, where there is one.
    pub fn get_mut(&mut self, id: &K) -> Option<&mut Record> {
        self.young.get_mut(id).or_else(|| self.old.get_mut(id))
    }

    /// Returns the record of `id`, made where there is none, and lets it live for another generation at least.
    pub fn touch(&mut self, id: K) -> &mut Record {
        if !self.young.contains_key(&id) {
            if self.young.len() >= self.generation_max {
                self.old = std::mem::replace(&mut self.young, IdMap::with_hasher(self.old.hasher().clone()));
            }
            let record = self.old.remove(&id).unwrap_or_default();
            self.young.insert(id, record);
        }
        self.young.get_mut(&id).expect("it was there or was put there")
    }

    /// Forgets `id`.
    pub fn remove(&mut self, id: &K) {
        self.young.remove(id);
        self.old.remove(id);
    }

    /// Forgets what a session has, so that the next one in its slot starts with nothing.
    pub fn forget_holder(&mut self, slot: Slots) {
        for record in self.young.values_mut().chain(self.old.values_mut()) {
            record.holders &= !slot;
            record.promised &= !slot;
        }
    }

    /// Returns how many records there are.
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_touched_lately_is_remembered_and_the_rest_is_bounded() {
        let mut known: Known<[u8; 8]> = Known::new(100, &IdHashing::new(3));
        for number in 0..10_000_u64 {
            known.touch(number.to_le_bytes()).holders |= 1;
            known.touch([0xff; 8]).holders |= 2;
            assert!(known.len() <= 200);
            assert!(number < 100 || known.get(&(number - 97).to_le_bytes()).is_some());
        }
        assert_eq!(known.get(&[0xff; 8]).map(|record| record.holders), Some(2));
        assert!(known.get(&0_u64.to_le_bytes()).is_none());
        known.forget_holder(2);
        assert_eq!(known.get(&[0xff; 8]).map(|record| record.holders), Some(0));
    }
}
