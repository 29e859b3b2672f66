//! Keccak-f[1600] (FIPS 202) on the lanes of any vector, and the two cSHAKE256 (NIST SP 800-185) of kHeavyHash.

use super::vectors::{Words, portable::One};
use std::sync::LazyLock;

/// The bytes that one permutation absorbs.
pub(super) const RATE: usize = 136;

const CONSTANTS: [u64; 24] = [
    0x0000_0000_0000_0001,
    0x0000_0000_0000_8082,
    0x8000_0000_0000_808a,
    0x8000_0000_8000_8000,
    0x0000_0000_0000_808b,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8009,
    0x0000_0000_0000_008a,
    0x0000_0000_0000_0088,
    0x0000_0000_8000_8009,
    0x0000_0000_8000_000a,
    0x0000_0000_8000_808b,
    0x8000_0000_0000_008b,
    0x8000_0000_0000_8089,
    0x8000_0000_0000_8003,
    0x8000_0000_0000_8002,
    0x8000_0000_0000_0080,
    0x0000_0000_0000_800a,
    0x8000_0000_8000_000a,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8080,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8008,
];

/// By how many bits the word at x + 5y turns.
const TURNS: [u32; 25] = [0, 1, 62, 28, 27, 36, 44, 6, 55, 20, 3, 10, 43, 25, 39, 41, 45, 15, 21, 8, 18, 2, 61, 56, 14];

/// The state that has absorbed the first hash's name.
pub(super) static OUTER: LazyLock<[u64; 25]> = LazyLock::new(|| named(b"ProofOfWorkHash"));

/// The state that has absorbed the second hash's name, and the padding after 32 bytes.
pub(super) static HEAVY: LazyLock<[u64; 25]> = LazyLock::new(|| {
    let mut state = named(b"HeavyHash");
    absorb(&mut state, &padded(&[0; 32]));
    state
});

fn named(name: &[u8]) -> [u64; 25] {
    let mut block = [0; RATE];
    // The rate, an empty function name, and the customization, each with its length before it.
    block[..5].copy_from_slice(&[1, 136, 1, 0, 1]);
    block[5] = u8::try_from(8 * name.len()).expect("names are short");
    block[6..6 + name.len()].copy_from_slice(name);
    let mut state = [0; 25];
    absorb(&mut state, &block);
    permute_one(&mut state);
    state
}

/// Permutes one state.
pub(super) fn permute_one(state: &mut [u64; 25]) {
    let mut lanes = state.map(|word| One::splat((), word));
    permute((), &mut lanes);
    for (word, lane) in state.iter_mut().zip(lanes) {
        lane.store(std::slice::from_mut(word));
    }
}

/// Returns the last block of an input, given what is left of it after whole blocks.
pub(super) fn padded(rest: &[u8]) -> [u8; RATE] {
    let mut block = [0; RATE];
    block[..rest.len()].copy_from_slice(rest);
    block[rest.len()] = 0x04;
    block[RATE - 1] ^= 0x80;
    block
}

/// Adds a block to a state.
pub(super) fn absorb(state: &mut [u64; 25], block: &[u8; RATE]) {
    for (word, bytes) in state.iter_mut().zip(block.as_chunks().0) {
        *word ^= u64::from_le_bytes(*bytes);
    }
}

/// Permutes a state in each lane. The word at x + 5y is the lane (x, y).
///
/// The first and the last round stand alone: of the first the compiler computes once what no nonce reaches, of the last only what is
/// asked for.
#[inline(always)]
pub(super) fn permute<V: Words>(machine: V::Machine, state: &mut [V; 25]) {
    round(state, V::splat(machine, CONSTANTS[0]));
    for constant in &CONSTANTS[1..23] {
        round(state, V::splat(machine, *constant));
    }
    round(state, V::splat(machine, CONSTANTS[23]));
}

#[inline(always)]
fn round<V: Words>(state: &mut [V; 25], constant: V) {
    let mut parity = [constant; 5];
    for x in 0..5 {
        parity[x] = state[x].xor3(state[x + 5], state[x + 10]).xor3(state[x + 15], state[x + 20]);
    }
    let mut moved = [constant; 25];
    for x in 0..5 {
        let (left, right) = (parity[(x + 4) % 5], parity[(x + 1) % 5].rotate_left(1));
        for y in 0..5 {
            let word = state[x + 5 * y].xor3(left, right);
            moved[y + 5 * ((2 * x + 3 * y) % 5)] = word.rotate_left(const { TURNS }[x + 5 * y]);
        }
    }
    for y in 0..5 {
        for x in 0..5 {
            state[x + 5 * y] = moved[x + 5 * y].chi(moved[(x + 1) % 5 + 5 * y], moved[(x + 2) % 5 + 5 * y]);
        }
    }
    state[0] = state[0] ^ constant;
}
