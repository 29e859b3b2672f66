//! cSHAKE256 (NIST SP 800-185) with a name and 32 bytes of output.

use crate::keccak::{Word, permute};

/// The bytes that one permutation absorbs.
pub const RATE: usize = 136;

/// The words that one permutation absorbs.
const RATE_WORDS: usize = RATE / 8;

/// What follows the input: cSHAKE's two zero bits and the first bit of the padding. The last bit is in the rate's last byte.
const PADDING_FIRST: u8 = 0x04;
const PADDING_LAST: u8 = 0x80;

/// The function of one name: no function name, the customization given.
#[derive(Debug, Clone)]
pub struct Named {
    /// The state that has absorbed the name.
    start: [u64; 25],
}

impl Named {
    /// Absorbs a name of at most 31 bytes, so that its length in bits is one byte.
    pub fn new(name: &[u8]) -> Self {
        let bits = u8::try_from(8 * name.len()).expect("names are short");
        let rate = u8::try_from(RATE).expect("the rate is below 256");
        // The rate, an empty name, and the customization, each with its length before it.
        let mut block = [0; RATE];
        block[..6].copy_from_slice(&[1, rate, 1, 0, 1, bits]);
        block[6..6 + name.len()].copy_from_slice(name);
        let mut start = [0; 25];
        absorb(&mut start, &block);
        permute(&mut start);
        Self { start }
    }

    /// Hashes an input and returns the digest's words.
    pub fn hash(&self, input: &[u8]) -> [u64; 4] {
        let (blocks, rest) = input.as_chunks::<RATE>();
        let mut state = self.start;
        for block in blocks {
            absorb(&mut state, block);
            permute(&mut state);
        }
        absorb_end(&mut state, rest);
        permute(&mut state);
        digest(&state)
    }

    /// Returns the state before the last permutation of an input shorter than [`RATE`].
    pub fn before_end(&self, input: &[u8]) -> [u64; 25] {
        let mut state = self.start;
        absorb_end(&mut state, input);
        state
    }

    /// Hashes 32 bytes, given as words, for one input or two.
    #[inline(always)]
    pub fn hash_words<W: Word>(&self, input: [W; 4]) -> [W; 4] {
        let mut state = self.start.map(W::splat);
        for (word, input) in state.iter_mut().zip(input) {
            *word = word.xor(input);
        }
        state[4] = state[4].xor(W::splat(u64::from(PADDING_FIRST)));
        state[RATE_WORDS - 1] = state[RATE_WORDS - 1].xor(W::splat(u64::from(PADDING_LAST) << 56));
        permute(&mut state);
        digest(&state)
    }
}

/// Returns the digest's words of a state.
#[inline(always)]
pub fn digest<W: Word>(state: &[W; 25]) -> [W; 4] {
    [state[0], state[1], state[2], state[3]]
}

/// Returns the bytes of a digest.
pub fn to_bytes(words: [u64; 4]) -> [u8; 32] {
    let mut digest = [0; 32];
    for (bytes, word) in digest.as_chunks_mut().0.iter_mut().zip(words) {
        *bytes = word.to_le_bytes();
    }
    digest
}

fn absorb(state: &mut [u64; 25], block: &[u8; RATE]) {
    for (word, bytes) in state.iter_mut().zip(block.as_chunks().0) {
        *word ^= u64::from_le_bytes(*bytes);
    }
}

/// Absorbs the bytes after the last whole block, and the padding.
fn absorb_end(state: &mut [u64; 25], rest: &[u8]) {
    let mut block = [0; RATE];
    block[..rest.len()].copy_from_slice(rest);
    block[rest.len()] = PADDING_FIRST;
    block[RATE - 1] ^= PADDING_LAST;
    absorb(state, &block);
}
