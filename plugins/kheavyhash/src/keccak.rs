//! Keccak-f[1600] (FIPS 202), on one state or on two side by side.

use adit_plugin_sdk::simd::Pair;

const CONSTANTS: [u64; 24] = [
    0x0000_0000_0000_0001,
    0x0000_0000_0000_8082,
    0x8000_0000_0000_808a,
    0x8000_0000_8000_8000,
    0x0000_0000_0000_808b,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8009,
    0x0000_0000_0000_008a,
    0x0000_0000_0000_0088,
    0x0000_0000_8000_8009,
    0x0000_0000_8000_000a,
    0x0000_0000_8000_808b,
    0x8000_0000_0000_008b,
    0x8000_0000_0000_8089,
    0x8000_0000_0000_8003,
    0x8000_0000_0000_8002,
    0x8000_0000_0000_0080,
    0x0000_0000_0000_800a,
    0x8000_0000_8000_000a,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8080,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8008,
];

/// By how many bits the word at x + 5y turns.
const TURNS: [u32; 25] = [0, 1, 62, 28, 27, 36, 44, 6, 55, 20, 3, 10, 43, 25, 39, 41, 45, 15, 21, 8, 18, 2, 61, 56, 14];

/// A word of one state, or of two.
pub trait Word: Copy {
    /// The same word for each state.
    fn splat(word: u64) -> Self;
    fn xor(self, other: Self) -> Self;
    /// The bits of `self` that `mask` does not have.
    fn without(self, mask: Self) -> Self;
    /// Turns towards the highest bit, by 0 to 63 bits.
    fn rotate_left(self, bits: u32) -> Self;
}

impl Word for u64 {
    #[inline(always)]
    fn splat(word: u64) -> Self {
        word
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        self ^ other
    }

    #[inline(always)]
    fn without(self, mask: Self) -> Self {
        self & !mask
    }

    #[inline(always)]
    fn rotate_left(self, bits: u32) -> Self {
        self.rotate_left(bits)
    }
}

impl Word for Pair {
    #[inline(always)]
    fn splat(word: u64) -> Self {
        Self::new([word; 2])
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        self ^ other
    }

    #[inline(always)]
    fn without(self, mask: Self) -> Self {
        self.without(mask)
    }

    #[inline(always)]
    fn rotate_left(self, bits: u32) -> Self {
        self.rotate_left(bits)
    }
}

/// Permutes a state. The word at x + 5y is the lane (x, y).
#[inline(always)]
pub fn permute<W: Word>(state: &mut [W; 25]) {
    for constant in CONSTANTS {
        round(state, W::splat(constant));
    }
}

#[inline(always)]
fn round<W: Word>(state: &mut [W; 25], constant: W) {
    let mut parity = [constant; 5];
    for x in 0..5 {
        let [a, b, c] = [state[x].xor(state[x + 5]), state[x + 10].xor(state[x + 15]), state[x + 20]];
        parity[x] = a.xor(b).xor(c);
    }
    let mut moved = [constant; 25];
    for x in 0..5 {
        let effect = parity[(x + 4) % 5].xor(parity[(x + 1) % 5].rotate_left(1));
        for y in 0..5 {
            moved[y + 5 * ((2 * x + 3 * y) % 5)] = state[x + 5 * y].xor(effect).rotate_left(TURNS[x + 5 * y]);
        }
    }
    for y in 0..5 {
        for x in 0..5 {
            state[x + 5 * y] = moved[x + 5 * y].xor(moved[(x + 2) % 5 + 5 * y].without(moved[(x + 1) % 5 + 5 * y]));
        }
    }
    state[0] = state[0].xor(constant);
}
