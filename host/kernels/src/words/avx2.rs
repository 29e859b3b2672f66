//! Eight words in an AVX2 register.

use super::Words;
use std::arch::x86_64::*;
use std::ops::{Add, BitXor, Sub};

/// Proves that this machine has AVX2.
#[derive(Clone, Copy)]
pub struct Avx2(());

impl Avx2 {
    /// Returns the proof where the machine and the operating system have AVX2.
    pub fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }
}

/// Eight words.
#[derive(Clone, Copy)]
pub struct Words8(__m256i);

impl Add for Words8 {
    type Output = Self;

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: whoever made `self` held `Avx2`.
        Self(unsafe { _mm256_add_epi32(self.0, other.0) })
    }
}

impl Sub for Words8 {
    type Output = Self;

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        // SAFETY: whoever made `self` held `Avx2`.
        Self(unsafe { _mm256_sub_epi32(self.0, other.0) })
    }
}

impl BitXor for Words8 {
    type Output = Self;

    #[inline(always)]
    fn bitxor(self, other: Self) -> Self {
        // SAFETY: whoever made `self` held `Avx2`.
        Self(unsafe { _mm256_xor_si256(self.0, other.0) })
    }
}

impl Words for Words8 {
    type Machine = Avx2;
    const LANES: usize = 8;

    #[inline(always)]
    fn splat(_: Avx2, word: u32) -> Self {
        // SAFETY: `Avx2` proves the feature.
        Self(unsafe { _mm256_set1_epi32(word.cast_signed()) })
    }

    #[inline(always)]
    fn load(_: Avx2, words: &[u32]) -> Self {
        let words: &[u32; 8] = words.first_chunk().expect("callers pass a word for each lane");
        // SAFETY: `Avx2` proves the feature; the load needs no alignment and reads the 32 bytes of `words`.
        Self(unsafe { _mm256_loadu_si256(words.as_ptr().cast()) })
    }

    #[inline(always)]
    fn from_le_bytes(_: Avx2, bytes: &[u8]) -> Self {
        let bytes: &[u8; 32] = bytes.first_chunk().expect("callers pass a word for each lane");
        // SAFETY: `Avx2` proves the feature; the load needs no alignment and reads the 32 bytes of `bytes`.
        Self(unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) })
    }

    #[inline(always)]
    fn store(self, words: &mut [u32]) {
        let words: &mut [u32; 8] = words.first_chunk_mut().expect("callers pass room for each lane");
        // SAFETY: whoever made `self` held `Avx2`; the store needs no alignment and writes the 32 bytes of `words`.
        unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), self.0) }
    }

    #[inline(always)]
    fn rotate_left<const BITS: i32>(self) -> Self {
        // SAFETY: whoever made `self` held `Avx2`. The counts are constants: the compiler picks shifts or one byte shuffle.
        unsafe {
            let high = _mm256_sll_epi32(self.0, _mm_cvtsi32_si128(BITS));
            let low = _mm256_srl_epi32(self.0, _mm_cvtsi32_si128(32 - BITS));
            Self(_mm256_or_si256(high, low))
        }
    }

    #[inline(always)]
    fn rotate_right<const BITS: i32>(self) -> Self {
        // SAFETY: as in `rotate_left`.
        unsafe {
            let high = _mm256_sll_epi32(self.0, _mm_cvtsi32_si128(32 - BITS));
            let low = _mm256_srl_epi32(self.0, _mm_cvtsi32_si128(BITS));
            Self(_mm256_or_si256(high, low))
        }
    }

    #[inline(always)]
    fn shift_right<const BITS: i32>(self) -> Self {
        // SAFETY: whoever made `self` held `Avx2`.
        Self(unsafe { _mm256_srli_epi32::<BITS>(self.0) })
    }

    #[inline(always)]
    fn shift_left<const BITS: i32>(self) -> Self {
        // SAFETY: whoever made `self` held `Avx2`. The count is a constant: the compiler picks the immediate form.
        Self(unsafe { _mm256_sll_epi32(self.0, _mm_cvtsi32_si128(BITS)) })
    }

    #[inline(always)]
    fn without(self, mask: Self) -> Self {
        // SAFETY: whoever made `self` held `Avx2`.
        Self(unsafe { _mm256_andnot_si256(mask.0, self.0) })
    }

    #[inline(always)]
    fn choose(self, yes: Self, no: Self) -> Self {
        // SAFETY: whoever made `self` held `Avx2`.
        no ^ Self(unsafe { _mm256_and_si256(self.0, (yes ^ no).0) })
    }

    // Two of the three stand in the next call too, so that the compiler has one of the differences already.
    #[inline(always)]
    fn majority(self, second: Self, third: Self) -> Self {
        // SAFETY: whoever made `self` held `Avx2`.
        second ^ Self(unsafe { _mm256_and_si256((self ^ second).0, (second ^ third).0) })
    }

    #[inline(always)]
    fn at_most(self, bound: Self) -> u32 {
        // SAFETY: whoever made `self` held `Avx2`.
        unsafe {
            let is_least = _mm256_cmpeq_epi32(_mm256_min_epu32(self.0, bound.0), self.0);
            _mm256_movemask_ps(_mm256_castsi256_ps(is_least)).cast_unsigned()
        }
    }

    #[inline(always)]
    fn transpose(square: &mut [Self]) {
        let square: &mut [Self; 8] = square.first_chunk_mut().expect("callers pass a vector for each lane");
        let [a, b, c, d, e, f, g, h] = *square;
        // SAFETY: whoever made the vectors held `Avx2`.
        unsafe {
            let ab = (_mm256_unpacklo_epi32(a.0, b.0), _mm256_unpackhi_epi32(a.0, b.0));
            let cd = (_mm256_unpacklo_epi32(c.0, d.0), _mm256_unpackhi_epi32(c.0, d.0));
            let ef = (_mm256_unpacklo_epi32(e.0, f.0), _mm256_unpackhi_epi32(e.0, f.0));
            let gh = (_mm256_unpacklo_epi32(g.0, h.0), _mm256_unpackhi_epi32(g.0, h.0));
            let low = [
                _mm256_unpacklo_epi64(ab.0, cd.0),
                _mm256_unpackhi_epi64(ab.0, cd.0),
                _mm256_unpacklo_epi64(ab.1, cd.1),
                _mm256_unpackhi_epi64(ab.1, cd.1),
            ];
            let high = [
                _mm256_unpacklo_epi64(ef.0, gh.0),
                _mm256_unpackhi_epi64(ef.0, gh.0),
                _mm256_unpacklo_epi64(ef.1, gh.1),
                _mm256_unpackhi_epi64(ef.1, gh.1),
            ];
            for index in 0..4 {
                square[index] = Self(_mm256_permute2x128_si256::<0x20>(low[index], high[index]));
                square[index + 4] = Self(_mm256_permute2x128_si256::<0x31>(low[index], high[index]));
            }
        }
    }
}
