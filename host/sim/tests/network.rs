//! What simulations show of chains and of the network, under the plugins themselves, natively.

#![allow(clippy::unwrap_used)]

use adit_network::{Strategies, Strategy};
use adit_plugin_ghostdag::Ghostdag;
use adit_plugin_longest_chain::LongestChain;
use adit_plugin_sdk::testing::NativeRules;
use adit_primitives::engine::RulesEngine;
use adit_primitives::identity::{RulePlugin, Rules};
use adit_primitives::{BlockId, Hash256};
use adit_sim::{Churn, HashRates, Partition, Report, Scenario, Simulation, Surge, Topology};
use std::sync::Arc;
use std::time::Duration;

const CHAIN: &str = r#"{
    "header": "adit",
    "genesis": { "time-seconds": 1700000000, "bits": 504365055, "message": "simulated" },
    "retarget": { "rule": "lwma", "spacing-seconds": 30, "window": 60 },
    "subsidy": { "initial-atoms": 5000000000 }
}"#;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn identity() -> Rules {
    let plugin = RulePlugin { name: "native".to_owned(), digest: Hash256::default(), config: "{}".to_owned() };
    Rules {
        chain: "simulated".to_owned(),
        network: "devnet".to_owned(),
        genesis: BlockId::default(),
        consensus: plugin.clone(),
        hash: plugin,
        ledger: "{}".to_owned(),
    }
}

fn chain() -> Arc<dyn RulesEngine> {
    Arc::new(NativeRules::<LongestChain>::new(CHAIN))
}

fn dag(k: u32, target_ms: u64) -> Arc<dyn RulesEngine> {
    let config = format!(
        r#"{{
            "k": {k}, "parents-max": 16, "merge-set-max": 250, "merge-depth": 3600,
            "genesis": {{ "time-ms": 1700000000000, "bits": 504365056, "message": "simulated" }},
            "difficulty": {{ "rule": "window", "size": 240, "min": 20, "target-ms": {target_ms} }},
            "median-time": {{ "size": 27, "sample-rate": 10 }},
            "subsidy": {{ "initial-atoms": 1000000000, "halving-interval": 31536000 }}
        }}"#
    );
    Arc::new(NativeRules::<Ghostdag>::new(&config))
}

fn run(scenario: Scenario, rules: Arc<dyn RulesEngine>) -> Report {
    Simulation::new(scenario, rules, identity()).unwrap().run(&mut |_| {}).unwrap()
}

/// Thirty nodes, ten of them miners of equal size.
fn small(duration: u64, interval: u64) -> Scenario {
    Scenario {
        nodes: 30,
        miners: 10,
        peers: 4,
        hash_rates: HashRates::Equal,
        ..Scenario::standard(seconds(duration), seconds(interval))
    }
}

#[track_caller]
fn check_one(report: &Report) {
    // Two blocks of equal work may have been found last: the next would decide.
    assert_eq!(report.agreement.behind_part, 0.0, "{report}");
    assert_eq!(report.agreement.whole_part, 1.0, "{report}");
}

#[test]
fn the_same_seed_gives_the_same_report_on_any_number_of_threads() {
    let scenario = Scenario {
        transactions: 2.0,
        shares: 5.0,
        loss_ppm: 5_000,
        churn: Some(Churn { up: seconds(400), away: seconds(60) }),
        ..small(1800, 30)
    };
    let report = |seed, threads| run(Scenario { seed, threads, ..scenario.clone() }, chain()).to_string();
    let first = report(7, 1);
    assert_eq!(first, report(7, 1));
    assert_eq!(first, report(7, 3));
    assert_ne!(first, report(8, 1));
}

#[test]
fn a_chain_loses_as_many_blocks_as_its_delay_foretells() {
    // Blocks are found while others are on their way: 1 - exp(-delay / interval) of them, but for those of the finder itself.
    let scenario = Scenario { latency: Duration::from_millis(1000), miners: 30, ..small(40_000, 30) };
    let report = run(scenario, chain());
    check_one(&report);
    let delay = report.propagation.half.mean / 1000.0;
    let foretold = 1.0 - (-delay / report.blocks.interval_seconds).exp();
    let lost = report.blocks.lost_part;
    assert!((0.5 * foretold..2.0 * foretold).contains(&report.stale_work), "{report}");
    assert!((0.6 * foretold..1.5 * foretold).contains(&lost), "{lost} lost, {foretold} foretold\n{report}");
}

#[test]
fn a_dag_merges_what_a_chain_would_lose() {
    let scenario = Scenario { latency: Duration::from_millis(300), ..small(1200, 1) };
    let report = run(scenario, dag(18, 1000));
    check_one(&report);
    assert!(report.blocks.merges && report.blocks.width > 1.1, "{report}");
    assert!(report.blocks.red_part < 0.01, "k of 18 is made for longer delays\n{report}");
    assert!(report.blocks.lost <= 10, "{report}");
}

#[test]
fn a_k_too_small_for_the_delay_shows_as_red_blocks() {
    let scenario = |k| run(Scenario { latency: Duration::from_millis(800), ..small(1200, 1) }, dag(k, 1000));
    let (narrow, wide) = (scenario(1), scenario(18));
    assert!(narrow.blocks.red_part > 0.05 && narrow.blocks.red_part > 5.0 * wide.blocks.red_part, "{narrow}\n{wide}");
}

#[test]
fn the_difficulty_follows_the_hash_rate() {
    let surge = Some(Surge { at: seconds(10_000), factor: 4.0 });
    let report = run(Scenario { surge, ..small(20_000, 30) }, chain());
    check_one(&report);
    let last = report.difficulty.last().unwrap();
    assert!((3.0..5.5).contains(&last.ratio), "{report}");
    assert!((22.0..40.0).contains(&last.interval_seconds), "{report}");
}

#[test]
fn every_strategy_brings_everything_to_every_node() {
    for strategy in [Strategy::Flood, Strategy::Gossip, Strategy::Structured, Strategy::Adaptive] {
        let strategies = Strategies::all(strategy);
        let report = run(Scenario { strategies, shares: 5.0, transactions: 2.0, ..small(600, 30) }, chain());
        check_one(&report);
        let shares = report.shares.unwrap();
        assert!(shares.made > 2900, "{report}");
        assert_eq!(shares.delivered_part, 1.0, "{strategy:?}\n{report}");
        let transactions = report.transactions.unwrap();
        assert!(transactions.spread.delivered_part > 0.99, "{strategy:?}\n{report}");
        assert!(transactions.confirmed > transactions.spread.made * 8 / 10, "{strategy:?}\n{report}");
    }
}

#[test]
fn halves_that_were_parted_agree_afterwards() {
    let partition = Some(Partition { from: seconds(600), to: seconds(1500) });
    for rules in [chain(), dag(18, 30_000)] {
        let report = run(Scenario { partition, ..small(3000, 30) }, rules);
        assert!(report.sessions.swallowed_frames > 0, "{report}");
        assert!(report.confirmations.len() > 5, "one half gave its blocks up\n{report}");
        check_one(&report);
    }
}

#[test]
fn nodes_that_leave_and_return_catch_up() {
    let churn = Some(Churn { up: seconds(600), away: seconds(300) });
    let report = run(Scenario { churn, ..small(7200, 30) }, chain());
    assert!(report.sessions.closed > report.sessions.opened / 2, "{report}");
    check_one(&report);
}

#[test]
fn near_peers_and_a_narrow_line_work_too() {
    let scenario = Scenario {
        topology: Topology::Near,
        bandwidth: 1_000_000,
        transactions: 10.0,
        block_bytes_max: 400_000,
        ..small(3000, 120)
    };
    let report = run(scenario, chain());
    check_one(&report);
    assert!(report.blocks.bytes_mean > 100_000, "{report}");
    assert!(report.propagation.half.median > 500.0, "the line takes its time for a block\n{report}");
}
