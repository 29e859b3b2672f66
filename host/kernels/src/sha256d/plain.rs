//! SHA-256 one message after another, over any compression function: for nonces and lengths that the vector backends have no fast
//! path for, and to confirm what their early rejection let through.

use crate::kernel::{Finds, Job};

/// The compression function: folds one block into a state.
pub(super) type Compress = fn(&mut [u32; 8], &[u8; 64]);

/// The state that a message begins with.
pub(super) const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// The constants of the 64 rounds.
#[rustfmt::skip]
pub(super) const K: [u32; 64] = [
    0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
    0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
    0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
    0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
    0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
    0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
    0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
];

pub(super) fn small_sigma_0(x: u32) -> u32 {
    x.rotate_right(7) ^ x.rotate_right(18) ^ (x >> 3)
}

pub(super) fn small_sigma_1(x: u32) -> u32 {
    x.rotate_right(17) ^ x.rotate_right(19) ^ (x >> 10)
}

/// One round on the variables `a` to `h`; `wk` is the message word plus the round's constant.
pub(super) fn round(state: [u32; 8], wk: u32) -> [u32; 8] {
    let [a, b, c, d, e, f, g, h] = state;
    let sigma_1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
    let t1 = h.wrapping_add(sigma_1).wrapping_add((e & f) ^ (!e & g)).wrapping_add(wk);
    let sigma_0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
    let t2 = sigma_0.wrapping_add((a & b) ^ (a & c) ^ (b & c));
    [t1.wrapping_add(t2), a, b, c, d.wrapping_add(t1), e, f, g]
}

/// Reads the words of a block.
pub(super) fn words(block: &[u8; 64]) -> [u32; 16] {
    let mut words = [0; 16];
    for (word, bytes) in words.iter_mut().zip(block.as_chunks().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    words
}

/// The compression function in portable code.
pub(super) fn compress(state: &mut [u32; 8], block: &[u8; 64]) {
    let mut w = words(block);
    let mut now = *state;
    for sixteen in K.as_chunks::<16>().0 {
        for (k, word) in sixteen.iter().zip(w) {
            now = round(now, k.wrapping_add(word));
        }
        for index in 0..16 {
            let sum = w[index].wrapping_add(w[(index + 9) % 16]);
            let sigmas = small_sigma_0(w[(index + 1) % 16]).wrapping_add(small_sigma_1(w[(index + 14) % 16]));
            w[index] = sum.wrapping_add(sigmas);
        }
    }
    for (state, now) in state.iter_mut().zip(now) {
        *state = state.wrapping_add(now);
    }
}

/// A message whose nonce changes: what stands before the nonce's block is hashed once.
#[derive(Debug, Clone)]
pub(super) struct Nonced {
    /// The state before the nonce's first block.
    pub(super) midstate: [u32; 8],
    /// The rest of the message with its padding: whole blocks.
    pub(super) tail: Vec<u8>,
    /// Where in `tail` the nonce begins.
    nonce_offset: usize,
}

impl Nonced {
    /// Prepares a message for nonces at `nonce_offset`.
    pub(super) fn new(compress: Compress, input: &[u8], nonce_offset: usize) -> Self {
        let (head, rest) = input.split_at(nonce_offset / 64 * 64);
        let mut midstate = INITIAL;
        for block in head.as_chunks().0 {
            compress(&mut midstate, block);
        }
        Self { midstate, tail: padded(rest, input.len()), nonce_offset: nonce_offset % 64 }
    }

    /// Writes the nonce: the low bytes of `nonce`, as many as the field has.
    pub(super) fn set_nonce(&mut self, nonce: u64, bytes: usize) {
        self.tail[self.nonce_offset..self.nonce_offset + bytes].copy_from_slice(&nonce.to_le_bytes()[..bytes]);
    }

    /// Returns the double hash.
    pub(super) fn digest(&self, compress: Compress) -> [u8; 32] {
        let mut state = self.midstate;
        for block in self.tail.as_chunks().0 {
            compress(&mut state, block);
        }
        second(compress, state)
    }
}

/// Returns `rest` and the padding of a message of `length` bytes that ends with it.
pub(super) fn padded(rest: &[u8], length: usize) -> Vec<u8> {
    let mut tail = rest.to_vec();
    tail.push(0x80);
    tail.resize((tail.len() + 8).next_multiple_of(64) - 8, 0);
    tail.extend((length as u64 * 8).to_be_bytes());
    tail
}

/// Hashes the digest that a state stands for.
fn second(compress: Compress, first: [u32; 8]) -> [u8; 32] {
    let mut block = [0; 64];
    block[..32].copy_from_slice(&bytes(first));
    block[32] = 0x80;
    block[62] = 1; // 256 bits
    let mut state = INITIAL;
    compress(&mut state, &block);
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
pub(super) fn digest(compress: Compress, input: &[u8]) -> [u8; 32] {
    let mut state = INITIAL;
    let (blocks, rest) = input.as_chunks();
    for block in blocks.iter().chain(padded(rest, input.len()).as_chunks().0) {
        compress(&mut state, block);
    }
    second(compress, state)
}

/// Hashes inputs one after another.
pub(super) fn digest_many(compress: Compress, inputs: &[u8], each: usize, digests: &mut [[u8; 32]]) {
    for (number, out) in digests.iter_mut().enumerate() {
        *out = digest(compress, &inputs[number * each..][..each]);
    }
}

/// Searches one nonce after another.
pub(super) fn search(compress: Compress, job: &Job<'_>, finds: &mut Finds<'_>) -> u64 {
    let mut messages: Vec<Nonced> =
        job.inputs().map(|input| Nonced::new(compress, input, job.nonce_offset())).collect();
    let mut steps = 0;
    while steps < job.count && finds.room() >= messages.len() {
        let nonce = job.nonce(steps);
        for (number, message) in (0..).zip(&mut messages) {
            message.set_nonce(nonce, job.nonce_bytes());
            if job.is_met_by(&message.digest(compress)) {
                finds.push(nonce, number);
            }
        }
        steps += 1;
    }
    steps
}
