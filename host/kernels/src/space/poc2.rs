//! PoC2, the proof of capacity that Signum runs: a nonce is 256 KiB of chained Shabal-256 digests, and a scoop of it is 64 bytes.
//!
//! A nonce is made backwards: each digest of 32 bytes hashes what stands behind it, at most 4,096 bytes, and at the very end the account and
//! the nonce's number. The digest of the whole is then mixed into every digest. A scoop is a digest with that of the mirrored scoop, so that
//! half a nonce cannot be computed alone. Account and number are in big-endian bytes.
//!
//! Nonces are independent, so each lane makes one of its own.

use super::shabal::{BLOCK, DIGEST, PADDING, State};
use crate::words::Words;
use adit_primitives::space::{NONCE_BYTES, SCOOP_BYTES, SCOOPS};

/// Words of a nonce.
const NONCE: usize = NONCE_BYTES / 4;

/// Words behind it: account and number.
const SEED: usize = 4;

/// The most words that one digest hashes.
const REACH: usize = 4_096 / 4;

/// How a nonce's words lie while it is made: those of all lanes side by side.
struct Lanes<V: Words> {
    machine: V::Machine,
    words: Vec<u32>,
}

impl<V: Words> Lanes<V> {
    #[inline(always)]
    fn load(&self, word: usize) -> V {
        V::load(self.machine, &self.words[word * V::LANES..])
    }

    #[inline(always)]
    fn store(&mut self, word: usize, digest: &[V; DIGEST]) {
        for (index, lanes) in (word..).zip(digest) {
            lanes.store(&mut self.words[index * V::LANES..]);
        }
    }

    /// Hashes the words from `first` to `end`, which is the seed's end or lies whole blocks behind `first`.
    #[inline(always)]
    fn hash(&self, first: usize, end: usize) -> [V; DIGEST] {
        let (whole, zero) = ((end - first) / BLOCK, V::splat(self.machine, 0));
        State::begin(self.machine).digest(self.machine, whole + 1, |block| {
            let from = first + block * BLOCK;
            let mut message = [zero; BLOCK];
            if block < whole {
                for (word, lanes) in (from..).zip(&mut message) {
                    *lanes = self.load(word);
                }
            } else {
                for (word, lanes) in (from..end).zip(&mut message) {
                    *lanes = self.load(word);
                }
                message[end - from] = V::splat(self.machine, PADDING);
            }
            message
        })
    }
}

/// Makes [`Words::LANES`] nonces of an account, from `first` on. They come scoop by scoop: all nonces' scoop 0, then all nonces' scoop 1.
/// Panics where `scoops` has another length.
#[inline(always)]
pub(super) fn nonces<V: Words>(machine: V::Machine, account: u64, first: u64, scoops: &mut [u8]) {
    assert_eq!(scoops.len(), V::LANES * NONCE_BYTES, "room for one nonce in each lane");
    let (lanes, whole) = make::<V>(machine, account, first);
    write(&lanes, &whole, 0, scoops);
}

/// Makes [`Words::LANES`] nonces as [`nonces`] does, and keeps one scoop of each.
/// Panics where `scoops` has another length.
#[inline(always)]
pub(super) fn scoop<V: Words>(machine: V::Machine, account: u64, first: u64, scoop: usize, scoops: &mut [u8]) {
    assert_eq!(scoops.len(), V::LANES * SCOOP_BYTES, "room for one scoop in each lane");
    let (lanes, whole) = make::<V>(machine, account, first);
    write(&lanes, &whole, scoop, scoops);
}

/// Makes a nonce in each lane: its digests, and that of the whole.
#[inline(always)]
fn make<V: Words>(machine: V::Machine, account: u64, first: u64) -> (Lanes<V>, [V; DIGEST]) {
    let mut lanes: Lanes<V> = Lanes { machine, words: vec![0; (NONCE + SEED) * V::LANES] };
    for lane in 0..V::LANES {
        let seed = [account, first.wrapping_add(lane as u64)].map(u64::to_be_bytes);
        for (index, bytes) in seed.as_flattened().as_chunks().0.iter().enumerate() {
            lanes.words[(NONCE + index) * V::LANES + lane] = u32::from_le_bytes(*bytes);
        }
    }
    // Downwards to the digest of the whole, which has no place.
    let mut place = NONCE;
    let whole = loop {
        let end = if place == 0 { NONCE + SEED } else { (NONCE + SEED).min(place + REACH) };
        let digest = lanes.hash(place, end);
        match place.checked_sub(DIGEST) {
            None => break digest,
            Some(above) => place = above,
        }
        lanes.store(place, &digest);
    };
    (lanes, whole)
}

/// Mixes `whole` into the digests and writes scoops, as many as there is room for, from the one numbered `first` on.
#[inline(always)]
fn write<V: Words>(lanes: &Lanes<V>, whole: &[V; DIGEST], first: usize, scoops: &mut [u8]) {
    const WORDS: usize = 2 * DIGEST;
    let mut scoop = [V::splat(lanes.machine, 0); WORDS];
    let mut words = [0; WORDS];
    for (number, out) in (first..).zip(scoops.chunks_exact_mut(SCOOP_BYTES * V::LANES)) {
        let (own, mirrored) = (number * WORDS, (SCOOPS - 1 - number) * WORDS + DIGEST);
        for index in 0..DIGEST {
            scoop[index] = lanes.load(own + index) ^ whole[index];
            scoop[DIGEST + index] = lanes.load(mirrored + index) ^ whole[index];
        }
        // A square holds as many of the scoop's words as there are lanes; turned, each vector has one nonce's.
        for (square, vectors) in scoop.chunks_exact_mut(V::LANES).enumerate() {
            V::transpose(vectors);
            for (nonce, vector) in vectors.iter().enumerate() {
                vector.store(&mut words);
                let at = nonce * SCOOP_BYTES + square * V::LANES * 4;
                for (bytes, word) in out[at..].as_chunks_mut().0.iter_mut().zip(&words[..V::LANES]) {
                    *bytes = word.to_le_bytes();
                }
            }
        }
    }
}

/// Puts down for each scoop the first eight bytes, little-endian, of the digest of the generation signature and the scoop: the lower, the better.
/// Their number is a multiple of [`Words::LANES`].
#[inline(always)]
pub(super) fn qualities<V: Words>(machine: V::Machine, signature: &[u8; 32], scoops: &[u8], qualities: &mut [u64]) {
    const WORDS: usize = SCOOP_BYTES / 4;
    let zero = V::splat(machine, 0);
    let begin = State::begin(machine);
    let mut first = [zero; BLOCK];
    for (lanes, bytes) in first.iter_mut().zip(signature.as_chunks().0) {
        *lanes = V::splat(machine, u32::from_le_bytes(*bytes));
    }
    let mut last = [zero; BLOCK];
    last[DIGEST] = V::splat(machine, PADDING);
    let groups = scoops.chunks_exact(SCOOP_BYTES * V::LANES).zip(qualities.chunks_exact_mut(V::LANES));
    for (scoops, qualities) in groups {
        let mut words = [zero; WORDS];
        for (square, vectors) in words.chunks_exact_mut(V::LANES).enumerate() {
            for (scoop, vector) in vectors.iter_mut().enumerate() {
                *vector = V::from_le_bytes(machine, &scoops[scoop * SCOOP_BYTES + square * V::LANES * 4..]);
            }
            V::transpose(vectors);
        }
        first[DIGEST..].copy_from_slice(&words[..DIGEST]);
        last[..DIGEST].copy_from_slice(&words[DIGEST..]);
        let [low, high, ..] = begin.digest(machine, 2, |block| if block == 0 { first } else { last });
        let mut halves = [[0; WORDS]; 2];
        low.store(&mut halves[0]);
        high.store(&mut halves[1]);
        for (lane, quality) in qualities.iter_mut().enumerate() {
            *quality = u64::from(halves[1][lane]) << 32 | u64::from(halves[0][lane]);
        }
    }
}
