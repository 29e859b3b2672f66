//! Every backend against the `blake3` crate.

use super::NAME;
use super::baseline::hash;
use crate::equality::{check_digests, check_search, engines, noise, one_in, rolled};
use adit_primitives::contract::SearchJob;
use adit_primitives::engine::HashEngine;
use adit_primitives::{Target, U256};
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

/// The headers that mining is about: Bitcoin's with a nonce of 4 bytes, Adit's with one of 8.
const HEADERS: [(usize, std::ops::Range<u32>); 2] = [(80, 76..80), (88, 76..84)];

#[track_caller]
fn check(job: &SearchJob, first: u64, count: u64) -> usize {
    let finds = engines(NAME).iter_mut().map(|engine| check_search(engine, hash, job, first, count)).max();
    finds.expect("one kernel runs everywhere")
}

#[test]
fn digests_are_right_at_every_length() {
    for engine in &mut engines(NAME) {
        for each in (1..1100).chain([2047, 2048, 2049, 4096, 10_000]) {
            check_digests(engine, hash, each, 19);
        }
    }
}

#[test]
fn digests_are_right_for_every_number_of_inputs() {
    for engine in &mut engines(NAME) {
        for count in (0..70).chain([1003]) {
            check_digests(engine, hash, 80, count);
            check_digests(engine, hash, 88, count);
        }
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
        for bits in [0, 1, 2, 5, 8, 11, 30, 33, 255] {
            check(&rolled(length, nonce.clone(), 1, one_in(bits)), 12_345, 5000);
            check(&rolled(length, nonce.clone(), 3, one_in(bits)), 12_345, 500);
        }
    }
}

#[test]
fn a_hit_is_found_in_each_lane() {
    // Each digest in turn is the target, so that every lane brings a find.
    for (length, nonce) in HEADERS {
        let mut job = rolled(length, nonce, 2, Target::MAX);
        for step in 0..64 {
            let mut bytes = job.inputs[1].clone();
            job.write_nonce(&mut bytes, 1000 + step);
            job.target = Target(U256::from_le_bytes(hash(&bytes)));
            assert!(check(&job, 1000, 64) >= 1);
        }
    }
}

#[test]
fn a_digest_just_above_the_target_is_no_find() {
    let mut job = rolled(88, 76..84, 1, Target::MAX);
    for step in 0..32 {
        let mut bytes = job.inputs[0].clone();
        job.write_nonce(&mut bytes, step);
        job.target = Target(U256::from_le_bytes(hash(&bytes)) - U256::ONE);
        check(&job, 0, 32);
    }
}

#[test]
fn any_count_of_nonces_is_tried_to_the_last() {
    for (length, nonce) in HEADERS {
        let job = rolled(length, nonce, 1, one_in(3));
        for count in 0..100 {
            check(&job, 5, count);
        }
    }
}

#[test]
fn the_low_word_carries_into_the_high_one() {
    let job = rolled(88, 76..84, 2, one_in(4));
    check(&job, 0xffff_ff00, 600);
    check(&job, 0x1_ffff_fff3, 600);
    check(&job, 0xffff_ffff_ffff_ff01, 600);
    check(&rolled(86, 76..82, 2, one_in(4)), 0xffff_ffff_ff01, 600);
}

#[test]
fn a_nonce_wraps_at_the_width_of_its_field() {
    check(&rolled(80, 76..80, 2, one_in(4)), 0xffff_ff00, 600);
    check(&rolled(78, 76..78, 1, one_in(4)), 0xff00, 600);
    check(&rolled(77, 76..77, 1, one_in(2)), 250, 1000);
}

#[test]
fn a_nonce_may_lie_anywhere() {
    for offset in 0..150 {
        check(&rolled(160, offset..offset + 5, 1, one_in(3)), 0xffff_ffe0, 60);
    }
    check(&rolled(1500, 76..80, 1, one_in(3)), 0, 60);
    check(&rolled(16, 12..16, 1, one_in(3)), 0, 60);
}

#[test]
fn more_inputs_than_a_kernel_takes_at_once_are_searched_all_the_same() {
    check(&rolled(80, 76..80, 40, one_in(6)), 9, 1000);
    check(&rolled(80, 76..80, 40, Target::MAX), 9, 1000);
}

/// Lengths with an offset and a width of the nonce; half of them where a search is fast.
fn places() -> impl Strategy<Value = (usize, u32, u32)> {
    let fast = (0u32..17, 4u32..=8).prop_flat_map(|(blocks, bytes)| {
        let offset = 64 * blocks + 12;
        (offset + bytes..=64 * blocks + 64, Just(offset), Just(bytes))
    });
    let anywhere = (0u32..300, 1u32..=8)
        .prop_flat_map(|(offset, bytes)| (offset + bytes..offset + 200, Just(offset), Just(bytes)));
    prop_oneof![fast, anywhere].prop_map(|(length, offset, bytes)| (length as usize, offset, bytes))
}

proptest! {
    #[test]
    fn every_backend_finds_what_the_reference_finds(
        (length, offset, bytes) in places(),
        contents in any::<u64>(),
        inputs in 1u8..6,
        first in prop_oneof![any::<u64>(), 0xffff_ff00u64..0x1_0000_0000],
        count in 1u64..300,
        bits in 0usize..9,
    ) {
        let mut job = rolled(length, offset..offset + bytes, inputs, one_in(bits));
        for (number, input) in (0u8..).zip(&mut job.inputs) {
            *input = noise(length, contents);
            input[length / 2] ^= number;
        }
        check(&job, first, count);
    }
}
