//! kHeavyHash on the `keccak` crate, one input after another, as Kaspa's node writes it: what backends are compared with, never
//! mined with.
//!
//! It shares no code with the backends, so that their tests can compare with it.

use crate::kernel::{Finds, Job, Kernel};
use crate::whole;
use keccak::Keccak;
use std::cell::RefCell;
use std::sync::LazyLock;

const SIDE: usize = 64;
const RATE: usize = 136;

static OUTER: LazyLock<[u64; 25]> = LazyLock::new(|| named(b"ProofOfWorkHash"));
static HEAVY: LazyLock<[u64; 25]> = LazyLock::new(|| named(b"HeavyHash"));

/// The comparison.
pub(super) struct Baseline;

/// The matrix of the last seed: a search has the same one for each nonce.
struct Matrix {
    seed: [u8; 32],
    rows: [[u16; SIDE]; SIDE],
}

impl Kernel for Baseline {
    const ALGORITHM: &'static str = super::NAME;
    const BACKEND: &'static str = "keccak-crate";

    fn detect() -> Option<Self> {
        Some(Self)
    }

    fn digest_many(&self, inputs: &[u8], each: usize, digests: &mut [[u8; 32]]) {
        digest_many(&mut None, inputs, each, digests);
    }

    fn search(&self, job: &Job<'_>, finds: &mut Finds<'_>) -> u64 {
        let last = RefCell::new(None);
        whole::search::<1>(|inputs, each, out| digest_many(&mut last.borrow_mut(), inputs, each, out), job, finds)
    }
}

/// Hashes one input.
#[cfg(test)]
pub(super) fn hash(input: &[u8]) -> [u8; 32] {
    digest(&Matrix::new(seed(input)), input)
}

fn digest_many(last: &mut Option<Matrix>, inputs: &[u8], each: usize, digests: &mut [[u8; 32]]) {
    for (number, out) in digests.iter_mut().enumerate() {
        let input = &inputs[number * each..][..each];
        let seed = seed(input);
        let matrix = last.take().filter(|matrix| matrix.seed == seed).unwrap_or_else(|| Matrix::new(seed));
        *out = digest(&matrix, input);
        *last = Some(matrix);
    }
}

fn digest(matrix: &Matrix, input: &[u8]) -> [u8; 32] {
    let x = cshake(*OUTER, input);
    let mut vector = [0; SIDE];
    for (place, byte) in x.iter().enumerate() {
        vector[2 * place] = u16::from(byte >> 4);
        vector[2 * place + 1] = u16::from(byte & 0xf);
    }
    let mut mixed = x;
    for (place, byte) in mixed.iter_mut().enumerate() {
        for (row, shift) in [(2 * place, 4), (2 * place + 1, 0)] {
            let products = matrix.rows[row].iter().zip(vector).map(|(cell, value)| cell.wrapping_mul(value));
            let sum = products.fold(0, u16::wrapping_add);
            *byte ^= u8::try_from(sum >> 10).expect("sums have 14 bits") << shift;
        }
    }
    cshake(*HEAVY, &mixed)
}

fn seed(input: &[u8]) -> [u8; 32] {
    std::array::from_fn(|place| input.get(place).copied().unwrap_or(0))
}

/// Returns the state that has absorbed a name: cSHAKE256's rate, an empty function name, and the customization.
fn named(name: &[u8]) -> [u64; 25] {
    let mut block = vec![1, 136, 1, 0, 1, u8::try_from(8 * name.len()).expect("names are short")];
    block.extend_from_slice(name);
    block.resize(RATE, 0);
    let mut state = [0; 25];
    absorb(&mut state, &block);
    state
}

fn absorb(state: &mut [u64; 25], block: &[u8]) {
    for (word, bytes) in state.iter_mut().zip(block.as_chunks().0) {
        *word ^= u64::from_le_bytes(*bytes);
    }
    Keccak::new().with_f1600(|permute| permute(state));
}

/// Hashes an input with the function whose name a state has absorbed.
fn cshake(mut state: [u64; 25], input: &[u8]) -> [u8; 32] {
    let (blocks, rest) = input.as_chunks::<RATE>();
    blocks.iter().for_each(|block| absorb(&mut state, block));
    let mut last = [0; RATE];
    last[..rest.len()].copy_from_slice(rest);
    last[rest.len()] = 4;
    last[RATE - 1] |= 0x80;
    absorb(&mut state, &last);
    let mut out = [0; 32];
    out.as_chunks_mut().0.iter_mut().zip(state).for_each(|(bytes, word)| *bytes = word.to_le_bytes());
    out
}

impl Matrix {
    fn new(seed: [u8; 32]) -> Self {
        let mut state: [u64; 4] = std::array::from_fn(|word| u64::from_le_bytes(seed.as_chunks().0[word]));
        let mut rows = [[0; SIDE]; SIDE];
        while state != [0; 4] {
            for sixteen in rows.as_flattened_mut().chunks_mut(16) {
                let mut number = xoshiro(&mut state);
                for cell in sixteen {
                    *cell = u16::try_from(number & 0xf).expect("a nibble");
                    number >>= 4;
                }
            }
            if rank(&rows) == SIDE {
                break;
            }
        }
        Self { seed, rows }
    }
}

fn xoshiro([a, b, c, d]: &mut [u64; 4]) -> u64 {
    let out = (*a).wrapping_add(*d).rotate_left(23).wrapping_add(*a);
    let shifted = *b << 17;
    *c ^= *a;
    *d ^= *b;
    *b ^= *c;
    *a ^= *d;
    *c ^= shifted;
    *d = d.rotate_left(45);
    out
}

/// Gauss and Jordan's elimination, every row.
fn rank(rows: &[[u16; SIDE]; SIDE]) -> usize {
    let mut rows = rows.map(|row| row.map(f64::from));
    let mut is_pivot = [false; SIDE];
    for column in 0..SIDE {
        let Some(pivot) = (0..SIDE).find(|row| !is_pivot[*row] && rows[*row][column].abs() > 1e-9) else { continue };
        is_pivot[pivot] = true;
        for next in column + 1..SIDE {
            rows[pivot][next] /= rows[pivot][column];
        }
        for row in (0..SIDE).filter(|row| *row != pivot) {
            if rows[row][column].abs() > 1e-9 {
                for next in column + 1..SIDE {
                    rows[row][next] -= rows[pivot][next] * rows[row][column];
                }
            }
        }
    }
    is_pivot.into_iter().filter(|is_pivot| *is_pivot).count()
}
