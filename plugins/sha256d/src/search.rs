//! The search: what need not be computed for each nonce.
//!
//! It is fast where the nonce's low 32 bits are message word 3 of the last padded block, as in headers of Bitcoin (80 bytes) and
//! Adit (88 bytes). All other words of that block are constant then until a carry, and with them the first three rounds, half of
//! the fourth, and much of the message schedule up to word 33. Inputs with equal last blocks share the schedule. Of the second
//! hash only the word that is compared with the highest 32 bits of the target is computed.

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

/// Inputs with equal last blocks.
struct Part {
    /// The words of the last block; that of the nonce is 0.
    words: [u32; 16],
    /// Message word plus round constant of rounds 0 to 17.
    wk: [u32; 18],
    /// Message words 18 to 33 as far as they do not depend on the nonce, at their own index.
    fixed: [u32; 34],
    starts: Vec<Start>,
}

/// One input: its state where the nonce enters.
struct Start {
    /// The number of the input.
    number: u32,
    /// The variables `a` to `h` before the last block.
    midstate: [u32; 8],
    /// The same after four rounds of it, the nonce's word not yet added to `a` and `e`.
    fourth: [u32; 8],
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
    let parts = parts(job, first);
    let top = Words::splat(u32::try_from(job.target.0 >> 224).expect("32 bits are left"));
    let mut steps = 0;
    while steps < count && scan.found.len() < FOUND_MAX {
        let wanted = (count - steps).min(4);
        let nonce = first + steps;
        let nonces = (Words::splat(low(nonce)) + Words::new([0, 1, 2, 3])).swap_bytes();
        for part in &parts {
            let wk = part.schedule(nonces);
            for start in &part.starts {
                let lanes = second_last_word(part.first(start, nonces, &wk)).swap_bytes().at_most(top);
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
        let start = |part: &Part| Start::new(number, midstate, &part.wk);
        match parts.iter_mut().find(|part| part.words == words) {
            Some(part) => part.starts.push(start(part)),
            None => {
                let mut part = Part::new(words);
                part.starts.push(start(&part));
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
    fn new(number: u32, midstate: [u32; 8], wk: &[u32; 18]) -> Self {
        let fourth = wk[..4].iter().fold(midstate, |state, wk| one_round(state, *wk));
        Self { number, midstate, fourth }
    }
}

impl Part {
    fn new(words: [u32; 16]) -> Self {
        // What depends on the nonce counts as 0 here, and both sigmas of 0 are 0.
        let mut known = [0u32; 34];
        let mut fixed = [0u32; 34];
        known[..16].copy_from_slice(&words);
        for at in 16..34 {
            let sum = known[at - 16].wrapping_add(known[at - 7]);
            fixed[at] =
                sum.wrapping_add(one_small_sigma_0(known[at - 15])).wrapping_add(one_small_sigma_1(known[at - 2]));
            if at < 18 {
                known[at] = fixed[at];
            }
        }
        let mut wk = [0; 18];
        for (at, wk) in wk.iter_mut().enumerate() {
            *wk = known[at].wrapping_add(K[at]);
        }
        Self { words, wk, fixed, starts: Vec::new() }
    }

    /// Message words 18 to 63 plus their constants, at their index less 18.
    #[inline(always)]
    fn schedule(&self, nonces: Words) -> [Words; 46] {
        let mut out = [nonces; 46];
        // Word i lies at i % 16; words before 18 are in `fixed`.
        let mut w = [nonces; 16];
        macro_rules! put {
            ($at:expr, $sum:expr) => {
                w[$at % 16] = Words::splat(self.fixed[$at]) + $sum;
                out[$at - 18] = w[$at % 16] + Words::splat(K[$at]);
            };
        }
        macro_rules! put_two {
            ($at:expr) => {
                put!($at, w[($at - 7) % 16] + small_sigma_1(w[($at - 2) % 16]));
            };
        }
        macro_rules! full {
            ($at:expr) => {
                expand!(w[$at]);
                out[$at - 18] = w[$at % 16] + Words::splat(K[$at]);
            };
        }
        put!(18, small_sigma_0(nonces));
        put!(19, nonces);
        put!(20, small_sigma_1(w[18 % 16]));
        put!(21, small_sigma_1(w[19 % 16]));
        put!(22, small_sigma_1(w[20 % 16]));
        put!(23, small_sigma_1(w[21 % 16]));
        put!(24, small_sigma_1(w[22 % 16]));
        each!(put_two: 25 26 27 28 29 30 31 32);
        put!(33, small_sigma_0(w[18 % 16]) + w[26 % 16] + small_sigma_1(w[31 % 16]));
        each!(full: 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63);
        out
    }

    /// The first hash: the state after the last block.
    #[inline(always)]
    fn first(&self, start: &Start, nonces: Words, wk: &[Words; 46]) -> [Words; 8] {
        let four = &start.fourth;
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = four.map(Words::splat);
        a = a + nonces;
        e = e + nonces;
        macro_rules! constant {
            ($at:expr) => {
                Words::splat(self.wk[$at])
            };
        }
        macro_rules! vector {
            ($at:expr) => {
                wk[$at - 18]
            };
        }
        round!(a b c d e f g h, h + constant!(4));
        round!(h a b c d e f g, g + constant!(5));
        round!(g h a b c d e f, f + constant!(6));
        round!(f g h a b c d e, e + constant!(7));
        eight_rounds!(e f g h a b c d, 8, constant);
        round!(e f g h a b c d, d + constant!(16));
        round!(d e f g h a b c, c + constant!(17));
        eight_rounds!(c d e f g h a b, 18, vector);
        eight_rounds!(c d e f g h a b, 26, vector);
        eight_rounds!(c d e f g h a b, 34, vector);
        eight_rounds!(c d e f g h a b, 42, vector);
        eight_rounds!(c d e f g h a b, 50, vector);
        round!(c d e f g h a b, b + vector!(58));
        round!(b c d e f g h a, a + vector!(59));
        round!(a b c d e f g h, h + vector!(60));
        round!(h a b c d e f g, g + vector!(61));
        round!(g h a b c d e f, f + vector!(62));
        round!(f g h a b c d e, e + vector!(63));
        let middle = start.midstate.map(Words::splat);
        [
            e + middle[0],
            f + middle[1],
            g + middle[2],
            h + middle[3],
            a + middle[4],
            b + middle[5],
            c + middle[6],
            d + middle[7],
        ]
    }
}

/// The last word of the second hash, over the digests that the states `first` stand for.
#[inline(always)]
fn second_last_word(first: [Words; 8]) -> Words {
    const PADDING: [u32; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0x8000_0000, 0, 0, 0, 0, 0, 0, 256];
    // After round 0 all but `a` and `e` are constant, and those are but for word 0.
    const ROUND_0: [u32; 8] = one_round(INITIAL, K[0]);
    let mut w = PADDING.map(Words::splat);
    w[..8].copy_from_slice(&first);
    macro_rules! given {
        ($at:expr) => {
            w[$at] + Words::splat(K[$at])
        };
    }
    macro_rules! padding {
        ($at:expr) => {
            Words::splat(PADDING[$at].wrapping_add(K[$at]))
        };
    }
    // What the padding makes constant or zero in words 16 to 31 is left out or folded below.
    macro_rules! put {
        ($at:expr, $word:expr) => {{
            w[$at % 16] = $word;
            w[$at % 16] + Words::splat(K[$at])
        }};
    }
    macro_rules! expanded {
        ($at:expr) => {{
            expand!(w[$at]);
            w[$at % 16] + Words::splat(K[$at])
        }};
    }
    const SIGMA_0_OF_8: u32 = one_small_sigma_0(PADDING[8]);
    const SIGMA_0_OF_15: u32 = one_small_sigma_0(PADDING[15]);
    const SIGMA_1_OF_15: u32 = one_small_sigma_1(PADDING[15]);
    let [mut h, mut a, mut b, mut c, mut d, mut e, mut f, mut g] = ROUND_0.map(Words::splat);
    h = h + w[0];
    d = d + w[0];
    round!(h a b c d e f g, g + given!(1));
    round!(g h a b c d e f, f + given!(2));
    round!(f g h a b c d e, e + given!(3));
    round!(e f g h a b c d, d + given!(4));
    round!(d e f g h a b c, c + given!(5));
    round!(c d e f g h a b, b + given!(6));
    round!(b c d e f g h a, a + given!(7));
    eight_rounds!(a b c d e f g h, 8, padding);
    round!(a b c d e f g h, h + put!(16, w[0] + small_sigma_0(w[1])));
    round!(h a b c d e f g, g + put!(17, w[1] + small_sigma_0(w[2]) + Words::splat(SIGMA_1_OF_15)));
    round!(g h a b c d e f, f + put!(18, w[2] + small_sigma_0(w[3]) + small_sigma_1(w[0])));
    round!(f g h a b c d e, e + put!(19, w[3] + small_sigma_0(w[4]) + small_sigma_1(w[1])));
    round!(e f g h a b c d, d + put!(20, w[4] + small_sigma_0(w[5]) + small_sigma_1(w[2])));
    round!(d e f g h a b c, c + put!(21, w[5] + small_sigma_0(w[6]) + small_sigma_1(w[3])));
    round!(c d e f g h a b, b + put!(22, w[6] + small_sigma_0(w[7]) + Words::splat(PADDING[15]) + small_sigma_1(w[4])));
    round!(b c d e f g h a, a + put!(23, w[7] + Words::splat(SIGMA_0_OF_8) + w[0] + small_sigma_1(w[5])));
    round!(a b c d e f g h, h + put!(24, Words::splat(PADDING[8]) + w[1] + small_sigma_1(w[6])));
    round!(h a b c d e f g, g + put!(25, w[2] + small_sigma_1(w[7])));
    round!(g h a b c d e f, f + put!(26, w[3] + small_sigma_1(w[8])));
    round!(f g h a b c d e, e + put!(27, w[4] + small_sigma_1(w[9])));
    round!(e f g h a b c d, d + put!(28, w[5] + small_sigma_1(w[10])));
    round!(d e f g h a b c, c + put!(29, w[6] + small_sigma_1(w[11])));
    round!(c d e f g h a b, b + put!(30, Words::splat(SIGMA_0_OF_15) + w[7] + small_sigma_1(w[12])));
    round!(b c d e f g h a, a + put!(31, Words::splat(PADDING[15]) + small_sigma_0(w[0]) + w[8] + small_sigma_1(w[13])));
    eight_rounds!(a b c d e f g h, 32, expanded);
    eight_rounds!(a b c d e f g h, 40, expanded);
    eight_rounds!(a b c d e f g h, 48, expanded);
    round!(a b c d e f g h, h + expanded!(56));
    round_e!(c d e f, g + expanded!(57));
    round_e!(b c d e, f + expanded!(58));
    round_e!(a b c d, e + expanded!(59));
    round_e!(h a b c, d + expanded!(60));
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
