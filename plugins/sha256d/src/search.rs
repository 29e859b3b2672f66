//! The search: what need not be computed for each nonce.
//!
//! It is fast where the nonce's low 32 bits are message word 3 of the last padded block, as in headers of Bitcoin (80 bytes) and
//! Adit (88 bytes). All other words of that block are constant then until a carry, and with them the first three rounds, half of
//! the fourth, and much of the message schedule up to word 33. Inputs with equal last blocks share the schedule. Of the second
//! hash only the word that is compared with the highest 32 bits of the target is computed.
//!
//! Most rounds and most message words are computed by loops of eight, over words in memory: written out in full, a step of four nonces
//! does not fit the processor's caches of instructions, and takes a tenth longer.

use crate::sha256::{
    INITIAL, K, choose, digest_four, each, eight_rounds, expand, majority, round, round_e, sigma_0, sigma_1,
    small_sigma_0, small_sigma_1,
};
use adit_plugin_sdk::simd::Words;
use adit_plugin_sdk::{Found, Scan, SearchJob, sha256d};
use sha2::block_api::compress256;

/// A search ends early with this many finds: an easy target must not fill the memory.
const FOUND_MAX: usize = 4096;

/// The message word that holds the nonce's low 32 bits.
const NONCE_WORD: usize = 3;

/// What stands behind a digest of 32 bytes in its block.
const PADDING: [u32; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0x8000_0000, 0, 0, 0, 0, 0, 0, 256];

/// Inputs with equal last blocks.
struct Part {
    /// The words of the last block; that of the nonce is 0.
    words: [u32; 16],
    /// Message words 0 to 31 as far as they do not depend on the nonce.
    fixed: [Words; 32],
    /// The message words of the nonces that are tried.
    schedule: [Words; 64],
    starts: Vec<Start>,
}

/// One input: its state where the nonce enters.
struct Start {
    /// The number of the input.
    number: u32,
    /// The variables `a` to `h` before the last block.
    midstate: [Words; 8],
    /// The same after four rounds of it, the nonce's word not yet added to `a` and `e`.
    fourth: [Words; 8],
}

/// Tells whether [`in_last_block`] can do a job.
pub fn is_fast_for(job: &SearchJob) -> bool {
    let length = job.inputs.first().map_or(0, Vec::len);
    let (block, place) = (job.nonce_offset as usize / 64, job.nonce_offset as usize % 64);
    place == 4 * NONCE_WORD && job.nonce_bytes >= 4 && (length + 9).div_ceil(64) == block + 1
}

/// Tries nonces wherever the field lies, four at a time.
pub fn anywhere(job: &SearchJob, first: u64, count: u64) -> Scan {
    let mut scan = Scan::default();
    while scan.scanned < count && scan.found.len() < FOUND_MAX {
        let nonces = [0, 1, 2, 3].map(|lane| nonce_at(job, first, scan.scanned + lane));
        let wanted = usize::try_from((count - scan.scanned).min(4)).expect("at most four");
        for (number, input) in (0..).zip(&job.inputs) {
            let mut four = input.repeat(4);
            for (copy, nonce) in four.chunks_exact_mut(input.len()).zip(nonces) {
                job.write_nonce(copy, nonce);
            }
            let digests = digest_four(&four, input.len());
            let met =
                nonces.into_iter().zip(digests).take(wanted).filter(|(_, digest)| job.target.is_met_by(&digest.0));
            scan.found.extend(met.map(|(nonce, _)| Found { nonce, input: number }));
        }
        scan.scanned += wanted as u64;
    }
    scan
}

/// Tries nonces whose low 32 bits are [`NONCE_WORD`] of the last block.
pub fn in_last_block(job: &SearchJob, first: u64, count: u64) -> Scan {
    let mut scan = Scan::default();
    while scan.scanned < count && scan.found.len() < FOUND_MAX {
        let nonce = nonce_at(job, first, scan.scanned);
        // Up to the next carry out of the low 32 bits.
        let run = ((1 << 32) - u64::from(low(nonce))).min(count - scan.scanned);
        scan_run(job, nonce, run, &mut scan);
    }
    scan
}

/// Tries nonces that differ in their low 32 bits alone.
fn scan_run(job: &SearchJob, first: u64, count: u64, scan: &mut Scan) {
    let mut parts = parts(job, first);
    let top = Words::splat(u32::try_from(job.target.0 >> 224).expect("32 bits are left"));
    let mut second = [Words::splat(0); 64];
    second[..16].copy_from_slice(&PADDING.map(Words::splat));
    let mut steps = 0;
    while steps < count && scan.found.len() < FOUND_MAX {
        let wanted = (count - steps).min(4);
        let nonce = first + steps;
        let nonces = (Words::splat(low(nonce)) + Words::new([0, 1, 2, 3])).swap_bytes();
        for part in &mut parts {
            part.put(nonces);
            for start in &part.starts {
                let lanes = second_last_word(part.first(start, nonces), &mut second).swap_bytes().at_most(top);
                if lanes != 0 {
                    let hits = (0..wanted).filter(|lane| lanes >> lane & 1 == 1).map(|lane| nonce + lane);
                    confirm(job, start.number, hits, &mut scan.found);
                }
            }
        }
        steps += wanted;
    }
    scan.scanned += steps;
}

/// Keeps the nonces whose digests meet the target.
#[cold]
fn confirm(job: &SearchJob, number: u32, nonces: impl Iterator<Item = u64>, found: &mut Vec<Found>) {
    let mut input = job.inputs[number as usize].clone();
    for nonce in nonces {
        job.write_nonce(&mut input, nonce);
        if job.target.is_met_by(&sha256d(&input)) {
            found.push(Found { nonce, input: number });
        }
    }
}

/// Returns the nonce that stands `steps` after `first`.
fn nonce_at(job: &SearchJob, first: u64, steps: u64) -> u64 {
    first.wrapping_add(steps) & job.nonces().map_or(u64::MAX, |nonces| nonces - 1)
}

/// Groups a job's inputs by their last blocks, for nonces that differ from `nonce` in the low 32 bits alone.
fn parts(job: &SearchJob, nonce: u64) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for (number, input) in (0..).zip(&job.inputs) {
        let mut input = input.clone();
        job.write_nonce(&mut input, nonce & !u64::from(u32::MAX));
        let (blocks, rest) = input.as_chunks();
        let mut midstate = INITIAL;
        compress256(&mut midstate, blocks);
        let words = last_words(rest, input.len());
        let start = Start::new(number, midstate, &words);
        match parts.iter_mut().find(|part| part.words == words) {
            Some(part) => part.starts.push(start),
            None => {
                let mut part = Part::new(words);
                part.starts.push(start);
                parts.push(part);
            }
        }
    }
    parts
}

/// Returns the words of the last block of a message of `length` bytes, which ends with `rest`.
fn last_words(rest: &[u8], length: usize) -> [u32; 16] {
    let mut block = [0; 64];
    block[..rest.len()].copy_from_slice(rest);
    block[rest.len()] = 0x80;
    block[56..].copy_from_slice(&(length as u64 * 8).to_be_bytes());
    let mut words = [0; 16];
    for (word, bytes) in words.iter_mut().zip(block.as_chunks().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    words
}

/// Returns the low 32 bits.
#[expect(clippy::cast_possible_truncation, reason = "the low half is what is asked for")]
fn low(nonce: u64) -> u32 {
    nonce as u32
}

impl Start {
    fn new(number: u32, midstate: [u32; 8], words: &[u32; 16]) -> Self {
        let fourth = (0..4).fold(midstate, |state, at| one_round(state, words[at].wrapping_add(K[at])));
        Self { number, midstate: midstate.map(Words::splat), fourth: fourth.map(Words::splat) }
    }
}

impl Part {
    fn new(words: [u32; 16]) -> Self {
        // What depends on the nonce counts as 0 here, and both sigmas of 0 are 0.
        let mut known = [0u32; 32];
        let mut fixed = [0u32; 32];
        known[..16].copy_from_slice(&words);
        fixed[..16].copy_from_slice(&words);
        for at in 16..32 {
            let sum = known[at - 16].wrapping_add(known[at - 7]);
            fixed[at] =
                sum.wrapping_add(one_small_sigma_0(known[at - 15])).wrapping_add(one_small_sigma_1(known[at - 2]));
            if at < 18 {
                known[at] = fixed[at];
            }
        }
        let fixed = fixed.map(Words::splat);
        let mut schedule = [Words::splat(0); 64];
        schedule[..18].copy_from_slice(&fixed[..18]);
        Self { words, fixed, schedule, starts: Vec::new() }
    }

    /// Computes the message words that depend on the nonces.
    fn put(&mut self, nonces: Words) {
        let w = &mut self.schedule;
        macro_rules! put {
            ($at:expr, $more:expr) => {
                w[$at] = self.fixed[$at] + $more;
            };
        }
        macro_rules! put_two {
            ($at:expr) => {
                put!($at, w[$at - 7] + small_sigma_1(w[$at - 2]));
            };
        }
        put!(18, small_sigma_0(nonces));
        put!(19, nonces);
        put!(20, small_sigma_1(w[18]));
        put!(21, small_sigma_1(w[19]));
        put!(22, small_sigma_1(w[20]));
        put!(23, small_sigma_1(w[21]));
        put!(24, small_sigma_1(w[22]));
        each!(put_two: 25 26 27 28 29 30 31);
        expand_from_32(w);
    }

    /// The first hash: the state after the last block, once the nonces are put into it.
    fn first(&self, start: &Start, nonces: Words) -> [Words; 8] {
        let w = &self.schedule;
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = start.fourth;
        a = a + nonces;
        e = e + nonces;
        macro_rules! word {
            ($at:expr) => {
                w[$at] + Words::splat(K[$at])
            };
        }
        round!(a b c d e f g h, h + word!(4));
        round!(h a b c d e f g, g + word!(5));
        round!(g h a b c d e f, f + word!(6));
        round!(f g h a b c d e, e + word!(7));
        let mut state = [e, f, g, h, a, b, c, d];
        fifty_six_rounds(&mut state, &w[8..], &ROUND_CONSTANTS[8..]);
        for (word, middle) in state.iter_mut().zip(start.midstate) {
            *word = *word + middle;
        }
        state
    }
}

/// The round constants, each in every lane.
const ROUND_CONSTANTS: [[u32; 4]; 64] = {
    let mut constants = [[0; 4]; 64];
    let mut at = 0;
    while at < 64 {
        constants[at] = [K[at]; 4];
        at += 1;
    }
    constants
};

/// Does fifty-six rounds with the first words and constants of `w` and `k`.
#[inline(never)]
fn fifty_six_rounds(state: &mut [Words; 8], w: &[Words], k: &[[u32; 4]]) {
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    for (w, k) in w.as_chunks::<8>().0.iter().zip(k.as_chunks::<8>().0).take(7) {
        macro_rules! word {
            ($at:expr) => {
                Words::new(k[$at]) + w[$at]
            };
        }
        eight_rounds!(a b c d e f g h, 0, word);
    }
    *state = [a, b, c, d, e, f, g, h];
}

/// Computes message words 32 to 63 from those before.
#[inline(never)]
fn expand_from_32(w: &mut [Words; 64]) {
    for at in [32, 40, 48, 56] {
        let (before, after) = w.split_at_mut(at);
        let mut w: [Words; 16] = *before.last_chunk().expect("at least 32 stand before");
        let after: &mut [Words; 8] = after.first_chunk_mut().expect("at least eight follow");
        macro_rules! next {
            ($index:expr) => {
                expand!(w[$index]);
                after[$index] = w[$index];
            };
        }
        each!(next: 0 1 2 3 4 5 6 7);
    }
}

/// The last word of the second hash, over the digests that the states `first` stand for. Of its message words `w` those of the padding
/// are there already.
fn second_last_word(first: [Words; 8], w: &mut [Words; 64]) -> Words {
    const SIGMA_0_OF_8: u32 = one_small_sigma_0(PADDING[8]);
    const SIGMA_0_OF_15: u32 = one_small_sigma_0(PADDING[15]);
    const SIGMA_1_OF_15: u32 = one_small_sigma_1(PADDING[15]);
    w[..8].copy_from_slice(&first);
    // What the padding makes constant or zero in words 16 to 31 is left out or folded.
    w[16] = w[0] + small_sigma_0(w[1]);
    w[17] = w[1] + small_sigma_0(w[2]) + Words::splat(SIGMA_1_OF_15);
    w[18] = w[2] + small_sigma_0(w[3]) + small_sigma_1(w[16]);
    w[19] = w[3] + small_sigma_0(w[4]) + small_sigma_1(w[17]);
    w[20] = w[4] + small_sigma_0(w[5]) + small_sigma_1(w[18]);
    w[21] = w[5] + small_sigma_0(w[6]) + small_sigma_1(w[19]);
    w[22] = w[6] + small_sigma_0(w[7]) + Words::splat(PADDING[15]) + small_sigma_1(w[20]);
    w[23] = w[7] + Words::splat(SIGMA_0_OF_8) + w[16] + small_sigma_1(w[21]);
    w[24] = Words::splat(PADDING[8]) + w[17] + small_sigma_1(w[22]);
    w[25] = w[18] + small_sigma_1(w[23]);
    w[26] = w[19] + small_sigma_1(w[24]);
    w[27] = w[20] + small_sigma_1(w[25]);
    w[28] = w[21] + small_sigma_1(w[26]);
    w[29] = w[22] + small_sigma_1(w[27]);
    w[30] = Words::splat(SIGMA_0_OF_15) + w[23] + small_sigma_1(w[28]);
    w[31] = Words::splat(PADDING[15]) + small_sigma_0(w[16]) + w[24] + small_sigma_1(w[29]);
    expand_from_32(w);
    let mut state = INITIAL.map(Words::splat);
    fifty_six_rounds(&mut state, w, &ROUND_CONSTANTS);
    let [mut a, mut b, mut c, mut d, e, f, g, mut h] = state;
    macro_rules! word {
        ($at:expr) => {
            w[$at] + Words::splat(K[$at])
        };
    }
    round!(a b c d e f g h, h + word!(56));
    round_e!(c d e f, g + word!(57));
    round_e!(b c d e, f + word!(58));
    round_e!(a b c d, e + word!(59));
    round_e!(h a b c, d + word!(60));
    // `e` of round 60 is `h` of round 63.
    h + Words::splat(INITIAL[7])
}

const fn one_small_sigma_0(x: u32) -> u32 {
    x.rotate_right(7) ^ x.rotate_right(18) ^ (x >> 3)
}

const fn one_small_sigma_1(x: u32) -> u32 {
    x.rotate_right(17) ^ x.rotate_right(19) ^ (x >> 10)
}

/// One round of one message on the variables `a` to `h`.
const fn one_round([a, b, c, d, e, f, g, h]: [u32; 8], wk: u32) -> [u32; 8] {
    let sigma_1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
    let t1 = h.wrapping_add(sigma_1).wrapping_add((e & f) ^ (!e & g)).wrapping_add(wk);
    let sigma_0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
    let t2 = sigma_0.wrapping_add((a & b) ^ (a & c) ^ (b & c));
    [t1.wrapping_add(t2), a, b, c, d.wrapping_add(t1), e, f, g]
}
