//! Known answers, and what no claim may bring about.

use adit_plugin_sdk::testing::check_share_vectors;
use adit_plugin_sdk::{Claim, ShareDifficulty, ShareValidator, ShareVerdict, WorkerRecord};
use adit_plugin_standard::{Config, Standard};
use proptest::prelude::*;

#[test]
fn the_known_answers_come_out() {
    check_share_vectors::<Standard>(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors.json")).unwrap();
}

proptest! {
    #[test]
    fn nothing_is_accepted_against_a_fact(meets: bool, duplicate: bool, version_outside: bool, time_offset_s: i64, stale_ms: u64, valid: u64) {
        let record = WorkerRecord { valid, invalid: 0, known_ms: 0 };
        let difficulty = ShareDifficulty::from_log2_hashes(32);
        let claim = Claim { difficulty, meets, duplicate, version_outside, time_offset_s, stale_ms, record };
        let judgement = Standard::new(Config::default()).unwrap().judge(&claim);
        if judgement.verdict == ShareVerdict::Accept {
            prop_assert!(meets && !duplicate && !version_outside && stale_ms == 0 && (0..=7_000).contains(&time_offset_s));
        } else {
            prop_assert!(!judgement.audit);
        }
    }
}
