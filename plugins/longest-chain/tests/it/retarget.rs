//! The retarget rules on chains that grow under them.

use crate::network::{Network, rule};
use adit_plugin_longest_chain::difficulty::target_of;
use adit_plugin_sdk::{Height, KnownBlock, Target, Timestamp, U256};
use adit_tests::conformance::Example;
use proptest::prelude::*;
use serde_json::{Value, json};

const START: Timestamp = Timestamp::from_secs(1_700_000_000);

/// A chain whose first block comes at [`START`].
fn started(mut network: Network) -> Network {
    network.mine(START);
    network
}

fn with_retarget(retarget: Value) -> Network {
    let mut config = Example::read("chaincore").config;
    config["retarget"] = retarget;
    started(Network::new(&config))
}

fn bits_of_next(network: &Network) -> u32 {
    network.next(None).expect("the chain goes on").bits
}

// interval

#[test]
fn the_first_block_has_the_configured_difficulty_and_not_that_of_the_genesis() {
    let network = started(Network::chaincore(&[]));
    let bits = |height| network.chain.at(Height(height)).expect("the block is there").bits;
    assert_eq!((bits(0), bits(1)), (2, 4));
}

#[test]
fn the_gap_after_the_genesis_is_not_measured() {
    let mut network = started(Network::chaincore(&[]));
    network.mine_every(10_000, 8);
    assert_eq!(network.chain.tip().expect("blocks were mined").height, Height(9));
    assert_eq!(bits_of_next(&network), 4);
}

#[test]
fn the_difficulty_changes_at_multiples_of_the_interval_alone() {
    let mut network = started(Network::chaincore(&[("steps", json!("fixed"))]));
    let bits: Vec<u32> = (2..32).map(|_| network.mine_every(7_000, 1).bits).collect();
    let want = [vec![4; 8], vec![5; 10], vec![6; 10], vec![7; 2]].concat();
    assert_eq!(bits, want);
}

#[test]
fn a_disabled_rule_always_returns_to_the_configured_difficulty() {
    let mut network = started(Network::chaincore(&[("enabled", json!(false))]));
    network.mine_every(1, 25);
    let time = Timestamp::from_millis(START.to_millis() + 1000);
    network.mine_with(time, 9).expect("difficulty is free on this chain");
    assert_eq!(bits_of_next(&network), 4);
}

#[test]
fn a_wish_is_granted_within_the_bounds_and_leaves_no_trace_in_the_next_block() {
    let mut network = started(Network::chaincore(&[]));
    let wished = |network: &Network, wish| network.next(Some(wish)).map(|next| (next.bits, next.difficulty));
    assert_eq!(wished(&network, 6), Ok((6, "6".to_owned())));
    assert_eq!(rule(wished(&network, 0)).as_deref(), Some("difficulty-override"));
    assert_eq!(rule(wished(&network, 13)).as_deref(), Some("difficulty-override"));
    assert_eq!(rule(wished(&network, u64::MAX)).as_deref(), Some("difficulty-override"));
    network.mine_with(Timestamp::from_millis(START.to_millis() + 1), 6).expect("6 is within the bounds");
    assert_eq!(bits_of_next(&network), 4);
    let out = network.mine_with(Timestamp::from_millis(START.to_millis() + 2), 13);
    assert_eq!(rule(out).as_deref(), Some("bits"));
}

#[test]
fn a_period_with_a_chosen_difficulty_is_not_measured() {
    let mut network = started(Network::chaincore(&[]));
    network.mine_every(1, 2);
    let time = network.chain.tip().expect("blocks were mined").time.to_millis() + 1;
    network.mine_with(Timestamp::from_millis(time), 7).expect("7 is within the bounds");
    network.mine_every(1, 5);
    assert_eq!(bits_of_next(&network), 4, "at height 10, after a period with a chosen difficulty");
    network.mine_every(1, 10);
    // 1 ms where 10,000 are aimed at: three digits make it 4.1 seconds.
    assert_eq!(bits_of_next(&network), 7, "at height 20, after a period without");
}

#[test]
fn where_difficulty_is_not_free_no_wish_and_no_other_bits_are_taken() {
    let mut network = started(Network::chaincore(&[("free-difficulty", json!(false))]));
    assert_eq!(rule(network.next(Some(4))).as_deref(), Some("difficulty-override"));
    let time = Timestamp::from_millis(START.to_millis() + 1);
    assert_eq!(rule(network.mine_with(time, 5)).as_deref(), Some("bits"));
    assert_eq!(rule(network.mine_with(time, 0x1e0f_ffff)).as_deref(), Some("bits"));
}

/// Grows a chain on which a block takes as long as `hashes_per_ms` need for its work.
fn grow(network: &mut Network, hashes_per_ms: u64, blocks: u64) -> KnownBlock {
    let mut last = network.chain.tip().expect("the chain has begun").clone();
    for _ in 0..blocks {
        let next = network.next(None).expect("the chain goes on");
        let gap_ms = next.target.work().0 / U256::from(hashes_per_ms);
        let gap_ms = u64::try_from(gap_ms).expect("no block takes so long").max(1);
        last = network.mine(Timestamp::from_millis(last.time.to_millis() + gap_ms));
    }
    last
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn measured_steps_settle_within_a_factor_of_four(hashes_per_ms in 1u64..5_000_000) {
        let mut network = started(Network::chaincore(&[]));
        let settled = grow(&mut network, hashes_per_ms, 60).bits;
        prop_assert_eq!(grow(&mut network, hashes_per_ms, 40).bits, settled);
        let ratio = 16u128.pow(settled) / u128::from(hashes_per_ms);
        prop_assert!((10_000 / 5..=10_000 * 5).contains(&ratio), "{} ms a block", ratio);
    }

    #[test]
    fn the_moving_average_finds_a_steady_hash_rate(hashes_per_ms in 100u64..1_000_000_000, spacing in 5u64..120) {
        let mut network = with_retarget(json!({"rule": "lwma", "spacing-seconds": spacing, "window": 45, "limit-bits": 0x1f00_ffff}));
        let last = grow(&mut network, hashes_per_ms, 450);
        let gap_ms = u64::try_from(target_of(last.bits).expect("a valid target").work().0 / U256::from(hashes_per_ms)).expect("a time");
        let aim_ms = 1000 * spacing;
        prop_assert!(gap_ms.abs_diff(aim_ms) <= aim_ms / 20, "{gap_ms} ms a block, {aim_ms} are aimed at");
    }

    #[test]
    fn asert_finds_a_steady_hash_rate(hashes_per_ms in 100u64..1_000_000_000, spacing in 5u64..120) {
        let half_life = 20 * spacing;
        let mut network = with_retarget(json!({
            "rule": "asert", "spacing-seconds": spacing, "half-life-seconds": half_life, "limit-bits": 0x1f00_ffff
        }));
        let last = grow(&mut network, hashes_per_ms, 1200);
        let gap_ms = u64::try_from(target_of(last.bits).expect("a valid target").work().0 / U256::from(hashes_per_ms)).expect("a time");
        let aim_ms = 1000 * spacing;
        prop_assert!(gap_ms.abs_diff(aim_ms) <= aim_ms / 20, "{gap_ms} ms a block, {aim_ms} are aimed at");
    }

    #[test]
    fn no_times_take_a_target_out_of_its_bounds(gaps in proptest::collection::vec(0u64..40_000_000, 40)) {
        let (limit, hardest) = (0x1e0f_ffffu32, 0x1c00_ffffu32);
        let mut network = with_retarget(json!({
            "rule": "lwma", "spacing-seconds": 30, "window": 12, "limit-bits": limit, "hardest-bits": hardest
        }));
        let bounds = target_of(hardest).expect("valid bits")..=target_of(limit).expect("valid bits");
        for gap_ms in gaps {
            // Times may run backwards, as long as they stay above the median.
            let next = network.next(None).expect("the chain goes on");
            prop_assert!(bounds.contains(&next.target));
            network.mine(Timestamp::from_millis(next.earliest.to_millis() + gap_ms));
        }
    }
}

// lwma

/// Six blocks of one target after a seventh, with these times in milliseconds, and what their average gives: target · numerator / denominator.
#[track_caller]
fn check_average(times_ms: [u64; 7], numerator: u64, denominator: u64) {
    const BITS: u32 = 0x1d00_ffff;
    let network = with_retarget(json!({"rule": "lwma", "spacing-seconds": 10, "window": 6, "initial-bits": BITS}));
    let mut network = Network { chain: Default::default(), ..network };
    for (height, time_ms) in (100..).zip(times_ms) {
        network.chain.add(adit_tests::conformance::replay::bare(Height(height), Timestamp::from_millis(time_ms), BITS));
    }
    let target = target_of(BITS).expect("valid bits").0 * U256::from(numerator) / U256::from(denominator);
    assert_eq!(bits_of_next(&network), Target(target).to_compact());
}

#[test]
fn blocks_in_time_keep_the_target() {
    check_average([0, 10_000, 20_000, 30_000, 40_000, 50_000, 60_000], 1, 1);
}

#[test]
fn blocks_twice_as_fast_halve_the_target() {
    check_average([0, 5_000, 10_000, 15_000, 20_000, 25_000, 30_000], 1, 2);
}

#[test]
fn the_newest_solve_time_weighs_most() {
    // (10 · (1 + 2 + 3 + 4 + 5) + 20 · 6) / (10 · 21), and the same 20 seconds at the oldest block.
    check_average([0, 10_000, 20_000, 30_000, 40_000, 50_000, 70_000], 270, 210);
    check_average([0, 20_000, 30_000, 40_000, 50_000, 60_000, 70_000], 220, 210);
}

#[test]
fn a_solve_time_counts_as_six_spacings_at_most() {
    // (10 · 15 + 60 · 6) / (10 · 21).
    check_average([0, 10_000, 20_000, 30_000, 40_000, 50_000, 150_000], 510, 210);
}

#[test]
fn a_time_before_its_parents_counts_as_a_millisecond_and_the_next_pays_for_it() {
    // 10,000 · (1 + 2 + 3) + 1 · 4 + 9,999 · 5 + 10,000 · 6.
    check_average([0, 10_000, 20_000, 30_000, 25_000, 40_000, 50_000], 169_999, 210_000);
}

#[test]
fn the_first_blocks_have_the_initial_target() {
    let mut network =
        with_retarget(json!({"rule": "lwma", "spacing-seconds": 10, "window": 6, "initial-bits": 0x1d00_ffff}));
    let bits: Vec<u32> = (0..5).map(|_| network.mine_every(1000, 1).bits).collect();
    assert_eq!(bits, [0x1d00_ffff; 5]);
    assert_eq!(network.mine_every(1000, 1).bits, 0x1d00_ffff, "block 7 sees five gaps above block 1");
    let next = network.next(None).expect("the chain goes on");
    assert!(
        next.target < target_of(0x1d00_ffff).expect("valid bits"),
        "from six gaps on, blocks this fast make it harder"
    );
}

// asert

#[test]
fn without_an_anchor_the_schedule_begins_at_the_first_block() {
    let asert = json!({"rule": "asert", "spacing-seconds": 10, "half-life-seconds": 100, "limit-bits": 0x1e0f_ffff, "initial-bits": 0x1d00_ffff});
    let mut network = with_retarget(asert);
    assert_eq!(network.mine_every(10_000, 20).bits, 0x1d00_ffff);
    // Ten spacings without a block are a half-life.
    network.mine_every(110_000, 1);
    assert_eq!(bits_of_next(&network), 0x1d01_fffe);
}

// schedule

#[test]
fn a_scheduled_rule_takes_over_at_its_height() {
    let mut config = Example::read("chaincore").config;
    config["schedule"] = json!([
        {"height": 5, "retarget": {"rule": "interval", "difficulty": 6, "spacing-seconds": 10}},
        {"height": 8, "retarget": {"rule": "bitcoin", "interval": 100, "spacing-seconds": 10, "limit-bits": 0x2000_ffff}},
        {"height": 10, "retarget": {"rule": "asert", "spacing-seconds": 10, "limit-bits": 0x1e0f_ffff, "initial-bits": 0x1d00_ffff}},
        {"height": 12, "retarget": {"rule": "interval", "difficulty": 3, "spacing-seconds": 10}},
    ]);
    let mut network = started(Network::new(&config));
    let bits: Vec<u32> = (2..14).map(|_| network.mine_every(10_000, 1).bits).collect();
    // Six digits as a compact target: 2^232 − 1, rounded down.
    let (six, initial) = (0x1e00_ffff, 0x1d00_ffff);
    assert_eq!(bits, [4, 4, 4, 6, 6, 6, six, six, initial, initial, 3, 3]);
}

#[test]
fn the_new_rule_does_not_read_the_old_rules_notes() {
    let mut config = Example::read("bitcoin-testnet").config;
    config["retarget"]["interval"] = 100.into();
    config["schedule"] = json!([{"height": 4, "retarget": {
        "rule": "bitcoin", "interval": 50, "min-difficulty-after-seconds": 60, "limit-bits": 0x1d00_ffff
    }}]);
    let mut network = started(Network::new(&config));
    network.mine_every(1_300_000, 4);
    assert_eq!(bits_of_next(&network), 0x1d00_ffff);
}
