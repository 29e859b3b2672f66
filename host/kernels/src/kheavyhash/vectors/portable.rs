//! One word in plain Rust, for any machine.

use super::Words;
use crate::kheavyhash::matrix::Nibbles;
use std::ops::BitXor;

/// A word.
#[derive(Clone, Copy)]
pub(crate) struct One(u64);

impl BitXor for One {
    type Output = Self;

    #[inline(always)]
    fn bitxor(self, other: Self) -> Self {
        Self(self.0 ^ other.0)
    }
}

impl Words for One {
    type Machine = ();
    /// Rows of 16-bit numbers: the compiler multiplies and adds them in whatever vectors every machine has.
    type Matrix = [[u16; 64]; 64];
    const LANES: usize = 1;

    #[inline(always)]
    fn splat((): (), word: u64) -> Self {
        Self(word)
    }

    #[inline(always)]
    fn load((): (), words: &[u64]) -> Self {
        Self(words[0])
    }

    #[inline(always)]
    fn store(self, words: &mut [u64]) {
        words[0] = self.0;
    }

    #[inline(always)]
    fn xor3(self, second: Self, third: Self) -> Self {
        self ^ (second ^ third)
    }

    #[inline(always)]
    fn chi(self, mask: Self, other: Self) -> Self {
        Self(self.0 ^ (!mask.0 & other.0))
    }

    #[inline(always)]
    fn rotate_left(self, bits: u32) -> Self {
        Self(self.0.rotate_left(bits))
    }

    #[inline(always)]
    fn at_most(self, bound: Self) -> u32 {
        u32::from(self.0 <= bound.0)
    }

    #[inline(always)]
    fn matrix((): (), nibbles: &Nibbles) -> Self::Matrix {
        nibbles.map(|row| row.map(u16::from))
    }

    #[inline(always)]
    fn multiply(matrix: &Self::Matrix, x: [Self; 4]) -> [Self; 4] {
        let mut vector = [0; 64];
        for (nibbles, word) in vector.chunks_exact_mut(16).zip(x) {
            for (pair, byte) in nibbles.as_chunks_mut::<2>().0.iter_mut().zip(word.0.to_le_bytes()) {
                *pair = [u16::from(byte >> 4), u16::from(byte & 0xf)];
            }
        }
        let sum = |row: &[u16; 64]| -> u16 {
            let products = row.iter().zip(&vector).map(|(row, value)| row.wrapping_mul(*value));
            products.fold(0, u16::wrapping_add)
        };
        let mut out = x;
        for (out, rows) in out.iter_mut().zip(matrix.as_chunks::<16>().0) {
            *out = Self(0);
            for (pair, rows) in rows.as_chunks::<2>().0.iter().enumerate() {
                let byte = sum(&rows[0]) >> 10 << 4 | sum(&rows[1]) >> 10;
                out.0 |= u64::from(byte) << (8 * pair);
            }
        }
        out
    }
}
