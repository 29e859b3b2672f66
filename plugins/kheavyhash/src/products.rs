//! The product of a matrix of nibbles and a vector of them, four rows at a time.

use adit_plugin_sdk::simd::Words;

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
pub struct Products(Vec<[[Words; BLOCK]; PAIRS]>);

impl Products {
    /// Lays a matrix out.
    pub fn new(rows: &[[u8; 64]; 64]) -> Self {
        let pair = |row: usize, pair: usize| {
            let [high, low] = [rows[row][2 * pair], rows[row][2 * pair + 1]].map(u32::from);
            high | low << 16
        };
        let vector = |number: usize, column: usize| {
            let first = 2 * ROWS * (number / 2) + number % 2;
            Words::new([0, 2, 4, 6].map(|row| pair(first + row, column)))
        };
        let mut blocks = vec![[[Words::splat(0); BLOCK]; PAIRS]; 64 / ROWS / BLOCK];
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
            let mut sums = [Words::splat(0); BLOCK];
            for (vectors, nibbles) in block.iter().zip(nibbles) {
                let nibbles = Words::splat(nibbles);
                for (sum, vector) in sums.iter_mut().zip(vectors) {
                    *sum = *sum + vector.dot(nibbles);
                }
            }
            let [a, b, c, d, e, f, g, h] = sums;
            *out = Words::pack([bytes(a, b), bytes(c, d), bytes(e, f), bytes(g, h)]).words();
        }
        out
    }
}

/// Returns four bytes, in a lane each, of the sums of even and odd rows, which have 14 bits.
#[inline(always)]
fn bytes(even: Words, odd: Words) -> Words {
    let [even, odd] = [even, odd].map(Words::shift_right::<10>);
    even.shift_left::<4>() | odd
}
