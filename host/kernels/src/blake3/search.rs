//! Nonces whose low word is the fourth of the last block: all before it is hashed once for an input, and the columns of the first
//! round that no nonce reaches once for a run of nonces.

use super::compress::{CHUNK_END, CHUNK_START, IV, ROOT, compress, diagonals, later_rounds, mix, state};
use super::digest::{CHUNK, word};
use crate::kernel::{Finds, Job};
use crate::words::{Words, portable::Portable};

const BLOCK: usize = 64;

/// Which word of the last block the low word of the nonce is.
const NONCE: usize = 3;

/// An input before its last block.
struct Head {
    chaining: [Portable<1>; 8],
    /// The bytes of the last block, zeros after them.
    tail: [u8; BLOCK],
    length: u32,
    flags: u32,
}

/// An input of which all is known but the low word of the nonce.
pub(super) struct Part {
    /// The state in the first round, before the column with the nonce has taken it.
    state: [Portable<1>; 16],
    /// The last block with the first nonce.
    block: [u32; 16],
    head: Head,
}

/// Tells whether the nonce lies where [`search`] wants it.
pub(super) fn fits(job: &Job<'_>) -> bool {
    job.length() <= CHUNK && job.nonce_offset() == (job.length() - 1) / BLOCK * BLOCK + 4 * NONCE
}

/// Searches. `scan` is [`scan`] for the backend's vectors: it adds the distances of nonces whose digests may meet the target.
pub(super) fn search<const LANES: usize>(
    job: &Job<'_>,
    finds: &mut Finds<'_>,
    scan: impl Fn(&Part, u32, u32, &mut Vec<u32>),
) -> u64 {
    let mut parts: Vec<Part> = job.inputs().map(Part::new).collect();
    let mut candidates = Vec::new();
    let mut scanned = 0;
    while scanned < job.count && finds.room() >= LANES * parts.len() {
        let room = finds.room() / parts.len();
        let run = job.straight_run(scanned).min(room as u64);
        let count = u32::try_from(run).expect("the room for finds is far below 2^32");
        for (number, part) in (0..).zip(&mut parts) {
            part.set_nonce(job, job.nonce(scanned));
            scan(part, count, job.target_top(), &mut candidates);
            for distance in candidates.drain(..).filter(|distance| *distance < count) {
                if job.is_met_by(&part.digest(distance)) {
                    finds.push(job.nonce(scanned + u64::from(distance)), number);
                }
            }
        }
        scanned += run;
    }
    scanned
}

impl Part {
    fn new(input: &[u8]) -> Self {
        let start = (input.len() - 1) / BLOCK * BLOCK;
        let (before, last) = input.split_at(start);
        let mut chaining = IV.map(|word| Portable::splat((), word));
        for (number, block) in before.as_chunks().0.iter().enumerate() {
            let flags = if number == 0 { CHUNK_START } else { 0 };
            chaining = compress((), &chaining, &words(block).map(|word| Portable::splat((), word)), word(BLOCK), flags);
        }
        let mut tail = [0; BLOCK];
        tail[..last.len()].copy_from_slice(last);
        let flags = if start == 0 { CHUNK_START } else { 0 } | CHUNK_END | ROOT;
        let head = Head { chaining, tail, length: word(last.len()), flags };
        Self { state: [Portable::splat((), 0); 16], block: [0; 16], head }
    }

    /// Makes ready for nonces from `nonce` that differ in the low word alone.
    fn set_nonce(&mut self, job: &Job<'_>, nonce: u64) {
        let mut tail = self.head.tail;
        tail[4 * NONCE..][..job.nonce_bytes()].copy_from_slice(&nonce.to_le_bytes()[..job.nonce_bytes()]);
        self.block = words(&tail);
        let block = self.block.map(|word| Portable::splat((), word));
        let mut v = state((), &self.head.chaining, self.head.length, self.head.flags);
        for half in 0..2 {
            for column in 0..4 {
                let places = [column, 4 + column, 8 + column, 12 + column];
                if 2 * column + half != NONCE {
                    mix::<_, 16>(&mut v, places, half, 2 * column + half, &block);
                }
            }
        }
        self.state = v;
    }

    /// Returns the digest of the input with the nonce `distance` after the first.
    fn digest(&self, distance: u32) -> [u8; 32] {
        let mut block = self.block;
        block[NONCE] = block[NONCE].wrapping_add(distance);
        let block = block.map(|word| Portable::splat((), word));
        let words = compress((), &self.head.chaining, &block, self.head.length, self.head.flags);
        let mut digest = [0; 32];
        for (bytes, word) in digest.as_chunks_mut().0.iter_mut().zip(words) {
            *bytes = word.word().to_le_bytes();
        }
        digest
    }
}

/// Adds to `candidates` the distances from the first nonce, whole groups of them up to `count`, of those whose digests have a highest
/// word not above `top`.
#[inline(always)]
pub(super) fn scan<V: Words>(machine: V::Machine, part: &Part, count: u32, top: u32, candidates: &mut Vec<u32>) {
    // Bitcoin's header leaves four words in its last block, Adit's six.
    match part.head.length {
        0..=16 => scan_words::<V, 4>(machine, part, count, top, candidates),
        17..=24 => scan_words::<V, 6>(machine, part, count, top, candidates),
        _ => scan_words::<V, 16>(machine, part, count, top, candidates),
    }
}

/// Does [`scan`] where the last block's words from number `WORDS` on are zero.
#[inline(always)]
fn scan_words<V: Words, const WORDS: usize>(
    machine: V::Machine,
    part: &Part,
    count: u32,
    top: u32,
    candidates: &mut Vec<u32>,
) {
    let zero = V::splat(machine, 0);
    let (mut start, mut block) = ([zero; 16], [zero; 16]);
    for index in 0..16 {
        start[index] = V::splat(machine, part.state[index].word());
        block[index] = V::splat(machine, part.block[index]);
    }
    let top = V::splat(machine, top);
    let mut numbers = [0; 16];
    for (number, lane) in numbers.iter_mut().zip(0..) {
        *number = lane;
    }
    let first = block[NONCE] + V::load(machine, &numbers);
    for distance in (0..count).step_by(V::LANES) {
        let mut v = start;
        block[NONCE] = first + V::splat(machine, distance);
        mix::<V, WORDS>(&mut v, [1, 5, 9, 13], 1, NONCE, &block);
        diagonals::<V, 0, WORDS>(&mut v, &block);
        later_rounds::<V, WORDS>(&mut v, &block);
        let mut lanes = (v[7] ^ v[15]).at_most(top);
        while lanes != 0 {
            candidates.push(distance + lanes.trailing_zeros());
            lanes &= lanes - 1;
        }
    }
}

fn words(block: &[u8; BLOCK]) -> [u32; 16] {
    let mut words = [0; 16];
    for (word, bytes) in words.iter_mut().zip(block.as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    words
}
