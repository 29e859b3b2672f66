//! Vectors of 64-bit words that Keccak is written over, and the product of matrix and vector in each machine's instructions.
//!
//! As with [`crate::words`], a vector comes from [`Words::splat`] and [`Words::load`] alone, which ask for a proof that the
//! instructions are there; functions are `#[inline(always)]` down to the entry point that enables them.

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
pub(super) mod portable;

use super::matrix::Nibbles;
use std::ops::BitXor;

/// The most lanes of any vector.
pub(super) const LANES_MAX: usize = 8;

/// Words side by side, one for each input.
pub(super) trait Words: Copy + BitXor<Output = Self> {
    /// Proves that this machine has the instructions.
    type Machine: Copy;

    /// A matrix, laid out for [`Words::multiply`].
    type Matrix;

    /// How many words there are, at most [`LANES_MAX`].
    const LANES: usize;

    /// Returns `word` in every lane.
    fn splat(machine: Self::Machine, word: u64) -> Self;

    /// Reads one word for each lane. Panics where there are fewer.
    fn load(machine: Self::Machine, words: &[u64]) -> Self;

    /// Writes one word for each lane. Panics where there is less room.
    fn store(self, words: &mut [u64]);

    /// Returns `self` ⊕ `second` ⊕ `third`.
    fn xor3(self, second: Self, third: Self) -> Self;

    /// Returns `self` ⊕ (¬`mask` ∧ `other`).
    fn chi(self, mask: Self, other: Self) -> Self;

    /// Turns each word towards its highest bit, by 0 to 63 bits.
    fn rotate_left(self, bits: u32) -> Self;

    /// Returns a bit for each lane, the lowest for the first: set where the word is not above `bound`.
    fn at_most(self, bound: Self) -> u32;

    /// Lays a matrix out.
    fn matrix(machine: Self::Machine, nibbles: &Nibbles) -> Self::Matrix;

    /// Multiplies with the nibbles of each lane's 32 bytes, high before low, and packs bits 10 to 13 of each sum the same way.
    fn multiply(matrix: &Self::Matrix, x: [Self; 4]) -> [Self; 4];
}

/// Returns the four bytes of a matrix's row that meet a step's four nibbles. The steps go through the bytes of the vector by fours,
/// first their high nibbles, then their low ones.
#[cfg(target_arch = "x86_64")]
fn four(nibbles: &Nibbles, row: usize, step: usize) -> i32 {
    let (first, low) = (4 * (step % 8), step / 8);
    i32::from_le_bytes([0, 1, 2, 3].map(|byte| nibbles[row][2 * (first + byte) + low]))
}
