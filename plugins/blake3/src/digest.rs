//! Whole inputs: any length one at a time, up to one chunk four at a time.

use crate::compress::{CHUNK_END, CHUNK_START, IV, PARENT, Place, ROOT, Word, compress};
use adit_plugin_sdk::simd::Words;

/// The bytes of a chunk; longer inputs are trees of chunks.
pub const CHUNK: usize = 1024;

/// The bytes of a block.
pub const BLOCK: usize = 64;

/// Hashes one input.
pub fn digest(input: &[u8]) -> [u8; 32] {
    to_bytes(subtree(input, 0, ROOT))
}

/// Hashes four inputs of equal length, at most [`CHUNK`].
pub fn digest_four(inputs: [&[u8]; 4]) -> [[u8; 32]; 4] {
    let block = |start: usize, end: usize| {
        let four = inputs.map(|input| words(&input[start..end]));
        let mut lanes = [Words::new([0; 4]); 16];
        for (index, lane) in lanes.iter_mut().enumerate() {
            *lane = Words::new(four.map(|words| words[index]));
        }
        lanes
    };
    let lanes = chunk(inputs[0].len(), block, 0, ROOT).map(Words::words);
    [0, 1, 2, 3].map(|lane| to_bytes(lanes.map(|words| words[lane])))
}

/// Returns the chaining value of a tree whose first chunk has the number `first`. `root` is [`ROOT`] for the whole input.
fn subtree(input: &[u8], first: u64, root: u32) -> [u32; 8] {
    if input.len() <= CHUNK {
        return chunk(input.len(), |start, end| words(&input[start..end]), first, root);
    }
    let left_chunks = input.len().div_ceil(CHUNK).next_power_of_two() / 2;
    let (left, right) = input.split_at(left_chunks * CHUNK);
    let halves = [subtree(left, first, 0), subtree(right, first + left_chunks as u64, 0)];
    let mut block = [0; 16];
    block.copy_from_slice(halves.as_flattened());
    compress(&IV, &block, Place { chunk: 0, length: length_of(BLOCK), flags: PARENT | root })
}

/// Returns the chaining value of a chunk of `length` bytes, given its blocks from a byte to a byte.
#[inline(always)]
fn chunk<W: Word>(length: usize, block: impl Fn(usize, usize) -> [W; 16], number: u64, root: u32) -> [W; 8] {
    let mut chaining = IV.map(W::splat);
    let mut start = 0;
    loop {
        let end = length.min(start + BLOCK);
        let is_last = end == length;
        let flags = if start == 0 { CHUNK_START } else { 0 } | if is_last { CHUNK_END | root } else { 0 };
        let place = Place { chunk: number, length: length_of(end - start), flags };
        chaining = compress(&chaining, &block(start, end), place);
        if is_last {
            return chaining;
        }
        start = end;
    }
}

/// Returns the words of a block of at most [`BLOCK`] bytes, padded with zeros.
pub fn words(bytes: &[u8]) -> [u32; 16] {
    let mut block = [0; BLOCK];
    block[..bytes.len()].copy_from_slice(bytes);
    let mut words = [0; 16];
    for (word, bytes) in words.iter_mut().zip(block.as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    words
}

/// Returns the bytes of a digest.
pub fn to_bytes(words: [u32; 8]) -> [u8; 32] {
    let mut digest = [0; 32];
    for (bytes, word) in digest.as_chunks_mut().0.iter_mut().zip(words) {
        *bytes = word.to_le_bytes();
    }
    digest
}

/// Returns the length of a block as a word.
pub fn length_of(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a block has at most 64 bytes")
}
