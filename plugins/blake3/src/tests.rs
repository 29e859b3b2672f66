//! The plugin, natively built, against the `blake3` crate.

use crate::Blake3;
use adit_plugin_sdk::{Found, Hash256, HashAlgorithm, SearchJob, Target, U256};

fn plugin() -> Blake3 {
    Blake3
}

fn reference(input: &[u8]) -> [u8; 32] {
    blake3::hash(input).into()
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

/// Compares a search with one hash after another.
#[track_caller]
fn check(job: &SearchJob, first: u64, count: u64) {
    let mut scan = plugin().search(job, first, count);
    let mask = job.nonces().map_or(u64::MAX, |nonces| nonces - 1);
    let mut wanted = Vec::new();
    for (number, input) in (0..).zip(&job.inputs) {
        let mut input = input.clone();
        for nonce in (0..scan.scanned).map(|step| first.wrapping_add(step) & mask) {
            job.write_nonce(&mut input, nonce);
            if job.target.is_met_by(&reference(&input)) {
                wanted.push(Found { nonce, input: number });
            }
        }
    }
    scan.found.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(scan.found, wanted);
    assert!(scan.scanned == count || (0 < scan.scanned && scan.scanned < count && wanted.len() >= 4096));
}

/// Compares digests of `count` inputs of `each` bytes, together and alone.
#[track_caller]
fn check_digests(each: usize, count: usize) {
    let inputs = noise(each * count, each as u64);
    let mut digests = Vec::new();
    plugin().digest_many(&inputs, each, &mut digests);
    let wanted: Vec<_> = inputs.chunks_exact(each).map(|input| Hash256(reference(input))).collect();
    assert_eq!(digests, wanted, "{count} inputs of {each} bytes");
    if let Some(input) = inputs.chunks_exact(each).next() {
        assert_eq!(plugin().digest(input), wanted[0], "{each} bytes");
    }
}

#[test]
fn digests_are_right_at_every_length() {
    for each in (1..1100).chain([2047, 2048, 2049, 3072, 5000, 31 * 1024, 100_000]) {
        check_digests(each, 5);
    }
    assert_eq!(plugin().digest(&[]).0, reference(&[]));
}

#[test]
fn digests_are_right_for_every_number_of_inputs() {
    for count in (0..20).chain([1003]) {
        check_digests(80, count);
        check_digests(88, count);
    }
}

#[test]
fn headers_of_both_formats_are_searched() {
    for bits in [0, 1, 4, 8, 33, 255] {
        check(&job(80, 76..80, 1, bits), 1000, 2999);
        check(&job(88, 76..84, 3, bits), 1000, 999);
    }
}

#[test]
fn a_hit_is_found_in_each_lane() {
    let mut job = job(88, 76..84, 2, 0);
    for step in 0..16 {
        let mut bytes = job.inputs[1].clone();
        job.write_nonce(&mut bytes, 1000 + step);
        job.target = Target(U256::from_le_bytes(reference(&bytes)));
        assert!(plugin().search(&job, 1000, 16).found.contains(&Found { nonce: 1000 + step, input: 1 }));
        check(&job, 1000, 16);
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
    let scan = plugin().search(&job(80, 76..80, 1, 0), 0, 1 << 32);
    assert!(scan.scanned < 6000 && scan.found.len() as u64 == scan.scanned);
    check(&job(80, 76..80, 3, 0), 0, 10_000);
    check(&job(80, 70..74, 3, 0), 0, 10_000);
}

#[test]
fn nonces_carry_and_wrap() {
    check(&job(88, 76..84, 2, 3), 0xffff_ff81, 300);
    check(&job(88, 76..84, 2, 3), 0xffff_ffff_ffff_ff81, 300);
    check(&job(80, 76..80, 2, 3), 0xffff_ff81, 300);
    check(&job(78, 76..78, 2, 3), 0xff81, 300);
    check(&job(77, 76..77, 2, 1), 250, 256);
}

#[test]
fn a_nonce_may_lie_anywhere() {
    for offset in 0..150 {
        check(&job(160, offset..offset + 5, 1, 3), 0xffff_ffe0, 60);
    }
    check(&job(1500, 76..80, 1, 3), 0, 60);
    check(&job(16, 12..16, 1, 3), 0, 60);
    check(&job(1024, 972..980, 1, 3), 0, 60);
}
