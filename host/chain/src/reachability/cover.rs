//! For each block, the blocks that merged it: its future covering set, in the order in which the tour enters them.

use super::Place;

/// How many places are kept without an allocation of their own: few blocks are merged more often.
const INLINE_MAX: usize = 3;

/// The sets of all blocks.
#[derive(Debug, Default)]
pub(super) struct Covers {
    sets: Vec<Set>,
    spilled: Vec<Vec<Place>>,
}

/// Up to three places, or the number of a longer list.
#[derive(Debug, Clone, Copy, Default)]
struct Set {
    count: u32,
    places: [Place; INLINE_MAX],
}

impl Covers {
    /// Adds an empty set for the next place.
    pub(super) fn push(&mut self) {
        self.sets.push(Set::default());
    }

    pub(super) fn of(&self, place: Place) -> &[Place] {
        let set = &self.sets[place as usize];
        match set.places.get(..set.count as usize) {
            Some(places) => places,
            None => &self.spilled[set.places[0] as usize],
        }
    }

    /// Puts a place into a set, behind the first `at`.
    pub(super) fn insert(&mut self, place: Place, at: usize, covering: Place) {
        let set = &mut self.sets[place as usize];
        let count = set.count as usize;
        set.count += 1;
        if count < INLINE_MAX {
            set.places.copy_within(at..count, at + 1);
            set.places[at] = covering;
            return;
        }
        if count == INLINE_MAX {
            let number = Place::try_from(self.spilled.len()).expect("no more lists than blocks");
            self.spilled.push(set.places.to_vec());
            set.places[0] = number;
        }
        self.spilled[set.places[0] as usize].insert(at, covering);
    }

    /// Returns the bytes held.
    pub(super) fn bytes(&self) -> usize {
        let lists: usize = self.spilled.iter().map(|list| list.capacity() * size_of::<Place>()).sum();
        self.sets.capacity() * size_of::<Set>() + self.spilled.capacity() * size_of::<Vec<Place>>() + lists
    }
}
