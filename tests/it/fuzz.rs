//! Every decoder for a moment: arbitrary bytes, and valid ones with something changed. The verifier of plots too, as a component.

use crate::sandbox::Sandboxed;
use adit_tests::fuzz::DECODERS;
use adit_tests::fuzz::verifier::{Case, Verifier};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::cell::Cell;

/// Inputs for each decoder.
const CASES: u32 = 2_000;

/// Headers of plots that are changed.
const CLAIMS: u32 = 800;

/// Bytes as decoders meet them: short integers and lengths are far more frequent than in random bytes.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        any::<u8>().prop_map(|byte| vec![byte]),
        (0u32..8).prop_map(|number| number.to_le_bytes().to_vec()),
        any::<u64>().prop_map(|number| number.to_le_bytes().to_vec()),
        Just(vec![0; 32]),
        Just(vec![0xff; 4]),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

#[test]
fn no_decoder_panics_and_no_value_has_two_encodings() {
    for decoder in DECODERS {
        let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
        let outcome = runner.run(&bytes(), |bytes| {
            (decoder.run)(&bytes);
            Ok(())
        });
        assert!(outcome.is_ok(), "{}: {}", decoder.name, outcome.unwrap_err());
    }
}

/// The target `space-verifier`: no byte changed, no leaf invented, no other index, key or challenge, by whomever it is signed.
#[test]
fn the_compiled_verifier_of_plots_lets_nothing_pass_that_was_changed() {
    let verifier = Verifier::new(&Sandboxed);
    let mut runner = TestRunner::new(Config { cases: CLAIMS, failure_persistence: None, ..Config::default() });
    let count = |case: &Cell<u32>| case.set(case.get() + 1);
    let (refused, unchanged, another) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let outcome = runner.run(&proptest::collection::vec(any::<u8>(), 20..120), |bytes| {
        count(match verifier.run(&bytes) {
            Case::Refused => &refused,
            Case::Unchanged => &unchanged,
            Case::Another => &another,
        });
        Ok(())
    });
    assert!(outcome.is_ok(), "space-verifier: {}", outcome.unwrap_err());
    let counts = (refused.get(), unchanged.get(), another.get());
    assert!(refused.get() > CLAIMS / 3 && unchanged.get() > CLAIMS / 20, "the cases are of every kind: {counts:?}");
}
