//! The search: what need not be computed for each nonce.
//!
//! It is fast where the nonce's low word is the fourth of the last block of a single chunk, as in headers of Bitcoin (80 bytes) and
//! Adit (88 bytes): the blocks before it are compressed once for an input, and three columns of the first round once for a run of
//! nonces. Of the digest only the highest word is computed, until that is not above the target's.

use crate::compress::{CHUNK_END, CHUNK_START, IV, Place, ROOT, Word, compress, diagonals, later_rounds, mix, state};
use crate::digest::{BLOCK, CHUNK, digest, digest_four, length_of, to_bytes, words};
use adit_plugin_sdk::simd::Words;
use adit_plugin_sdk::{Found, Scan, SearchJob};

/// A search ends early with this many finds: an easy target must not fill the memory.
const FOUND_MAX: usize = 4096;

/// Which word of the last block holds the nonce's low 32 bits.
const NONCE: usize = 3;

/// The most nonces between two looks at how much was found.
const RUN_MAX: u64 = 1024;

/// An input of which all is known but the nonce.
struct Part {
    number: u32,
    /// The chaining value before the last block.
    chaining: [u32; 8],
    place: Place,
    /// The last block with the first nonce of a run.
    block: [u32; 16],
    /// The state in the first round, before the nonce's column has taken the nonce.
    state: [u32; 16],
}

/// Tells whether [`in_last_block`] can do a job.
pub fn is_fast_for(job: &SearchJob) -> bool {
    let length = job.inputs.first().map_or(0, Vec::len);
    (1..=CHUNK).contains(&length) && job.nonce_offset as usize == (length - 1) / BLOCK * BLOCK + 4 * NONCE
}

/// Tries nonces wherever the field lies.
pub fn anywhere(job: &SearchJob, first: u64, count: u64) -> Scan {
    let mask = job.nonces().map_or(u64::MAX, |nonces| nonces - 1);
    let mut scan = Scan::default();
    while scan.scanned < count && scan.found.len() < FOUND_MAX {
        let nonces = [0, 1, 2, 3].map(|lane| first.wrapping_add(scan.scanned + lane) & mask);
        let wanted = (count - scan.scanned).min(4);
        for (number, input) in (0..).zip(&job.inputs) {
            let four = nonces.map(|nonce| {
                let mut copy = input.clone();
                job.write_nonce(&mut copy, nonce);
                copy
            });
            let four = four.each_ref().map(Vec::as_slice);
            let digests = if input.len() <= CHUNK { digest_four(four) } else { four.map(digest) };
            for ((nonce, digest), _) in nonces.into_iter().zip(digests).zip(0..wanted) {
                if job.target.is_met_by(&digest) {
                    scan.found.push(Found { nonce, input: number });
                }
            }
        }
        scan.scanned += wanted;
    }
    scan
}

/// Tries nonces whose low 32 bits are word [`NONCE`] of the last block.
pub fn in_last_block(job: &SearchJob, first: u64, count: u64) -> Scan {
    let mask = job.nonces().map_or(u64::MAX, |nonces| nonces - 1);
    let low_mask = mask.min(u64::from(u32::MAX));
    let top = u32::try_from(job.target.0 >> 224).expect("32 bits are left");
    let mut parts: Vec<Part> = (0..).zip(&job.inputs).map(|(number, input)| Part::new(number, input)).collect();
    let mut scan = Scan::default();
    while scan.scanned < count && scan.found.len() < FOUND_MAX {
        let nonce = first.wrapping_add(scan.scanned) & mask;
        // Up to the next carry out of the low word.
        let run = (low_mask - (nonce & low_mask) + 1).min(count - scan.scanned).min(RUN_MAX);
        let steps = u32::try_from(run).expect("runs are short");
        for (part, input) in parts.iter_mut().zip(&job.inputs) {
            part.begin(job, input, nonce);
            match part.place.length {
                0..=16 => part.scan::<4>(job, steps, (nonce, top), &mut scan.found),
                17..=24 => part.scan::<6>(job, steps, (nonce, top), &mut scan.found),
                _ => part.scan::<16>(job, steps, (nonce, top), &mut scan.found),
            }
        }
        scan.scanned += run;
    }
    scan
}

impl Part {
    fn new(number: u32, input: &[u8]) -> Self {
        let start = (input.len() - 1) / BLOCK * BLOCK;
        let mut chaining = IV;
        for (index, block) in input[..start].chunks_exact(BLOCK).enumerate() {
            let flags = if index == 0 { CHUNK_START } else { 0 };
            chaining = compress(&chaining, &words(block), Place { chunk: 0, length: length_of(BLOCK), flags });
        }
        let flags = if start == 0 { CHUNK_START } else { 0 } | CHUNK_END | ROOT;
        let place = Place { chunk: 0, length: length_of(input.len() - start), flags };
        Self { number, chaining, place, block: [0; 16], state: [0; 16] }
    }

    /// Makes ready for nonces from `nonce` that differ in the low word alone.
    fn begin(&mut self, job: &SearchJob, input: &[u8], nonce: u64) {
        let mut input = input.to_vec();
        job.write_nonce(&mut input, nonce);
        self.block = words(&input[(input.len() - 1) / BLOCK * BLOCK..]);
        self.state = state(&self.chaining, self.place);
        for half in 0..2 {
            for column in 0..4 {
                let word = 2 * column + half;
                if word != NONCE {
                    mix::<_, 16>(
                        &mut self.state,
                        [column, 4 + column, 8 + column, 12 + column],
                        half,
                        word,
                        &self.block,
                    );
                }
            }
        }
    }

    /// Tries `count` nonces from the one begun with. The block's words from number `WORDS` on are zero.
    fn scan<const WORDS: usize>(&self, job: &SearchJob, count: u32, (first, top): (u64, u32), found: &mut Vec<Found>) {
        let start = self.state.map(Words::splat);
        let mut block = self.block.map(Words::splat);
        let first_four = block[NONCE] + Words::new([0, 1, 2, 3]);
        let top = Words::splat(top);
        for step in (0..count).step_by(4) {
            let mut v = start;
            block[NONCE] = first_four + Words::splat(step);
            mix::<Words, WORDS>(&mut v, [1, 5, 9, 13], 1, NONCE, &block);
            diagonals::<Words, 0, WORDS>(&mut v, &block);
            later_rounds::<Words, WORDS>(&mut v, &block);
            let lanes = v[7].xor(v[15]).at_most(top);
            if lanes != 0 {
                let hits = (step..count).take(4).filter(|hit| lanes >> (hit - step) & 1 == 1);
                self.confirm(job, hits, first, found);
            }
        }
    }

    /// Keeps the nonces whose digests meet the target, given as distances from the first.
    #[cold]
    fn confirm(&self, job: &SearchJob, steps: impl Iterator<Item = u32>, first: u64, found: &mut Vec<Found>) {
        let mut block = self.block;
        for step in steps {
            block[NONCE] = self.block[NONCE].wrapping_add(step);
            let digest = to_bytes(compress(&self.chaining, &block, self.place));
            if job.target.is_met_by(&digest) {
                found.push(Found { nonce: first + u64::from(step), input: self.number });
            }
        }
    }
}
