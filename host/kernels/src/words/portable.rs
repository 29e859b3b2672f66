//! Vectors in plain Rust, for any machine.

use super::Words;
use std::ops::{Add, BitXor, Sub};

/// `N` words; one makes scalar code.
#[derive(Clone, Copy)]
pub struct Portable<const N: usize>([u32; N]);

impl Portable<1> {
    /// Returns the only word.
    #[inline(always)]
    pub fn word(self) -> u32 {
        self.0[0]
    }
}

impl<const N: usize> Add for Portable<N> {
    type Output = Self;

    #[inline(always)]
    fn add(mut self, other: Self) -> Self {
        for (word, more) in self.0.iter_mut().zip(other.0) {
            *word = word.wrapping_add(more);
        }
        self
    }
}

impl<const N: usize> Sub for Portable<N> {
    type Output = Self;

    #[inline(always)]
    fn sub(mut self, other: Self) -> Self {
        for (word, less) in self.0.iter_mut().zip(other.0) {
            *word = word.wrapping_sub(less);
        }
        self
    }
}

impl<const N: usize> BitXor for Portable<N> {
    type Output = Self;

    #[inline(always)]
    fn bitxor(mut self, other: Self) -> Self {
        for (word, mask) in self.0.iter_mut().zip(other.0) {
            *word ^= mask;
        }
        self
    }
}

impl<const N: usize> Words for Portable<N> {
    type Machine = ();
    const LANES: usize = N;

    #[inline(always)]
    fn splat((): (), word: u32) -> Self {
        Self([word; N])
    }

    #[inline(always)]
    fn load((): (), words: &[u32]) -> Self {
        Self(*words.first_chunk().expect("callers pass a word for each lane"))
    }

    #[inline(always)]
    fn from_le_bytes((): (), bytes: &[u8]) -> Self {
        let mut words = [0; N];
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        Self(words)
    }

    #[inline(always)]
    fn store(self, words: &mut [u32]) {
        *words.first_chunk_mut().expect("callers pass room for each lane") = self.0;
    }

    #[inline(always)]
    fn rotate_left<const BITS: i32>(mut self) -> Self {
        for word in &mut self.0 {
            *word = word.rotate_left(BITS.unsigned_abs());
        }
        self
    }

    #[inline(always)]
    fn rotate_right<const BITS: i32>(mut self) -> Self {
        for word in &mut self.0 {
            *word = word.rotate_right(BITS.unsigned_abs());
        }
        self
    }

    #[inline(always)]
    fn shift_right<const BITS: i32>(mut self) -> Self {
        for word in &mut self.0 {
            *word >>= BITS;
        }
        self
    }

    #[inline(always)]
    fn shift_left<const BITS: i32>(mut self) -> Self {
        for word in &mut self.0 {
            *word <<= BITS;
        }
        self
    }

    #[inline(always)]
    fn without(mut self, mask: Self) -> Self {
        for (word, mask) in self.0.iter_mut().zip(mask.0) {
            *word &= !mask;
        }
        self
    }

    #[inline(always)]
    fn choose(mut self, yes: Self, no: Self) -> Self {
        for (word, (yes, no)) in self.0.iter_mut().zip(yes.0.into_iter().zip(no.0)) {
            *word = (*word & yes) | (!*word & no);
        }
        self
    }

    #[inline(always)]
    fn majority(mut self, second: Self, third: Self) -> Self {
        for (word, (second, third)) in self.0.iter_mut().zip(second.0.into_iter().zip(third.0)) {
            *word = (*word & second) | (*word & third) | (second & third);
        }
        self
    }

    #[inline(always)]
    fn at_most(self, bound: Self) -> u32 {
        let mut mask = 0;
        for (lane, (word, bound)) in self.0.into_iter().zip(bound.0).enumerate() {
            mask |= u32::from(word <= bound) << lane;
        }
        mask
    }

    #[inline(always)]
    fn transpose(square: &mut [Self]) {
        for low in 0..N {
            for high in low + 1..N {
                (square[low].0[high], square[high].0[low]) = (square[high].0[low], square[low].0[high]);
            }
        }
    }
}
