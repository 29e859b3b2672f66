//! The plain scheme: leaves, the nodes over them, and the leaf with the lowest score under a challenge.
//!
//! Everything is SHA-256 (or BLAKE3) of one or two blocks whose shape is known: what is the same in every lane is computed once.

use super::baseline::{is_below, score};
use crate::blake3::compress as blake3_rounds;
use crate::sha256d::plain::INITIAL;
use crate::sha256d::rounds::{
    K, compress, compress_fixed, each, eight_rounds, expand, one_round, round, sigma_0, sigma_1, small_sigma_0,
    small_sigma_1, splat_all, swap_bytes,
};
use crate::words::Words;
use crate::words::portable::Portable;
use adit_primitives::space::{BestLeaf, LEAF_BYTES, ScoreHash, leaf};

/// Words of a leaf.
const LEAF: usize = LEAF_BYTES / 4;

/// Words of a block.
const BLOCK: usize = 16;

/// Words of what a leaf is the hash of: the plot's id, and an index.
const LEAF_OF: usize = 10;

/// The padding behind them.
const LEAF_PADDING: [u32; BLOCK] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x8000_0000, 0, 0, 0, 0, 320];

/// The message words plus constants of the block behind 64 bytes: their padding.
const PADDING_AFTER_64: [u32; 64] = {
    let mut words = [0; 64];
    words[0] = 0x8000_0000;
    words[15] = 512;
    let mut index = 16;
    while index < 64 {
        let (early, late): (u32, u32) = (words[index - 15], words[index - 2]);
        let small_0 = early.rotate_right(7) ^ early.rotate_right(18) ^ (early >> 3);
        let small_1 = late.rotate_right(17) ^ late.rotate_right(19) ^ (late >> 10);
        let sum: u32 = words[index - 16];
        words[index] = sum.wrapping_add(small_0).wrapping_add(words[index - 7]).wrapping_add(small_1);
        index += 1;
    }
    let mut index = 0;
    while index < 64 {
        words[index] = words[index].wrapping_add(K[index]);
        index += 1;
    }
    words
};

/// Makes the leaves of a plot.
struct Maker<V: Words> {
    machine: V::Machine,
    /// The plot's id and room for an index; behind them is nothing of account.
    message: [V; BLOCK],
    first: u64,
}

impl<V: Words> Maker<V> {
    #[inline(always)]
    fn new(machine: V::Machine, plot: &[u8; 32], first: u64) -> Self {
        let mut message = [V::splat(machine, 0); BLOCK];
        for (lanes, bytes) in message.iter_mut().zip(plot.as_chunks().0) {
            *lanes = V::splat(machine, u32::from_be_bytes(*bytes));
        }
        Self { machine, message, first }
    }

    /// Makes a leaf in each lane: the words of its digest.
    #[inline(always)]
    fn group(&mut self, group: usize) -> [V; 8] {
        let mut halves = [[0; BLOCK]; 2];
        let [low, high] = &mut halves;
        for (lane, (low, high)) in low.iter_mut().zip(high.iter_mut()).enumerate() {
            let index = self.first.wrapping_add((group * V::LANES + lane) as u64).to_le_bytes();
            *low = u32::from_be_bytes([index[0], index[1], index[2], index[3]]);
            *high = u32::from_be_bytes([index[4], index[5], index[6], index[7]]);
        }
        self.message[8] = V::load(self.machine, low);
        self.message[9] = V::load(self.machine, high);
        let mut state = splat_all::<V, 8>(self.machine, INITIAL);
        compress_fixed::<V, LEAF_OF>(self.machine, &mut state, self.message, &LEAF_PADDING);
        state
    }
}

/// Does `SpaceEngine::leaves` for whole groups of lanes.
#[inline(always)]
pub(super) fn leaves<V: Words>(machine: V::Machine, plot: &[u8; 32], first: u64, leaves: &mut [u8]) {
    let mut maker = Maker::<V>::new(machine, plot, first);
    for (group, out) in leaves.chunks_exact_mut(V::LANES * LEAF_BYTES).enumerate() {
        write(&maker.group(group), out);
    }
}

/// Does `SpaceEngine::nodes` for whole groups of lanes.
#[inline(always)]
pub(super) fn nodes<V: Words>(machine: V::Machine, pairs: &[u8], nodes: &mut [u8]) {
    let groups = pairs.chunks_exact(V::LANES * 2 * LEAF_BYTES).zip(nodes.chunks_exact_mut(V::LANES * LEAF_BYTES));
    for (pairs, out) in groups {
        let mut message = [V::splat(machine, 0); BLOCK];
        turn(machine, pairs, &mut message);
        for word in &mut message {
            *word = swap_bytes(machine, *word);
        }
        let mut state = splat_all::<V, 8>(machine, INITIAL);
        compress(machine, &mut state, message);
        pad(machine, &mut state);
        write(&state, out);
    }
}

/// Reads rows of `message.len()` words, one for each lane: vector `i` holds the words number `i`, little-endian.
#[inline(always)]
fn turn<V: Words>(machine: V::Machine, rows: &[u8], message: &mut [V]) {
    let each = 4 * message.len();
    // A square is as wide as the lanes, or, where a row is narrower, filled with what follows it.
    if V::LANES <= message.len() {
        for (part, square) in message.chunks_exact_mut(V::LANES).enumerate() {
            for (lane, vector) in square.iter_mut().enumerate() {
                *vector = V::from_le_bytes(machine, &rows[lane * each + 4 * V::LANES * part..]);
            }
            V::transpose(square);
        }
    } else {
        let mut words = [[0; BLOCK]; BLOCK];
        for (lane, row) in rows.chunks_exact(each).enumerate() {
            for (words, bytes) in words.iter_mut().zip(row.as_chunks().0) {
                words[lane] = u32::from_le_bytes(*bytes);
            }
        }
        for (vector, words) in message.iter_mut().zip(&words) {
            *vector = V::load(machine, words);
        }
    }
}

/// Writes a digest for each lane.
#[inline(always)]
fn write<V: Words>(state: &[V; 8], out: &mut [u8]) {
    let mut words = [[0; BLOCK]; 8];
    for (words, state) in words.iter_mut().zip(state) {
        state.store(words);
    }
    for (lane, digest) in out.as_chunks_mut::<LEAF_BYTES>().0.iter_mut().enumerate() {
        for (bytes, words) in digest.as_chunks_mut().0.iter_mut().zip(&words) {
            *bytes = words[lane].to_be_bytes();
        }
    }
}

/// Folds the padding behind 64 bytes into the states.
#[inline(always)]
fn pad<V: Words>(machine: V::Machine, state: &mut [V; 8]) {
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    for eight in PADDING_AFTER_64.as_chunks::<8>().0 {
        macro_rules! word {
            ($index:expr) => {
                V::splat(machine, eight[$index])
            };
        }
        eight_rounds!(a b c d e f g h, 0, word);
    }
    for (state, now) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *state = *state + now;
    }
}

/// Leaves to be scored.
pub(super) struct Task<'a> {
    pub hash: ScoreHash,
    pub challenge: &'a [u8; 32],
    pub leaves: &'a [u8],
    /// The place of the first among all.
    pub start: usize,
}

/// Does `SpaceEngine::best_leaf` for whole groups of lanes. `best` is what was found before.
#[inline(always)]
pub(super) fn best<V: Words>(machine: V::Machine, task: &Task<'_>, best: &mut Option<BestLeaf>) {
    match task.hash {
        ScoreHash::Sha256 => lowest::<V, _>(machine, task, &Sha256Start::new(task.challenge), best),
        ScoreHash::Blake3 => lowest::<V, _>(machine, task, &Blake3Start::new(task.challenge), best),
    }
}

/// Looks at the highest words of all scores, and whole at those that may be the lowest.
#[inline(always)]
fn lowest<V: Words, S: Start>(machine: V::Machine, task: &Task<'_>, start: &S, best: &mut Option<BestLeaf>) {
    let top_of = |best: &Option<BestLeaf>| best.map_or(u32::MAX, |best| highest(&best.score));
    let mut bound = V::splat(machine, top_of(best));
    for (group, rows) in task.leaves.chunks_exact(V::LANES * LEAF_BYTES).enumerate() {
        let mut leaf = [V::splat(machine, 0); LEAF];
        turn(machine, rows, &mut leaf);
        let mut candidates = start.top(machine, &leaf).at_most(bound);
        while candidates != 0 {
            let lane = candidates.trailing_zeros() as usize;
            candidates &= candidates - 1;
            let score = score(task.hash, task.challenge, &rows[lane * LEAF_BYTES..][..LEAF_BYTES]);
            if best.is_none_or(|best| is_below(&score, &best.score)) {
                *best = Some(BestLeaf { index: task.start + group * V::LANES + lane, score });
                bound = V::splat(machine, top_of(best));
            }
        }
    }
}

/// Leaves to be made and scored.
pub(super) struct Made<'a> {
    pub hash: ScoreHash,
    pub challenge: &'a [u8; 32],
    pub plot: &'a [u8; 32],
    /// The index of the first.
    pub first: u64,
    pub count: usize,
    /// The place of the first among all.
    pub start: usize,
}

/// Does `Backend::best_made` for whole groups of lanes. `best` is what was found before.
#[inline(always)]
pub(super) fn best_made<V: Words>(machine: V::Machine, made: &Made<'_>, best: &mut Option<BestLeaf>) {
    match made.hash {
        ScoreHash::Sha256 => lowest_made::<V, _>(machine, made, &Sha256Start::new(made.challenge), best),
        ScoreHash::Blake3 => lowest_made::<V, _>(machine, made, &Blake3Start::new(made.challenge), best),
    }
}

/// Makes leaves and scores them where they are, in registers. Those that may be the lowest are made once more.
#[inline(always)]
fn lowest_made<V: Words, S: Start>(machine: V::Machine, made: &Made<'_>, start: &S, best: &mut Option<BestLeaf>) {
    let top_of = |best: &Option<BestLeaf>| best.map_or(u32::MAX, |best| highest(&best.score));
    let mut bound = V::splat(machine, top_of(best));
    let mut maker = Maker::<V>::new(machine, made.plot, made.first);
    for group in 0..made.count / V::LANES {
        let mut words = maker.group(group);
        for word in &mut words {
            *word = swap_bytes(machine, *word);
        }
        let mut candidates = start.top(machine, &words).at_most(bound);
        while candidates != 0 {
            let place = group * V::LANES + candidates.trailing_zeros() as usize;
            candidates &= candidates - 1;
            let score = score(made.hash, made.challenge, &leaf(made.plot, made.first.wrapping_add(place as u64)));
            if best.is_none_or(|best| is_below(&score, &best.score)) {
                *best = Some(BestLeaf { index: made.start + place, score });
                bound = V::splat(machine, top_of(best));
            }
        }
    }
}

/// The highest 32 bits of a score.
fn highest(score: &[u8; 32]) -> u32 {
    u32::from_le_bytes([score[28], score[29], score[30], score[31]])
}

/// What a challenge lets one compute once.
// No closure: what is as large as this is not inlined out of one, and is compiled there without the vectors' instructions.
trait Start {
    /// Returns the highest words of the scores of a leaf in each lane.
    fn top<V: Words>(&self, machine: V::Machine, leaf: &[V; LEAF]) -> V;
}

/// What a challenge lets SHA-256 compute once: the first eight rounds.
struct Sha256Start {
    words: [u32; 8],
    after: [u32; 8],
}

impl Sha256Start {
    fn new(challenge: &[u8; 32]) -> Self {
        let mut words = [0; 8];
        let mut after = INITIAL;
        for ((word, bytes), constant) in words.iter_mut().zip(challenge.as_chunks().0).zip(K) {
            *word = u32::from_be_bytes(*bytes);
            after = one_round(after, word.wrapping_add(constant));
        }
        Self { words, after }
    }
}

impl Start for Sha256Start {
    #[inline(always)]
    fn top<V: Words>(&self, machine: V::Machine, leaf: &[V; LEAF]) -> V {
        let known = splat_all::<V, 8>(machine, self.words);
        let mut w = [V::splat(machine, 0); BLOCK];
        w[..8].copy_from_slice(&known);
        for (word, leaf) in w[8..].iter_mut().zip(leaf) {
            *word = swap_bytes(machine, *leaf);
        }
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = splat_all::<V, 8>(machine, self.after);
        let (sixteens, _) = K.as_chunks::<16>();
        macro_rules! next {
            ($index:expr) => {
                expand!(w[$index]);
            };
        }
        for (number, sixteen) in sixteens.iter().enumerate() {
            macro_rules! word {
                ($index:expr) => {
                    w[$index] + V::splat(machine, sixteen[$index])
                };
            }
            if number > 0 {
                each!(next: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
                eight_rounds!(a b c d e f g h, 0, word);
            }
            eight_rounds!(a b c d e f g h, 8, word);
        }
        let mut state = splat_all::<V, 8>(machine, INITIAL);
        for (state, now) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
            *state = *state + now;
        }
        pad(machine, &mut state);
        swap_bytes(machine, state[7])
    }
}

/// What a challenge lets BLAKE3 compute once: half of the first round.
struct Blake3Start {
    words: [u32; 8],
    after: [u32; 16],
}

impl Blake3Start {
    fn new(challenge: &[u8; 32]) -> Self {
        use blake3_rounds::{CHUNK_END, CHUNK_START, IV, ROOT, columns, state};
        let one = |word| Portable::<1>::splat((), word);
        let mut block = [one(0); BLOCK];
        let mut words = [0; 8];
        for ((word, lanes), bytes) in words.iter_mut().zip(&mut block).zip(challenge.as_chunks().0) {
            *word = u32::from_le_bytes(*bytes);
            *lanes = one(*word);
        }
        let flags = CHUNK_START | CHUNK_END | ROOT;
        let mut v = state((), &IV.map(one), 64, flags);
        columns::<Portable<1>, 0, 8>(&mut v, &block);
        Self { words, after: v.map(Portable::word) }
    }
}

impl Start for Blake3Start {
    #[inline(always)]
    fn top<V: Words>(&self, machine: V::Machine, leaf: &[V; LEAF]) -> V {
        use blake3_rounds::{diagonals, later_rounds};
        let mut block = [V::splat(machine, 0); BLOCK];
        block[..8].copy_from_slice(&splat_all::<V, 8>(machine, self.words));
        block[8..].copy_from_slice(leaf);
        let mut v = splat_all::<V, 16>(machine, self.after);
        diagonals::<V, 0, BLOCK>(&mut v, &block);
        later_rounds::<V, BLOCK>(&mut v, &block);
        v[7] ^ v[15]
    }
}
