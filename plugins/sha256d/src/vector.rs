//! Four 32-bit words at once: WebAssembly's fixed-width vectors, and the same in plain arrays for native builds and their tests.

use std::ops::{Add, BitAnd, BitXor};

/// Four words, one for each lane. Arithmetic wraps.
#[derive(Clone, Copy)]
pub struct Words(lanes::Lanes);

impl Words {
    /// The same word in each lane.
    #[inline(always)]
    pub fn splat(word: u32) -> Self {
        Self(lanes::new([word; 4]))
    }

    /// A word for each lane.
    #[inline(always)]
    pub fn new(words: [u32; 4]) -> Self {
        Self(lanes::new(words))
    }

    /// Returns the words.
    #[inline(always)]
    pub fn words(self) -> [u32; 4] {
        lanes::words(self.0)
    }

    /// Rotates each word right by `BITS`, 1 to 31.
    #[inline(always)]
    pub fn rotate_right<const BITS: u32>(self) -> Self {
        Self(lanes::or(lanes::shift_right::<BITS>(self.0), lanes::shift_left(self.0, 32 - BITS)))
    }

    /// Shifts each word right by `BITS`.
    #[inline(always)]
    pub fn shift_right<const BITS: u32>(self) -> Self {
        Self(lanes::shift_right::<BITS>(self.0))
    }

    /// Reverses the bytes of each word.
    #[inline(always)]
    pub fn swap_bytes(self) -> Self {
        Self(lanes::swap_bytes(self.0))
    }

    /// Returns a bit for each lane whose word is at most `bound`.
    #[inline(always)]
    pub fn not_above(self, bound: u32) -> u8 {
        lanes::not_above(self.0, lanes::new([bound; 4]))
    }
}

impl Add for Words {
    type Output = Self;

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(lanes::add(self.0, other.0))
    }
}

impl BitXor for Words {
    type Output = Self;

    #[inline(always)]
    fn bitxor(self, other: Self) -> Self {
        Self(lanes::xor(self.0, other.0))
    }
}

impl BitAnd for Words {
    type Output = Self;

    #[inline(always)]
    fn bitand(self, other: Self) -> Self {
        Self(lanes::and(self.0, other.0))
    }
}

#[cfg(target_feature = "simd128")]
mod lanes {
    pub use core::arch::wasm32::v128 as Lanes;
    use core::arch::wasm32::{i8x16_shuffle, u32x4, u32x4_bitmask, u32x4_extract_lane, u32x4_le, u32x4_shl, u32x4_shr};
    pub use core::arch::wasm32::{u32x4_add as add, v128_and as and, v128_or as or, v128_xor as xor};

    #[inline(always)]
    pub fn new([a, b, c, d]: [u32; 4]) -> Lanes {
        u32x4(a, b, c, d)
    }

    #[inline(always)]
    pub fn words(x: Lanes) -> [u32; 4] {
        [u32x4_extract_lane::<0>(x), u32x4_extract_lane::<1>(x), u32x4_extract_lane::<2>(x), u32x4_extract_lane::<3>(x)]
    }

    #[inline(always)]
    pub fn shift_right<const BITS: u32>(x: Lanes) -> Lanes {
        u32x4_shr(x, BITS)
    }

    #[inline(always)]
    pub fn shift_left(x: Lanes, bits: u32) -> Lanes {
        u32x4_shl(x, bits)
    }

    #[inline(always)]
    pub fn swap_bytes(x: Lanes) -> Lanes {
        i8x16_shuffle::<3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12>(x, x)
    }

    #[inline(always)]
    pub fn not_above(x: Lanes, bound: Lanes) -> u8 {
        u32x4_bitmask(u32x4_le(x, bound))
    }
}

#[cfg(not(target_feature = "simd128"))]
mod lanes {
    pub type Lanes = [u32; 4];

    #[inline(always)]
    fn both(x: Lanes, y: Lanes, combine: impl Fn(u32, u32) -> u32) -> Lanes {
        [combine(x[0], y[0]), combine(x[1], y[1]), combine(x[2], y[2]), combine(x[3], y[3])]
    }

    #[inline(always)]
    pub fn new(words: [u32; 4]) -> Lanes {
        words
    }

    #[inline(always)]
    pub fn words(x: Lanes) -> [u32; 4] {
        x
    }

    #[inline(always)]
    pub fn add(x: Lanes, y: Lanes) -> Lanes {
        both(x, y, u32::wrapping_add)
    }

    #[inline(always)]
    pub fn and(x: Lanes, y: Lanes) -> Lanes {
        both(x, y, |x, y| x & y)
    }

    #[inline(always)]
    pub fn or(x: Lanes, y: Lanes) -> Lanes {
        both(x, y, |x, y| x | y)
    }

    #[inline(always)]
    pub fn xor(x: Lanes, y: Lanes) -> Lanes {
        both(x, y, |x, y| x ^ y)
    }

    #[inline(always)]
    pub fn shift_right<const BITS: u32>(x: Lanes) -> Lanes {
        x.map(|word| word >> BITS)
    }

    #[inline(always)]
    pub fn shift_left(x: Lanes, bits: u32) -> Lanes {
        x.map(|word| word << bits)
    }

    #[inline(always)]
    pub fn swap_bytes(x: Lanes) -> Lanes {
        x.map(u32::swap_bytes)
    }

    #[inline(always)]
    pub fn not_above(x: Lanes, bound: Lanes) -> u8 {
        both(x, bound, |x, bound| u32::from(x <= bound))
            .iter()
            .rev()
            .fold(0, |mask, bit| mask << 1 | u8::from(*bit == 1))
    }
}
