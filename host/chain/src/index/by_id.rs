//! A map from block ids that hashes them quickly: looking up ids is most of what a question about ancestors costs.

use adit_primitives::BlockId;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

/// A map from block ids. Its order means nothing.
pub(super) type ById<T> = HashMap<BlockId, T, Seeded>;

/// Ids are hashes already, but labelled ones may be chosen: a seed that nobody knows keeps anyone from choosing ids that fall together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seeded(u64);

/// Folds words into one.
#[derive(Debug)]
pub(super) struct Folding(u64);

impl Default for Seeded {
    fn default() -> Self {
        Self(RandomState::new().hash_one(0u64) | 1)
    }
}

impl BuildHasher for Seeded {
    type Hasher = Folding;

    fn build_hasher(&self) -> Folding {
        Folding(self.0)
    }
}

impl Hasher for Folding {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.write_u64(u64::from_le_bytes(*word)));
        rest.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, word: u64) {
        // Both halves of the whole product: each bit of the word moves about half of the bits.
        let product = u128::from(self.0 ^ word) * u128::from(0x9e37_79b9_7f4a_7c15_u64);
        #[allow(clippy::cast_possible_truncation, reason = "the halves of 128 bits are what is wanted")]
        let folded = product as u64 ^ (product >> 64) as u64;
        self.0 = folded.rotate_left(23);
    }

    fn write_usize(&mut self, length: usize) {
        self.write_u64(length as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
