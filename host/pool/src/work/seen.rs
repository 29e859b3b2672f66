//! The exact set of shares seen for one job, bounded, in memory that goes back to the system with the job.
//!
//! A busy pool remembers millions of shares for a minute, and then none of them. An allocator that hands out memory piece by piece keeps most of
//! it afterwards: something that stays lies between. So the set lies in mappings of its own.

use crate::work::share::{Refusal, SHARE_KEY_BYTES, ShareKey};
use memmap2::MmapMut;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The parts of a set, each with its own lock: checkers seldom wait for each other, and no growth moves many keys.
const PARTS: u64 = 64;

/// What a part begins with, in bytes: a page on most machines.
const FIRST_BYTES: usize = 4096;

/// The exact set of shares seen for one job.
#[derive(Debug)]
pub(crate) struct SeenShares {
    parts: Vec<Mutex<Part>>,
    keys: RandomState,
    count: AtomicUsize,
    max: usize,
}

impl SeenShares {
    /// Begins with no share. At most `max` are remembered.
    pub(crate) fn new(max: usize) -> Self {
        let parts = (0..PARTS).map(|_| Mutex::default()).collect();
        Self { parts, keys: RandomState::new(), count: AtomicUsize::new(0), max }
    }

    /// Adds a share: [`Refusal::Duplicate`] where it was there, [`Refusal::Full`] where there is no room to remember it.
    pub(crate) fn insert(&self, key: ShareKey) -> Result<(), Refusal> {
        let mut part = self.part(&key);
        if part.find(&key, &self.keys).is_some() {
            return Err(Refusal::Duplicate);
        }
        if self.count.fetch_add(1, Ordering::AcqRel) >= self.max || part.add(key, &self.keys).is_err() {
            self.count.fetch_sub(1, Ordering::AcqRel);
            return Err(Refusal::Full);
        }
        Ok(())
    }

    /// Takes out a share that was added and could not be judged, so that it may come again.
    pub(crate) fn remove(&self, key: &ShareKey) {
        if self.part(key).remove(key, &self.keys) {
            self.count.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Returns how many shares are remembered.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    fn part(&self, key: &ShareKey) -> MutexGuard<'_, Part> {
        // The low bits choose the part, the high ones the slot in it.
        let index = usize::try_from(self.keys.hash_one(key) % PARTS).expect("less than the number of parts");
        self.parts[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A table with open addressing and linear probing (Knuth, "The Art of Computer Programming", volume 3, section 6.4, algorithms L and R). At least
/// a quarter of its slots is free. A free slot is all zeros, which no key is.
#[derive(Debug, Default)]
struct Part {
    bytes: Option<MmapMut>,
    used: usize,
}

impl Part {
    fn slots(&self) -> &[[u8; SHARE_KEY_BYTES]] {
        self.bytes.as_deref().map_or(&[], |bytes| bytes.as_chunks().0)
    }

    fn slots_mut(&mut self) -> &mut [[u8; SHARE_KEY_BYTES]] {
        self.bytes.as_deref_mut().map_or(&mut [], |bytes| bytes.as_chunks_mut().0)
    }

    /// Returns where a key lies.
    fn find(&self, key: &ShareKey, keys: &RandomState) -> Option<usize> {
        let slots = self.slots();
        let mut at = home(key.as_bytes(), keys, slots.len());
        while *slots.get(at)? != FREE {
            if slots[at] == *key.as_bytes() {
                return Some(at);
            }
            at = (at + 1) % slots.len();
        }
        None
    }

    /// Adds a key that is not there.
    ///
    /// # Errors
    /// Where the system has no memory to grow into. Nothing has changed then.
    fn add(&mut self, key: ShareKey, keys: &RandomState) -> io::Result<()> {
        if (self.used + 1) * 4 > self.slots().len() * 3 {
            self.grow(keys)?;
        }
        place(self.slots_mut(), key.as_bytes(), keys);
        self.used += 1;
        Ok(())
    }

    /// Moves everything into half as much room again.
    fn grow(&mut self, keys: &RandomState) -> io::Result<()> {
        let bytes = self.bytes.as_ref().map_or(FIRST_BYTES, |bytes| bytes.len() + bytes.len().div_ceil(2));
        let mut grown = Self { bytes: Some(MmapMut::map_anon(bytes.next_multiple_of(FIRST_BYTES))?), used: self.used };
        for slot in self.slots().iter().filter(|slot| **slot != FREE) {
            place(grown.slots_mut(), slot, keys);
        }
        *self = grown;
        Ok(())
    }

    /// Takes a key out, where it is there, and moves those behind it up that would not be found any more.
    fn remove(&mut self, key: &ShareKey, keys: &RandomState) -> bool {
        let Some(mut hole) = self.find(key, keys) else { return false };
        let slots = self.slots_mut();
        let length = slots.len();
        let distance = |from: usize, to: usize| (to + length - from) % length;
        let mut at = (hole + 1) % length;
        while slots[at] != FREE {
            if distance(home(&slots[at], keys, length), at) >= distance(hole, at) {
                slots[hole] = slots[at];
                hole = at;
            }
            at = (at + 1) % length;
        }
        slots[hole] = FREE;
        self.used -= 1;
        true
    }
}

const FREE: [u8; SHARE_KEY_BYTES] = [0; SHARE_KEY_BYTES];

/// Returns where a key is looked for first among so many slots.
fn home(key: &[u8; SHARE_KEY_BYTES], keys: &RandomState, slots: usize) -> usize {
    let scaled = (u128::from(keys.hash_one(key)) * slots as u128) >> 64;
    usize::try_from(scaled).expect("less than the number of slots")
}

/// Puts a key into the first free slot from its home on. There is one.
fn place(slots: &mut [[u8; SHARE_KEY_BYTES]], key: &[u8; SHARE_KEY_BYTES], keys: &RandomState) {
    let mut at = home(key, keys, slots.len());
    while slots[at] != FREE {
        at = (at + 1) % slots.len();
    }
    slots[at] = *key;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::extranonce::Extranonce;
    use crate::work::job::JobId;
    use crate::work::share::Submission;
    use adit_primitives::accounts::WorkerId;
    use adit_primitives::contract::payout::AccountId;
    use adit_primitives::contract::shares::ShareDifficulty;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn key(number: u32) -> ShareKey {
        let submission = Submission {
            account: AccountId(1),
            worker: WorkerId(1),
            job: JobId(0),
            difficulty: ShareDifficulty::MIN,
            extranonce1: Extranonce::default(),
            extranonce2: Extranonce::default(),
            time: 0,
            nonce: number,
            version_bits: None,
            version_mask: 0,
            commitment: None,
        };
        ShareKey::new(&submission, 0)
    }

    #[test]
    fn a_share_is_counted_once_and_may_come_again_after_it_was_taken_out() {
        let seen = SeenShares::new(10);
        assert_eq!(seen.insert(key(0)), Ok(()));
        assert_eq!(seen.insert(key(0)), Err(Refusal::Duplicate));
        seen.remove(&key(1));
        assert_eq!(seen.count(), 1);
        seen.remove(&key(0));
        assert_eq!((seen.count(), seen.insert(key(0))), (0, Ok(())));
    }

    #[test]
    fn beyond_its_bound_a_set_takes_no_share_and_forgets_none() {
        let seen = SeenShares::new(1_000);
        for number in 0..1_000 {
            assert_eq!(seen.insert(key(number)), Ok(()));
        }
        assert_eq!((seen.insert(key(1_000)), seen.insert(key(999))), (Err(Refusal::Full), Err(Refusal::Duplicate)));
        assert_eq!(seen.count(), 1_000);
    }

    #[test]
    fn all_of_many_shares_are_found_again() {
        let seen = SeenShares::new(usize::MAX);
        let all = 0..200_000;
        assert!(all.clone().all(|number| seen.insert(key(number)).is_ok()));
        assert!(all.clone().all(|number| seen.insert(key(number)) == Err(Refusal::Duplicate)));
        assert_eq!(seen.count(), all.len());
        let room: usize = seen.parts.iter().map(|part| part.lock().unwrap().slots().len()).sum();
        assert!(room <= all.len() * 3, "{room} slots");
    }

    proptest! {
        /// One part, so that runs of keys meet and wrap around.
        #[test]
        fn a_part_is_the_same_set_as_the_librarys(steps in prop::collection::vec((any::<bool>(), 0..300_u32), 0..2_000)) {
            let (mut part, mut model, keys) = (Part::default(), HashSet::new(), RandomState::new());
            for (adds, number) in steps {
                let key = key(number);
                prop_assert_eq!(part.find(&key, &keys).is_some(), model.contains(&number));
                if !adds {
                    prop_assert_eq!(part.remove(&key, &keys), model.remove(&number));
                } else if model.insert(number) {
                    part.add(key, &keys).unwrap();
                }
                prop_assert_eq!(part.used, model.len());
            }
            let held = part.slots().iter().filter(|slot| **slot != FREE).count();
            prop_assert_eq!(held, model.len());
            prop_assert!(model.iter().all(|number| part.find(&key(*number), &keys).is_some()));
        }
    }
}
