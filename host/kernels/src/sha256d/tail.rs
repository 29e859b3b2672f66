//! What a job lets a vector backend compute once: the fast path.
//!
//! The nonce's low 32 bits are message word 3 of the last block. All other words of that block are constant over a run of nonces
//! without a carry, so the first three rounds, half of the fourth, and much of the message schedule up to word 33 are too. Inputs
//! whose last blocks are equal, such as rolled versions of a header, share the whole schedule.

use super::plain::Nonced;
use crate::kernel::{Finds, Job};

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

/// The message word that holds the nonce's low 32 bits.
const NONCE_WORD: usize = 3;

/// Inputs with equal last blocks.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// The words of the last block; that of the nonce is 0.
    pub(super) words: [u32; 16],
    /// Message word plus round constant of rounds 0 to 17; without the nonce in round 3.
    pub(super) wk: [u32; 18],
    /// Message words 18 to 33 as far as they do not depend on the nonce, at their own index.
    pub(super) fixed: [u32; 34],
    pub(super) starts: Vec<Start>,
}

/// One input: its state where the nonce enters.
#[derive(Debug, Clone)]
pub(super) struct Start {
    /// The variables `a` to `h` before the last block.
    pub(super) midstate: [u32; 8],
    /// The same after two rounds of it.
    pub(super) second: [u32; 8],
    /// After four, the nonce's word not yet added to `a` and `e`.
    pub(super) fourth: [u32; 8],
    /// The number of the input.
    number: u32,
    message: Nonced,
}

/// Tries groups of consecutive nonces and stops after the first group with a hit. The arguments are the part, the nonce to begin
/// with, the number of groups, the highest 32 bits of the target, and room for a bit mask of lanes for each start; the result is
/// the number of groups tried. A hit need not meet the target.
pub(super) type ScanGroups<'a> = &'a dyn Fn(&Part, u32, u32, u32, &mut [u32; 16]) -> u32;

/// Tells whether a job is as the fast path needs it.
pub(super) fn fits(job: &Job<'_>) -> bool {
    let (block, place) = (job.nonce_offset() / 64, job.nonce_offset() % 64);
    place == 4 * NONCE_WORD && job.nonce_bytes() >= 4 && (job.length() + 9).div_ceil(64) == block + 1
}

/// Searches by groups of `lanes` nonces.
pub(super) fn search(job: &Job<'_>, finds: &mut Finds<'_>, lanes: u32, scan: ScanGroups<'_>) -> u64 {
    let messages: Vec<Nonced> = job.inputs().map(|input| Nonced::new(input, job.nonce_offset())).collect();
    let group_room = messages.len() * lanes as usize;
    let mut steps = 0;
    while steps < job.count && finds.room() >= group_room {
        let mut parts = parts(&messages, job.nonce(steps), job.nonce_bytes());
        let run_end = steps + job.straight_run(steps);
        while steps < run_end && finds.room() >= group_room {
            let groups_fit = u32::try_from(finds.room() / group_room).unwrap_or(u32::MAX);
            let nonces = (run_end - steps).min(u64::from(lanes) * u64::from(groups_fit));
            for part in &mut parts {
                search_part(job, steps..steps + nonces, part, finds, (lanes, scan));
            }
            steps += nonces;
        }
    }
    steps
}

/// Tries the nonces that stand `steps` after the job's first one, a straight run, with one part.
fn search_part(
    job: &Job<'_>,
    steps: std::ops::Range<u64>,
    part: &mut Part,
    finds: &mut Finds<'_>,
    (lanes, scan): (u32, ScanGroups<'_>),
) {
    let lanes_wide = u64::from(lanes);
    let mut at = steps.start;
    while at < steps.end {
        let groups = u32::try_from((steps.end - at).div_ceil(lanes_wide)).unwrap_or(u32::MAX);
        let mut hits = [0; 16];
        at += lanes_wide * u64::from(scan(part, low(job.nonce(at)), groups, job.target_top(), &mut hits));
        for (start, mut hits) in part.starts.iter_mut().zip(hits) {
            while hits != 0 {
                let step = at - lanes_wide + u64::from(hits.trailing_zeros());
                hits &= hits - 1;
                let nonce = job.nonce(step);
                start.message.set_nonce(nonce, job.nonce_bytes());
                // The last group may reach past the run.
                if step < steps.end && job.is_met_by(&start.message.digest()) {
                    finds.push(nonce, start.number);
                }
            }
        }
    }
}

/// Groups the messages by their last blocks. Of `nonce`, all but the low 32 bits are constant.
fn parts(messages: &[Nonced], nonce: u64, nonce_bytes: usize) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for (number, message) in (0..).zip(messages) {
        let mut message = message.clone();
        message.set_nonce(nonce & !u64::from(u32::MAX), nonce_bytes);
        let words = words(&message.tail[0]);
        let part = match parts.iter().position(|part| part.words == words) {
            Some(index) => &mut parts[index],
            None => {
                parts.push(Part::new(words));
                parts.last_mut().expect("one was pushed")
            }
        };
        part.starts.push(Start::new(message, number, &part.wk));
    }
    parts
}

impl Part {
    fn new(words: [u32; 16]) -> Self {
        // What depends on the nonce counts as 0 here, and both sigmas of 0 are 0.
        let mut known = [0u32; 34];
        let mut fixed = [0u32; 34];
        known[..16].copy_from_slice(&words);
        known[NONCE_WORD] = 0;
        for index in 16..34 {
            let sum = known[index - 16].wrapping_add(known[index - 7]);
            let sigmas = small_sigma_0(known[index - 15]).wrapping_add(small_sigma_1(known[index - 2]));
            fixed[index] = sum.wrapping_add(sigmas);
            if index < 18 {
                known[index] = fixed[index];
            }
        }
        let mut wk = [0; 18];
        for (index, wk) in wk.iter_mut().enumerate() {
            *wk = known[index].wrapping_add(K[index]);
        }
        Self { words, wk, fixed, starts: Vec::new() }
    }
}

impl Start {
    fn new(message: Nonced, number: u32, wk: &[u32; 18]) -> Self {
        let midstate = message.midstate;
        let second = round(round(midstate, wk[0]), wk[1]);
        let fourth = round(round(second, wk[2]), wk[3]);
        Self { midstate, second, fourth, number, message }
    }
}

/// Reads the words of a block.
fn words(block: &[u8; 64]) -> [u32; 16] {
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

pub(super) const fn small_sigma_0(x: u32) -> u32 {
    x.rotate_right(7) ^ x.rotate_right(18) ^ (x >> 3)
}

pub(super) const fn small_sigma_1(x: u32) -> u32 {
    x.rotate_right(17) ^ x.rotate_right(19) ^ (x >> 10)
}

/// One round on the variables `a` to `h`; `wk` is the message word plus the round's constant.
pub(super) const fn round([a, b, c, d, e, f, g, h]: [u32; 8], wk: u32) -> [u32; 8] {
    let sigma_1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
    let t1 = h.wrapping_add(sigma_1).wrapping_add((e & f) ^ (!e & g)).wrapping_add(wk);
    let sigma_0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
    let t2 = sigma_0.wrapping_add((a & b) ^ (a & c) ^ (b & c));
    [t1.wrapping_add(t2), a, b, c, d.wrapping_add(t1), e, f, g]
}
