//! WebAssembly's fixed-width vectors as two 64-bit words and as sums of products of nibbles, and the same in plain arrays for native
//! builds and their tests.

use std::ops::BitXor;

/// Two words, one for each state.
#[derive(Clone, Copy)]
pub struct Pair(lanes::Lanes);

impl Pair {
    /// A word for each state.
    #[inline(always)]
    pub fn new(words: [u64; 2]) -> Self {
        Self(lanes::from_words(words))
    }

    /// Returns the words.
    #[inline(always)]
    pub fn words(self) -> [u64; 2] {
        lanes::words(self.0)
    }

    /// Returns the bits that `mask` does not have.
    #[inline(always)]
    pub fn without(self, mask: Self) -> Self {
        Self(lanes::and_not(self.0, mask.0))
    }

    /// Turns each word towards its highest bit, by 0 to 63 bits.
    #[inline(always)]
    pub fn rotate_left(self, bits: u32) -> Self {
        match bits {
            0 => self,
            // Both shifts take their count modulo 64.
            _ => Self(lanes::or(lanes::shift_left(self.0, bits), lanes::shift_right(self.0, 64 - bits))),
        }
    }
}

impl BitXor for Pair {
    type Output = Self;

    #[inline(always)]
    fn bitxor(self, other: Self) -> Self {
        Self(lanes::xor(self.0, other.0))
    }
}

/// How many rows are multiplied side by side in one vector.
const ROWS: usize = 4;

/// How many vectors of rows are multiplied in one pass over the columns, so that their sums stay in registers.
const BLOCK: usize = 8;

/// The pairs of columns: one for each byte of a vector of 64 nibbles.
const PAIRS: usize = 32;

/// A matrix of 64 × 64 nibbles, laid out to be multiplied.
///
/// Vectors of four even rows and vectors of the four odd rows below them take turns: together they make four bytes.
#[derive(Debug, Clone)]
pub struct Products(Vec<[[lanes::Lanes; BLOCK]; PAIRS]>);

impl Products {
    /// Lays a matrix out.
    pub fn new(rows: &[[u8; 64]; 64]) -> Self {
        let pair = |row: usize, pair: usize| {
            let [high, low] = [rows[row][2 * pair], rows[row][2 * pair + 1]].map(u32::from);
            high | low << 16
        };
        let vector = |number: usize, column: usize| {
            let first = 2 * ROWS * (number / 2) + number % 2;
            lanes::new([0, 2, 4, 6].map(|row| pair(first + row, column)))
        };
        let mut blocks = vec![[[lanes::new([0; ROWS]); BLOCK]; PAIRS]; 64 / ROWS / BLOCK];
        for (block, columns) in blocks.iter_mut().enumerate() {
            for (column, vectors) in columns.iter_mut().enumerate() {
                for (place, slot) in vectors.iter_mut().enumerate() {
                    *slot = vector(block * BLOCK + place, column);
                }
            }
        }
        Self(blocks)
    }

    /// Multiplies with the nibbles of 32 bytes, high before low, and packs bits 10 to 13 of each sum the same way.
    #[inline(always)]
    pub fn times(&self, x: [u64; 4]) -> [u64; 4] {
        let mut nibbles = [0; PAIRS];
        for (four, word) in nibbles.chunks_exact_mut(8).zip(x) {
            for (pair, byte) in four.iter_mut().zip(word.to_le_bytes()) {
                *pair = u32::from(byte >> 4) | u32::from(byte & 0xf) << 16;
            }
        }
        let mut out = [0; 4];
        for (out, block) in out.as_chunks_mut::<2>().0.iter_mut().zip(&self.0) {
            let mut sums = [lanes::new([0; ROWS]); BLOCK];
            for (vectors, nibbles) in block.iter().zip(nibbles) {
                let nibbles = lanes::new([nibbles; ROWS]);
                for (sum, vector) in sums.iter_mut().zip(vectors) {
                    *sum = lanes::add(*sum, lanes::dot(*vector, nibbles));
                }
            }
            let [a, b, c, d, e, f, g, h] = sums;
            *out = lanes::words(lanes::pack([bytes(a, b), bytes(c, d), bytes(e, f), bytes(g, h)]));
        }
        out
    }
}

/// Returns four bytes, in a lane each, of the sums of even and odd rows, which have 14 bits.
#[inline(always)]
fn bytes(even: lanes::Lanes, odd: lanes::Lanes) -> lanes::Lanes {
    let [even, odd] = [even, odd].map(|sums| lanes::shift_right_narrow(sums, 10));
    lanes::or(lanes::shift_left_narrow(even, 4), odd)
}

#[cfg(target_feature = "simd128")]
mod lanes {
    pub use core::arch::wasm32::v128 as Lanes;
    use core::arch::wasm32::{i16x8_narrow_i32x4, u8x16_narrow_i16x8, u32x4, u64x2, u64x2_extract_lane};
    pub use core::arch::wasm32::{
        i32x4_add as add, i32x4_dot_i16x8 as dot, u32x4_shl as shift_left_narrow, u32x4_shr as shift_right_narrow,
        u64x2_shl as shift_left, u64x2_shr as shift_right, v128_andnot as and_not, v128_or as or, v128_xor as xor,
    };

    #[inline(always)]
    pub fn new([a, b, c, d]: [u32; 4]) -> Lanes {
        u32x4(a, b, c, d)
    }

    #[inline(always)]
    pub fn from_words([a, b]: [u64; 2]) -> Lanes {
        u64x2(a, b)
    }

    #[inline(always)]
    pub fn words(x: Lanes) -> [u64; 2] {
        [u64x2_extract_lane::<0>(x), u64x2_extract_lane::<1>(x)]
    }

    /// Returns the low bytes of sixteen lanes that hold bytes.
    #[inline(always)]
    pub fn pack([a, b, c, d]: [Lanes; 4]) -> Lanes {
        u8x16_narrow_i16x8(i16x8_narrow_i32x4(a, b), i16x8_narrow_i32x4(c, d))
    }
}

#[cfg(not(target_feature = "simd128"))]
mod lanes {
    /// The same bits as two words or four lanes: the first is the lowest.
    pub type Lanes = [u64; 2];

    #[inline(always)]
    fn both(x: Lanes, y: Lanes, combine: impl Fn(u64, u64) -> u64) -> Lanes {
        [combine(x[0], y[0]), combine(x[1], y[1])]
    }

    #[inline(always)]
    fn narrow(x: Lanes) -> [u32; 4] {
        let [a, b] = x.map(|word| [word & 0xffff_ffff, word >> 32].map(|half| u32::try_from(half).expect("32 bits")));
        [a[0], a[1], b[0], b[1]]
    }

    #[inline(always)]
    fn both_narrow(x: Lanes, y: Lanes, combine: impl Fn(u32, u32) -> u32) -> Lanes {
        let (x, y) = (narrow(x), narrow(y));
        new([0, 1, 2, 3].map(|lane| combine(x[lane], y[lane])))
    }

    #[inline(always)]
    pub fn new(lanes: [u32; 4]) -> Lanes {
        let [a, b, c, d] = lanes.map(u64::from);
        [a | b << 32, c | d << 32]
    }

    #[inline(always)]
    pub fn from_words(words: [u64; 2]) -> Lanes {
        words
    }

    #[inline(always)]
    pub fn words(x: Lanes) -> [u64; 2] {
        x
    }

    #[inline(always)]
    pub fn add(x: Lanes, y: Lanes) -> Lanes {
        both_narrow(x, y, u32::wrapping_add)
    }

    /// Adds the products of the lanes' two halves.
    #[inline(always)]
    pub fn dot(x: Lanes, y: Lanes) -> Lanes {
        both_narrow(x, y, |x, y| (x & 0xffff) * (y & 0xffff) + (x >> 16) * (y >> 16))
    }

    #[inline(always)]
    pub fn xor(x: Lanes, y: Lanes) -> Lanes {
        both(x, y, |x, y| x ^ y)
    }

    #[inline(always)]
    pub fn or(x: Lanes, y: Lanes) -> Lanes {
        both(x, y, |x, y| x | y)
    }

    #[inline(always)]
    pub fn and_not(x: Lanes, y: Lanes) -> Lanes {
        both(x, y, |x, y| x & !y)
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
    pub fn shift_left_narrow(x: Lanes, bits: u32) -> Lanes {
        new(narrow(x).map(|lane| lane << bits))
    }

    #[inline(always)]
    pub fn shift_right_narrow(x: Lanes, bits: u32) -> Lanes {
        new(narrow(x).map(|lane| lane >> bits))
    }

    /// Returns the low bytes of sixteen lanes that hold bytes.
    #[inline(always)]
    pub fn pack(parts: [Lanes; 4]) -> Lanes {
        let [a, b, c, d] = parts.map(|part| {
            let [a, b, c, d] = narrow(part).map(u64::from);
            a | b << 8 | c << 16 | d << 24
        });
        [a | b << 32, c | d << 32]
    }
}
