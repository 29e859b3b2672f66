//! The plugin, natively built, against the `scrypt` crate and against digests of Litecoin's own headers.

use crate::Scrypt;
use adit_plugin_sdk::{Found, Hash256, HashAlgorithm, NoConfig, SearchJob, Target, U256};

fn plugin() -> Scrypt {
    Scrypt::new(NoConfig {}).unwrap()
}

fn reference(input: &[u8]) -> [u8; 32] {
    let mut digest = [0; 32];
    scrypt::scrypt(input, input, &scrypt::Params::new(10, 1, 1).unwrap(), &mut digest).unwrap();
    digest
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
    for each in (1..135).chain([255, 256, 257, 1000]) {
        check_digests(each, 2);
    }
    assert_eq!(plugin().digest(&[]).0, reference(&[]));
}

#[test]
fn digests_are_right_for_every_number_of_inputs() {
    for count in 0..10 {
        check_digests(80, count);
        check_digests(88, count);
    }
}

#[test]
fn headers_of_both_formats_are_searched() {
    for bits in [0, 1, 4, 255] {
        check(&job(80, 76..80, 1, bits), 1000, 40);
        check(&job(88, 76..84, 3, bits), 1000, 15);
    }
}

#[test]
fn any_count_of_nonces_is_tried_to_the_last() {
    for count in 0..10 {
        check(&job(80, 76..80, 1, 1), 7, count);
    }
}

#[test]
fn nonces_carry_and_wrap() {
    check(&job(88, 76..84, 2, 2), 0xffff_fff9, 15);
    check(&job(88, 76..84, 2, 2), 0xffff_ffff_ffff_fff9, 15);
    check(&job(80, 76..80, 2, 2), 0xffff_fff9, 15);
    check(&job(77, 76..77, 1, 2), 250, 15);
}

#[test]
fn litecoins_headers_have_the_digests_that_the_network_saw() {
    let data = std::env::var_os("ADIT_DATA").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        std::path::PathBuf::from,
    );
    let Ok(text) = std::fs::read_to_string(data.join("litecoin/scrypt_header_vectors.json")) else {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "the recorded data is missing: set ADIT_DATA");
        println!("not run: no recorded data, set ADIT_DATA");
        return;
    };
    let vectors: Vec<std::collections::BTreeMap<String, String>> = serde_json::from_str(&text).unwrap();
    let bytes = |hex: &str| -> Vec<u8> {
        hex.as_bytes().chunks(2).map(|two| u8::from_str_radix(str::from_utf8(two).unwrap(), 16).unwrap()).collect()
    };
    assert!(vectors.len() >= 5);
    for vector in vectors {
        let mut big_endian = plugin().digest(&bytes(&vector["header_hex"])).0;
        big_endian.reverse();
        assert_eq!(big_endian[..], bytes(&vector["scrypt_be"]));
    }
}
