//! Difficulty and median time over DAGs that are mined.

use crate::dag::{BITS, START, config};
use adit_plugin_ghostdag::Ghostdag;
use adit_plugin_sdk::judge::judge;
use adit_plugin_sdk::testing::{NativeRules, TestChain};
use adit_plugin_sdk::{BlockId, Candidate, Consensus, Hash256, Target, Timestamp, sha256d};
use proptest::prelude::*;
use serde_json::{Value, json};

const WINDOWS: &str = r#"{
    "difficulty": { "rule": "window", "size": 12, "sample-rate": 2, "min": 4, "target-ms": 1000 },
    "median-time": { "size": 5, "sample-rate": 3 },
    "merge-depth": 20
}"#;

fn windows() -> Value {
    serde_json::from_str(WINDOWS).expect("a configuration")
}

/// Mines a DAG over tips that the rules choose, of those that a miner has seen.
fn mined(steps: &[(u8, u16)]) -> TestChain<Ghostdag> {
    let mut chain = TestChain::<Ghostdag>::new(&config(3, windows()).to_string());
    let mut tips = vec![vec![chain.genesis()]];
    let mut time = START;
    for (late, pause) in steps {
        time += u64::from(*pause);
        let seen = &tips[tips.len() - 1 - usize::from(*late).min(tips.len() - 1)];
        let next = chain.next(seen).expect("the tips are known");
        let id = chain.mine_over(seen, Timestamp::from_millis(time).max(next.earliest)).expect("the rules chose it");
        assert!(chain.placement(id).height == next.height && chain.placement(id).subsidy == next.subsidy);
        tips.push(chain.tips());
    }
    chain
}

fn blocks(chain: &TestChain<Ghostdag>) -> Vec<BlockId> {
    let mut found = chain.tips();
    let mut at = 0;
    while at < found.len() {
        let header = chain.rules().decode(chain.header(found[at])).expect("a placed header decodes");
        for parent in header.parents {
            if !found.contains(&parent) {
                found.push(parent);
            }
        }
        at += 1;
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_the_rules_choose_they_accept_and_a_fresh_instance_agrees(
        steps in prop::collection::vec((0u8..6, 1u16..4000), 1..90),
    ) {
        let chain = mined(&steps);
        for id in blocks(&chain) {
            let fresh = NativeRules::<Ghostdag>::new(&config(3, windows()).to_string()).0;
            let header = chain.header(id).to_vec();
            let candidate = Candidate { pow: Hash256(sha256d(&header[..88])), header };
            let placed = judge(&fresh, &chain, &[candidate]).pop().expect("one answer");
            prop_assert_eq!(placed.as_ref(), Ok(chain.placement(id)));
        }
    }
}

/// Mines one block after another, each `pause` milliseconds after the one before, and returns the last one's target.
fn target_after(pauses: impl IntoIterator<Item = u64>) -> Target {
    let window = json!({ "difficulty": { "rule": "window", "size": 20, "min": 10, "target-ms": 1000 } });
    let mut chain = TestChain::<Ghostdag>::new(&config(3, window).to_string());
    let (mut tip, mut time) = (chain.genesis(), START);
    for pause in pauses {
        time += pause;
        tip = chain.mine_over(&[tip], Timestamp::from_millis(time)).expect("a block as the rules ask");
    }
    chain.next(&[tip]).expect("the tip is known").target
}

#[test]
fn the_target_follows_the_time_that_a_window_took() {
    let start = Target::from_compact(BITS).expect("a target");
    assert_eq!(target_after([1000; 9]), start, "the window is not full enough");
    assert_eq!(target_after([2000; 40]), start, "no target is easier than the easiest");
    let halved = target_after([500; 12]);
    assert!(halved < start, "blocks twice as fast make it harder");
    let slower = target_after([500; 12].into_iter().chain([1500; 30]));
    assert!(slower > halved, "and slower ones easier again");
}

#[test]
fn a_mean_of_targets_times_the_time_over_the_aim_is_the_next_target() {
    // Ten blocks of one target; the earliest leaves: nine pauses of 800 ms are measured over nine aims of 1,000 ms.
    let easiest = Target::from_compact(BITS).expect("a target").0;
    let want = Target(easiest / adit_plugin_sdk::U256::from(1000) * adit_plugin_sdk::U256::from(800));
    let got = target_after(std::iter::once(1000).chain([800; 9]));
    assert_eq!(got.to_compact(), want.to_compact());
}
