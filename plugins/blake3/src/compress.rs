//! BLAKE3's compression function, on one input or on four side by side.

use adit_plugin_sdk::simd::Words;

pub const IV: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

pub const CHUNK_START: u32 = 1;
pub const CHUNK_END: u32 = 2;
pub const PARENT: u32 = 4;
pub const ROOT: u32 = 8;

/// Which message words the four columns and the four diagonals of each round take, two each.
const SCHEDULE: [[usize; 16]; 7] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
    [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8],
    [3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1],
    [10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6],
    [12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4],
    [9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7],
    [11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13],
];

/// A word of one input, or of four.
pub trait Word: Copy {
    /// The same word for each input.
    fn splat(word: u32) -> Self;
    /// The sum, wrapping.
    fn plus(self, other: Self) -> Self;
    fn xor(self, other: Self) -> Self;
    fn rotate_right<const BITS: u32>(self) -> Self;
}

impl Word for u32 {
    #[inline(always)]
    fn splat(word: u32) -> Self {
        word
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        self ^ other
    }

    #[inline(always)]
    fn rotate_right<const BITS: u32>(self) -> Self {
        self.rotate_right(BITS)
    }
}

impl Word for Words {
    #[inline(always)]
    fn splat(word: u32) -> Self {
        Self::new([word; 4])
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self + other
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        self ^ other
    }

    #[inline(always)]
    fn rotate_right<const BITS: u32>(self) -> Self {
        self.rotate_right::<BITS>()
    }
}

/// Where a block stands and how much of it is input.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// The number of the chunk; 0 for a parent.
    pub chunk: u64,
    /// The block's bytes of input.
    pub length: u32,
    /// What the block is: [`CHUNK_START`] and its kin.
    pub flags: u32,
}

/// The state that a block begins with.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the number of the chunk is taken apart")]
pub fn state<W: Word>(chaining: &[W; 8], place: Place) -> [W; 16] {
    let [a, b, c, d, e, f, g, h] = *chaining;
    let [i, j, k, l] = [IV[0], IV[1], IV[2], IV[3]].map(W::splat);
    let [m, n] = [place.chunk as u32, (place.chunk >> 32) as u32].map(W::splat);
    [a, b, c, d, e, f, g, h, i, j, k, l, m, n, W::splat(place.length), W::splat(place.flags)]
}

/// Compresses a block, and returns the new chaining value: for the root, the digest.
#[inline(always)]
pub fn compress<W: Word>(chaining: &[W; 8], block: &[W; 16], place: Place) -> [W; 8] {
    let mut v = state(chaining, place);
    columns::<W, 0, 16>(&mut v, block);
    diagonals::<W, 0, 16>(&mut v, block);
    later_rounds::<W, 16>(&mut v, block);
    let mut out = *chaining;
    for (index, out) in out.iter_mut().enumerate() {
        *out = v[index].xor(v[index + 8]);
    }
    out
}

/// Does all rounds but the first. Message words from number `WORDS` on are zero.
#[inline(always)]
pub fn later_rounds<W: Word, const WORDS: usize>(v: &mut [W; 16], block: &[W; 16]) {
    macro_rules! rounds {
        ($($round:literal)*) => {$(
            columns::<W, $round, WORDS>(v, block);
            diagonals::<W, $round, WORDS>(v, block);
        )*};
    }
    rounds!(1 2 3 4 5 6);
}

/// Does the first half of a round.
#[inline(always)]
fn columns<W: Word, const ROUND: usize, const WORDS: usize>(v: &mut [W; 16], block: &[W; 16]) {
    for half in 0..2 {
        for column in 0..4 {
            let word = const { SCHEDULE[ROUND] }[2 * column + half];
            mix::<W, WORDS>(v, [column, 4 + column, 8 + column, 12 + column], half, word, block);
        }
    }
}

/// Does the second half of a round.
#[inline(always)]
pub fn diagonals<W: Word, const ROUND: usize, const WORDS: usize>(v: &mut [W; 16], block: &[W; 16]) {
    for half in 0..2 {
        for column in 0..4 {
            let word = const { SCHEDULE[ROUND] }[8 + 2 * column + half];
            let places = [column, 4 + (column + 1) % 4, 8 + (column + 2) % 4, 12 + (column + 3) % 4];
            mix::<W, WORDS>(v, places, half, word, block);
        }
    }
}

/// Does one of the two halves of the mixing function at four places of the state.
#[inline(always)]
pub fn mix<W: Word, const WORDS: usize>(
    v: &mut [W; 16],
    [a, b, c, d]: [usize; 4],
    half: usize,
    word: usize,
    block: &[W; 16],
) {
    // The message first: the sum does not wait for `v[b]`, which is the last to be ready.
    if word < WORDS {
        v[a] = v[a].plus(block[word]);
    }
    v[a] = v[a].plus(v[b]);
    v[d] = v[d].xor(v[a]);
    v[d] = if half == 0 { v[d].rotate_right::<16>() } else { v[d].rotate_right::<8>() };
    v[c] = v[c].plus(v[d]);
    v[b] = v[b].xor(v[c]);
    v[b] = if half == 0 { v[b].rotate_right::<12>() } else { v[b].rotate_right::<7>() };
}
