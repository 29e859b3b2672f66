//! Sixteen lanes of AVX-512.

use super::NAME;
use super::lanes::{Group, digest_many};
use super::plain::{self, INITIAL};
use super::tail::{self, K, Part, Start};
use crate::kernel::{Finds, Job, Kernel};
use std::arch::x86_64::{
    __m512i, _mm512_add_epi32, _mm512_cmple_epu32_mask, _mm512_loadu_si512, _mm512_ror_epi32, _mm512_set1_epi32,
    _mm512_set4_epi32, _mm512_setr_epi32, _mm512_shuffle_epi8, _mm512_srli_epi32, _mm512_storeu_si512,
    _mm512_ternarylogic_epi32,
};

/// The backend.
pub(super) struct Avx512(());

impl Kernel for Avx512 {
    const ALGORITHM: &'static str = NAME;
    const BACKEND: &'static str = "avx512-16";

    fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw");
        found.then_some(Self(()))
    }

    fn digest_many(&self, inputs: &[u8], each: usize, digests: &mut [[u8; 32]]) {
        digest_many::<16>(inputs, each, digests, &|group, inputs, digests| {
            // SAFETY: `self` exists only where the CPU has AVX-512F and AVX-512BW.
            unsafe { digest_group(group, inputs, digests) }
        });
    }

    fn search(&self, job: &Job<'_>, finds: &mut Finds<'_>) -> u64 {
        if !tail::fits(job) {
            return plain::search(job, finds);
        }
        tail::search(job, finds, 16, &|part, first, groups, top, hits| {
            // SAFETY: `self` exists only where the CPU has AVX-512F and AVX-512BW.
            unsafe { scan(part, first, groups, top, hits) }
        })
    }
}

lanes!("avx512f,avx512bw", __m512i, 16);

#[inline]
#[target_feature(enable = "avx512f")]
fn add(x: __m512i, y: __m512i) -> __m512i {
    _mm512_add_epi32(x, y)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn set1(word: u32) -> __m512i {
    _mm512_set1_epi32(word.cast_signed())
}

/// x ^ y ^ z.
#[inline]
#[target_feature(enable = "avx512f")]
fn xor3(x: __m512i, y: __m512i, z: __m512i) -> __m512i {
    _mm512_ternarylogic_epi32::<0x96>(x, y, z)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn choose(e: __m512i, f: __m512i, g: __m512i) -> __m512i {
    _mm512_ternarylogic_epi32::<0xca>(e, f, g)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn majority(a: __m512i, b: __m512i, c: __m512i) -> __m512i {
    _mm512_ternarylogic_epi32::<0xe8>(a, b, c)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn sigma_0(x: __m512i) -> __m512i {
    xor3(_mm512_ror_epi32::<2>(x), _mm512_ror_epi32::<13>(x), _mm512_ror_epi32::<22>(x))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn sigma_1(x: __m512i) -> __m512i {
    xor3(_mm512_ror_epi32::<6>(x), _mm512_ror_epi32::<11>(x), _mm512_ror_epi32::<25>(x))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn small_sigma_0(x: __m512i) -> __m512i {
    xor3(_mm512_ror_epi32::<7>(x), _mm512_ror_epi32::<18>(x), _mm512_srli_epi32::<3>(x))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn small_sigma_1(x: __m512i) -> __m512i {
    xor3(_mm512_ror_epi32::<17>(x), _mm512_ror_epi32::<19>(x), _mm512_srli_epi32::<10>(x))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn swap_bytes(x: __m512i) -> __m512i {
    _mm512_shuffle_epi8(x, _mm512_set4_epi32(0x0c0d_0e0f, 0x0809_0a0b, 0x0405_0607, 0x0001_0203))
}

/// The message words of sixteen consecutive nonces.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn nonces(first: u32) -> __m512i {
    let steps = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    swap_bytes(add(set1(first), steps))
}

/// The lanes whose word, its bytes swapped, is at most `top`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn not_above(words: __m512i, top: u32) -> u32 {
    u32::from(_mm512_cmple_epu32_mask(swap_bytes(words), set1(top)))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(words: &[u32; 16]) -> __m512i {
    // SAFETY: the array has the vector's 64 bytes, at any alignment.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(words: &mut [u32; 16], vector: __m512i) {
    // SAFETY: the array has the vector's 64 bytes, at any alignment.
    unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), vector) }
}
