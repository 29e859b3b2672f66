//! Four 32-bit words at once: WebAssembly's fixed-width vectors, and the same in plain arrays for native builds and their tests.

use std::ops::{Add, BitXor, Not, Sub};

/// Four words, one for each lane. Arithmetic wraps.
#[derive(Clone, Copy)]
pub struct Words(lanes::Lanes);

impl Words {
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

    /// Shifts each word left by `BITS`.
    #[inline(always)]
    pub fn shift_left<const BITS: u32>(self) -> Self {
        Self(lanes::shift_left(self.0, BITS))
    }

    /// Rotates each word left by `BITS`, 1 to 31.
    #[inline(always)]
    pub fn rotate_left<const BITS: u32>(self) -> Self {
        Self(lanes::or(lanes::shift_left(self.0, BITS), lanes::shift_right(self.0, 32 - BITS)))
    }

    /// Takes the bits that `other` does not have.
    #[inline(always)]
    pub fn without(self, other: Self) -> Self {
        Self(lanes::without(self.0, other.0))
    }
}

impl Add for Words {
    type Output = Self;

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(lanes::add(self.0, other.0))
    }
}

impl Sub for Words {
    type Output = Self;

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self(lanes::sub(self.0, other.0))
    }
}

impl BitXor for Words {
    type Output = Self;

    #[inline(always)]
    fn bitxor(self, other: Self) -> Self {
        Self(lanes::xor(self.0, other.0))
    }
}

impl Not for Words {
    type Output = Self;

    #[inline(always)]
    fn not(self) -> Self {
        Self(lanes::not(self.0))
    }
}

#[cfg(target_feature = "simd128")]
mod lanes {
    pub use core::arch::wasm32::v128 as Lanes;
    use core::arch::wasm32::{u32x4, u32x4_extract_lane};
    pub use core::arch::wasm32::{
        u32x4_add as add, u32x4_shl as shift_left, u32x4_shr as shift_right, u32x4_sub as sub, v128_andnot as without,
        v128_not as not, v128_or as or, v128_xor as xor,
    };

    #[inline(always)]
    pub fn new([a, b, c, d]: [u32; 4]) -> Lanes {
        u32x4(a, b, c, d)
    }

    #[inline(always)]
    pub fn words(x: Lanes) -> [u32; 4] {
        [u32x4_extract_lane::<0>(x), u32x4_extract_lane::<1>(x), u32x4_extract_lane::<2>(x), u32x4_extract_lane::<3>(x)]
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
    pub fn sub(x: Lanes, y: Lanes) -> Lanes {
        both(x, y, u32::wrapping_sub)
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
    pub fn without(x: Lanes, y: Lanes) -> Lanes {
        both(x, y, |x, y| x & !y)
    }

    #[inline(always)]
    pub fn not(x: Lanes) -> Lanes {
        x.map(|word| !word)
    }

    #[inline(always)]
    pub fn shift_left(x: Lanes, bits: u32) -> Lanes {
        x.map(|word| word << bits)
    }

    #[inline(always)]
    pub fn shift_right(x: Lanes, bits: u32) -> Lanes {
        x.map(|word| word >> bits)
    }
}
