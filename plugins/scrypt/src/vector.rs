//! Four 32-bit words at once: WebAssembly's fixed-width vectors, and the same in plain arrays for native builds and their tests.

use std::ops::{Add, BitXor};

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

    /// Rotates each word left by `BITS`, 1 to 31.
    #[inline(always)]
    pub fn rotate_left<const BITS: u32>(self) -> Self {
        Self(lanes::or(lanes::shift_left(self.0, BITS), lanes::shift_right(self.0, 32 - BITS)))
    }

    /// Turns a square over its diagonal: word `i` of vector `j` becomes word `j` of vector `i`.
    #[inline(always)]
    pub fn transpose([a, b, c, d]: [Self; 4]) -> [Self; 4] {
        let (ab, cd) = (lanes::zip(a.0, b.0), lanes::zip(c.0, d.0));
        let (low, high) = (lanes::halves(ab.0, cd.0), lanes::halves(ab.1, cd.1));
        [Self(low.0), Self(low.1), Self(high.0), Self(high.1)]
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

#[cfg(target_feature = "simd128")]
mod lanes {
    pub use core::arch::wasm32::v128 as Lanes;
    use core::arch::wasm32::{u32x4, u32x4_extract_lane, u32x4_shuffle, u64x2_shuffle};
    pub use core::arch::wasm32::{
        u32x4_add as add, u32x4_shl as shift_left, u32x4_shr as shift_right, v128_or as or, v128_xor as xor,
    };

    #[inline(always)]
    pub fn new([a, b, c, d]: [u32; 4]) -> Lanes {
        u32x4(a, b, c, d)
    }

    #[inline(always)]
    pub fn words(x: Lanes) -> [u32; 4] {
        [u32x4_extract_lane::<0>(x), u32x4_extract_lane::<1>(x), u32x4_extract_lane::<2>(x), u32x4_extract_lane::<3>(x)]
    }

    /// The low words of both in turn, and the high ones.
    #[inline(always)]
    pub fn zip(x: Lanes, y: Lanes) -> (Lanes, Lanes) {
        (u32x4_shuffle::<0, 4, 1, 5>(x, y), u32x4_shuffle::<2, 6, 3, 7>(x, y))
    }

    /// The low halves of both, and the high ones.
    #[inline(always)]
    pub fn halves(x: Lanes, y: Lanes) -> (Lanes, Lanes) {
        (u64x2_shuffle::<0, 2>(x, y), u64x2_shuffle::<1, 3>(x, y))
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
    pub fn or(x: Lanes, y: Lanes) -> Lanes {
        both(x, y, |x, y| x | y)
    }

    #[inline(always)]
    pub fn xor(x: Lanes, y: Lanes) -> Lanes {
        both(x, y, |x, y| x ^ y)
    }

    #[inline(always)]
    pub fn shift_left(x: Lanes, bits: u32) -> Lanes {
        x.map(|word| word << bits)
    }

    #[inline(always)]
    pub fn shift_right(x: Lanes, bits: u32) -> Lanes {
        x.map(|word| word >> bits)
    }

    #[inline(always)]
    pub fn zip(x: Lanes, y: Lanes) -> (Lanes, Lanes) {
        ([x[0], y[0], x[1], y[1]], [x[2], y[2], x[3], y[3]])
    }

    #[inline(always)]
    pub fn halves(x: Lanes, y: Lanes) -> (Lanes, Lanes) {
        ([x[0], x[1], y[0], y[1]], [x[2], x[3], y[2], y[3]])
    }
}
