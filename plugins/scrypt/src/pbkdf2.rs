//! PBKDF2-HMAC-SHA256 with one iteration, as scrypt uses it before and after ROMix.

use crate::romix::Row;
use sha2::block_api::compress256;

const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// HMAC-SHA256 under one key: SHA-256 having read the key's inner and its outer block.
#[derive(Clone, Copy)]
pub struct Hmac {
    inner: [u32; 8],
    outer: [u32; 8],
}

/// SHA-256 that has read some whole blocks; the rest of a message is added by [`Midstate::finish`].
#[derive(Clone, Copy)]
struct Midstate {
    state: [u32; 8],
    bytes: u64,
}

impl Midstate {
    /// Reads the whole blocks of `bytes` and returns what is left over.
    fn read<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let (blocks, rest) = bytes.as_chunks();
        compress256(&mut self.state, blocks);
        self.bytes += (bytes.len() - rest.len()) as u64;
        rest
    }

    /// Reads the end of a message in two parts, together at most 119 bytes, and its padding.
    fn finish(mut self, head: &[u8], tail: &[u8]) -> [u32; 8] {
        let mut end = [[0; 64]; 2];
        let length = head.len() + tail.len();
        let blocks = if length < 56 { 1 } else { 2 };
        let bytes = end.as_flattened_mut();
        bytes[..head.len()].copy_from_slice(head);
        bytes[head.len()..length].copy_from_slice(tail);
        bytes[length] = 0x80;
        let bits = 8 * (self.bytes + length as u64);
        bytes[64 * blocks - 8..64 * blocks].copy_from_slice(&bits.to_be_bytes());
        compress256(&mut self.state, &end[..blocks]);
        self.state
    }
}

impl Hmac {
    /// Takes a key of any length.
    pub fn new(key: &[u8]) -> Self {
        let mut block = [0; 64];
        if key.len() <= 64 {
            block[..key.len()].copy_from_slice(key);
        } else {
            let mut hash = Midstate { state: INITIAL, bytes: 0 };
            let rest = hash.read(key);
            block[..32].copy_from_slice(&to_bytes(hash.finish(rest, &[])));
        }
        let keyed = |mask: u8| {
            let mut state = INITIAL;
            compress256(&mut state, &[block.map(|byte| byte ^ mask)]);
            state
        };
        Self { inner: keyed(0x36), outer: keyed(0x5c) }
    }

    /// Returns block `number` of the derived key, counted from 1, over the salt whose beginning `inner` has read.
    fn derive(&self, inner: Midstate, rest: &[u8], number: u32) -> [u32; 8] {
        let inner = inner.finish(rest, &number.to_be_bytes());
        Midstate { state: self.outer, bytes: 64 }.finish(&to_bytes(inner), &[])
    }

    /// Derives ROMix's state from a salt.
    pub fn expand(&self, salt: &[u8]) -> Row {
        let mut inner = Midstate { state: self.inner, bytes: 64 };
        let rest = inner.read(salt);
        let mut row = [0; 32];
        for (number, words) in (1..).zip(row.as_chunks_mut().0) {
            *words = self.derive(inner, rest, number).map(u32::swap_bytes);
        }
        row
    }

    /// Derives the digest from ROMix's state.
    pub fn extract(&self, state: &Row) -> [u8; 32] {
        let salt = state.map(u32::to_le_bytes);
        let mut inner = Midstate { state: self.inner, bytes: 64 };
        let rest = inner.read(salt.as_flattened());
        to_bytes(self.derive(inner, rest, 1))
    }
}

fn to_bytes(state: [u32; 8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    bytes
}
