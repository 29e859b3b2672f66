//! A word of one nonce, or of four side by side.

use adit_plugin_sdk::simd::Words;

/// A word of each of `LANES` nonces. Arithmetic wraps.
pub trait Word<const LANES: usize>: Copy {
    /// A word for each nonce.
    fn new(words: [u32; LANES]) -> Self;
    fn words(self) -> [u32; LANES];
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    fn xor(self, other: Self) -> Self;
    /// Takes the bits that `other` does not have.
    fn without(self, other: Self) -> Self;
    fn not(self) -> Self;
    fn rotate_left<const BITS: u32>(self) -> Self;
    fn times_three(self) -> Self;
    fn times_five(self) -> Self;

    /// The same word for each nonce.
    #[inline(always)]
    fn splat(word: u32) -> Self {
        Self::new([word; LANES])
    }
}

impl Word<1> for u32 {
    #[inline(always)]
    fn new([word]: [u32; 1]) -> Self {
        word
    }

    #[inline(always)]
    fn words(self) -> [u32; 1] {
        [self]
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        self.wrapping_sub(other)
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        self ^ other
    }

    #[inline(always)]
    fn without(self, other: Self) -> Self {
        self & !other
    }

    #[inline(always)]
    fn not(self) -> Self {
        !self
    }

    #[inline(always)]
    fn rotate_left<const BITS: u32>(self) -> Self {
        self.rotate_left(BITS)
    }

    #[inline(always)]
    fn times_three(self) -> Self {
        self.wrapping_mul(3)
    }

    #[inline(always)]
    fn times_five(self) -> Self {
        self.wrapping_mul(5)
    }
}

impl Word<4> for Words {
    #[inline(always)]
    fn new(words: [u32; 4]) -> Self {
        Self::new(words)
    }

    #[inline(always)]
    fn words(self) -> [u32; 4] {
        self.words()
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self + other
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        self - other
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        self ^ other
    }

    #[inline(always)]
    fn without(self, other: Self) -> Self {
        self.without(other)
    }

    #[inline(always)]
    fn not(self) -> Self {
        !self
    }

    #[inline(always)]
    fn rotate_left<const BITS: u32>(self) -> Self {
        self.rotate_left::<BITS>()
    }

    // Vectors multiply slowly.
    #[inline(always)]
    fn times_three(self) -> Self {
        self.shift_left::<1>() + self
    }

    #[inline(always)]
    fn times_five(self) -> Self {
        self.shift_left::<2>() + self
    }
}
