//! Vectors of 32-bit words that one algorithm is written over and each machine's instructions implement.
//!
//! A vector comes from [`Words::splat`], [`Words::load`] or [`Words::from_le_bytes`] alone, and these ask for the [`Words::Machine`]: a
//! proof that the instructions are there, which the owner of an entry point makes once. So everything built on a vector is safe code. Functions are
//! `#[inline(always)]` down to the entry point: only there the compiler knows which instructions it may use.
//!
//! Reading order: this trait, `portable` (plain Rust), then `avx2` and `avx512`.

#[cfg(target_arch = "x86_64")]
pub mod avx2;
#[cfg(target_arch = "x86_64")]
pub mod avx512;
pub mod portable;

use std::ops::{Add, BitXor, Sub};

/// Words side by side. Addition and subtraction wrap.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "sha256d uses its lanes on x86-64 alone"))]
pub trait Words: Copy + Add<Output = Self> + BitXor<Output = Self> + Sub<Output = Self> {
    /// Proves that this machine has the instructions.
    type Machine: Copy;

    /// How many words there are.
    const LANES: usize;

    /// Returns `word` in every lane.
    fn splat(machine: Self::Machine, word: u32) -> Self;

    /// Reads one word for each lane. Panics where there are fewer.
    fn load(machine: Self::Machine, words: &[u32]) -> Self;

    /// Reads one little-endian word for each lane. Panics where there are fewer bytes.
    fn from_le_bytes(machine: Self::Machine, bytes: &[u8]) -> Self;

    /// Writes one word for each lane. Panics where there is less room.
    fn store(self, words: &mut [u32]);

    /// Rotates each word towards its highest bit. `BITS` is 1 to 31.
    fn rotate_left<const BITS: i32>(self) -> Self;

    /// Rotates each word towards its lowest bit. `BITS` is 1 to 31.
    fn rotate_right<const BITS: i32>(self) -> Self;

    /// Shifts each word towards its lowest bit. `BITS` is 1 to 31.
    fn shift_right<const BITS: i32>(self) -> Self;

    /// Shifts each word towards its highest bit. `BITS` is 1 to 31.
    fn shift_left<const BITS: i32>(self) -> Self;

    /// Clears the bits that are set in `mask`.
    fn without(self, mask: Self) -> Self;

    /// Takes the bits of `yes` where those of `self` are set, and the bits of `no` elsewhere.
    fn choose(self, yes: Self, no: Self) -> Self;

    /// Takes each bit as most of the three have it.
    fn majority(self, second: Self, third: Self) -> Self;

    /// Returns a bit for each lane, the lowest for the first: set where the word is not above `bound`.
    fn at_most(self, bound: Self) -> u32;

    /// Turns a square of [`Words::LANES`] vectors over its diagonal: word `i` of vector `j` becomes word `j` of vector `i`.
    fn transpose(square: &mut [Self]);
}
