//! The matrix: 64 rows of 64 nibbles, by a seed.

use crate::products::Products;

const SIDE: usize = 64;

/// A pivot up to this counts as zero.
const EPSILON: f64 = 1e-9;

/// A matrix of nibbles. Within a row the columns of the high nibbles stand before those of the low ones, as [`Matrix::mix`] takes them.
#[derive(Debug, Clone)]
pub struct Matrix(Products);

/// xoshiro256++ of Blackman and Vigna.
struct Generator([u64; 4]);

/// Returns the seed of an input's matrix: its first 32 bytes, padded with zeros.
pub fn seed(input: &[u8]) -> [u8; 32] {
    let mut seed = [0; 32];
    let length = input.len().min(seed.len());
    seed[..length].copy_from_slice(&input[..length]);
    seed
}

impl Matrix {
    /// Returns the first matrix of full rank that the generator of a seed brings.
    ///
    /// From a seed of zeros the generator brings nothing but zeros, for ever: that seed has the matrix of zeros.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let mut state = [0; 4];
        for (word, bytes) in state.iter_mut().zip(seed.as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        let mut generator = Generator(state);
        let mut rows = generator.rows();
        while state != [0; 4] && !has_full_rank(&rows) {
            rows = generator.rows();
        }
        Self(Products::new(&rows))
    }

    /// Returns x ⊕ (matrix · x), where a vector's nibbles are the bytes' high and low halves and a sum counts by its bits 10 to 13.
    pub fn mix(&self, x: [u64; 4]) -> [u64; 4] {
        let product = self.0.times(x);
        [0, 1, 2, 3].map(|word| x[word] ^ product[word])
    }
}

impl Generator {
    fn next(&mut self) -> u64 {
        let [a, b, c, d] = self.0;
        let out = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        self.0 = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        out
    }

    /// Fills rows one after another, sixteen nibbles of each number from the lowest.
    fn rows(&mut self) -> [[u8; SIDE]; SIDE] {
        let mut rows = [[0; SIDE]; SIDE];
        for nibbles in rows.as_flattened_mut().chunks_exact_mut(16) {
            let number = self.next();
            for (place, nibble) in nibbles.iter_mut().enumerate() {
                *nibble = (number >> (4 * place) & 0xf) as u8;
            }
        }
        rows
    }
}

/// Tells whether Gauss's elimination finds a pivot in each column.
///
/// The one rule with floating point: Kaspa's nodes decide it in `f64`, so the operations are theirs, one by one and in their order.
/// WebAssembly rounds each of them alike on every machine. What they do to rows that were pivots decides nothing and is left out.
fn has_full_rank(rows: &[[u8; SIDE]; SIDE]) -> bool {
    let mut rows = rows.map(|row| row.map(f64::from));
    // The rows that were no pivot yet, in order.
    let mut left: Vec<usize> = (0..SIDE).collect();
    for column in 0..SIDE {
        let Some(first) = left.iter().position(|row| rows[*row][column].abs() > EPSILON) else { return false };
        let mut pivot = rows[left.remove(first)];
        let divisor = pivot[column];
        for value in &mut pivot[column + 1..] {
            *value /= divisor;
        }
        for row in &left {
            let row = &mut rows[*row];
            let factor = row[column];
            if factor.abs() > EPSILON {
                for (value, pivot) in row[column + 1..].iter_mut().zip(&pivot[column + 1..]) {
                    *value -= pivot * factor;
                }
            }
        }
    }
    true
}
