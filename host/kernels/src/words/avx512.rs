//! Sixteen words in an AVX-512 register.

use super::Words;
use std::arch::x86_64::*;
use std::ops::{Add, BitXor, Sub};

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

impl Sub for Words16 {
    type Output = Self;

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        // SAFETY: whoever made `self` held `Avx512`.
        Self(unsafe { _mm512_sub_epi32(self.0, other.0) })
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
    fn from_le_bytes(_: Avx512, bytes: &[u8]) -> Self {
        let bytes: &[u8; 64] = bytes.first_chunk().expect("callers pass a word for each lane");
        // SAFETY: `Avx512` proves the feature; the load needs no alignment and reads the 64 bytes of `bytes`.
        Self(unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) })
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

    #[inline(always)]
    fn shift_right<const BITS: i32>(self) -> Self {
        // SAFETY: whoever made `self` held `Avx512`. The count is a constant: the compiler picks the immediate form.
        Self(unsafe { _mm512_srl_epi32(self.0, _mm_cvtsi32_si128(BITS)) })
    }

    #[inline(always)]
    fn shift_left<const BITS: i32>(self) -> Self {
        // SAFETY: whoever made `self` held `Avx512`. The count is a constant: the compiler picks the immediate form.
        Self(unsafe { _mm512_sll_epi32(self.0, _mm_cvtsi32_si128(BITS)) })
    }

    #[inline(always)]
    fn without(self, mask: Self) -> Self {
        // SAFETY: whoever made `self` held `Avx512`.
        Self(unsafe { _mm512_andnot_si512(mask.0, self.0) })
    }

    #[inline(always)]
    fn choose(self, yes: Self, no: Self) -> Self {
        // SAFETY: whoever made `self` held `Avx512`. The constant is the truth table, `self` its highest bit.
        Self(unsafe { _mm512_ternarylogic_epi32::<0xca>(self.0, yes.0, no.0) })
    }

    #[inline(always)]
    fn majority(self, second: Self, third: Self) -> Self {
        // SAFETY: whoever made `self` held `Avx512`. The constant is the truth table.
        Self(unsafe { _mm512_ternarylogic_epi32::<0xe8>(self.0, second.0, third.0) })
    }

    #[inline(always)]
    fn at_most(self, bound: Self) -> u32 {
        // SAFETY: whoever made `self` held `Avx512`.
        u32::from(unsafe { _mm512_cmple_epu32_mask(self.0, bound.0) })
    }

    #[inline(always)]
    fn transpose(square: &mut [Self]) {
        let square: &mut [Self; 16] = square.first_chunk_mut().expect("callers pass a vector for each lane");
        // Within quads of four vectors first, then the quads among themselves.
        for four in square.as_chunks_mut::<4>().0 {
            let [a, b, c, d] = *four;
            // SAFETY: whoever made the vectors held `Avx512`.
            unsafe {
                let ab = (_mm512_unpacklo_epi32(a.0, b.0), _mm512_unpackhi_epi32(a.0, b.0));
                let cd = (_mm512_unpacklo_epi32(c.0, d.0), _mm512_unpackhi_epi32(c.0, d.0));
                *four = [
                    Self(_mm512_unpacklo_epi64(ab.0, cd.0)),
                    Self(_mm512_unpackhi_epi64(ab.0, cd.0)),
                    Self(_mm512_unpacklo_epi64(ab.1, cd.1)),
                    Self(_mm512_unpackhi_epi64(ab.1, cd.1)),
                ];
            }
        }
        for index in 0..4 {
            let [a, b, c, d] = [square[index], square[index + 4], square[index + 8], square[index + 12]];
            // SAFETY: whoever made the vectors held `Avx512`.
            unsafe {
                let ab = (_mm512_shuffle_i32x4::<0x88>(a.0, b.0), _mm512_shuffle_i32x4::<0xdd>(a.0, b.0));
                let cd = (_mm512_shuffle_i32x4::<0x88>(c.0, d.0), _mm512_shuffle_i32x4::<0xdd>(c.0, d.0));
                square[index] = Self(_mm512_shuffle_i32x4::<0x88>(ab.0, cd.0));
                square[index + 4] = Self(_mm512_shuffle_i32x4::<0x88>(ab.1, cd.1));
                square[index + 8] = Self(_mm512_shuffle_i32x4::<0xdd>(ab.0, cd.0));
                square[index + 12] = Self(_mm512_shuffle_i32x4::<0xdd>(ab.1, cd.1));
            }
        }
    }
}
