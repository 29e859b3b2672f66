//! One message after another over the `sha2` crate's compression function: the portable backend, the way for nonces and lengths
//! that the vector backends have no fast path for, and what confirms the nonces that their early rejection let through.

use super::NAME;
use crate::kernel::{Finds, Job, Kernel};
use sha2::block_api::compress256;

/// The state that a message begins with.
pub(crate) const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// The backend for any machine. It uses what the `sha2` crate uses there: SHA instructions on x86-64 and AArch64.
pub(super) struct Portable;

impl Kernel for Portable {
    const ALGORITHM: &'static str = NAME;
    const BACKEND: &'static str = "portable";

    fn detect() -> Option<Self> {
        Some(Self)
    }

    fn digest_many(&self, inputs: &[u8], each: usize, digests: &mut [[u8; 32]]) {
        digest_many(inputs, each, digests);
    }

    fn search(&self, job: &Job<'_>, finds: &mut Finds<'_>) -> u64 {
        search(job, finds)
    }
}

/// A message whose nonce changes: what stands before the nonce's block is hashed once.
#[derive(Debug, Clone)]
pub(super) struct Nonced {
    /// The state before the nonce's first block.
    pub(super) midstate: [u32; 8],
    /// The rest of the message with its padding: whole blocks.
    pub(super) tail: Vec<[u8; 64]>,
    /// Where in `tail` the nonce begins.
    nonce_offset: usize,
}

impl Nonced {
    /// Prepares a message for nonces at `nonce_offset`.
    pub(super) fn new(input: &[u8], nonce_offset: usize) -> Self {
        let (head, rest) = input.split_at(nonce_offset / 64 * 64);
        let mut midstate = INITIAL;
        compress256(&mut midstate, head.as_chunks().0);
        Self { midstate, tail: padded(rest, input.len()), nonce_offset: nonce_offset % 64 }
    }

    /// Writes the nonce: the low bytes of `nonce`, as many as the field has.
    pub(super) fn set_nonce(&mut self, nonce: u64, bytes: usize) {
        self.tail.as_flattened_mut()[self.nonce_offset..][..bytes].copy_from_slice(&nonce.to_le_bytes()[..bytes]);
    }

    /// Returns the double hash.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut state = self.midstate;
        compress256(&mut state, &self.tail);
        second(state)
    }
}

/// Returns `rest`, which ends a message of `length` bytes, with its padding.
fn padded(rest: &[u8], length: usize) -> Vec<[u8; 64]> {
    let mut tail = vec![[0; 64]; (rest.len() + 9).div_ceil(64)];
    let bytes = tail.as_flattened_mut();
    bytes[..rest.len()].copy_from_slice(rest);
    pad(bytes, rest.len(), length);
    tail
}

/// Writes the padding of a message of `length` bytes into its last blocks, in which `used` bytes are the message's own.
pub(super) fn pad(last: &mut [u8], used: usize, length: usize) {
    let end = last.len() - 8;
    last[used] = 0x80;
    last[end..].copy_from_slice(&(length as u64 * 8).to_be_bytes());
}

/// Hashes the digest that a state stands for.
fn second(first: [u32; 8]) -> [u8; 32] {
    let mut block = [0; 64];
    block[..32].copy_from_slice(&bytes(first));
    pad(&mut block, 32, 32);
    let mut state = INITIAL;
    compress256(&mut state, &[block]);
    bytes(state)
}

/// Returns the digest that a state stands for.
pub(super) fn bytes(state: [u32; 8]) -> [u8; 32] {
    let mut digest = [0; 32];
    for (bytes, word) in digest.as_chunks_mut().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    digest
}

/// Hashes one input twice.
fn digest(input: &[u8]) -> [u8; 32] {
    let (blocks, rest) = input.as_chunks();
    let mut last = [[0; 64]; 2];
    let last = &mut last[..(rest.len() + 9).div_ceil(64)];
    let tail = last.as_flattened_mut();
    tail[..rest.len()].copy_from_slice(rest);
    pad(tail, rest.len(), input.len());
    let mut state = INITIAL;
    compress256(&mut state, blocks);
    compress256(&mut state, last);
    second(state)
}

/// Hashes inputs one after another.
pub(super) fn digest_many(inputs: &[u8], each: usize, digests: &mut [[u8; 32]]) {
    for (number, out) in digests.iter_mut().enumerate() {
        *out = digest(&inputs[number * each..][..each]);
    }
}

/// Searches one nonce after another.
pub(super) fn search(job: &Job<'_>, finds: &mut Finds<'_>) -> u64 {
    let mut messages: Vec<Nonced> = job.inputs().map(|input| Nonced::new(input, job.nonce_offset())).collect();
    let mut steps = 0;
    while steps < job.count && finds.room() >= messages.len() {
        let nonce = job.nonce(steps);
        for (number, message) in (0..).zip(&mut messages) {
            message.set_nonce(nonce, job.nonce_bytes());
            if job.is_met_by(&message.digest()) {
                finds.push(nonce, number);
            }
        }
        steps += 1;
    }
    steps
}
