//! The bundled payout schemes and share validators: their known answers, and laws that hold for all of them, as components.

use crate::sandbox::{payout, plugin, shares};
use adit_plugin_host::ConfigureError;
use adit_plugin_sdk::common::proportional;
use adit_plugin_sdk::testing::{read_payout_vectors, read_quorum_vectors, read_share_vectors};
use adit_primitives::contract::payout::{AccountId, Economics, FoundBlock, Pays, ShareToWeigh, Weight, Window};
use adit_primitives::contract::shares::{Claim, ShareDifficulty, ShareVerdict, WorkHistory, WorkSlice, WorkerRecord};
use adit_primitives::engine::{PayoutEngine, ShareEngine};
use adit_primitives::{Height, U256, Work};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

const SCHEMES: [&str; 6] = ["fpps", "pplns", "pps", "proportional", "score", "solo"];
const VALIDATORS: [&str; 3] = ["quorum", "reputation", "standard"];

/// Inputs for each law.
const CASES: u32 = 64;

fn runner() -> TestRunner {
    TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() })
}

fn vectors(plugin: &str) -> String {
    file_of(plugin, "vectors.json")
}

fn file_of(plugin: &str, name: &str) -> String {
    let path = format!("{}/../plugins/{plugin}/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn every_scheme_gives_its_known_answers() {
    for name in SCHEMES {
        for (number, vector) in (1..).zip(read_payout_vectors(&vectors(name)).expect("vectors")) {
            vector.check(number, &mut payout(name, &vector.config())).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
}

#[test]
fn every_validator_gives_its_known_answers() {
    for name in VALIDATORS {
        for (number, vector) in (1..).zip(read_share_vectors(&vectors(name)).expect("vectors")) {
            vector.check(number, &mut shares(name, &vector.config())).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
}

#[test]
fn the_quorum_policy_gives_its_known_answers_and_others_have_none() {
    for (number, vector) in (1..).zip(read_quorum_vectors(&file_of("quorum", "quorum.json")).expect("vectors")) {
        let mut policy = plugin("quorum").quorum(&vector.config()).expect("a quorum policy");
        vector.check(number, &mut policy).unwrap_or_else(|error| panic!("{error}"));
    }
    let refused = plugin("standard").quorum("{}").expect_err("it is none");
    assert!(matches!(refused, ConfigureError::NoQuorum { .. }), "{refused}");
    assert_eq!(VALIDATORS.map(|name| plugin(name).info().is_quorum()), [true, false, false]);
}

#[test]
fn every_plan_says_who_is_paid_for_what() {
    let plan = |name| payout(name, "{}").plan().expect("a plan");
    for (name, pays, window, weighs) in [
        ("fpps", Pays::Shares, Window::None, false),
        ("pplns", Pays::Blocks, Window::LastWork { thousandths: 2_000 }, false),
        ("pps", Pays::Shares, Window::None, false),
        ("proportional", Pays::Blocks, Window::SinceBlock, false),
        ("score", Pays::Blocks, Window::SinceBlock, true),
        ("solo", Pays::Blocks, Window::None, false),
    ] {
        let plan = plan(name);
        assert_eq!((plan.pays, plan.window, plan.weighs), (pays, window, weighs), "{name}");
    }
}

/// Weights of accounts 0, 1, …
fn rows(weights: &[u64]) -> Vec<Weight> {
    let row = |(account, weight): (u32, &u64)| Weight { account: AccountId(account), weight: U256::from(*weight) };
    (0..).zip(weights).map(row).collect()
}

#[test]
fn schemes_over_windows_split_a_block_to_the_last_atom() {
    for name in ["pplns", "proportional", "score"] {
        let engine = std::cell::RefCell::new(payout(name, "{}"));
        let outcome = runner().run(&(any::<u64>(), prop::collection::vec(any::<u64>(), 1..200)), |(atoms, weights)| {
            let work = Work(U256::from(1u64 << 40));
            let block = FoundBlock { height: Height(1), finder: AccountId(3), distributable: atoms, work };
            let rows = rows(&weights);
            let credits = engine.borrow_mut().split(&block, &rows).expect("a bundled scheme splits");
            prop_assert_eq!(credits, proportional(atoms, &rows));
            Ok(())
        });
        assert!(outcome.is_ok(), "{name}: {}", outcome.unwrap_err());
    }
}

#[test]
fn schemes_for_shares_never_pay_more_than_is_expected() {
    for name in ["pps", "fpps"] {
        let engine = std::cell::RefCell::new(payout(name, "{}"));
        // Amounts of a coin, and shares of a block's size: all together they stay within what atoms can count.
        let input = (0..1u64 << 50, 0..1u64 << 50, 1u64 << 50..u64::MAX, prop::collection::vec(0..1u64 << 50, 0..200));
        let outcome = runner().run(&input, |(subsidy, mean_fees, work, weights)| {
            let economics = Economics { subsidy, mean_fees, work: Work(U256::from(work)) };
            // The sandbox refuses an answer that pays more.
            engine
                .borrow_mut()
                .settle(&rows(&weights), &economics)
                .map_err(|fault| TestCaseError::fail(fault.to_string()))?;
            Ok(())
        });
        assert!(outcome.is_ok(), "{name}: {}", outcome.unwrap_err());
    }
}

#[test]
fn a_share_loses_weight_by_e_in_each_decay() {
    let share = |age_ms| ShareToWeigh { account: AccountId(1), work: 1_000_000_000, age_ms };
    let weights = payout("score", r#"{"decay-seconds": 60}"#).weigh(&[share(0), share(60_000), share(u64::MAX)]);
    assert_eq!(weights, Ok(vec![1_000_000_000, 367_879_441, 0]));
}

#[test]
fn no_validator_accepts_a_share_against_a_fact() {
    let input = (any::<[bool; 3]>(), any::<i64>(), any::<[u64; 4]>());
    for name in VALIDATORS {
        let engine = std::cell::RefCell::new(shares(name, "{}"));
        let outcome = runner().run(&input, |([meets, duplicate, version_outside], time_offset_s, numbers)| {
            let [stale_ms, valid, invalid, known_ms] = numbers;
            let record = WorkerRecord { valid, invalid, known_ms };
            let difficulty = ShareDifficulty::from_log2_hashes(40);
            let claim = Claim { difficulty, meets, duplicate, version_outside, time_offset_s, stale_ms, record };
            let judged = engine.borrow_mut().judge(&[claim, Claim { stale_ms: 0, time_offset_s: 0, ..claim }]);
            for judgement in judged.map_err(|fault| TestCaseError::fail(fault.to_string()))? {
                let is_sound = meets && !duplicate && !version_outside;
                prop_assert!(judgement.verdict != ShareVerdict::Accept || is_sound);
            }
            Ok(())
        });
        assert!(outcome.is_ok(), "{name}: {}", outcome.unwrap_err());
    }
}

#[test]
fn no_history_takes_a_validator_out_of_its_bounds() {
    let slices = prop::collection::vec(any::<(u64, u64, u64)>(), 0..40);
    let input = (0..=62u8, 0..=62u8, 0..=62u8, slices);
    for name in VALIDATORS {
        let engine = std::cell::RefCell::new(shares(name, "{}"));
        let outcome = runner().run(&input, |(difficulty, one, other, slices)| {
            let history = WorkHistory {
                difficulty: ShareDifficulty::from_log2_hashes(difficulty),
                least: ShareDifficulty::from_log2_hashes(one.min(other)),
                greatest: ShareDifficulty::from_log2_hashes(one.max(other)),
                slices: slices
                    .into_iter()
                    .map(|(length_ms, shares, work)| WorkSlice { length_ms, shares, work })
                    .collect(),
            };
            let next = engine.borrow_mut().retarget(std::slice::from_ref(&history));
            let next = next.map_err(|fault| TestCaseError::fail(fault.to_string()))?[0];
            prop_assert!((history.least..=history.greatest).contains(&next));
            Ok(())
        });
        assert!(outcome.is_ok(), "{name}: {}", outcome.unwrap_err());
    }
}
