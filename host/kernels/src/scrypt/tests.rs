//! Every backend against the `scrypt` crate, and against digests of Litecoin's own headers.

use super::NAME;
use super::baseline::hash;
use crate::equality::{check_digests, check_search, engines, one_in, rolled};
use adit_primitives::contract::SearchJob;
use adit_primitives::engine::HashEngine;
use adit_primitives::{Target, U256};

/// The headers that mining is about: Litecoin's with a nonce of 4 bytes, Adit's with one of 8.
const HEADERS: [(usize, std::ops::Range<u32>); 2] = [(80, 76..80), (88, 76..84)];

#[track_caller]
fn check(job: &SearchJob, first: u64, count: u64) -> usize {
    let finds = engines(NAME).iter_mut().map(|engine| check_search(engine, hash, job, first, count)).max();
    finds.expect("one kernel runs everywhere")
}

#[test]
fn digests_are_right_at_every_length() {
    for engine in &mut engines(NAME) {
        for each in (1..135).chain([255, 256, 257, 1000]) {
            check_digests(engine, hash, each, 3);
        }
    }
}

#[test]
fn digests_are_right_for_every_number_of_inputs() {
    for engine in &mut engines(NAME) {
        for count in 0..35 {
            check_digests(engine, hash, 80, count);
            check_digests(engine, hash, 88, count);
        }
    }
}

#[test]
fn a_thousand_digests_are_right_in_one_call() {
    for engine in &mut engines(NAME) {
        check_digests(engine, hash, 80, 1003);
    }
}

#[test]
fn nothing_at_all_has_a_digest() {
    for engine in &mut engines(NAME) {
        assert_eq!(engine.digest(&[]).unwrap().0, hash(&[]));
    }
}

#[test]
fn finds_are_right_whatever_the_target() {
    for (length, nonce) in HEADERS {
        for bits in [0, 1, 3, 6, 255] {
            check(&rolled(length, nonce.clone(), 1, one_in(bits)), 12_345, 70);
            check(&rolled(length, nonce.clone(), 3, one_in(bits)), 12_345, 33);
        }
    }
}

#[test]
fn a_hit_is_found_in_each_lane() {
    let mut job = rolled(88, 76..84, 2, Target::MAX);
    for step in 0..16 {
        let mut bytes = job.inputs[1].clone();
        job.write_nonce(&mut bytes, 1000 + step);
        job.target = Target(U256::from_le_bytes(hash(&bytes)));
        assert!(check(&job, 1000, 16) >= 1);
    }
}

#[test]
fn any_count_of_nonces_is_tried_to_the_last() {
    for count in 0..40 {
        check(&rolled(80, 76..80, 1, one_in(2)), 5, count);
    }
}

#[test]
fn the_low_word_carries_into_the_high_one() {
    let job = rolled(88, 76..84, 2, one_in(2));
    check(&job, 0xffff_fff5, 40);
    check(&job, 0xffff_ffff_ffff_fff3, 40);
}

#[test]
fn a_nonce_wraps_at_the_width_of_its_field() {
    check(&rolled(80, 76..80, 2, one_in(2)), 0xffff_fff7, 40);
    check(&rolled(77, 76..77, 1, one_in(2)), 250, 300);
}

#[test]
fn a_nonce_may_lie_anywhere() {
    for offset in [0, 1, 31, 59, 60, 63, 64, 77, 90] {
        check(&rolled(100, offset..offset + 5, 1, one_in(2)), 0xffff_fff0, 34);
    }
}

#[test]
fn more_finds_than_there_is_room_for_end_the_search_early() {
    check(&rolled(80, 76..80, 16, Target::MAX), 3, 400);
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
    let headers: Vec<u8> = vectors.iter().flat_map(|vector| bytes(&vector["header_hex"])).collect();
    for engine in &mut engines(NAME) {
        let mut digests = Vec::new();
        engine.digest_many(&headers, 80, &mut digests).unwrap();
        assert_eq!(digests.len(), vectors.len());
        for (digest, vector) in digests.iter().zip(&vectors) {
            let mut big_endian = digest.0;
            big_endian.reverse();
            assert_eq!(big_endian[..], bytes(&vector["scrypt_be"]), "{}", engine.backend());
        }
    }
}
