//! PoC2, the proof of capacity that Signum runs: how good a nonce answers a challenge.
//!
//! An input is what [`hard_score_input`](adit_plugin_sdk::space::hard_score_input) writes, 52 bytes: account, number of the nonce, number of the scoop,
//! challenge. The digest has 24 zero bytes and then the quality, the first 8 bytes of Shabal-256(challenge | scoop): as a little-endian number the lowest wins,
//! as in Signum. Any other input has a digest that no target is met by but the easiest.
//!
//! A nonce is made anew for each input, which takes some hundred million steps: this is how a verifier judges one block, not how plots are made or
//! scanned. It is the reference that native code is compared with, so it shares no code with it. It keeps nothing between calls.
//!
//! Reading order: [`Poc2`]; `nonce` (nonces and their scoops), `shabal` (the hash that they are made of), `word` (one nonce at a time or four, in
//! vectors).

mod nonce;
mod shabal;
#[cfg(test)]
mod tests;
mod word;

use adit_plugin_sdk::simd::Words;
use adit_plugin_sdk::{ConfigError, Found, Hash256, HashAlgorithm, NoConfig, Scan, SearchJob};
use nonce::Question;

/// The algorithm.
#[derive(Debug, Clone, Copy)]
pub struct Poc2;

/// The digest of what is no question to a nonce.
const NO_ANSWER: Hash256 = Hash256([0xff; 32]);

/// A search ends early with this many finds: an easy target must not fill the memory.
const FOUND_MAX: usize = 4096;

impl HashAlgorithm for Poc2 {
    const NAME: &'static str = "poc2";
    const SUMMARY: &'static str = "The quality of a PoC2 nonce, as Signum's plots are scored by.";
    type Config = NoConfig;

    fn new(NoConfig {}: NoConfig) -> Result<Self, ConfigError> {
        Ok(Self)
    }

    fn digest(&self, input: &[u8]) -> Hash256 {
        Question::read(input).map_or(NO_ANSWER, |question| digest_of(nonce::qualities::<u32, 1>([question])[0]))
    }

    fn digest_many(&self, inputs: &[u8], each: usize, digests: &mut Vec<Hash256>) {
        let inputs: Vec<&[u8]> = inputs.chunks_exact(each.max(1)).collect();
        for four in inputs.chunks(4) {
            match four {
                [one] => digests.push(self.digest(one)),
                more => digests.extend(answer(more)),
            }
        }
    }

    fn search(&self, job: &SearchJob, first: u64, count: u64) -> Scan {
        let mask = job.nonces().map_or(u64::MAX, |nonces| nonces - 1);
        let mut scan = Scan::default();
        let (mut copies, mut digests) = (Vec::new(), Vec::new());
        while scan.scanned < count && scan.found.len() < FOUND_MAX {
            let steps = scan.scanned..count.min(scan.scanned + 4);
            let nonces = steps.map(|step| first.wrapping_add(step) & mask);
            for (number, input) in (0..).zip(&job.inputs) {
                copies.clear();
                for nonce in nonces.clone() {
                    let start = copies.len();
                    copies.extend_from_slice(input);
                    job.write_nonce(&mut copies[start..], nonce);
                }
                digests.clear();
                self.digest_many(&copies, input.len(), &mut digests);
                let met = nonces.clone().zip(&digests).filter(|(_, digest)| job.target.is_met_by(&digest.0));
                scan.found.extend(met.map(|(nonce, _)| Found { nonce, input: number }));
            }
            scan.scanned = count.min(scan.scanned + 4);
        }
        scan
    }
}

/// Answers two to four inputs side by side.
fn answer(inputs: &[&[u8]]) -> Vec<Hash256> {
    let questions: Vec<Option<Question>> = inputs.iter().map(|input| Question::read(input)).collect();
    // Inputs have one length, so either all are questions or nearly none: a lane without one repeats another's.
    let Some(any) = questions.iter().flatten().next().copied() else { return vec![NO_ANSWER; inputs.len()] };
    let lanes = [0, 1, 2, 3].map(|lane| questions.get(lane).copied().flatten().unwrap_or(any));
    let qualities = nonce::qualities::<Words, 4>(lanes);
    questions
        .iter()
        .zip(qualities)
        .map(|(question, quality)| question.map_or(NO_ANSWER, |_| digest_of(quality)))
        .collect()
}

fn digest_of(quality: u64) -> Hash256 {
    let mut digest = [0; 32];
    digest[24..].copy_from_slice(&quality.to_le_bytes());
    Hash256(digest)
}

adit_plugin_sdk::export_hash!(Poc2);
