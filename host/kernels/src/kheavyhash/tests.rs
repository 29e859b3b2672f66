//! Every backend against kHeavyHash on the `keccak` crate, and that against recorded values.

use super::NAME;
use super::baseline::hash;
use crate::equality::{check_digests, check_search, engines, noise, one_in, rolled};
use adit_primitives::contract::SearchJob;
use adit_primitives::engine::HashEngine;
use adit_primitives::{Hash256, Target, U256};
use flate2::read::GzDecoder;
use proptest::prelude::{Just, Strategy, any, proptest};
use std::io::Read;
use std::path::PathBuf;

/// Kaspa's input, and that of headers whose nonce has four bytes.
const INPUTS: [(usize, std::ops::Range<u32>); 2] = [(80, 72..80), (80, 76..80)];

#[track_caller]
fn check(job: &SearchJob, first: u64, count: u64) -> usize {
    let finds = engines(NAME).iter_mut().map(|engine| check_search(engine, hash, job, first, count)).max();
    finds.expect("one kernel runs everywhere")
}

fn from_hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
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
    let (mut inputs, mut wanted) = (Vec::new(), Vec::new());
    for line in text.lines().skip(1) {
        let row: Vec<&str> = line.split(',').collect();
        inputs.extend(from_hex(row[1]));
        inputs.extend(row[2].parse::<u64>().unwrap().to_le_bytes());
        inputs.extend([0; 32]);
        inputs.extend(row[3].parse::<u64>().unwrap().to_le_bytes());
        wanted.push(Hash256(U256::from_str_radix(row[5], 16).unwrap().to_le_bytes()));
    }
    assert_eq!(wanted.len(), 5000);
    for engine in &mut engines(NAME) {
        let mut digests = Vec::new();
        engine.digest_many(&inputs, 80, &mut digests).unwrap();
        assert_eq!(digests, wanted, "{}", engine.backend());
    }
    for (input, digest) in inputs.chunks_exact(80).zip(&wanted).step_by(25) {
        assert_eq!(hash(input), digest.0);
        // As the target, the digest is found in lanes.
        let target = Target(U256::from_le_bytes(digest.0));
        let job = SearchJob { inputs: vec![input.to_vec()], nonce_offset: 72, nonce_bytes: 8, target };
        let nonce = u64::from_le_bytes(*input.last_chunk().unwrap());
        for engine in &mut engines(NAME) {
            let found = engine.search(&job, nonce.wrapping_sub(5), 20).unwrap().found;
            assert!(found.iter().any(|find| find.nonce == nonce), "{}", engine.backend());
        }
    }
}

#[test]
fn digests_are_right_at_every_length() {
    for engine in &mut engines(NAME) {
        for each in (1..290).chain([408, 409, 4096]) {
            check_digests(engine, hash, each, 3);
        }
    }
}

#[test]
fn neighbours_with_one_seed_are_hashed_together() {
    for run in (1..20).chain([100]) {
        let mut inputs = Vec::new();
        for seed in 0..4_u8 {
            for number in 0..run {
                inputs.extend([[seed; 32].as_slice(), &noise(48, 100 * u64::from(seed) + number)].concat());
            }
        }
        let wanted: Vec<Hash256> = inputs.chunks_exact(80).map(|input| Hash256(hash(input))).collect();
        for engine in &mut engines(NAME) {
            let mut digests = Vec::new();
            engine.digest_many(&inputs, 80, &mut digests).unwrap();
            assert_eq!(digests, wanted, "{}: runs of {run}", engine.backend());
        }
    }
}

#[test]
fn blocks_of_the_sponge_follow_one_another_in_lanes() {
    for each in [32, 134, 135, 136, 137, 271, 272, 273, 1000] {
        let inputs: Vec<u8> = (0..19).flat_map(|number| [vec![7; 32], noise(each - 32, number)].concat()).collect();
        let wanted: Vec<Hash256> = inputs.chunks_exact(each).map(|input| Hash256(hash(input))).collect();
        for engine in &mut engines(NAME) {
            let mut digests = Vec::new();
            engine.digest_many(&inputs, each, &mut digests).unwrap();
            assert_eq!(digests, wanted, "{}: {each} bytes", engine.backend());
        }
    }
}

#[test]
fn a_seed_of_zeros_has_a_digest() {
    for engine in &mut engines(NAME) {
        for each in [0, 1, 32, 80] {
            let zeros = vec![0; each];
            assert_eq!(engine.digest(&zeros).unwrap().0, hash(&zeros));
        }
    }
}

#[test]
fn finds_are_right_whatever_the_target() {
    for (length, nonce) in INPUTS {
        for bits in [0, 1, 2, 5, 8, 11, 63, 64, 65, 255] {
            check(&rolled(length, nonce.clone(), 1, one_in(bits)), 12_345, 1000);
            check(&rolled(length, nonce.clone(), 3, one_in(bits)), 12_345, 100);
        }
    }
}

#[test]
fn a_hit_is_found_in_each_lane() {
    // Each digest in turn is the target, so that every lane brings a find.
    for (length, nonce) in INPUTS {
        let mut job = rolled(length, nonce, 2, Target::MAX);
        for step in 0..32 {
            let mut bytes = job.inputs[1].clone();
            job.write_nonce(&mut bytes, 1000 + step);
            job.target = Target(U256::from_le_bytes(hash(&bytes)));
            assert!(check(&job, 1000, 32) >= 1);
        }
    }
}

#[test]
fn a_digest_just_above_the_target_is_no_find() {
    let mut job = rolled(80, 72..80, 1, Target::MAX);
    for step in 0..16 {
        let mut bytes = job.inputs[0].clone();
        job.write_nonce(&mut bytes, step);
        job.target = Target(U256::from_le_bytes(hash(&bytes)) - U256::ONE);
        check(&job, 0, 16);
    }
}

#[test]
fn nonces_carry_and_wrap() {
    let job = |nonce: std::ops::Range<u32>| rolled(80, nonce, 2, one_in(3));
    check(&job(72..80), 0xffff_ff81, 300);
    check(&job(72..80), 0xffff_ffff_ffff_ff81, 300);
    check(&job(76..80), 0xffff_ff81, 300);
    check(&job(76..78), 0xff81, 300);
    check(&job(76..77), 250, 300);
}

#[test]
fn any_count_of_nonces_is_tried_to_the_last() {
    for count in 0..20 {
        check(&rolled(80, 72..80, 1, one_in(1)), 7, count);
        check(&rolled(80, 70..74, 1, one_in(1)), 7, count);
    }
}

proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(48))]

    #[test]
    fn a_nonce_may_lie_anywhere(
        (length, offset) in (8_usize..200).prop_flat_map(|length| (Just(length), 0..length - 7)),
        bytes in 1_u32..=8,
        first in any::<u64>(),
        inputs in 1_u8..4,
    ) {
        let offset = u32::try_from(offset).unwrap();
        check(&rolled(length, offset..offset + bytes, inputs, one_in(2)), first, 40);
    }
}
