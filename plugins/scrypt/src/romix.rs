//! ROMix with N = 1024 and r = 1 on several hashes beside each other.
//!
//! Salsa20's state is a square of sixteen words. A vector holds one of its diagonals, so that what is done to all columns is done to whole vectors, and what
//! is done to all rows too once the vectors are turned against each other. A hash waits most for its own last step: four go on in turn, which is as
//! many as the sixteen vectors of a processor hold. Rounds are a loop: written out, the sandbox's compiler does one hash after the other.

use adit_plugin_sdk::simd::Words;

/// How many hashes are computed beside each other.
pub const HASHES: usize = 4;

/// How many rows a hash has: scrypt's N.
const ROWS: usize = 1024;

/// Which words of a square lie on each diagonal.
const DIAGONALS: [[usize; 4]; 4] = [[0, 5, 10, 15], [4, 9, 14, 3], [8, 13, 2, 7], [12, 1, 6, 11]];

/// The state of one hash at one step: 2r blocks of 64 bytes, as little-endian words.
pub type Row = [u32; 32];

/// The working memory: a row of each hash, and that 1024 times.
#[derive(Clone)]
pub struct Memory(Vec<Rows>);

/// A row of each hash: the first blocks of all, and the second ones.
type Rows = [[Block; HASHES]; 2];

/// 64 bytes of a hash: four diagonals.
type Block = [Words; 4];

impl Memory {
    /// Takes the memory.
    pub fn new() -> Self {
        Self(vec![[[[Words::splat(0); 4]; HASHES]; 2]; ROWS])
    }

    /// Runs ROMix.
    pub fn mix(&mut self, states: &mut [Row; HASHES]) {
        let block =
            |half: usize, state: &Row| DIAGONALS.map(|words| Words::new(words.map(|word| state[16 * half + word])));
        let mut rows = [0, 1].map(|half| states.each_ref().map(|state| block(half, state)));
        for kept in &mut self.0 {
            *kept = rows;
            block_mix(&mut rows);
        }
        for _ in 0..ROWS {
            for hash in 0..HASHES {
                let [.., high] = &rows;
                let kept = &self.0[high[hash][0].words()[0] as usize % ROWS];
                rows.iter_mut().zip(kept).for_each(|(blocks, masks)| xor(&mut blocks[hash], &masks[hash]));
            }
            block_mix(&mut rows);
        }
        for (half, blocks) in rows.iter().enumerate() {
            for (state, block) in states.iter_mut().zip(blocks) {
                for (places, words) in DIAGONALS.iter().zip(block) {
                    places.iter().zip(words.words()).for_each(|(place, word)| state[16 * half + place] = word);
                }
            }
        }
    }
}

/// Does scrypt's BlockMix.
#[inline(always)]
fn block_mix([low, high]: &mut Rows) {
    low.iter_mut().zip(&*high).for_each(|(block, mask)| xor(block, mask));
    salsa(low);
    high.iter_mut().zip(&*low).for_each(|(block, mask)| xor(block, mask));
    salsa(high);
}

#[inline(always)]
fn xor(block: &mut Block, mask: &Block) {
    for (words, mask) in block.iter_mut().zip(mask) {
        *words = *words ^ *mask;
    }
}

/// Does Salsa20/8: eight rounds, on the columns and on the rows in turn, then the sum with what was there before.
#[inline(always)]
fn salsa(blocks: &mut [Block; HASHES]) {
    let mut x = *blocks;
    for _ in 0..8 {
        step::<7>(&mut x, 1, [0, 3]);
        step::<9>(&mut x, 2, [1, 0]);
        step::<13>(&mut x, 3, [2, 1]);
        step::<18>(&mut x, 0, [3, 2]);
        x.iter_mut().for_each(turn);
    }
    for (words, more) in blocks.as_flattened_mut().iter_mut().zip(x.as_flattened()) {
        *words = *words + *more;
    }
}

#[inline(always)]
fn step<const BITS: u32>(blocks: &mut [Block; HASHES], into: usize, [one, other]: [usize; 2]) {
    for x in blocks {
        x[into] = x[into] ^ (x[one] + x[other]).rotate_left::<BITS>();
    }
}

/// Makes rows of columns, and columns of rows: the diagonals beside the first are turned against it, and two of them change places.
#[inline(always)]
fn turn([_, second, third, last]: &mut Block) {
    (*second, *last) = (last.turn_lanes::<1>(), second.turn_lanes::<3>());
    *third = third.turn_lanes::<2>();
}
