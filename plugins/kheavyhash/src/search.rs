//! The search: what need not be computed for each nonce.
//!
//! It is fast where the input is one block of the sponge and the nonce lies in one of its words, after the matrix's seed: Kaspa's 80
//! bytes with the nonce at 72. Then an input has one matrix, and all of its words but the nonce's are absorbed once.

use crate::KHeavyHash;
use crate::keccak::permute;
use crate::matrix::{Matrix, seed};
use crate::sponge::{self, RATE, digest};
use adit_plugin_sdk::simd::Pair;
use adit_plugin_sdk::{Found, Scan, SearchJob};

/// A search ends early with this many finds: an easy target must not fill the memory.
const FOUND_MAX: usize = 4096;

/// The most nonces between two looks at how much was found.
const RUN_MAX: u64 = 1024;

/// An input of which all is known but the nonce.
struct Part {
    number: u32,
    matrix: Matrix,
    /// The state with the input absorbed, the nonce's field empty.
    state: [u64; 25],
}

/// Where the nonce stands in the state.
#[derive(Clone, Copy)]
struct Place {
    word: usize,
    shift: usize,
}

/// Tries `count` nonces from `first`, which wrap at the width of the field.
pub fn search(plugin: &KHeavyHash, job: &SearchJob, first: u64, count: u64) -> Scan {
    let mask = job.nonces().map_or(u64::MAX, |nonces| nonces - 1);
    let nonce = |step: u64| first.wrapping_add(step) & mask;
    let place = place(job);
    let mut parts = Vec::new();
    if place.is_some() {
        parts.extend((0..).zip(&job.inputs).map(|(number, input)| Part::new(plugin, job, number, input)));
    }
    let mut scan = Scan::default();
    while scan.scanned < count && scan.found.len() < FOUND_MAX {
        let run = (count - scan.scanned).min(RUN_MAX);
        let nonces = scan.scanned..scan.scanned + run;
        match place {
            Some(place) => {
                parts.iter().for_each(|part| part.scan(plugin, job, place, nonces.clone().map(nonce), &mut scan.found))
            }
            None => anywhere(plugin, job, nonces.map(nonce), &mut scan.found),
        }
        scan.scanned += run;
    }
    scan
}

/// Returns where the nonce stands, if [`Part`] can do the job.
fn place(job: &SearchJob) -> Option<Place> {
    let (offset, bytes) = (job.nonce_offset as usize, job.nonce_bytes as usize);
    let in_one_word = offset % 8 + bytes <= 8;
    let is_fast = in_one_word && offset >= 32 && job.inputs.iter().all(|input| input.len() < RATE);
    is_fast.then_some(Place { word: offset / 8, shift: 8 * (offset % 8) })
}

/// Hashes the whole input for each nonce.
fn anywhere(plugin: &KHeavyHash, job: &SearchJob, nonces: impl Iterator<Item = u64> + Clone, found: &mut Vec<Found>) {
    for (number, input) in (0..).zip(&job.inputs) {
        let mut bytes = input.clone();
        let mut last = (seed(input), Matrix::from_seed(seed(input)));
        for nonce in nonces.clone() {
            job.write_nonce(&mut bytes, nonce);
            let seed = seed(&bytes);
            if seed != last.0 {
                last = (seed, Matrix::from_seed(seed));
            }
            if job.target.is_met_by(&plugin.digest_by(&last.1, &bytes).0) {
                found.push(Found { nonce, input: number });
            }
        }
    }
}

impl Part {
    fn new(plugin: &KHeavyHash, job: &SearchJob, number: u32, input: &[u8]) -> Self {
        let mut input = input.to_vec();
        job.write_nonce(&mut input, 0);
        Self { number, matrix: Matrix::from_seed(seed(&input)), state: plugin.outer.before_end(&input) }
    }

    /// Tries nonces, two at a time.
    fn scan(
        &self,
        plugin: &KHeavyHash,
        job: &SearchJob,
        place: Place,
        mut nonces: impl Iterator<Item = u64>,
        found: &mut Vec<Found>,
    ) {
        let start = self.state.map(|word| Pair::new([word; 2]));
        let top = u64::try_from(job.target.0 >> 192).expect("64 bits are left");
        while let Some(nonce) = nonces.next() {
            let next = nonces.next();
            let two = [nonce, next.unwrap_or(nonce)];
            let mut state = start;
            state[place.word] = start[place.word] ^ Pair::new(two.map(|nonce| nonce << place.shift));
            permute(&mut state);
            let digests = self.finish(plugin, digest(&state));
            for (lane, nonce) in [Some(nonce), next].into_iter().enumerate() {
                let Some(nonce) = nonce else { continue };
                if digests[3].words()[lane] <= top {
                    let digest = sponge::to_bytes(digests.map(|words| words.words()[lane]));
                    if job.target.is_met_by(&digest) {
                        found.push(Found { nonce, input: self.number });
                    }
                }
            }
        }
    }

    /// Returns the digests' words of two inputs, given those of their first hashes.
    #[inline(always)]
    fn finish(&self, plugin: &KHeavyHash, outer: [Pair; 4]) -> [Pair; 4] {
        let words = outer.map(Pair::words);
        let mixed = [0, 1].map(|lane| self.matrix.mix(words.map(|word| word[lane])));
        plugin.heavy.hash_words([0, 1, 2, 3].map(|word| Pair::new([mixed[0][word], mixed[1][word]])))
    }
}
