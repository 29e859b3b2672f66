//! How fast is a network simulated, and what do the strategies cost in it?
//!
//! `cargo bench -p adit-sim` prints each network's events a second and how many times as fast as itself it ran; `-- strategies` the table
//! of docs/simulation.md; `-- seed` one hundred miners and fifty peers.

use adit_network::{Strategies, Strategy};
use adit_plugin_ghostdag::Ghostdag;
use adit_plugin_longest_chain::LongestChain;
use adit_plugin_sdk::testing::NativeRules;
use adit_primitives::engine::RulesEngine;
use adit_primitives::identity::{RulePlugin, Rules};
use adit_primitives::{BlockId, Hash256};
use adit_sim::{Report, Scenario, Simulation};
use std::sync::Arc;
use std::time::{Duration, Instant};

const CHAIN: &str = r#"{
    "header": "adit",
    "genesis": { "time-seconds": 1700000000, "bits": 504365055, "message": "simulated" },
    "retarget": { "rule": "lwma", "spacing-seconds": 30, "window": 60 },
    "subsidy": { "initial-atoms": 5000000000 }
}"#;

const DAG: &str = r#"{
    "k": 18, "parents-max": 10, "merge-set-max": 180, "merge-depth": 3600,
    "genesis": { "time-ms": 1700000000000, "bits": 504365056, "message": "simulated" },
    "difficulty": { "rule": "window", "size": 240, "min": 20, "target-ms": 1000 },
    "median-time": { "size": 27, "sample-rate": 10 },
    "subsidy": { "initial-atoms": 1000000000, "halving-interval": 31536000 }
}"#;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    if has("--test") || !has("--bench") {
        // Run as a test: that it runs.
        tell("20 nodes", Scenario { nodes: 20, ..standard(60, 30) }, chain());
    } else if has("strategies") {
        strategies();
    } else if has("seed") {
        let shares = Scenario {
            nodes: 150,
            miners: 100,
            shares: 20.0,
            settle: Duration::from_secs(5),
            threads: 1,
            ..standard(20, 30)
        };
        tell("100 miners and 50 peers, 20 shares a second", shares, chain());
    } else {
        tell("200 nodes, a block each 30 s", standard(3600, 30), chain());
        tell("1,000 nodes, a block each 30 s", Scenario { nodes: 1000, ..standard(1200, 30) }, chain());
        let busy = Scenario { nodes: 1000, transactions: 10.0, ..standard(60, 30) };
        tell("1,000 nodes, a block each 30 s, 10 payments a second", busy, chain());
        tell("1,000 nodes, a block each second", Scenario { nodes: 1000, ..standard(60, 1) }, dag());
    }
}

/// One kind of traffic after the other, by each strategy.
fn strategies() {
    println!(
        "| strategy | half / 99 % of the nodes have a block | a share | messages / bytes for each share and node |"
    );
    println!("|---|---|---|---|");
    let all = [Strategy::Flood, Strategy::Gossip, Strategy::Structured, Strategy::Adaptive].map(Strategies::all);
    let named = ["flood", "gossip", "structured", "adaptive", "hybrid"];
    for (name, strategies) in named.into_iter().zip(all.into_iter().chain([Strategies::hybrid()])) {
        let settle = Duration::from_secs(20);
        let scenario = Scenario { strategies, nodes: 100, shares: 10.0, settle, threads: 1, ..standard(60, 4) };
        let report = run(scenario, chain());
        let (blocks, shares) = (&report.propagation, report.shares.expect("the scenario has shares"));
        println!(
            "| {name} | {:.0} / {:.0} ms | {:.0} / {:.0} ms | {:.2} / {:.0} |",
            blocks.half.median,
            blocks.ninety_nine.median,
            shares.half,
            shares.ninety_nine,
            shares.frames_each,
            shares.bytes_each
        );
    }
}

fn standard(seconds: u64, interval: u64) -> Scenario {
    let threads = std::thread::available_parallelism().map_or(1, Into::into);
    Scenario { threads, ..Scenario::standard(Duration::from_secs(seconds), Duration::from_secs(interval)) }
}

fn tell(name: &str, scenario: Scenario, rules: Arc<dyn RulesEngine>) {
    let simulated = (scenario.duration + scenario.settle).as_secs_f64();
    let start = Instant::now();
    let report = run(scenario, rules);
    let took = start.elapsed().as_secs_f64();
    let frames: u64 = report.traffic.iter().map(|class| class.frames).sum();
    println!(
        "{name}: {:.0} events and {:.0} messages a second, {:.0} times as fast as itself",
        report.agreement.events as f64 / took,
        frames as f64 / took,
        simulated / took
    );
    if let Ok(memory) = std::fs::read_to_string("/proc/self/status") {
        println!("    {}", memory.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default());
    }
}

fn run(scenario: Scenario, rules: Arc<dyn RulesEngine>) -> Report {
    let plugin = RulePlugin { name: "native".to_owned(), digest: Hash256::default(), config: "{}".to_owned() };
    let identity = Rules {
        chain: "simulated".to_owned(),
        network: "devnet".to_owned(),
        genesis: BlockId::default(),
        consensus: plugin.clone(),
        hash: plugin,
        ledger: "{}".to_owned(),
    };
    let simulation = Simulation::new(scenario, rules, identity).expect("the scenario is sound");
    simulation.run(&mut |_| {}).expect("the rules carry it")
}

fn chain() -> Arc<dyn RulesEngine> {
    Arc::new(NativeRules::<LongestChain>::new(CHAIN))
}

fn dag() -> Arc<dyn RulesEngine> {
    Arc::new(NativeRules::<Ghostdag>::new(DAG))
}
