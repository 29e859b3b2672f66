//! `adit sim`: what a chain's rules do in a network of many nodes, before there is one.
//!
//! Prints what follows from the chain and the arguments alone; how long it took goes to the error output.

use crate::config;
use crate::sandbox;
use adit_network::{Strategies, Strategy};
use adit_primitives::engine::RulesEngine;
use adit_sim::{Churn, HashRates, Partition, Report, Scenario, Simulation, Surge, Topology};
use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub struct SimArguments {
    /// The chain whose rules are tried.
    chain: PathBuf,
    /// How many nodes there are.
    #[arg(long, default_value_t = 200)]
    nodes: u32,
    /// How many of them mine.
    #[arg(long, default_value_t = 20)]
    miners: u32,
    /// How the hash rate is shared among the miners.
    #[arg(long, value_enum, default_value = "skewed")]
    hash_rates: WrittenRates,
    /// Sessions that each node opens.
    #[arg(long, default_value_t = 8)]
    peers: u32,
    /// With whom a node opens sessions.
    #[arg(long, value_enum, default_value = "random")]
    topology: WrittenTopology,
    /// The mean time of a byte from one node to another.
    #[arg(long, default_value = "100ms", value_name = "TIME", value_parser = time)]
    latency: Duration,
    /// What a node's line carries each way, in bits a second: `500k`, `20M`, `1G`.
    #[arg(long, default_value = "100M", value_name = "BITS", value_parser = bits)]
    bandwidth: u64,
    /// The part of packets that is lost: `0.5%`.
    #[arg(long, default_value = "0%", value_name = "PERCENT", value_parser = loss)]
    loss: u32,
    /// How long is mined, in hours.
    #[arg(long, default_value_t = 2.0)]
    hours: f64,
    /// The mean time between blocks at the difficulty that the rules first ask for: it gives the hash rate. Without it, what the rules
    /// aim at, where their configuration says it.
    #[arg(long, value_name = "TIME", value_parser = time)]
    interval: Option<Duration>,
    /// The hash rate changes: when, and what it is multiplied by: `1h,4`.
    #[arg(long, value_name = "TIME,FACTOR", value_parser = surge)]
    surge: Option<Surge>,
    /// How everything is passed on. `hybrid` floods blocks and gossips the rest.
    #[arg(long, value_enum, default_value = "hybrid")]
    strategy: WrittenStrategy,
    /// Two halves of the network hear nothing of each other: from when, and until when: `30m,45m`.
    #[arg(long, value_name = "TIME,TIME", value_parser = times)]
    partition: Option<(Duration, Duration)>,
    /// Nodes leave and come back: how long they stay, and how long they are away, on average: `1h,10m`.
    #[arg(long, value_name = "TIME,TIME", value_parser = times)]
    churn: Option<(Duration, Duration)>,
    /// Payments a second.
    #[arg(long, default_value_t = 0.0, value_name = "RATE")]
    transactions: f64,
    /// Shares of a peer-to-peer pool a second.
    #[arg(long, default_value_t = 0.0, value_name = "RATE")]
    shares: f64,
    /// What all random numbers follow from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Threads; by default as many as there are cores. They change nothing but the time that it takes.
    #[arg(long)]
    threads: Option<usize>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum WrittenRates {
    /// The second has half of what the first has, the third a third, and so on.
    Skewed,
    /// All have the same.
    Equal,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum WrittenTopology {
    /// With anybody.
    Random,
    /// Every second one with a node nearby.
    Near,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum WrittenStrategy {
    Flood,
    Gossip,
    Structured,
    Hybrid,
    Adaptive,
}

/// Simulates, and prints the report.
pub fn run(arguments: &SimArguments, json: bool) -> Result<ExitCode> {
    let sandbox = sandbox::open()?;
    let chain = config::read(&arguments.chain, &sandbox)?.into_chain()?;
    let rules: Arc<dyn RulesEngine> = Arc::new(chain.consensus.plugin.rules(&chain.consensus.config)?);
    let interval = match arguments.interval {
        Some(interval) => interval,
        None => aim(&chain.consensus.config)
            .context("the rules' configuration names no time between blocks: say one by --interval")?,
    };
    let scenario = arguments.scenario(interval, chain.ledger.block_bytes_max)?;
    let simulated = scenario.duration + scenario.settle;
    let start = Instant::now();
    let bar = ProgressBar::new(1000)
        .with_style(ProgressStyle::with_template("{bar:40} {percent} %, {eta} left").expect("the template is valid"));
    let report =
        Simulation::new(scenario, rules, chain.rules)?.run(&mut |thousandths| bar.set_position(thousandths))?;
    bar.finish_and_clear();
    if json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    eprintln!("{}", effort(&report, simulated, start.elapsed()));
    Ok(ExitCode::SUCCESS)
}

impl SimArguments {
    fn scenario(&self, interval: Duration, block_bytes_max: usize) -> Result<Scenario> {
        ensure!(self.hours.is_finite() && self.hours > 0.0 && self.hours <= 100_000.0, "--hours is out of range");
        let sound = |rate: f64| rate.is_finite() && (0.0..=100_000.0).contains(&rate);
        ensure!(sound(self.transactions) && sound(self.shares), "a rate is out of range");
        let cores = || std::thread::available_parallelism().map_or(1, Into::into);
        Ok(Scenario {
            seed: self.seed,
            nodes: self.nodes,
            miners: self.miners,
            hash_rates: match self.hash_rates {
                WrittenRates::Skewed => HashRates::Skewed,
                WrittenRates::Equal => HashRates::Equal,
            },
            peers: self.peers,
            topology: match self.topology {
                WrittenTopology::Random => Topology::Random,
                WrittenTopology::Near => Topology::Near,
            },
            latency: self.latency,
            bandwidth: self.bandwidth / 8,
            loss_ppm: self.loss,
            surge: self.surge,
            strategies: match self.strategy {
                WrittenStrategy::Flood => Strategies::all(Strategy::Flood),
                WrittenStrategy::Gossip => Strategies::all(Strategy::Gossip),
                WrittenStrategy::Structured => Strategies::all(Strategy::Structured),
                WrittenStrategy::Hybrid => Strategies::hybrid(),
                WrittenStrategy::Adaptive => Strategies::all(Strategy::Adaptive),
            },
            partition: self.partition.map(|(from, to)| Partition { from, to }),
            churn: self.churn.map(|(up, away)| Churn { up, away }),
            transactions: self.transactions,
            shares: self.shares,
            block_bytes_max,
            threads: self.threads.unwrap_or_else(cores),
            ..Scenario::standard(Duration::from_secs_f64(self.hours * 3600.0), interval)
        })
    }
}

/// Says what the simulation cost.
fn effort(report: &Report, simulated: Duration, took: Duration) -> String {
    let seconds = took.as_secs_f64().max(1e-3);
    let memory = peak_bytes().map_or_else(String::new, |bytes| format!(", {} MiB of memory at most", bytes >> 20));
    format!(
        "{} events in {seconds:.1} s: {:.0} a second, {:.0} times as fast as the network itself{memory}",
        report.agreement.events,
        report.agreement.events as f64 / seconds,
        simulated.as_secs_f64() / seconds,
    )
}

/// The most memory that this process held, where the system tells.
fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// Returns the time between blocks that a consensus plugin's configuration aims at, by the names that the bundled plugins give it.
fn aim(config: &str) -> Option<Duration> {
    let config: serde_json::Value = serde_json::from_str(config).ok()?;
    let rule = |table: &str, key: &str| config.get(table)?.get(key)?.as_u64();
    let seconds = rule("retarget", "spacing-seconds").map(Duration::from_secs);
    seconds.or_else(|| rule("difficulty", "target-ms").map(Duration::from_millis))
}

/// Splits a number from its unit.
fn number(text: &str) -> Result<(f64, &str), String> {
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number = number.parse().map_err(|_| format!("`{text}` does not begin with a number"))?;
    Ok((number, unit.trim()))
}

fn time(text: &str) -> Result<Duration, String> {
    let (number, unit) = number(text)?;
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("`{text}` ends with none of us, ms, s, m, h")),
    };
    Duration::try_from_secs_f64(number * seconds).map_err(|error| error.to_string())
}

fn times(text: &str) -> Result<(Duration, Duration), String> {
    let (one, other) = text.split_once(',').ok_or("two times are joined by a comma")?;
    Ok((time(one)?, time(other)?))
}

fn surge(text: &str) -> Result<Surge, String> {
    let (at, factor) = text.split_once(',').ok_or("a time and a factor are joined by a comma")?;
    let factor = factor.parse().map_err(|_| format!("`{factor}` is no factor"))?;
    Ok(Surge { at: time(at)?, factor })
}

fn bits(text: &str) -> Result<u64, String> {
    let (number, unit) = number(text)?;
    let factor = match unit {
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        _ => return Err(format!("`{text}` ends with none of k, M, G")),
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    let bits = (number * factor) as u64;
    if bits < 8000 { Err("a line carries 8k at least".to_owned()) } else { Ok(bits) }
}

fn loss(text: &str) -> Result<u32, String> {
    let percent = text.strip_suffix('%').ok_or("a part is written in per cent: `0.5%`")?;
    let percent: f64 = percent.trim().parse().map_err(|_| format!("`{text}` is no number of per cent"))?;
    if !(0.0..=50.0).contains(&percent) {
        return Err("between 0% and 50% are lost".to_owned());
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most half a million")]
    let ppm = (percent * 10_000.0).round() as u32;
    Ok(ppm)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_lines_and_losses_are_read_with_their_units() {
        assert_eq!(time("100ms"), Ok(Duration::from_millis(100)));
        assert_eq!(times("1.5h,90s"), Ok((Duration::from_secs(5400), Duration::from_secs(90))));
        assert_eq!(surge("30m,0.5"), Ok(Surge { at: Duration::from_secs(1800), factor: 0.5 }));
        assert_eq!((bits("20M"), bits("1.5k").is_err(), bits("20").is_err()), (Ok(20_000_000), true, true));
        assert_eq!((loss("0.5%"), loss("60%").is_err(), time("5").is_err()), (Ok(5000), true, true));
    }

    #[test]
    fn the_aim_of_the_bundled_rules_is_found() {
        assert_eq!(aim(r#"{"retarget":{"spacing-seconds":30}}"#), Some(Duration::from_secs(30)));
        assert_eq!(aim(r#"{"difficulty":{"target-ms":500}}"#), Some(Duration::from_millis(500)));
        assert_eq!(aim("{}"), None);
    }
}
