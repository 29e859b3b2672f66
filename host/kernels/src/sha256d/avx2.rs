//! Eight lanes of AVX2.

use super::NAME;
use super::lanes::{Group, digest_many};
use super::plain::{self, INITIAL};
use super::tail::{self, K, Part, Start};
use crate::kernel::{Finds, Job, Kernel};
use std::arch::x86_64::{
    __m256i, _mm256_add_epi32, _mm256_and_si256, _mm256_castsi256_ps, _mm256_cmpeq_epi32, _mm256_loadu_si256,
    _mm256_min_epu32, _mm256_movemask_ps, _mm256_or_si256, _mm256_set1_epi32, _mm256_setr_epi8, _mm256_setr_epi32,
    _mm256_shuffle_epi8, _mm256_slli_epi32, _mm256_srli_epi32, _mm256_storeu_si256, _mm256_xor_si256,
};

/// The backend.
pub(super) struct Avx2(());

impl Kernel for Avx2 {
    const ALGORITHM: &'static str = NAME;
    const BACKEND: &'static str = "avx2-8";

    fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }

    fn digest_many(&self, inputs: &[u8], each: usize, digests: &mut [[u8; 32]]) {
        digest_many::<8>(inputs, each, digests, &|group, inputs, digests| {
            // SAFETY: `self` exists only where the CPU has AVX2.
            unsafe { digest_group(group, inputs, digests) }
        });
    }

    fn search(&self, job: &Job<'_>, finds: &mut Finds<'_>) -> u64 {
        if !tail::fits(job) {
            return plain::search(job, finds);
        }
        tail::search(job, finds, 8, &|part, first, groups, top, hits| {
            // SAFETY: `self` exists only where the CPU has AVX2.
            unsafe { scan(part, first, groups, top, hits) }
        })
    }
}

lanes!("avx2", __m256i, 8);

#[inline]
#[target_feature(enable = "avx2")]
fn add(x: __m256i, y: __m256i) -> __m256i {
    _mm256_add_epi32(x, y)
}

#[inline]
#[target_feature(enable = "avx2")]
fn set1(word: u32) -> __m256i {
    _mm256_set1_epi32(word.cast_signed())
}

/// x ^ y ^ z.
#[inline]
#[target_feature(enable = "avx2")]
fn xor3(x: __m256i, y: __m256i, z: __m256i) -> __m256i {
    _mm256_xor_si256(_mm256_xor_si256(x, y), z)
}

/// Rotates right by `RIGHT`, which with `LEFT` makes 32.
#[inline]
#[target_feature(enable = "avx2")]
fn rotate<const RIGHT: i32, const LEFT: i32>(x: __m256i) -> __m256i {
    _mm256_or_si256(_mm256_srli_epi32::<RIGHT>(x), _mm256_slli_epi32::<LEFT>(x))
}

#[inline]
#[target_feature(enable = "avx2")]
fn choose(e: __m256i, f: __m256i, g: __m256i) -> __m256i {
    _mm256_xor_si256(g, _mm256_and_si256(e, _mm256_xor_si256(f, g)))
}

/// The next round uses a ^ b again, as its b ^ c.
#[inline]
#[target_feature(enable = "avx2")]
fn majority(a: __m256i, b: __m256i, c: __m256i) -> __m256i {
    _mm256_xor_si256(b, _mm256_and_si256(_mm256_xor_si256(a, b), _mm256_xor_si256(b, c)))
}

#[inline]
#[target_feature(enable = "avx2")]
fn sigma_0(x: __m256i) -> __m256i {
    xor3(rotate::<2, 30>(x), rotate::<13, 19>(x), rotate::<22, 10>(x))
}

#[inline]
#[target_feature(enable = "avx2")]
fn sigma_1(x: __m256i) -> __m256i {
    xor3(rotate::<6, 26>(x), rotate::<11, 21>(x), rotate::<25, 7>(x))
}

#[inline]
#[target_feature(enable = "avx2")]
fn small_sigma_0(x: __m256i) -> __m256i {
    xor3(rotate::<7, 25>(x), rotate::<18, 14>(x), _mm256_srli_epi32::<3>(x))
}

#[inline]
#[target_feature(enable = "avx2")]
fn small_sigma_1(x: __m256i) -> __m256i {
    xor3(rotate::<17, 15>(x), rotate::<19, 13>(x), _mm256_srli_epi32::<10>(x))
}

#[inline]
#[target_feature(enable = "avx2")]
#[rustfmt::skip]
fn swap_bytes(x: __m256i) -> __m256i {
    _mm256_shuffle_epi8(x, _mm256_setr_epi8(
        3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12,
        3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12,
    ))
}

/// The message words of eight consecutive nonces.
#[inline]
#[target_feature(enable = "avx2")]
fn nonces(first: u32) -> __m256i {
    swap_bytes(add(set1(first), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)))
}

/// The lanes whose word, its bytes swapped, is at most `top`.
#[inline]
#[target_feature(enable = "avx2")]
fn not_above(words: __m256i, top: u32) -> u32 {
    let words = swap_bytes(words);
    let lanes = _mm256_cmpeq_epi32(_mm256_min_epu32(words, set1(top)), words);
    _mm256_movemask_ps(_mm256_castsi256_ps(lanes)).cast_unsigned()
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(words: &[u32; 8]) -> __m256i {
    // SAFETY: the array has the vector's 32 bytes, at any alignment.
    unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(words: &mut [u32; 8], vector: __m256i) {
    // SAFETY: the array has the vector's 32 bytes, at any alignment.
    unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), vector) }
}
