//! The lanes as WebAssembly's vectors: all of this is one instruction each, or few.

use core::arch::wasm32::{
    i8x16_shuffle, i16x8_narrow_i32x4, u8x16_narrow_i16x8, u32x4, u32x4_bitmask, u32x4_extract_lane, u32x4_le,
    u32x4_shuffle, u64x2, u64x2_extract_lane, u64x2_shl, u64x2_shr, u64x2_shuffle, v128,
};
pub(super) use core::arch::wasm32::{
    i32x4_dot_i16x8 as dot, u32x4_add as add, u32x4_shl as shift_left, u32x4_shr as shift_right, u32x4_sub as sub,
    v128_and as and, v128_andnot as without, v128_andnot as pair_without, v128_not as not, v128_or as or,
    v128_xor as xor, v128_xor as pair_xor,
};

pub(super) type Words = v128;
pub(super) type Pair = v128;

#[inline(always)]
pub(super) fn new([a, b, c, d]: [u32; 4]) -> Words {
    u32x4(a, b, c, d)
}

#[inline(always)]
pub(super) fn words(x: Words) -> [u32; 4] {
    [u32x4_extract_lane::<0>(x), u32x4_extract_lane::<1>(x), u32x4_extract_lane::<2>(x), u32x4_extract_lane::<3>(x)]
}

#[inline(always)]
pub(super) fn swap_bytes(x: Words) -> Words {
    i8x16_shuffle::<3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12>(x, x)
}

#[inline(always)]
pub(super) fn at_most(x: Words, bound: Words) -> u8 {
    u32x4_bitmask(u32x4_le(x, bound))
}

#[inline(always)]
pub(super) fn pack(a: Words, b: Words, c: Words, d: Words) -> Pair {
    u8x16_narrow_i16x8(i16x8_narrow_i32x4(a, b), i16x8_narrow_i32x4(c, d))
}

#[inline(always)]
pub(super) fn turn_lanes<const LANES: usize>(x: Words) -> Words {
    match LANES {
        1 => u32x4_shuffle::<1, 2, 3, 0>(x, x),
        2 => u32x4_shuffle::<2, 3, 0, 1>(x, x),
        3 => u32x4_shuffle::<3, 0, 1, 2>(x, x),
        _ => x,
    }
}

/// The low words of both in turn, and the high ones.
#[inline(always)]
pub(super) fn zip(x: Words, y: Words) -> (Words, Words) {
    (u32x4_shuffle::<0, 4, 1, 5>(x, y), u32x4_shuffle::<2, 6, 3, 7>(x, y))
}

/// The low halves of both, and the high ones.
#[inline(always)]
pub(super) fn halves(x: Words, y: Words) -> (Words, Words) {
    (u64x2_shuffle::<0, 2>(x, y), u64x2_shuffle::<1, 3>(x, y))
}

#[inline(always)]
pub(super) fn pair([a, b]: [u64; 2]) -> Pair {
    u64x2(a, b)
}

#[inline(always)]
pub(super) fn pair_words(x: Pair) -> [u64; 2] {
    [u64x2_extract_lane::<0>(x), u64x2_extract_lane::<1>(x)]
}

#[inline(always)]
pub(super) fn pair_rotate_left(x: Pair, bits: u32) -> Pair {
    match bits {
        0 => x,
        // Both shifts take their count modulo 64.
        _ => or(u64x2_shl(x, bits), u64x2_shr(x, 64 - bits)),
    }
}
