//! Known answers, and what no record may bring about.

use adit_plugin_reputation::record::certainty_bits;
use adit_plugin_reputation::{Config, Reputation};
use adit_plugin_sdk::testing::check_share_vectors;
use adit_plugin_sdk::{Claim, ShareDifficulty, ShareValidator, ShareVerdict, WorkerRecord};
use proptest::prelude::*;

#[test]
fn the_known_answers_come_out() {
    check_share_vectors::<Reputation>(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors.json")).unwrap();
}

fn good(valid: u64, invalid: u64) -> Claim {
    Claim {
        difficulty: ShareDifficulty::from_log2_hashes(32),
        meets: true,
        duplicate: false,
        version_outside: false,
        time_offset_s: 0,
        stale_ms: 0,
        record: WorkerRecord { valid, invalid, known_ms: 0 },
    }
}

#[test]
fn of_a_good_workers_shares_about_the_logarithm_is_audited() {
    let validator = Reputation::new(Config::default()).unwrap();
    let audits = (0..1_000).filter(|valid| validator.judge(&good(*valid, 0)).audit).count();
    assert!((1..20).contains(&audits), "{audits}");
}

#[test]
fn a_bad_worker_is_audited_at_almost_every_share() {
    let validator = Reputation::new(Config::default()).unwrap();
    let audits = (0..100).filter(|count| validator.judge(&good(*count, *count + 1)).audit).count();
    assert_eq!(audits, 100);
}

proptest! {
    #[test]
    fn a_worker_with_fewer_invalid_shares_than_good_ones_is_never_refused(valid: u64, invalid: u64) {
        prop_assume!(invalid <= valid);
        let judgement = Reputation::new(Config::default()).unwrap().judge(&good(valid, invalid));
        prop_assert_eq!(judgement.verdict, ShareVerdict::Accept);
    }

    #[test]
    fn each_invalid_share_more_makes_a_bad_worker_no_less_certain(valid in 0..10_000u64, invalid in 0..10_000u64) {
        let at = |invalid| certainty_bits(&WorkerRecord { valid, invalid, known_ms: 0 }, 50);
        // Logarithms are exact to 2^-16 of a bit for each share: of so many shares together, to one bit.
        prop_assert!(at(invalid) <= at(invalid + 1) + 1);
    }

    #[test]
    fn nothing_is_accepted_against_a_fact(meets: bool, duplicate: bool, valid: u64, invalid: u64) {
        let claim = Claim { meets, duplicate, ..good(valid, invalid) };
        if Reputation::new(Config::default()).unwrap().judge(&claim).verdict == ShareVerdict::Accept {
            prop_assert!(meets && !duplicate);
        }
    }
}
