//! Finds doubles: two generations of a Bloom filter, and an exact set of what may still be paid.
//!
//! The filter answers "never seen" for nearly every new share in a few reads of memory. It errs for fewer than one in a
//! thousand, and errs in one direction alone: so what it takes for a double is looked up exactly before a share that would
//! be paid is dropped. Memory is bounded: old generations are forgotten, and the exact set holds open rounds only.

use super::record::ShareId;
use std::collections::HashMap;

/// Bits for each share of a generation, and hash functions: (1 − e^(−12/18))^12 = 0.018 % wrong in a full generation, 0.035 %
/// in two.
const BITS_PER_SHARE: usize = 18;
const HASHES: u32 = 12;

/// What is known of a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Novelty {
    /// It was not seen in any open round.
    New,
    /// It was seen: it is not counted again.
    Double,
}

/// Shares that were seen.
#[derive(Debug)]
pub struct Seen {
    filter: Rotating,
    /// Exactly the shares of the open rounds, with the round they are mined on.
    open: HashMap<ShareId, u64>,
    /// The first open round.
    open_from: u64,
    /// How often the filter erred.
    false_positives: u64,
}

/// A Bloom filter that forgets: when the newer generation is full and the older one has nothing of an open round, the older is
/// emptied and takes its place. Until then the newer one takes more than it is made for, and errs more often.
#[derive(Debug)]
pub struct Rotating {
    newer: Generation,
    older: Generation,
    /// Shares that a generation is made for.
    capacity: usize,
    /// Keeps others from choosing ids that fill the filter's bits.
    seed: u64,
}

#[derive(Debug, Clone)]
struct Generation {
    words: Vec<u64>,
    shares: usize,
    /// The newest round that one of its shares is mined on.
    newest: u64,
}

impl Rotating {
    /// Makes one whose generations are made for `capacity` shares.
    pub fn new(capacity: usize, seed: u64) -> Self {
        let capacity = capacity.max(64);
        let empty = Generation { words: vec![0; (capacity * BITS_PER_SHARE).div_ceil(64)], shares: 0, newest: 0 };
        Self { newer: empty.clone(), older: empty, capacity, seed }
    }

    /// Tells whether the share may have been seen: never "no" for one that was and is of an open round.
    pub fn may_have(&self, share: &ShareId) -> bool {
        let bits = self.bits(share);
        let has = |words: &[u64]| bits.clone().all(|bit| words[bit / 64] >> (bit % 64) & 1 == 1);
        has(&self.newer.words) || has(&self.older.words)
    }

    /// Remembers a share that is mined on the round `base`, while rounds from `open` on are open.
    pub fn insert(&mut self, share: &ShareId, base: u64, open: u64) {
        if self.newer.shares >= self.capacity && self.older.newest < open {
            std::mem::swap(&mut self.newer, &mut self.older);
            self.newer.words.fill(0);
            (self.newer.shares, self.newer.newest) = (0, 0);
        }
        self.newer.shares += 1;
        self.newer.newest = self.newer.newest.max(base);
        for bit in self.bits(share) {
            self.newer.words[bit / 64] |= 1 << (bit % 64);
        }
    }

    /// Returns the share's places, by double hashing (Kirsch and Mitzenmacher, 2006) of the id's words mixed with the seed.
    fn bits(&self, share: &ShareId) -> impl Iterator<Item = usize> + Clone + use<> {
        let word = |index: usize| {
            u64::from_le_bytes(*share.0[index * 8..].first_chunk().expect("an id has four words of eight bytes"))
        };
        let first = mix(word(0) ^ self.seed, word(1));
        let step = mix(word(2), word(3) ^ self.seed) | 1;
        let bits = self.newer.words.len() as u128 * 64;
        (0..u64::from(HASHES)).map(move |index| {
            let hash = first.wrapping_add(index.wrapping_mul(step));
            usize::try_from((u128::from(hash) * bits) >> 64).expect("less than the number of bits")
        })
    }
}

/// Folds the product of two words: every bit of both reaches the result.
fn mix(left: u64, right: u64) -> u64 {
    let product = u128::from(left | 1) * u128::from(right ^ 0x9e37_79b9_7f4a_7c15);
    let bytes = product.to_le_bytes();
    let half = |at: usize| u64::from_le_bytes(*bytes[at..].first_chunk().expect("a product has two words"));
    half(0) ^ half(8)
}

impl Seen {
    /// Makes one whose filter remembers at least `capacity` shares.
    pub fn new(capacity: usize, seed: u64) -> Self {
        Self { filter: Rotating::new(capacity, seed), open: HashMap::new(), open_from: 0, false_positives: 0 }
    }

    /// Says whether a share of an open round is new. The filter is asked first; what it takes for a double is decided by the
    /// exact set.
    pub fn look(&mut self, share: &ShareId) -> Novelty {
        if !self.filter.may_have(share) {
            return Novelty::New;
        }
        if self.open.contains_key(share) {
            return Novelty::Double;
        }
        self.false_positives += 1;
        Novelty::New
    }

    /// Remembers a share that is mined on `base`, and says whether it was new.
    pub fn note(&mut self, share: ShareId, base: u64) -> Novelty {
        let novelty = self.look(&share);
        if novelty == Novelty::New {
            self.filter.insert(&share, base, self.open_from);
            self.open.insert(share, base);
        }
        novelty
    }

    /// Forgets shares mined on rounds before `base`: none of them is paid any more.
    pub fn close_before(&mut self, base: u64) {
        self.open_from = base;
        self.open.retain(|_, mined_on| *mined_on >= base);
    }

    /// Returns how many shares of open rounds are remembered exactly.
    pub fn open_shares(&self) -> usize {
        self.open.len()
    }

    /// Returns how often the filter took a new share for a double.
    pub const fn false_positives(&self) -> u64 {
        self.false_positives
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(number: u64) -> ShareId {
        ShareId(*blake3::hash(&number.to_le_bytes()).as_bytes())
    }

    #[test]
    fn fewer_than_one_new_share_in_a_thousand_is_taken_for_a_double() {
        const CAPACITY: u64 = 50_000;
        let mut filter = Rotating::new(50_000, 7);
        // Both generations full: the worst case.
        (0..2 * CAPACITY).for_each(|number| filter.insert(&share(number), 1, 2));
        let wrong = (0..200_000).filter(|number| filter.may_have(&share(1 << 40 | number))).count();
        assert!(wrong < 100, "{wrong} of 200,000 are above 0.05 %");
    }

    #[test]
    fn the_last_generation_is_never_forgotten_and_closed_ones_are() {
        let mut filter = Rotating::new(1_000, 7);
        (0..3_000).for_each(|number| filter.insert(&share(number), number, number));
        assert!((2_000..3_000).all(|number| filter.may_have(&share(number))));
        assert!((0..500).filter(|number| filter.may_have(&share(*number))).count() < 10);
    }

    #[test]
    fn no_share_of_an_open_round_is_forgotten_however_many_there_are() {
        let mut seen = Seen::new(64, 7);
        assert!((0..5_000).all(|number| seen.note(share(number), 1) == Novelty::New));
        assert!((0..5_000).all(|number| seen.note(share(number), 1) == Novelty::Double));
    }

    #[test]
    fn no_share_that_would_be_paid_is_dropped_for_the_filters_error() {
        // A filter that always errs: what it says decides nothing.
        let mut seen = Seen::new(64, 7);
        seen.filter.newer.words.fill(u64::MAX);
        assert!((0..1_000).all(|number| seen.note(share(number), 1) == Novelty::New));
        assert_eq!(seen.false_positives(), 1_000);
        assert!((0..1_000).all(|number| seen.note(share(number), 1) == Novelty::Double));
    }

    #[test]
    fn closed_rounds_hold_no_memory() {
        let mut seen = Seen::new(1_000, 7);
        for number in 0..100 {
            seen.note(share(number), number / 10);
        }
        seen.close_before(9);
        assert_eq!(seen.open_shares(), 10);
    }
}
