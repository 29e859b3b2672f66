//! Eight words in an AVX-512 register, and the dot products of VNNI.

use super::{Words, four};
use crate::kheavyhash::matrix::Nibbles;
use std::arch::x86_64::*;
use std::ops::BitXor;

/// Proves that this machine has AVX-512F and AVX-512 VNNI.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

impl Avx512 {
    /// Returns the proof where the machine and the operating system have both.
    pub(crate) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni")).then_some(Self(()))
    }
}

/// Eight words.
#[derive(Clone, Copy)]
pub(crate) struct Eight(__m512i);

/// Sixteen steps of four columns by four vectors of sixteen rows: even rows and the odd ones below them take turns.
pub(crate) struct Matrix([[__m512i; 4]; 16]);

impl BitXor for Eight {
    type Output = Self;

    #[inline(always)]
    fn bitxor(self, other: Self) -> Self {
        // SAFETY: whoever made `self` held `Avx512`.
        Self(unsafe { _mm512_xor_si512(self.0, other.0) })
    }
}

impl Words for Eight {
    type Machine = Avx512;
    type Matrix = Matrix;
    const LANES: usize = 8;

    #[inline(always)]
    fn splat(_: Avx512, word: u64) -> Self {
        // SAFETY: `Avx512` proves the features.
        Self(unsafe { _mm512_set1_epi64(word.cast_signed()) })
    }

    #[inline(always)]
    fn load(_: Avx512, words: &[u64]) -> Self {
        let words: &[u64; 8] = words.first_chunk().expect("callers pass a word for each lane");
        // SAFETY: `Avx512` proves the features; the load needs no alignment and reads the 64 bytes of `words`.
        Self(unsafe { _mm512_loadu_si512(words.as_ptr().cast()) })
    }

    #[inline(always)]
    fn store(self, words: &mut [u64]) {
        let words: &mut [u64; 8] = words.first_chunk_mut().expect("callers pass room for each lane");
        // SAFETY: whoever made `self` held `Avx512`; the store needs no alignment and writes the 64 bytes of `words`.
        unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), self.0) }
    }

    #[inline(always)]
    fn xor3(self, second: Self, third: Self) -> Self {
        // SAFETY: whoever made `self` held `Avx512`. The constant is the truth table, `self` its highest bit.
        Self(unsafe { _mm512_ternarylogic_epi64::<0x96>(self.0, second.0, third.0) })
    }

    #[inline(always)]
    fn chi(self, mask: Self, other: Self) -> Self {
        // SAFETY: as in `xor3`.
        Self(unsafe { _mm512_ternarylogic_epi64::<0xd2>(self.0, mask.0, other.0) })
    }

    #[inline(always)]
    fn rotate_left(self, bits: u32) -> Self {
        // SAFETY: whoever made `self` held `Avx512`. The count is a constant: the compiler picks the immediate form.
        Self(unsafe { _mm512_rolv_epi64(self.0, _mm512_set1_epi64(i64::from(bits))) })
    }

    #[inline(always)]
    fn at_most(self, bound: Self) -> u32 {
        // SAFETY: whoever made `self` held `Avx512`.
        u32::from(unsafe { _mm512_cmple_epu64_mask(self.0, bound.0) })
    }

    #[inline(always)]
    fn matrix(_: Avx512, nibbles: &Nibbles) -> Matrix {
        // SAFETY: `Avx512` proves the features.
        let mut matrix = Matrix([[unsafe { _mm512_setzero_si512() }; 4]; 16]);
        for (step, vectors) in matrix.0.iter_mut().enumerate() {
            for (number, vector) in vectors.iter_mut().enumerate() {
                let mut rows = [0; 16];
                for (below, row) in rows.iter_mut().enumerate() {
                    *row = four(nibbles, 32 * (number / 2) + number % 2 + 2 * below, step);
                }
                // SAFETY: `Avx512` proves the features; the load needs no alignment and reads the 64 bytes of `rows`.
                *vector = unsafe { _mm512_loadu_si512(rows.as_ptr().cast()) };
            }
        }
        matrix
    }

    #[inline(always)]
    fn multiply(matrix: &Matrix, x: [Self; 4]) -> [Self; 4] {
        // Two steps for each lane of a vector: the words of high nibbles, then those of low ones.
        let mut nibbles = [[0u32; 16]; 8];
        let mut product = [[0u64; 8]; 4];
        for (word, x) in x.into_iter().enumerate() {
            // SAFETY: whoever made `x` held `Avx512`; the stores need no alignment and write the 64 bytes of a row of `nibbles`.
            unsafe {
                let mask = _mm512_set1_epi32(0x0f0f_0f0f);
                let high = _mm512_and_si512(_mm512_srli_epi64::<4>(x.0), mask);
                _mm512_storeu_si512(nibbles[word].as_mut_ptr().cast(), high);
                _mm512_storeu_si512(nibbles[4 + word].as_mut_ptr().cast(), _mm512_and_si512(x.0, mask));
            }
        }
        // Four lanes at a time share each load of the matrix.
        for lane in [0, 4] {
            // SAFETY: whoever made `x` held `Avx512`.
            let mut sums = [[unsafe { _mm512_setzero_si512() }; 4]; 4];
            for (step, vectors) in matrix.0.iter().enumerate() {
                for (number, sums) in sums.iter_mut().enumerate() {
                    let four = nibbles[step / 2][2 * (lane + number) + step % 2].cast_signed();
                    for (sum, vector) in sums.iter_mut().zip(vectors) {
                        // SAFETY: whoever made `x` held `Avx512`.
                        *sum = unsafe { _mm512_dpbusd_epi32(*sum, *vector, _mm512_set1_epi32(four)) };
                    }
                }
            }
            for (number, [a, b, c, d]) in sums.into_iter().enumerate() {
                // SAFETY: whoever made `x` held `Avx512`.
                let halves = unsafe { [bytes(a, b), bytes(c, d)] };
                for (words, half) in product.iter_mut().zip(halves.as_flattened()) {
                    words[lane + number] = *half;
                }
            }
        }
        let mut out = x;
        for (out, words) in out.iter_mut().zip(&product) {
            // SAFETY: whoever made `x` held `Avx512`; the load needs no alignment and reads the 64 bytes of `words`.
            *out = Self(unsafe { _mm512_loadu_si512(words.as_ptr().cast()) });
        }
        out
    }
}

/// Returns sixteen bytes as words of the sums of even and odd rows, which have 14 bits.
///
/// # Safety
/// The machine has AVX-512F.
#[inline(always)]
unsafe fn bytes(even: __m512i, odd: __m512i) -> [u64; 2] {
    let mut words = [0; 2];
    // SAFETY: the caller has seen to the feature; the store needs no alignment and writes the 16 bytes of `words`.
    unsafe {
        let high = _mm512_and_si512(_mm512_srli_epi32::<6>(even), _mm512_set1_epi32(0xf0));
        let bytes = _mm512_cvtepi32_epi8(_mm512_or_si512(high, _mm512_srli_epi32::<10>(odd)));
        _mm_storeu_si128(words.as_mut_ptr().cast(), bytes);
    }
    words
}
