//! What a job lets a vector backend compute once: the fast path.
//!
//! The nonce's low 32 bits are message word 3 of the last block. All other words of that block are constant over a run of nonces
//! without a carry, so the first three rounds, half of the fourth, and much of the message schedule up to word 33 are too. Inputs
//! whose last blocks are equal, such as rolled versions of a header, share the whole schedule.

use super::plain::Nonced;
use super::rounds::{K, one_round, one_small_sigma_0, one_small_sigma_1};
use crate::kernel::{Finds, Job};

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
/// with and the number of groups, the highest 32 bits of the target, and room for a bit mask of lanes for each start; the result
/// is the number of groups tried. A hit need not meet the target.
pub(super) type ScanGroups<'a> = &'a dyn Fn(&Part, (u32, u32), u32, &mut [u32; 16]) -> u32;

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
        at += lanes_wide * u64::from(scan(part, (low(job.nonce(at)), groups), job.target_top(), &mut hits));
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
            let sigmas = one_small_sigma_0(known[index - 15]).wrapping_add(one_small_sigma_1(known[index - 2]));
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
        let second = one_round(one_round(midstate, wk[0]), wk[1]);
        let fourth = one_round(one_round(second, wk[2]), wk[3]);
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
