//! Known answers, and what no question may bring about.

use adit_plugin_quorum::{Config, Policy, Quorum};
use adit_plugin_sdk::testing::{check_quorum_vectors, check_share_vectors};
use adit_plugin_sdk::{CheckPlan, CheckQuestion, QuorumPolicy, ShareValidator, WorkerRecord};
use proptest::prelude::*;

#[test]
fn the_known_answers_come_out() {
    check_share_vectors::<Quorum>(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors.json")).unwrap();
    check_quorum_vectors::<Quorum>(concat!(env!("CARGO_MANIFEST_DIR"), "/quorum.json")).unwrap();
}

#[test]
fn a_quorum_of_two_thirds_is_refused() {
    let refused = Quorum::new(Config { quorum_percent: 66, ..Config::default() }).unwrap_err();
    assert_eq!((refused.key.as_str(), refused.detail.as_str()), ("quorum-percent", "66 is not between 67 and 100"));
}

proptest! {
    #[test]
    fn no_plan_checks_less_than_the_configuration_allows(
        policy in prop_oneof![Just(Policy::Count), Just(Policy::Work), Just(Policy::Load)],
        shares in 1u32..=100, hash_ns: u64, load_permille: u32, validators: u32, weight_permille: u32, valid: u64, invalid: u64,
    ) {
        let record = WorkerRecord { valid, invalid, known_ms: 0 };
        let question = CheckQuestion { shares, hash_ns, load_permille, validators, weight_permille, record };
        match Quorum::new(Config { policy, ..Config::default() }).unwrap().plan(&question) {
            CheckPlan::Local => {}
            CheckPlan::Sample { one_in } => prop_assert!((2..=8).contains(&one_in) && invalid == 0 && validators >= 4),
            CheckPlan::Ask { count } => prop_assert!((3..=5).contains(&count) && count < validators && invalid == 0),
        }
    }
}
