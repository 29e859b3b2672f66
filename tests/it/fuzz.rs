//! Every decoder for a moment: arbitrary bytes, and valid ones with something changed.

use adit_tests::fuzz::DECODERS;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Inputs for each decoder.
const CASES: u32 = 2_000;

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
