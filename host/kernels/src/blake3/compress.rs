//! BLAKE3's compression function on the lanes of any vector.

use crate::words::Words;

pub(crate) const IV: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

pub(crate) const CHUNK_START: u32 = 1;
pub(crate) const CHUNK_END: u32 = 2;
pub(crate) const ROOT: u32 = 8;

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

/// The state that a block begins with. `length` is the block's, in bytes.
#[inline(always)]
pub(crate) fn state<V: Words>(machine: V::Machine, chaining: &[V; 8], length: u32, flags: u32) -> [V; 16] {
    let [a, b, c, d, e, f, g, h] = *chaining;
    let splat = |word| V::splat(machine, word);
    let zero = splat(0);
    let [i, j, k, l] = [splat(IV[0]), splat(IV[1]), splat(IV[2]), splat(IV[3])];
    [a, b, c, d, e, f, g, h, i, j, k, l, zero, zero, splat(length), splat(flags)]
}

/// Compresses a block of a chunk whose number is 0, and returns the new chaining value: for the root, the digest.
#[inline(always)]
pub(crate) fn compress<V: Words>(
    machine: V::Machine,
    chaining: &[V; 8],
    block: &[V; 16],
    length: u32,
    flags: u32,
) -> [V; 8] {
    let mut v = state(machine, chaining, length, flags);
    columns::<V, 0, 16>(&mut v, block);
    diagonals::<V, 0, 16>(&mut v, block);
    later_rounds::<V, 16>(&mut v, block);
    let mut out = *chaining;
    for (index, out) in out.iter_mut().enumerate() {
        *out = v[index] ^ v[index + 8];
    }
    out
}

/// Does all rounds but the first. Message words from number `WORDS` on are zero.
#[inline(always)]
pub(crate) fn later_rounds<V: Words, const WORDS: usize>(v: &mut [V; 16], block: &[V; 16]) {
    macro_rules! rounds {
        ($($round:literal)*) => {$(
            columns::<V, $round, WORDS>(v, block);
            diagonals::<V, $round, WORDS>(v, block);
        )*};
    }
    rounds!(1 2 3 4 5 6);
}

/// Does the first half of a round.
#[inline(always)]
pub(crate) fn columns<V: Words, const ROUND: usize, const WORDS: usize>(v: &mut [V; 16], block: &[V; 16]) {
    for half in 0..2 {
        for column in 0..4 {
            let word = const { SCHEDULE[ROUND] }[2 * column + half];
            mix::<V, WORDS>(v, [column, 4 + column, 8 + column, 12 + column], half, word, block);
        }
    }
}

/// Does the second half of a round.
#[inline(always)]
pub(crate) fn diagonals<V: Words, const ROUND: usize, const WORDS: usize>(v: &mut [V; 16], block: &[V; 16]) {
    for half in 0..2 {
        for column in 0..4 {
            let word = const { SCHEDULE[ROUND] }[8 + 2 * column + half];
            let places = [column, 4 + (column + 1) % 4, 8 + (column + 2) % 4, 12 + (column + 3) % 4];
            mix::<V, WORDS>(v, places, half, word, block);
        }
    }
}

/// Does one of the two halves of the mixing function at four places of the state.
#[inline(always)]
pub(crate) fn mix<V: Words, const WORDS: usize>(
    v: &mut [V; 16],
    [a, b, c, d]: [usize; 4],
    half: usize,
    word: usize,
    block: &[V; 16],
) {
    // The message first: the sum does not wait for `v[b]`, which is the last to be ready.
    if word < WORDS {
        v[a] = v[a] + block[word];
    }
    v[a] = v[a] + v[b];
    v[d] = v[d] ^ v[a];
    v[d] = if half == 0 { v[d].rotate_right::<16>() } else { v[d].rotate_right::<8>() };
    v[c] = v[c] + v[d];
    v[b] = v[b] ^ v[c];
    v[b] = if half == 0 { v[b].rotate_right::<12>() } else { v[b].rotate_right::<7>() };
}
