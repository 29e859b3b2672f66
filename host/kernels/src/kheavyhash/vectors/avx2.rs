//! Four words in an AVX2 register.

use super::{Words, four};
use crate::kheavyhash::matrix::Nibbles;
use crate::words::avx2::Avx2;
use std::arch::x86_64::*;
use std::ops::BitXor;

/// Four words.
#[derive(Clone, Copy)]
pub(crate) struct Four(__m256i);

/// Sixteen steps of four columns by eight vectors of eight rows: even rows and the odd ones below them take turns.
pub(crate) struct Matrix([[__m256i; 8]; 16]);

impl BitXor for Four {
    type Output = Self;

    #[inline(always)]
    fn bitxor(self, other: Self) -> Self {
        // SAFETY: whoever made `self` held `Avx2`.
        Self(unsafe { _mm256_xor_si256(self.0, other.0) })
    }
}

impl Words for Four {
    type Machine = Avx2;
    type Matrix = Matrix;
    const LANES: usize = 4;

    #[inline(always)]
    fn splat(_: Avx2, word: u64) -> Self {
        // SAFETY: `Avx2` proves the feature.
        Self(unsafe { _mm256_set1_epi64x(word.cast_signed()) })
    }

    #[inline(always)]
    fn load(_: Avx2, words: &[u64]) -> Self {
        let words: &[u64; 4] = words.first_chunk().expect("callers pass a word for each lane");
        // SAFETY: `Avx2` proves the feature; the load needs no alignment and reads the 32 bytes of `words`.
        Self(unsafe { _mm256_loadu_si256(words.as_ptr().cast()) })
    }

    #[inline(always)]
    fn store(self, words: &mut [u64]) {
        let words: &mut [u64; 4] = words.first_chunk_mut().expect("callers pass room for each lane");
        // SAFETY: whoever made `self` held `Avx2`; the store needs no alignment and writes the 32 bytes of `words`.
        unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), self.0) }
    }

    // The second and the third stand together in several calls, so that the compiler has their sum already.
    #[inline(always)]
    fn xor3(self, second: Self, third: Self) -> Self {
        self ^ (second ^ third)
    }

    #[inline(always)]
    fn chi(self, mask: Self, other: Self) -> Self {
        // SAFETY: whoever made `self` held `Avx2`.
        self ^ Self(unsafe { _mm256_andnot_si256(mask.0, other.0) })
    }

    #[inline(always)]
    fn rotate_left(self, bits: u32) -> Self {
        // SAFETY: whoever made `self` held `Avx2`. The counts are constants: the compiler picks shifts or one byte shuffle. A shift
        // by 64 leaves nothing.
        unsafe {
            let bits = bits.cast_signed();
            let high = _mm256_sll_epi64(self.0, _mm_cvtsi32_si128(bits));
            let low = _mm256_srl_epi64(self.0, _mm_cvtsi32_si128(64 - bits));
            Self(_mm256_or_si256(high, low))
        }
    }

    #[inline(always)]
    fn at_most(self, bound: Self) -> u32 {
        // SAFETY: whoever made `self` held `Avx2`. With the highest bits turned, the order of signed numbers is that of unsigned.
        unsafe {
            let turn = _mm256_set1_epi64x(i64::MIN);
            let above = _mm256_cmpgt_epi64(_mm256_xor_si256(self.0, turn), _mm256_xor_si256(bound.0, turn));
            !_mm256_movemask_pd(_mm256_castsi256_pd(above)).cast_unsigned() & 0xf
        }
    }

    #[inline(always)]
    fn matrix(_: Avx2, nibbles: &Nibbles) -> Matrix {
        // SAFETY: `Avx2` proves the feature.
        let mut matrix = Matrix([[unsafe { _mm256_setzero_si256() }; 8]; 16]);
        for (step, vectors) in matrix.0.iter_mut().enumerate() {
            for (number, vector) in vectors.iter_mut().enumerate() {
                let row = 16 * (number / 2) + number % 2;
                let rows = [0, 2, 4, 6, 8, 10, 12, 14].map(|below| four(nibbles, row + below, step));
                // SAFETY: `Avx2` proves the feature; the load needs no alignment and reads the 32 bytes of `rows`.
                *vector = unsafe { _mm256_loadu_si256(rows.as_ptr().cast()) };
            }
        }
        matrix
    }

    #[inline(always)]
    fn multiply(matrix: &Matrix, x: [Self; 4]) -> [Self; 4] {
        // Two steps for each lane of a vector: the words of high nibbles, then those of low ones.
        let mut nibbles = [[0u32; 8]; 8];
        let mut product = [[0u64; 4]; 4];
        for (word, x) in x.into_iter().enumerate() {
            // SAFETY: whoever made `x` held `Avx2`; the stores need no alignment and write the 32 bytes of a row of `nibbles`.
            unsafe {
                let mask = _mm256_set1_epi8(0xf);
                let high = _mm256_and_si256(_mm256_srli_epi64::<4>(x.0), mask);
                _mm256_storeu_si256(nibbles[word].as_mut_ptr().cast(), high);
                _mm256_storeu_si256(nibbles[4 + word].as_mut_ptr().cast(), _mm256_and_si256(x.0, mask));
            }
        }
        for (lane, product) in product.iter_mut().enumerate() {
            // SAFETY: whoever made `x` held `Avx2`; the store needs no alignment and writes the 32 bytes of `product`.
            unsafe {
                let mut sums = [_mm256_setzero_si256(); 8];
                for (step, vectors) in matrix.0.iter().enumerate() {
                    let four = _mm256_set1_epi32(nibbles[step / 2][2 * lane + step % 2].cast_signed());
                    for (sum, vector) in sums.iter_mut().zip(vectors) {
                        // 32 products of at most 225 in each half of a lane: 16 bits hold them.
                        *sum = _mm256_add_epi16(*sum, _mm256_maddubs_epi16(*vector, four));
                    }
                }
                let [a, b, c, d, e, f, g, h] = sums;
                let low = _mm256_packus_epi32(bytes(a, b), bytes(c, d));
                let high = _mm256_packus_epi32(bytes(e, f), bytes(g, h));
                let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
                let packed = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(low, high), order);
                _mm256_storeu_si256(product.as_mut_ptr().cast(), packed);
            }
        }
        transpose(x, product)
    }
}

/// Returns eight bytes, in a lane each, of the sums of even and odd rows.
///
/// # Safety
/// The machine has AVX2.
#[inline(always)]
unsafe fn bytes(even: __m256i, odd: __m256i) -> __m256i {
    // SAFETY: the caller has seen to the feature.
    unsafe {
        let ones = _mm256_set1_epi16(1);
        let (even, odd) = (_mm256_madd_epi16(even, ones), _mm256_madd_epi16(odd, ones));
        let high = _mm256_and_si256(_mm256_srli_epi32::<6>(even), _mm256_set1_epi32(0xf0));
        _mm256_or_si256(high, _mm256_srli_epi32::<10>(odd))
    }
}

/// Turns a row of words for each lane into a vector for each word. `proof` is any vectors.
#[inline(always)]
fn transpose(proof: [Four; 4], rows: [[u64; 4]; 4]) -> [Four; 4] {
    let mut out = proof;
    for (word, out) in out.iter_mut().enumerate() {
        let words = [rows[0][word], rows[1][word], rows[2][word], rows[3][word]];
        // SAFETY: whoever made `proof` held `Avx2`; the load needs no alignment and reads the 32 bytes of `words`.
        *out = Four(unsafe { _mm256_loadu_si256(words.as_ptr().cast()) });
    }
    out
}
