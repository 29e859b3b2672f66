//! The plugin, natively built, against recorded values and against kHeavyHash written down as its definition reads.

use crate::keccak::permute;
use crate::matrix::{self, Matrix};
use crate::sponge::{Named, to_bytes};
use crate::{KHeavyHash, NoConfig};
use adit_plugin_sdk::{Found, Hash256, HashAlgorithm, SearchJob, Target, U256};
use flate2::read::GzDecoder;
use std::io::Read;
use std::path::PathBuf;

fn plugin() -> KHeavyHash {
    KHeavyHash::new(NoConfig {}).unwrap()
}

fn from_hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// Returns what Kaspa hashes.
fn pow_input(pre: &[u8], time: u64, nonce: u64) -> Vec<u8> {
    [pre, &time.to_le_bytes(), &[0; 32], &nonce.to_le_bytes()].concat()
}

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

/// Compares a search with one digest after another.
#[track_caller]
fn check(job: &SearchJob, first: u64, count: u64) {
    let mut scan = plugin().search(job, first, count);
    let mask = job.nonces().map_or(u64::MAX, |nonces| nonces - 1);
    let mut wanted = Vec::new();
    for (number, input) in (0..).zip(&job.inputs) {
        let mut inputs = Vec::new();
        for nonce in (0..scan.scanned).map(|step| first.wrapping_add(step) & mask) {
            inputs.extend_from_slice(input);
            let start = inputs.len() - input.len();
            job.write_nonce(&mut inputs[start..], nonce);
        }
        let mut digests = Vec::new();
        plugin().digest_many(&inputs, input.len(), &mut digests);
        for (step, digest) in (0..).zip(digests) {
            if job.target.is_met_by(&digest.0) {
                wanted.push(Found { nonce: first.wrapping_add(step) & mask, input: number });
            }
        }
    }
    scan.found.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(scan.found, wanted);
    assert!(scan.scanned == count || (0 < scan.scanned && scan.scanned < count && wanted.len() >= 4096));
}

#[test]
fn keccak_permutes_zeros_as_published() {
    // The Keccak team's KeccakF-1600 test values.
    let mut state = [0; 25];
    permute(&mut state);
    assert_eq!(state[0], 0xf125_8f79_40e1_dde7);
    assert_eq!(state[24], 0xeaf1_ff7b_5cec_a249);
}

#[test]
fn the_named_hashes_are_kaspas() {
    let outer = to_bytes(plugin().outer.hash(&pow_input(&[42; 32], 5_435_345_234, 432_432_432)));
    assert_eq!(outer.to_vec(), from_hex("2fb72b63dd0dd0d82b00cd9f83d4eca0710b7eb8c05966888f39ebc578978abf"));
    let heavy = to_bytes(plugin().heavy.hash(&[42; 32]));
    assert_eq!(heavy.to_vec(), from_hex("ad4ded01225705fea9aa043dd0a4e22ca28068bb41d5c6e06d35ca507d5656c7"));
}

#[test]
fn words_and_bytes_of_one_input_hash_alike() {
    let input: [u8; 32] = noise(32, 1).try_into().unwrap();
    let words = [0, 1, 2, 3].map(|word| u64::from_le_bytes(input.as_chunks().0[word]));
    let named = Named::new(b"HeavyHash");
    assert_eq!(named.hash(&input), named.hash_words(words));
}

#[test]
fn a_block_of_kaspas_has_its_digest() {
    let pre = from_hex("88bf4a3a55c95ff41f49e2ff4f86f7c04cea7a41d5520070c33b6e427c3802f5");
    let mut want = from_hex("445c4a797d4c2bb25ee9a91deda9b3988063b11a3ae070baf4cf08c11d4261f3");
    want.reverse();
    let input = pow_input(&pre, 1_662_278_194_958, 14_735_735_931_320_805_454);
    assert_eq!(plugin().digest(&input).0.to_vec(), want);
}

#[test]
fn recorded_values_are_reproduced() {
    let beside = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data"));
    let path = std::env::var_os("ADIT_DATA").map_or(beside, PathBuf::from).join("kaspa/kheavyhash-5000.csv.gz");
    if !path.exists() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "recorded data is missing: {}", path.display());
        eprintln!("NOT RUN: recorded data is missing: {} (set ADIT_DATA)", path.display());
        return;
    }
    let mut text = String::new();
    GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    let rows: Vec<Vec<&str>> = text.lines().skip(1).map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), 5000);
    for row in rows {
        let input = pow_input(&from_hex(row[1]), row[2].parse().unwrap(), row[3].parse().unwrap());
        let digest = U256::from_le_bytes(plugin().digest(&input).0);
        assert_eq!(digest, U256::from_str_radix(row[5], 16).unwrap(), "block {}", row[0]);
    }
}

#[test]
fn inputs_of_any_length_have_a_digest() {
    let mut seen = std::collections::BTreeSet::new();
    for each in (1..140).chain([271, 272, 273, 1000]) {
        let inputs = noise(3 * each, 5);
        let mut digests = Vec::new();
        plugin().digest_many(&inputs, each, &mut digests);
        let alone: Vec<Hash256> = inputs.chunks_exact(each).map(|input| plugin().digest(input)).collect();
        assert_eq!(digests, alone, "{each} bytes");
        seen.extend(alone.into_iter().map(|digest| digest.0));
    }
    assert!(seen.len() > 420);
    assert_ne!(plugin().digest(&[]), plugin().digest(&[0]));
}

#[test]
fn a_seed_of_zeros_has_the_matrix_of_zeros() {
    let x = [1, 2, 3, u64::MAX];
    assert_eq!(Matrix::from_seed([0; 32]).mix(x), x);
    let digest = to_bytes(plugin().heavy.hash_words(plugin().outer.hash(&[])));
    assert_eq!(plugin().digest(&[]).0, digest);
}

#[test]
fn short_seeds_are_padded_with_zeros() {
    let mut padded = [0; 32];
    padded[..3].copy_from_slice(b"abc");
    assert_eq!(matrix::seed(b"abc"), padded);
    assert_eq!(matrix::seed(&[7; 40]), [7; 32]);
}

#[test]
fn matrices_of_different_seeds_stand_side_by_side() {
    // Runs of one, two and three inputs with one seed.
    let inputs: Vec<u8> =
        [1, 2, 2, 3, 3, 3, 1].iter().flat_map(|seed| [&[*seed; 32][..], &noise(48, 3)].concat()).collect();
    let mut digests = Vec::new();
    plugin().digest_many(&inputs, 80, &mut digests);
    let alone: Vec<Hash256> = inputs.chunks_exact(80).map(|input| plugin().digest(input)).collect();
    assert_eq!(digests, alone);
    assert_eq!(digests[0], digests[6]);
    assert_ne!(digests[0], digests[1]);
}

#[test]
fn kaspas_input_is_searched() {
    for bits in [0, 1, 4, 8, 33, 255] {
        check(&job(80, 72..80, 1, bits), 1000, 1999);
        check(&job(80, 72..80, 3, bits), 1000, 499);
        check(&job(80, 76..80, 2, bits), 1000, 499);
    }
}

#[test]
fn a_hit_is_found_in_each_lane() {
    let mut job = job(80, 72..80, 2, 0);
    for step in 0..8 {
        let mut bytes = job.inputs[1].clone();
        job.write_nonce(&mut bytes, 1000 + step);
        job.target = Target(U256::from_le_bytes(plugin().digest(&bytes).0));
        assert!(plugin().search(&job, 1000, 8).found.contains(&Found { nonce: 1000 + step, input: 1 }));
        check(&job, 1000, 8);
    }
}

#[test]
fn any_count_of_nonces_is_tried_to_the_last() {
    for count in 0..8 {
        check(&job(80, 72..80, 1, 1), 7, count);
        check(&job(80, 70..74, 1, 1), 7, count);
    }
}

#[test]
fn a_search_with_thousands_of_finds_ends_early() {
    let scan = plugin().search(&job(80, 72..80, 1, 0), 0, 1 << 32);
    assert!(scan.scanned < 6000 && scan.found.len() as u64 == scan.scanned);
    check(&job(80, 70..74, 3, 0), 0, 10_000);
}

#[test]
fn nonces_carry_and_wrap() {
    check(&job(80, 72..80, 2, 3), 0xffff_ff81, 300);
    check(&job(80, 72..80, 2, 3), 0xffff_ffff_ffff_ff81, 300);
    check(&job(80, 76..80, 2, 3), 0xffff_ff81, 300);
    check(&job(78, 76..78, 2, 3), 0xff81, 300);
    check(&job(77, 76..77, 2, 1), 250, 256);
}

#[test]
fn a_nonce_may_lie_anywhere() {
    for offset in 0..150 {
        check(&job(160, offset..offset + 5, 1, 3), 0xffff_ffe0, 40);
    }
    for offset in (0..130).step_by(3) {
        check(&job(135, offset..offset + 5, 1, 3), 0xffff_ffe0, 40);
    }
    for length in [134, 135, 136, 137, 1500] {
        check(&job(length, 64..72, 1, 3), 0, 60);
    }
    check(&job(16, 12..16, 1, 3), 0, 60);
}
