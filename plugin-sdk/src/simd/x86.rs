//! The lanes as SSE2's vectors: what a plugin's source does natively at 128 bits, the measure of what the sandbox costs it.

#![allow(unsafe_code, reason = "the language calls every instruction beyond the simplest unsafe")]

use core::arch::x86_64::*;

pub(super) type Words = __m128i;
pub(super) type Pair = __m128i;

/// Runs instructions of SSE2, which take and give vectors alone.
macro_rules! sse2 {
    ($instructions:expr) => {{
        const { assert!(cfg!(target_feature = "sse2")) }
        // SAFETY: this is not compiled for a machine without SSE2, and no instruction here reads or writes memory.
        unsafe { $instructions }
    }};
}

/// Names an instruction of two operands.
macro_rules! instruction {
    ($($function:ident: $instruction:ident;)*) => {$(
        #[inline(always)]
        pub(super) fn $function(x: Words, y: Words) -> Words {
            sse2!($instruction(x, y))
        }
    )*};
}

instruction! {
    add: _mm_add_epi32;
    sub: _mm_sub_epi32;
    and: _mm_and_si128;
    or: _mm_or_si128;
    xor: _mm_xor_si128;
    dot: _mm_madd_epi16;
    pair_xor: _mm_xor_si128;
}

#[inline(always)]
pub(super) fn new(words: [u32; 4]) -> Words {
    let [a, b, c, d] = words.map(u32::cast_signed);
    sse2!(_mm_set_epi32(d, c, b, a))
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is wanted")]
#[inline(always)]
pub(super) fn words(x: Words) -> [u32; 4] {
    let [low, high] = pair_words(x).map(|half| [half as u32, (half >> 32) as u32]);
    [low[0], low[1], high[0], high[1]]
}

#[inline(always)]
pub(super) fn without(x: Words, mask: Words) -> Words {
    sse2!(_mm_andnot_si128(mask, x))
}

#[inline(always)]
pub(super) fn not(x: Words) -> Words {
    xor(x, splat(-1))
}

#[inline(always)]
pub(super) fn shift_left(x: Words, bits: u32) -> Words {
    sse2!(_mm_sll_epi32(x, _mm_cvtsi32_si128(bits.cast_signed())))
}

#[inline(always)]
pub(super) fn shift_right(x: Words, bits: u32) -> Words {
    sse2!(_mm_srl_epi32(x, _mm_cvtsi32_si128(bits.cast_signed())))
}

#[inline(always)]
pub(super) fn swap_bytes(x: Words) -> Words {
    let turned = sse2!(_mm_shufflehi_epi16::<0b10_11_00_01>(_mm_shufflelo_epi16::<0b10_11_00_01>(x)));
    sse2!(_mm_or_si128(_mm_slli_epi16::<8>(turned), _mm_srli_epi16::<8>(turned)))
}

#[inline(always)]
pub(super) fn at_most(x: Words, bound: Words) -> u8 {
    // There are signed comparisons alone: with its highest bit turned, a word keeps its place among the others.
    let signed = |words| xor(words, splat(i32::MIN));
    let above = sse2!(_mm_movemask_ps(_mm_castsi128_ps(_mm_cmpgt_epi32(signed(x), signed(bound)))));
    let [lowest, ..] = (!above).to_le_bytes();
    lowest & 0b1111
}

#[inline(always)]
fn splat(word: i32) -> Words {
    sse2!(_mm_set1_epi32(word))
}

#[inline(always)]
pub(super) fn pack(a: Words, b: Words, c: Words, d: Words) -> Pair {
    sse2!(_mm_packus_epi16(_mm_packs_epi32(a, b), _mm_packs_epi32(c, d)))
}

#[inline(always)]
pub(super) fn turn_lanes<const LANES: usize>(x: Words) -> Words {
    match LANES {
        1 => sse2!(_mm_shuffle_epi32::<0b00_11_10_01>(x)),
        2 => sse2!(_mm_shuffle_epi32::<0b01_00_11_10>(x)),
        3 => sse2!(_mm_shuffle_epi32::<0b10_01_00_11>(x)),
        _ => x,
    }
}

/// The low words of both in turn, and the high ones.
#[inline(always)]
pub(super) fn zip(x: Words, y: Words) -> (Words, Words) {
    sse2!((_mm_unpacklo_epi32(x, y), _mm_unpackhi_epi32(x, y)))
}

/// The low halves of both, and the high ones.
#[inline(always)]
pub(super) fn halves(x: Words, y: Words) -> (Words, Words) {
    sse2!((_mm_unpacklo_epi64(x, y), _mm_unpackhi_epi64(x, y)))
}

#[inline(always)]
pub(super) fn pair(words: [u64; 2]) -> Pair {
    let [a, b] = words.map(u64::cast_signed);
    sse2!(_mm_set_epi64x(b, a))
}

#[inline(always)]
pub(super) fn pair_words(x: Pair) -> [u64; 2] {
    sse2!([_mm_cvtsi128_si64(x), _mm_cvtsi128_si64(_mm_unpackhi_epi64(x, x))]).map(i64::cast_unsigned)
}

#[inline(always)]
pub(super) fn pair_without(x: Pair, mask: Pair) -> Pair {
    without(x, mask)
}

#[inline(always)]
pub(super) fn pair_rotate_left(x: Pair, bits: u32) -> Pair {
    // A shift by 64 leaves nothing.
    let [left, right] = [bits, 64 - bits].map(|bits| sse2!(_mm_cvtsi64_si128(i64::from(bits))));
    sse2!(_mm_or_si128(_mm_sll_epi64(x, left), _mm_srl_epi64(x, right)))
}
