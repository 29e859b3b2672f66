//! Inputs of one length, one in each lane of a vector, or of two vectors in turn.

use super::plain::{self, INITIAL};
use super::rounds::{compress, compress_fixed, compress_two, splat_all, swap_bytes};
use crate::words::Words;

/// The block that a digest is hashed in: behind the digest, its padding.
const SECOND: [u32; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0x8000_0000, 0, 0, 0, 0, 0, 0, 256];

/// The bytes of a header.
const HEADER: usize = 80;

/// The words of a header's second block before its padding.
const HEADER_END: usize = 4;

/// The block that a header ends in: behind its last words, its padding.
const HEADER_PADDING: [u32; 16] = [0, 0, 0, 0, 0x8000_0000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 640];

/// Hashes inputs in groups of `LANES`, the lanes of `V`.
#[inline(always)]
pub(super) fn digest_many<V: Words, const LANES: usize>(
    machine: V::Machine,
    inputs: &[u8],
    each: usize,
    digests: &mut [[u8; 32]],
) {
    let mut tails = Tails::<LANES>::new(each);
    let (whole, rest) = digests.as_chunks_mut();
    for (number, digests) in whole.iter_mut().enumerate() {
        digest_group::<V, LANES>(machine, &mut tails, &inputs[number * LANES * each..][..LANES * each], digests);
    }
    let inputs = &inputs[whole.len() * LANES * each..];
    // A group takes as long as a few inputs one after another.
    if rest.len() <= LANES / 4 {
        plain::digest_many(inputs, each, rest);
    } else {
        let mut filled = inputs.to_vec();
        filled.resize(LANES * each, 0);
        let mut all = [[0; 32]; LANES];
        digest_group::<V, LANES>(machine, &mut tails, &filled, &mut all);
        rest.copy_from_slice(&all[..rest.len()]);
    }
}

/// Hashes inputs in pairs of groups, and those left over as [`digest_many`] does: for machines with registers for two groups.
#[inline(always)]
pub(super) fn digest_pairs<V: Words, const LANES: usize>(
    machine: V::Machine,
    inputs: &[u8],
    each: usize,
    digests: &mut [[u8; 32]],
) {
    let mut tails = [Tails::<LANES>::new(each), Tails::<LANES>::new(each)];
    let in_pairs = digests.len() - digests.len() % (2 * LANES);
    let (paired, rest) = digests.split_at_mut(in_pairs);
    let (groups, _) = paired.as_chunks_mut();
    for (number, digests) in groups.as_chunks_mut().0.iter_mut().enumerate() {
        let inputs = &inputs[2 * number * LANES * each..][..2 * LANES * each];
        digest_pair::<V, LANES>(machine, &mut tails, inputs, digests);
    }
    digest_many::<V, LANES>(machine, &inputs[in_pairs * each..], each, rest);
}

/// Hashes an input in each lane.
#[inline(always)]
fn digest_group<V: Words, const LANES: usize>(
    machine: V::Machine,
    tails: &mut Tails<LANES>,
    inputs: &[u8],
    digests: &mut [[u8; 32]; LANES],
) {
    let mut state = splat_all::<V, 8>(machine, INITIAL);
    if tails.each == HEADER {
        compress(machine, &mut state, tails.words(machine, inputs, 0));
        let words = header_end::<V, LANES>(machine, inputs);
        compress_fixed::<V, HEADER_END>(machine, &mut state, words, &HEADER_PADDING);
    } else {
        tails.take(inputs);
        for block in 0..tails.blocks() {
            compress(machine, &mut state, tails.words(machine, inputs, block));
        }
    }
    let mut words = [V::splat(machine, 0); 16];
    words[..8].copy_from_slice(&state);
    let mut state = splat_all::<V, 8>(machine, INITIAL);
    compress_fixed::<V, 8>(machine, &mut state, words, &SECOND);
    write(state, digests);
}

/// Hashes an input in each lane of two vectors.
#[inline(always)]
fn digest_pair<V: Words, const LANES: usize>(
    machine: V::Machine,
    tails: &mut [Tails<LANES>; 2],
    inputs: &[u8],
    digests: &mut [[[u8; 32]; LANES]; 2],
) {
    let [first, other] = tails;
    let (inputs, other_inputs) = inputs.split_at(inputs.len() / 2);
    let mut states = [splat_all::<V, 8>(machine, INITIAL); 2];
    if first.each == HEADER {
        let words = [first.words(machine, inputs, 0), other.words(machine, other_inputs, 0)];
        compress_two::<V, 16>(machine, &mut states, words, &[0; 16]);
        let words = [header_end::<V, LANES>(machine, inputs), header_end::<V, LANES>(machine, other_inputs)];
        compress_two::<V, HEADER_END>(machine, &mut states, words, &HEADER_PADDING);
    } else {
        first.take(inputs);
        other.take(other_inputs);
        for block in 0..first.blocks() {
            let words = [first.words(machine, inputs, block), other.words(machine, other_inputs, block)];
            compress_two::<V, 16>(machine, &mut states, words, &[0; 16]);
        }
    }
    let mut words = [[V::splat(machine, 0); 16]; 2];
    for (words, state) in words.iter_mut().zip(states) {
        words[..8].copy_from_slice(&state);
    }
    let mut states = [splat_all::<V, 8>(machine, INITIAL); 2];
    compress_two::<V, 8>(machine, &mut states, words, &SECOND);
    for (state, digests) in states.into_iter().zip(digests) {
        write(state, digests);
    }
}

/// Returns the words of headers before their padding in the second block, each in the lanes of a vector; behind them is nothing of account.
#[inline(always)]
fn header_end<V: Words, const LANES: usize>(machine: V::Machine, inputs: &[u8]) -> [V; 16] {
    // A square that ends with the headers: its last words are theirs.
    let mut square = [V::splat(machine, 0); LANES];
    for (header, vector) in inputs.as_chunks::<HEADER>().0.iter().zip(&mut square) {
        *vector = V::from_le_bytes(machine, &header[HEADER - 4 * LANES..]);
    }
    V::transpose(&mut square);
    let mut words = [V::splat(machine, 0); 16];
    for (word, last) in words.iter_mut().zip(&square[LANES - HEADER_END..]) {
        *word = swap_bytes(machine, *last);
    }
    words
}

/// Writes the digest that each lane's state stands for.
#[inline(always)]
fn write<V: Words, const LANES: usize>(state: [V; 8], digests: &mut [[u8; 32]; LANES]) {
    let mut words = [[0; LANES]; 8];
    for (words, state) in words.iter_mut().zip(state) {
        state.store(words);
    }
    for (lane, digest) in digests.iter_mut().enumerate() {
        for (bytes, words) in digest.as_chunks_mut().0.iter_mut().zip(&words) {
            *bytes = words[lane].to_be_bytes();
        }
    }
}

/// The last blocks of an input in each lane, with the padding.
struct Tails<const LANES: usize> {
    /// The length of an input.
    each: usize,
    last: [[u8; 128]; LANES],
}

impl<const LANES: usize> Tails<LANES> {
    /// Writes the padding of inputs of `each` bytes.
    fn new(each: usize) -> Self {
        let mut last = [0; 128];
        let used = each % 64;
        plain::pad(&mut last[..(used + 9).next_multiple_of(64)], used, each);
        Self { each, last: [last; LANES] }
    }

    /// Takes the ends of `LANES` inputs.
    fn take(&mut self, inputs: &[u8]) {
        let used = self.each % 64;
        for (lane, last) in self.last.iter_mut().enumerate() {
            let end = (lane + 1) * self.each;
            last[..used].copy_from_slice(&inputs[end - used..end]);
        }
    }

    /// Returns how many blocks a padded input has.
    fn blocks(&self) -> usize {
        (self.each + 9).div_ceil(64)
    }

    /// Returns the message words of a block, each in the lanes of a vector.
    #[inline(always)]
    fn words<V: Words>(&self, machine: V::Machine, inputs: &[u8], block: usize) -> [V; 16] {
        let mut words = [V::splat(machine, 0); 16];
        // A square of vectors at a time: one for each lane's words, then one for each word.
        for (part, square) in words.chunks_exact_mut(LANES).enumerate() {
            for (lane, vector) in square.iter_mut().enumerate() {
                let bytes = &self.block(inputs, lane, block)[4 * LANES * part..][..4 * LANES];
                *vector = swap_bytes(machine, V::from_le_bytes(machine, bytes));
            }
            V::transpose(square);
        }
        words
    }

    /// Returns a block of one lane's input.
    #[inline(always)]
    fn block<'a>(&'a self, inputs: &'a [u8], lane: usize, block: usize) -> &'a [u8] {
        match block.checked_sub(self.each / 64) {
            None => &inputs[lane * self.each + 64 * block..][..64],
            Some(last) => &self.last[lane][64 * last..][..64],
        }
    }
}
