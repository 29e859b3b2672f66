//! Whole inputs, one in each lane.

use super::compress::{CHUNK_END, CHUNK_START, IV, ROOT, compress};
use crate::words::Words;

/// Inputs up to this length are one chunk; longer ones are trees.
pub(super) const CHUNK: usize = 1024;

const BLOCK: usize = 64;

/// Hashes `digests.len()` inputs of `each` bytes, `LANES` at a time. `each` is at most [`CHUNK`].
#[inline(always)]
pub(super) fn digest_many<V: Words, const LANES: usize>(
    machine: V::Machine,
    inputs: &[u8],
    each: usize,
    digests: &mut [[u8; 32]],
) {
    const { assert!(LANES == V::LANES) };
    for (number, digests) in digests.chunks_mut(LANES).enumerate() {
        let first = number * LANES * each;
        let mut rows = [&inputs[first..first + each]; LANES];
        for (number, row) in rows[..digests.len()].iter_mut().enumerate() {
            *row = &inputs[first + number * each..][..each];
        }
        let words = digest_group::<V, LANES>(machine, &rows);
        for (digest, words) in digests.iter_mut().zip(words) {
            for (bytes, word) in digest.as_chunks_mut().0.iter_mut().zip(words) {
                *bytes = word.to_le_bytes();
            }
        }
    }
}

/// Hashes inputs of equal length, and returns the words of their digests.
#[inline(always)]
fn digest_group<V: Words, const LANES: usize>(machine: V::Machine, rows: &[&[u8]; LANES]) -> [[u32; 8]; LANES] {
    let length = rows[0].len();
    let blocks = length.div_ceil(BLOCK).max(1);
    let mut chaining = [V::splat(machine, 0); 8];
    for (lane, word) in chaining.iter_mut().zip(IV) {
        *lane = V::splat(machine, word);
    }
    for number in 0..blocks {
        let start = number * BLOCK;
        let end = length.min(start + BLOCK);
        let is_last = number + 1 == blocks;
        let flags = if number == 0 { CHUNK_START } else { 0 } | if is_last { CHUNK_END | ROOT } else { 0 };
        let block = load_block::<V, LANES>(machine, rows, start, end);
        chaining = compress(machine, &chaining, &block, word(end - start), flags);
    }
    let mut out = [[0; 8]; LANES];
    for (index, lane) in chaining.iter().enumerate() {
        let mut words = [0; LANES];
        lane.store(&mut words);
        for (out, word) in out.iter_mut().zip(words) {
            out[index] = word;
        }
    }
    out
}

/// Returns the block from `start` to `end` of each row: vector `i` holds the words number `i`.
#[inline(always)]
fn load_block<V: Words, const LANES: usize>(
    machine: V::Machine,
    rows: &[&[u8]; LANES],
    start: usize,
    end: usize,
) -> [V; 16] {
    let mut padded = [[0; BLOCK]; LANES];
    let mut block = [V::splat(machine, 0); 16];
    if end - start < BLOCK {
        for (padded, row) in padded.iter_mut().zip(rows) {
            padded[..end - start].copy_from_slice(&row[start..end]);
        }
    }
    for (part, square) in block.chunks_exact_mut(LANES.min(16)).enumerate() {
        for (lane, vector) in square.iter_mut().enumerate() {
            let bytes = if end - start < BLOCK { &padded[lane][..] } else { &rows[lane][start..end] };
            *vector = V::from_le_bytes(machine, &bytes[4 * part * LANES..]);
        }
        V::transpose(square);
    }
    block
}

/// Returns a length in a block, or a number of lanes, as a word.
#[expect(clippy::cast_possible_truncation, reason = "callers pass at most 64")]
pub(super) fn word(length: usize) -> u32 {
    length as u32
}
