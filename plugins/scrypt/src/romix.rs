//! ROMix with N = 1024 and r = 1 on four hashes, one in each lane of vectors that hold one word of Salsa20's state each.

use adit_plugin_sdk::simd::Words;

/// How many rows a hash has: scrypt's N.
const ROWS: usize = 1024;

/// The state of one hash at one step: 2r blocks of 64 bytes, as little-endian words.
pub type Row = [u32; 32];

/// The working memory: 512 KiB. A row of each of four hashes, and that 1024 times.
#[derive(Clone)]
pub struct Memory(Vec<[[Words; 8]; 4]>);

/// 64 bytes of each hash: vector `i` holds word `i`.
type Block = [Words; 16];

impl Memory {
    /// Takes the memory.
    pub fn new() -> Self {
        Self(vec![[[Words::new([0; 4]); 8]; 4]; ROWS])
    }

    /// Runs ROMix.
    pub fn mix(&mut self, states: &mut [Row; 4]) {
        let [mut low, mut high] = from_rows([0, 1, 2, 3].map(|hash| quads(&states[hash])));
        for rows in &mut self.0 {
            *rows = to_rows([low, high]);
            block_mix(&mut low, &mut high);
        }
        for _ in 0..ROWS {
            let [a, b, c, d] = high[0].words().map(|word| word as usize % ROWS);
            let [low_mask, high_mask] = from_rows([self.0[a][0], self.0[b][1], self.0[c][2], self.0[d][3]]);
            xor(&mut low, &low_mask);
            xor(&mut high, &high_mask);
            block_mix(&mut low, &mut high);
        }
        for (state, row) in states.iter_mut().zip(to_rows([low, high])) {
            for (words, quad) in state.as_chunks_mut().0.iter_mut().zip(row) {
                *words = quad.words();
            }
        }
    }
}

fn quads(row: &Row) -> [Words; 8] {
    [0, 1, 2, 3, 4, 5, 6, 7].map(|quad| Words::new([0, 1, 2, 3].map(|word| row[4 * quad + word])))
}

#[inline(always)]
fn to_rows(blocks: [Block; 2]) -> [[Words; 8]; 4] {
    let mut rows = [[blocks[0][0]; 8]; 4];
    for (quad, four) in blocks.as_flattened().as_chunks().0.iter().enumerate() {
        for (row, words) in rows.iter_mut().zip(Words::transpose(*four)) {
            row[quad] = words;
        }
    }
    rows
}

#[inline(always)]
fn from_rows(rows: [[Words; 8]; 4]) -> [Block; 2] {
    let mut blocks = [[rows[0][0]; 16]; 2];
    for (quad, four) in blocks.as_flattened_mut().as_chunks_mut().0.iter_mut().enumerate() {
        *four = Words::transpose([rows[0][quad], rows[1][quad], rows[2][quad], rows[3][quad]]);
    }
    blocks
}

/// Does scrypt's BlockMix.
#[inline(always)]
fn block_mix(low: &mut Block, high: &mut Block) {
    xor(low, high);
    salsa(low);
    xor(high, low);
    salsa(high);
}

#[inline(always)]
fn xor(block: &mut Block, mask: &Block) {
    for (words, mask) in block.iter_mut().zip(mask) {
        *words = *words ^ *mask;
    }
}

/// Does Salsa20/8: four double rounds, then the sum with what was there before.
#[inline(always)]
fn salsa(block: &mut Block) {
    let mut x = *block;
    macro_rules! step {
        ($bits:literal: $($into:literal by $a:literal $b:literal),*) => {
            $(x[$into] = x[$into] ^ (x[$a] + x[$b]).rotate_left::<$bits>();)*
        };
    }
    for _ in 0..4 {
        step!(7: 4 by 0 12, 9 by 5 1, 14 by 10 6, 3 by 15 11);
        step!(9: 8 by 4 0, 13 by 9 5, 2 by 14 10, 7 by 3 15);
        step!(13: 12 by 8 4, 1 by 13 9, 6 by 2 14, 11 by 7 3);
        step!(18: 0 by 12 8, 5 by 1 13, 10 by 6 2, 15 by 11 7);
        step!(7: 1 by 0 3, 6 by 5 4, 11 by 10 9, 12 by 15 14);
        step!(9: 2 by 1 0, 7 by 6 5, 8 by 11 10, 13 by 12 15);
        step!(13: 3 by 2 1, 4 by 7 6, 9 by 8 11, 14 by 13 12);
        step!(18: 0 by 3 2, 5 by 4 7, 10 by 9 8, 15 by 14 13);
    }
    for (words, more) in block.iter_mut().zip(x) {
        *words = *words + more;
    }
}
