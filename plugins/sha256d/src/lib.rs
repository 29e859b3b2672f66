//! Double SHA-256, the hash of Bitcoin and its descendants.
//!
//! This is the reference that native kernels are compared with, so it shares no code with them. It keeps nothing between calls.
//!
//! Reading order: [`Sha256d`]; `sha256` (its rounds on four messages), `search` (what need not be computed for each nonce).

mod search;
mod sha256;

use adit_plugin_sdk::{ConfigError, Hash256, HashAlgorithm, NoConfig, Scan, SearchJob};

/// The algorithm.
#[derive(Debug, Clone, Copy)]
pub struct Sha256d;

impl HashAlgorithm for Sha256d {
    const NAME: &'static str = "sha256d";
    const SUMMARY: &'static str = "Double SHA-256, as Bitcoin hashes its headers.";
    type Config = NoConfig;

    fn new(NoConfig {}: NoConfig) -> Result<Self, ConfigError> {
        Ok(Self)
    }

    fn digest(&self, input: &[u8]) -> Hash256 {
        Hash256(adit_plugin_sdk::sha256d(input))
    }

    fn digest_many(&self, inputs: &[u8], each: usize, digests: &mut Vec<Hash256>) {
        let fours = inputs.chunks_exact((4 * each).max(1));
        let rest = fours.remainder();
        digests.extend(fours.flat_map(|four| sha256::digest_four(four, each)));
        digests.extend(rest.chunks_exact(each.max(1)).map(|input| self.digest(input)));
    }

    fn search(&self, job: &SearchJob, first: u64, count: u64) -> Scan {
        if search::is_fast_for(job) {
            search::in_last_block(job, first, count)
        } else {
            search::anywhere(job, first, count)
        }
    }
}

adit_plugin_sdk::export_hash!(Sha256d);

#[cfg(test)]
mod tests {
    use super::*;
    use adit_plugin_sdk::{Found, Target, U256, sha256d};
    use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

    /// Returns bytes that look random and are the same on each run.
    fn noise(length: usize, seed: u64) -> Vec<u8> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        };
        (0..length).map(|_| next()).collect()
    }

    /// Returns a job whose target one digest in 2^`bits` meets.
    fn job(length: usize, nonce: std::ops::Range<u32>, inputs: u64, bits: usize) -> SearchJob {
        SearchJob {
            inputs: (0..inputs).map(|seed| noise(length, seed)).collect(),
            nonce_offset: nonce.start,
            nonce_bytes: nonce.end - nonce.start,
            target: Target(U256::MAX >> bits),
        }
    }

    /// Compares a search with one hash after another.
    #[track_caller]
    fn check(job: &SearchJob, first: u64, count: u64) {
        let mut scan = Sha256d.search(job, first, count);
        let mask = job.nonces().map_or(u64::MAX, |nonces| nonces - 1);
        let mut wanted = Vec::new();
        for (number, input) in (0..).zip(&job.inputs) {
            let mut input = input.clone();
            for nonce in (0..scan.scanned).map(|step| first.wrapping_add(step) & mask) {
                job.write_nonce(&mut input, nonce);
                if job.target.is_met_by(&sha256d(&input)) {
                    wanted.push(Found { nonce, input: number });
                }
            }
        }
        scan.found.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(scan.found, wanted);
        assert!(scan.scanned == count || (0 < scan.scanned && scan.scanned < count && wanted.len() >= 4096));
    }

    #[test]
    fn digests_in_bulk_are_right_at_every_length() {
        for each in 1..300 {
            for count in [1, 3, 4, 7, 8] {
                let inputs = noise(each * count, 3);
                let mut digests = Vec::new();
                Sha256d.digest_many(&inputs, each, &mut digests);
                let wanted: Vec<_> = inputs.chunks_exact(each).map(|input| Hash256(sha256d(input))).collect();
                assert_eq!(digests, wanted, "{count} inputs of {each} bytes");
            }
        }
    }

    #[test]
    fn headers_of_both_formats_are_searched() {
        for bits in [0, 1, 4, 8, 33] {
            check(&job(80, 76..80, 1, bits), 1000, 999);
            check(&job(88, 76..84, 1, bits), 1000, 999);
        }
    }

    #[test]
    fn any_count_of_nonces_is_tried_to_the_last() {
        for count in 0..20 {
            check(&job(80, 76..80, 1, 1), 7, count);
            check(&job(80, 70..74, 1, 1), 7, count);
        }
    }

    #[test]
    fn a_search_with_thousands_of_finds_ends_early() {
        let scan = Sha256d.search(&job(80, 76..80, 1, 0), 0, 1 << 32);
        assert!(scan.scanned < 5000 && scan.found.len() as u64 == scan.scanned);
        check(&job(80, 76..80, 3, 0), 0, 10_000);
    }

    #[test]
    fn nonces_carry_and_wrap() {
        check(&job(88, 76..84, 2, 3), 0xffff_ff81, 300);
        check(&job(88, 76..84, 2, 3), 0xffff_ffff_ffff_ff81, 300);
        check(&job(80, 76..80, 2, 3), 0xffff_ff81, 300);
        check(&job(78, 76..78, 2, 3), 0xff81, 300);
    }

    #[test]
    fn inputs_that_differ_before_the_last_block_alone_are_searched_together() {
        let mut rolled = job(80, 76..80, 9, 3);
        for (version, input) in (0u8..).zip(&mut rolled.inputs) {
            *input = noise(80, 0);
            input[0] = version;
        }
        check(&rolled, 5, 200);
    }

    #[test]
    fn the_first_block_of_bitcoin_is_found() {
        let words: [u32; 20] = [
            0x0100_0000,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0x3ba3_edfd,
            0x7a7b_12b2,
            0x7ac7_2c3e,
            0x6776_8f61,
            0x7fc8_1bc3,
            0x888a_5132,
            0x3a9f_b8aa,
            0x4b1e_5e4a,
            0x29ab_5f49,
            0xffff_001d,
            0x1dac_2b7c,
        ];
        let target = Target::from_compact(0x1d00_ffff).unwrap();
        let header = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        let job = SearchJob { inputs: vec![header], nonce_offset: 76, nonce_bytes: 4, target };
        let scan = Sha256d.search(&job, 0x7c2b_ac1d - 300, 500);
        assert_eq!(scan, Scan { scanned: 500, found: vec![Found { nonce: 0x7c2b_ac1d, input: 0 }] });
    }

    /// Lengths with an offset and a width of the nonce; half of them where the search is fast.
    fn places() -> impl Strategy<Value = (usize, u32, u32)> {
        let fast = (0u32..3, 4u32..=8).prop_flat_map(|(blocks, bytes)| {
            let offset = 64 * blocks + 12;
            (offset + bytes..=offset + 43, Just(offset), Just(bytes))
        });
        let anywhere = (0u32..300, 1u32..=8)
            .prop_flat_map(|(offset, bytes)| (offset + bytes..offset + 200, Just(offset), Just(bytes)));
        prop_oneof![fast, anywhere].prop_map(|(length, offset, bytes)| (length as usize, offset, bytes))
    }

    proptest! {
        #[test]
        fn a_search_finds_what_one_hash_after_another_finds(
            (length, offset, bytes) in places(),
            inputs in 1u64..4,
            first in prop_oneof![any::<u64>(), 0xffff_ff00u64..0x1_0000_0000],
            count in 1u64..200,
            bits in 0usize..9,
        ) {
            check(&job(length, offset..offset + bytes, inputs, bits), first, count);
        }
    }
}
