//! Sixteen words in an AVX-512 register.

use super::{Quads, Words};
use std::arch::x86_64::*;
use std::ops::{Add, BitXor};

/// Proves that this machine has AVX-512F.
#[derive(Clone, Copy)]
pub struct Avx512(());

impl Avx512 {
    /// Returns the proof where the machine and the operating system have AVX-512F.
    pub fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx512f").then_some(Self(()))
    }
}

/// Sixteen words.
#[derive(Clone, Copy)]
pub struct Words16(__m512i);

impl Add for Words16 {
    type Output = Self;

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: whoever made `self` held `Avx512`.
        Self(unsafe { _mm512_add_epi32(self.0, other.0) })
    }
}

impl BitXor for Words16 {
    type Output = Self;

    #[inline(always)]
    fn bitxor(self, other: Self) -> Self {
        // SAFETY: whoever made `self` held `Avx512`.
        Self(unsafe { _mm512_xor_si512(self.0, other.0) })
    }
}

impl Words for Words16 {
    type Machine = Avx512;
    const LANES: usize = 16;

    #[inline(always)]
    fn splat(_: Avx512, word: u32) -> Self {
        // SAFETY: `Avx512` proves the feature.
        Self(unsafe { _mm512_set1_epi32(word.cast_signed()) })
    }

    #[inline(always)]
    fn load(_: Avx512, words: &[u32]) -> Self {
        let words: &[u32; 16] = words.first_chunk().expect("callers pass a word for each lane");
        // SAFETY: `Avx512` proves the feature; the load needs no alignment and reads the 64 bytes of `words`.
        Self(unsafe { _mm512_loadu_si512(words.as_ptr().cast()) })
    }

    #[inline(always)]
    fn store(self, words: &mut [u32]) {
        let words: &mut [u32; 16] = words.first_chunk_mut().expect("callers pass room for each lane");
        // SAFETY: whoever made `self` held `Avx512`; the store needs no alignment and writes the 64 bytes of `words`.
        unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), self.0) }
    }

    #[inline(always)]
    fn rotate_left<const BITS: i32>(self) -> Self {
        // SAFETY: whoever made `self` held `Avx512`.
        Self(unsafe { _mm512_rol_epi32::<BITS>(self.0) })
    }

    #[inline(always)]
    fn rotate_right<const BITS: i32>(self) -> Self {
        // SAFETY: whoever made `self` held `Avx512`.
        Self(unsafe { _mm512_ror_epi32::<BITS>(self.0) })
    }
}

impl Quads for Words16 {
    const QUADS: usize = 4;

    #[inline(always)]
    fn rotate_quads<const BY: i32>(self) -> Self {
        // SAFETY: whoever made `self` held `Avx512`.
        Self(unsafe {
            match BY {
                1 => _mm512_shuffle_epi32::<0x93>(self.0),
                2 => _mm512_shuffle_epi32::<0x4e>(self.0),
                _ => _mm512_shuffle_epi32::<0x39>(self.0),
            }
        })
    }

    // A square of four quads in four vectors: turning it over its diagonal is its own inverse.
    #[inline(always)]
    fn to_blocks([a, b, c, d]: [Self; 4]) -> [Self; 4] {
        // SAFETY: whoever made the vectors held `Avx512`.
        unsafe {
            let ab_even = _mm512_shuffle_i32x4::<0x88>(a.0, b.0);
            let ab_odd = _mm512_shuffle_i32x4::<0xdd>(a.0, b.0);
            let cd_even = _mm512_shuffle_i32x4::<0x88>(c.0, d.0);
            let cd_odd = _mm512_shuffle_i32x4::<0xdd>(c.0, d.0);
            [
                Self(_mm512_shuffle_i32x4::<0x88>(ab_even, cd_even)),
                Self(_mm512_shuffle_i32x4::<0x88>(ab_odd, cd_odd)),
                Self(_mm512_shuffle_i32x4::<0xdd>(ab_even, cd_even)),
                Self(_mm512_shuffle_i32x4::<0xdd>(ab_odd, cd_odd)),
            ]
        }
    }

    #[inline(always)]
    fn from_blocks(blocks: [Self; 4]) -> [Self; 4] {
        Self::to_blocks(blocks)
    }
}
