//! Vectors of words, for algorithms that do the same to several inputs: in a component WebAssembly's fixed-width SIMD, natively SSE2 or
//! plain arrays.
//!
//! [`Words`] are four words of 32 bits, [`Pair`] two of 64. Arithmetic wraps, and every operation gives the same everywhere for all
//! inputs, so a plugin's native tests say what its component answers. No `unsafe` and no target feature enters a plugin: the SDK's build turns SIMD on.
//!
//! Reading order: this file, then `wasm`, `x86` and `arrays`, which have the same functions.

#[cfg(any(test, not(any(target_feature = "simd128", target_arch = "x86_64"))))]
mod arrays;
#[cfg(target_feature = "simd128")]
mod wasm;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(not(any(target_feature = "simd128", target_arch = "x86_64")))]
use arrays as lanes;
use std::ops::{Add, BitAnd, BitOr, BitXor, Not, Sub};
#[cfg(target_feature = "simd128")]
use wasm as lanes;
#[cfg(target_arch = "x86_64")]
use x86 as lanes;

/// Four words of 32 bits, one in each lane.
#[derive(Debug, Clone, Copy)]
pub struct Words(lanes::Words);

/// Two words of 64 bits, one in each lane.
#[derive(Debug, Clone, Copy)]
pub struct Pair(lanes::Pair);

impl Words {
    /// A word for each lane.
    #[inline(always)]
    pub fn new(words: [u32; 4]) -> Self {
        Self(lanes::new(words))
    }

    /// The same word in each lane.
    #[inline(always)]
    pub fn splat(word: u32) -> Self {
        Self::new([word; 4])
    }

    /// Returns the words.
    #[inline(always)]
    pub fn words(self) -> [u32; 4] {
        lanes::words(self.0)
    }

    /// Shifts each word towards its highest bit, by 0 to 31.
    #[inline(always)]
    pub fn shift_left<const BITS: u32>(self) -> Self {
        const { assert!(BITS < 32) }
        Self(lanes::shift_left(self.0, BITS))
    }

    /// Shifts each word towards its lowest bit, by 0 to 31.
    #[inline(always)]
    pub fn shift_right<const BITS: u32>(self) -> Self {
        const { assert!(BITS < 32) }
        Self(lanes::shift_right(self.0, BITS))
    }

    /// Turns each word towards its highest bit, by 1 to 31.
    #[inline(always)]
    pub fn rotate_left<const BITS: u32>(self) -> Self {
        const { assert!(0 < BITS && BITS < 32) }
        Self(lanes::or(lanes::shift_left(self.0, BITS), lanes::shift_right(self.0, 32 - BITS)))
    }

    /// Turns each word towards its lowest bit, by 1 to 31.
    #[inline(always)]
    pub fn rotate_right<const BITS: u32>(self) -> Self {
        const { assert!(0 < BITS && BITS < 32) }
        Self(lanes::or(lanes::shift_right(self.0, BITS), lanes::shift_left(self.0, 32 - BITS)))
    }

    /// Reverses the bytes of each word.
    #[inline(always)]
    pub fn swap_bytes(self) -> Self {
        Self(lanes::swap_bytes(self.0))
    }

    /// Moves each word so many lanes towards the first, by 1 to 3: those that leave come in again at the other end.
    #[inline(always)]
    pub fn turn_lanes<const LANES: usize>(self) -> Self {
        const { assert!(0 < LANES && LANES < 4) }
        Self(lanes::turn_lanes::<LANES>(self.0))
    }

    /// Takes the bits that `mask` does not have.
    #[inline(always)]
    pub fn without(self, mask: Self) -> Self {
        Self(lanes::without(self.0, mask.0))
    }

    /// Returns a bit for each lane, the lowest for the first: set where the word is not above `bound`.
    #[inline(always)]
    pub fn at_most(self, bound: Self) -> u8 {
        lanes::at_most(self.0, bound.0)
    }

    /// Multiplies the low halves and the high halves of each word, as signed numbers of 16 bits, and adds the two products.
    #[inline(always)]
    pub fn dot(self, other: Self) -> Self {
        Self(lanes::dot(self.0, other.0))
    }

    /// Returns sixteen words as bytes, the first the lowest: each, as a signed number, brought within 0 to 255.
    #[inline(always)]
    pub fn pack([a, b, c, d]: [Self; 4]) -> Pair {
        Pair(lanes::pack(a.0, b.0, c.0, d.0))
    }

    /// Turns a square over its diagonal: word `i` of vector `j` becomes word `j` of vector `i`.
    #[inline(always)]
    pub fn transpose([a, b, c, d]: [Self; 4]) -> [Self; 4] {
        let (ab, cd) = (lanes::zip(a.0, b.0), lanes::zip(c.0, d.0));
        let (low, high) = (lanes::halves(ab.0, cd.0), lanes::halves(ab.1, cd.1));
        [Self(low.0), Self(low.1), Self(high.0), Self(high.1)]
    }
}

impl Pair {
    /// A word for each lane.
    #[inline(always)]
    pub fn new(words: [u64; 2]) -> Self {
        Self(lanes::pair(words))
    }

    /// Returns the words.
    #[inline(always)]
    pub fn words(self) -> [u64; 2] {
        lanes::pair_words(self.0)
    }

    /// Turns each word towards its highest bit, by 0 to 63.
    #[inline(always)]
    pub fn rotate_left(self, bits: u32) -> Self {
        Self(lanes::pair_rotate_left(self.0, bits))
    }

    /// Takes the bits that `mask` does not have.
    #[inline(always)]
    pub fn without(self, mask: Self) -> Self {
        Self(lanes::pair_without(self.0, mask.0))
    }
}

/// Gives a vector an operator of two operands.
macro_rules! operator {
    ($($vector:ident: $operator:ident $method:ident by $function:ident;)*) => {$(
        impl $operator for $vector {
            type Output = Self;

            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Self(lanes::$function(self.0, other.0))
            }
        }
    )*};
}

operator! {
    Words: Add add by add;
    Words: Sub sub by sub;
    Words: BitAnd bitand by and;
    Words: BitOr bitor by or;
    Words: BitXor bitxor by xor;
    Pair: BitXor bitxor by pair_xor;
}

impl Not for Words {
    type Output = Self;

    #[inline(always)]
    fn not(self) -> Self {
        Self(lanes::not(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Checks a vector against what each lane's own word gives.
    #[track_caller]
    fn check(got: Words, x: [u32; 4], y: [u32; 4], want: impl Fn(u32, u32) -> u32) {
        assert_eq!(got.words(), [0, 1, 2, 3].map(|lane| want(x[lane], y[lane])));
    }

    proptest! {
        #[test]
        fn each_lane_computes_as_its_word_does(x: [u32; 4], y: [u32; 4]) {
            let (a, b) = (Words::new(x), Words::new(y));
            check(a + b, x, y, u32::wrapping_add);
            check(a - b, x, y, u32::wrapping_sub);
            check(a & b, x, y, |x, y| x & y);
            check(a | b, x, y, |x, y| x | y);
            check(a ^ b, x, y, |x, y| x ^ y);
            check(!a, x, y, |x, _| !x);
            check(a.without(b), x, y, |x, y| x & !y);
            check(a.shift_left::<5>(), x, y, |x, _| x << 5);
            check(a.shift_right::<5>(), x, y, |x, _| x >> 5);
            check(a.rotate_left::<7>(), x, y, |x, _| x.rotate_left(7));
            check(a.rotate_right::<7>(), x, y, |x, _| x.rotate_right(7));
            check(a.swap_bytes(), x, y, |x, _| x.swap_bytes());
            let [first, second, third, last] = x;
            prop_assert_eq!(a.turn_lanes::<1>().words(), [second, third, last, first]);
            prop_assert_eq!(a.turn_lanes::<2>().words(), [third, last, first, second]);
            prop_assert_eq!(a.turn_lanes::<3>().words(), [last, first, second, third]);
        }

        #[test]
        fn a_pair_computes_as_its_words_do(x: [u64; 2], y: [u64; 2], bits in 0_u32..64) {
            let (a, b) = (Pair::new(x), Pair::new(y));
            prop_assert_eq!((a ^ b).words(), [x[0] ^ y[0], x[1] ^ y[1]]);
            prop_assert_eq!(a.without(b).words(), [x[0] & !y[0], x[1] & !y[1]]);
            prop_assert_eq!(a.rotate_left(bits).words(), x.map(|word| word.rotate_left(bits)));
        }

        #[test]
        fn bytes_are_packed_in_order(bytes: [u8; 16]) {
            let words = bytes.map(u32::from);
            let four = [0, 4, 8, 12].map(|first| Words::new([0, 1, 2, 3].map(|lane| words[first + lane])));
            let (low, high) = bytes.split_at(8);
            let want = [low, high].map(|half| u64::from_le_bytes(half.try_into().unwrap()));
            prop_assert_eq!(Words::pack(four).words(), want);
        }
    }

    /// What each machine has is the same: what is tested here on vectors holds on machines that have arrays alone.
    #[cfg(target_arch = "x86_64")]
    mod on_every_machine {
        use super::super::{arrays, x86};
        use super::*;

        proptest! {
            #[test]
            fn one_word_gives_the_same(x: [u32; 4], bits in 0_u32..32) {
                let v = x86::new(x);
                prop_assert_eq!(x86::words(v), arrays::words(arrays::new(x)));
                prop_assert_eq!(x86::words(x86::not(v)), arrays::not(x));
                prop_assert_eq!(x86::words(x86::shift_left(v, bits)), arrays::shift_left(x, bits));
                prop_assert_eq!(x86::words(x86::shift_right(v, bits)), arrays::shift_right(x, bits));
                prop_assert_eq!(x86::words(x86::swap_bytes(v)), arrays::swap_bytes(x));
                prop_assert_eq!(x86::words(x86::turn_lanes::<1>(v)), arrays::turn_lanes::<1>(x));
                prop_assert_eq!(x86::words(x86::turn_lanes::<2>(v)), arrays::turn_lanes::<2>(x));
                prop_assert_eq!(x86::words(x86::turn_lanes::<3>(v)), arrays::turn_lanes::<3>(x));
            }

            #[test]
            fn two_words_give_the_same(x: [u32; 4], y: [u32; 4], same in 0_usize..5) {
                // Equal words in the same lane are rare at random, and where bounds are met.
                let y = [0, 1, 2, 3].map(|lane| if lane < same { x[lane] } else { y[lane] });
                let (v, w) = (x86::new(x), x86::new(y));
                prop_assert_eq!(x86::words(x86::add(v, w)), arrays::add(x, y));
                prop_assert_eq!(x86::words(x86::sub(v, w)), arrays::sub(x, y));
                prop_assert_eq!(x86::words(x86::and(v, w)), arrays::and(x, y));
                prop_assert_eq!(x86::words(x86::or(v, w)), arrays::or(x, y));
                prop_assert_eq!(x86::words(x86::xor(v, w)), arrays::xor(x, y));
                prop_assert_eq!(x86::words(x86::without(v, w)), arrays::without(x, y));
                prop_assert_eq!(x86::words(x86::dot(v, w)), arrays::dot(x, y));
                prop_assert_eq!(x86::at_most(v, w), arrays::at_most(x, y));
                let both = |(a, b)| (x86::words(a), x86::words(b));
                prop_assert_eq!(both(x86::zip(v, w)), arrays::zip(x, y));
                prop_assert_eq!(both(x86::halves(v, w)), arrays::halves(x, y));
            }

            #[test]
            fn bytes_are_packed_the_same(four: [[i16; 4]; 4], wide: [u32; 4]) {
                // Small numbers of either sign, and one vector of any.
                let [a, b, c, _] = four.map(|words| words.map(|word| i32::from(word >> 6).cast_unsigned()));
                let [v, w, u, t] = [a, b, c, wide].map(x86::new);
                prop_assert_eq!(x86::pair_words(x86::pack(v, w, u, t)), arrays::pack(a, b, c, wide));
            }

            #[test]
            fn a_pair_gives_the_same(x: [u64; 2], y: [u64; 2], bits in 0_u32..64) {
                let (v, w) = (x86::pair(x), x86::pair(y));
                prop_assert_eq!(x86::pair_words(v), arrays::pair_words(arrays::pair(x)));
                prop_assert_eq!(x86::pair_words(x86::pair_xor(v, w)), arrays::pair_xor(x, y));
                prop_assert_eq!(x86::pair_words(x86::pair_without(v, w)), arrays::pair_without(x, y));
                prop_assert_eq!(x86::pair_words(x86::pair_rotate_left(v, bits)), arrays::pair_rotate_left(x, bits));
            }
        }
    }

    #[test]
    fn lanes_within_a_bound_are_counted_from_the_lowest_bit() {
        let bound = Words::splat(5);
        assert_eq!(Words::new([5, 6, u32::MAX, 0]).at_most(bound), 0b1001);
        assert_eq!(Words::new([6, 5, 4, 1 << 31]).at_most(bound), 0b0110);
    }

    #[test]
    fn halves_are_multiplied_with_their_signs() {
        let x = Words::new([3 | 5 << 16, 0xffff, 0x8000_8000, 0]);
        let y = Words::new([7 | 11 << 16, 2, 0x8000_8000, 9]);
        assert_eq!(x.dot(y).words(), [3 * 7 + 5 * 11, 0xffff_fffe, 0x8000_0000, 0]);
    }

    #[test]
    fn words_beyond_a_byte_are_brought_to_its_ends() {
        let four = [Words::new([256, u32::MAX, 255, 0]), Words::splat(1), Words::splat(1 << 31), Words::splat(40_000)];
        assert_eq!(Words::pack(four).words(), [0x0101_0101_00ff_00ff, 0xffff_ffff_0000_0000]);
    }

    #[test]
    fn a_square_is_turned_over_its_diagonal() {
        let rows = [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15]];
        let columns = [[0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15]];
        assert_eq!(Words::transpose(rows.map(Words::new)).map(Words::words), columns);
    }
}
