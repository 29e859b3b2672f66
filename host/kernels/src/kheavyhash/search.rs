//! Whole inputs in lanes, and the search.
//!
//! A search is fast where the input is one block of the sponge and the nonce lies in one of its words, after the matrix's seed.

use super::keccak::{HEAVY, OUTER, RATE, absorb, padded, permute, permute_one};
use super::matrix::{nibbles, seed};
use super::vectors::{LANES_MAX, Words, portable::One};
use crate::kernel::{Finds, Job};

/// An input of which all is known but the nonce.
struct Part<V: Words> {
    matrix: V::Matrix,
    /// The matrix for one input alone.
    matrix_one: <One as Words>::Matrix,
    /// The state that has absorbed the input, the nonce's field empty.
    state: [u64; 25],
}

/// Where the nonce stands in the state.
#[derive(Clone, Copy)]
struct Place {
    word: usize,
    shift: usize,
}

/// Tells whether [`search`] can do a job.
pub(super) fn fits(job: &Job<'_>) -> bool {
    job.length() < RATE && job.nonce_offset() >= 32 && job.nonce_offset() % 8 + job.nonce_bytes() <= 8
}

/// Tries nonces in lanes. The job [`fits`].
#[inline(always)]
pub(super) fn search<V: Words>(machine: V::Machine, job: &Job<'_>, finds: &mut Finds<'_>) -> u64 {
    let place = Place { word: job.nonce_offset() / 8, shift: 8 * (job.nonce_offset() % 8) };
    let mut parts: Vec<Part<V>> = Vec::with_capacity(job.inputs().len());
    for input in job.inputs() {
        parts.push(part(machine, job, input));
    }
    let heavy = splat::<V>(machine, &HEAVY);
    let top = V::splat(machine, u64::from_le_bytes(*job.target.last_chunk().expect("a target has 32 bytes")));
    let mut scanned = 0;
    while scanned < job.count && finds.room() >= V::LANES * parts.len() {
        let mut nonces = [0; LANES_MAX];
        for (nonce, step) in nonces[..V::LANES].iter_mut().zip(scanned..) {
            *nonce = job.nonce(step) << place.shift;
        }
        let nonces = V::load(machine, &nonces);
        let group = (job.count - scanned).min(V::LANES as u64);
        for (number, part) in (0..).zip(&parts) {
            let mut state = splat::<V>(machine, &part.state);
            state[place.word] = state[place.word] ^ nonces;
            permute(machine, &mut state);
            state = mixed(&part.matrix, &state, heavy);
            permute(machine, &mut state);
            let mut lanes = state[3].at_most(top) & ((1 << group) - 1);
            while lanes != 0 {
                let nonce = job.nonce(scanned + u64::from(lanes.trailing_zeros()));
                if job.is_met_by(&digest(&part.matrix_one, part.state, place, nonce)) {
                    finds.push(nonce, number);
                }
                lanes &= lanes - 1;
            }
        }
        scanned += group;
    }
    scanned
}

/// Hashes `digests.len()` inputs of `each` bytes. Neighbours with one seed go through the lanes together.
#[inline(always)]
pub(super) fn digest_many<V: Words>(machine: V::Machine, inputs: &[u8], each: usize, digests: &mut [[u8; 32]]) {
    let input = |number: usize| &inputs[number * each..][..each];
    let mut first = 0;
    while first < digests.len() {
        let seed_first = seed(input(first));
        let run = (first..digests.len()).take_while(|number| seed(input(*number)) == seed_first).count();
        let nibbles = nibbles(&seed_first);
        let inputs = &inputs[first * each..][..run * each];
        let digests = &mut digests[first..][..run];
        if run == 1 {
            // Alone in the lanes it would take longer than by itself.
            digest_run::<One>((), &One::matrix((), &nibbles), inputs, each, digests);
        } else {
            digest_run::<V>(machine, &V::matrix(machine, &nibbles), inputs, each, digests);
        }
        first += run;
    }
}

#[inline(always)]
fn part<V: Words>(machine: V::Machine, job: &Job<'_>, input: &[u8]) -> Part<V> {
    let mut block = padded(input);
    job.write_nonce(&mut block, 0);
    let mut state = *OUTER;
    absorb(&mut state, &block);
    let nibbles = nibbles(&seed(input));
    Part { matrix: V::matrix(machine, &nibbles), matrix_one: One::matrix((), &nibbles), state }
}

/// Returns the state that has absorbed x ⊕ (matrix · x), given that of the first hash and that before.
#[inline(always)]
fn mixed<V: Words>(matrix: &V::Matrix, outer: &[V; 25], heavy: [V; 25]) -> [V; 25] {
    let x = [outer[0], outer[1], outer[2], outer[3]];
    let product = V::multiply(matrix, x);
    let mut state = heavy;
    for word in 0..4 {
        state[word] = heavy[word].xor3(x[word], product[word]);
    }
    state
}

/// Returns the digest with one nonce, of a state that has absorbed the input without it.
fn digest(matrix: &<One as Words>::Matrix, mut state: [u64; 25], place: Place, nonce: u64) -> [u8; 32] {
    state[place.word] ^= nonce << place.shift;
    permute_one(&mut state);
    let mut state = mixed::<One>(matrix, &splat((), &state), splat((), &HEAVY));
    permute((), &mut state);
    let mut digest = [0; 32];
    write_digests(&state, std::slice::from_mut(&mut digest));
    digest
}

/// Hashes inputs that share a matrix, in groups as wide as the vector.
#[inline(always)]
fn digest_run<V: Words>(machine: V::Machine, matrix: &V::Matrix, inputs: &[u8], each: usize, digests: &mut [[u8; 32]]) {
    for (group, digests) in digests.chunks_mut(V::LANES).enumerate() {
        let inputs = &inputs[group * V::LANES * each..][..digests.len() * each];
        let mut state = splat::<V>(machine, &OUTER);
        for start in (0..=each / RATE).map(|block| block * RATE) {
            let mut words = [[0; LANES_MAX]; RATE / 8];
            for lane in 0..digests.len() {
                let rest = &inputs[lane * each..][start..each];
                let block = rest.first_chunk().copied().unwrap_or_else(|| padded(rest));
                for (words, bytes) in words.iter_mut().zip(block.as_chunks().0) {
                    words[lane] = u64::from_le_bytes(*bytes);
                }
            }
            for (state, words) in state.iter_mut().zip(&words) {
                *state = *state ^ V::load(machine, words);
            }
            permute(machine, &mut state);
        }
        state = mixed(matrix, &state, splat(machine, &HEAVY));
        permute(machine, &mut state);
        write_digests(&state, digests);
    }
}

/// Writes the digests of as many lanes as there are digests.
#[inline(always)]
fn write_digests<V: Words>(state: &[V; 25], digests: &mut [[u8; 32]]) {
    for (number, word) in state[..4].iter().enumerate() {
        let mut words = [0; LANES_MAX];
        word.store(&mut words);
        for (digest, word) in digests.iter_mut().zip(words) {
            digest[8 * number..][..8].copy_from_slice(&word.to_le_bytes());
        }
    }
}

/// Returns a state in every lane.
#[inline(always)]
fn splat<V: Words>(machine: V::Machine, state: &[u64; 25]) -> [V; 25] {
    let mut lanes = [V::splat(machine, 0); 25];
    for (lane, word) in lanes.iter_mut().zip(state) {
        *lane = V::splat(machine, *word);
    }
    lanes
}
