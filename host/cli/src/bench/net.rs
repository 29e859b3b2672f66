//! `adit bench net`: what the network bears, between processes on loopback.
//!
//! Messages and shares go between nodes that are a process each: the real transport (encrypted sessions over TCP) and the real machine, set as a
//! node sets them. Behind them nobody judges: what is measured is the way of a share, neither its hash nor its signature. Shares are made evenly in
//! time, 200 bytes each, and travel in the batches of 10 ms in which a pool's nodes send them; the time that a share waits for its batch counts.
//! For small messages, each an item of its own, the allowance of a peer is lifted: they go as fast as they are taken.
//!
//! Synchronisation is between two whole nodes, `adit node`, with their disks: one has a chain that was made beforehand, the other has nothing.
//!
//! Reading order: [`run`], then [`node`] for one of the small nodes, [`crew`] for all of them, [`tally`] for what they saw, [`sync`] for the whole ones, [`headers`] for one that follows
//! headers alone.

mod crew;
mod headers;
pub mod node;
mod sync;
mod tally;

use super::grouped;
use anyhow::Result;
use crew::{Crew, Load};
use std::process::ExitCode;
use tally::Outcome;

#[derive(clap::Args)]
pub struct NetBenchArguments {
    /// What to measure; everything unless told otherwise.
    #[arg(value_enum)]
    sections: Vec<NetSection>,
    /// Nodes that pass shares on to each other. Without it, ten at 10,000 shares a second, then fifty at 500.
    #[arg(long, value_name = "COUNT", requires = "rate", value_parser = clap::value_parser!(u16).range(2..=100))]
    nodes: Option<u16>,
    /// Shares a second, of all nodes together.
    #[arg(long, value_name = "COUNT", requires = "nodes", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: Option<u32>,
    /// For how long messages and shares are sent, in seconds.
    #[arg(long, default_value_t = 10, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// To whom shares are passed on.
    #[arg(long, value_enum, default_value_t = Relay::Hybrid)]
    strategy: Relay,
    /// Blocks of the chain that is fetched.
    #[arg(long, default_value_t = 100_000, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    blocks: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum NetSection {
    /// Small messages between two nodes, each way.
    Messages,
    /// Shares that reach every node.
    Shares,
    /// A node that has nothing, and one peer that has a chain.
    Sync,
}

/// As `strategy` in `[network]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Relay {
    Flood,
    Gossip,
    Structured,
    Hybrid,
    Adaptive,
}

/// Measures the sections asked for.
pub fn run(arguments: &NetBenchArguments) -> Result<ExitCode> {
    let build = if cfg!(debug_assertions) { "a development build" } else { "a release build" };
    println!("processes of {build} on loopback, {} cores", std::thread::available_parallelism()?);
    let wanted = |section| arguments.sections.is_empty() || arguments.sections.contains(&section);
    if wanted(NetSection::Messages) {
        messages(arguments)?;
    }
    if wanted(NetSection::Shares) {
        match (arguments.nodes, arguments.rate) {
            (Some(nodes), Some(rate)) => shares(arguments, nodes, rate)?,
            _ => {
                shares(arguments, 10, 10_000)?;
                shares(arguments, 50, 500)?;
            }
        }
    }
    if wanted(NetSection::Sync) {
        sync::print(arguments.blocks)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn messages(arguments: &NetBenchArguments) -> Result<()> {
    let load = Load { nodes: 2, rate: None, seconds: arguments.seconds, strategy: arguments.strategy };
    let outcomes = Crew::start(&load)?.run(&load)?;
    println!("\nmessages of 200 bytes between two nodes, both ways at once");
    for (number, outcome) in outcomes.iter().enumerate() {
        row(&format!("  to node {number}, a second"), rate(outcome.received, arguments.seconds));
    }
    print_cores(&outcomes);
    Ok(())
}

fn shares(arguments: &NetBenchArguments, nodes: u16, per_second: u32) -> Result<()> {
    let load = Load { nodes, rate: Some(per_second), seconds: arguments.seconds, strategy: arguments.strategy };
    let outcomes = Crew::start(&load)?.run(&load)?;
    let made: u64 = outcomes.iter().map(|outcome| outcome.made).sum();
    let received: u64 = outcomes.iter().map(|outcome| outcome.received).sum();
    let all = Outcome::sum(&outcomes);
    println!("\n{nodes} nodes, {} shares of 200 bytes a second, {:?}", grouped(per_second.into()), arguments.strategy);
    row("  shares made", grouped(made));
    row("  missed by a node", grouped((made * u64::from(nodes - 1)).saturating_sub(received)));
    row("  mean", format!("{:.1?}", all.mean()));
    row("  P95", format!("{:.1?}", all.quantile(95)));
    row("  P99", format!("{:.1?}", all.quantile(99)));
    print_cores(&outcomes);
    Ok(())
}

fn print_cores(outcomes: &[Outcome]) {
    let cores: f64 = outcomes.iter().map(Outcome::cores).sum();
    row("  cores taken by all nodes", format!("{cores:.2}"));
    let bytes: u64 = outcomes.iter().map(|outcome| outcome.memory_bytes).sum();
    row("  memory of all nodes, MB", grouped(bytes / 1_000_000));
}

fn row(what: &str, value: impl std::fmt::Display) {
    println!("{what:<44} {value:>12}");
}

fn rate(count: u64, seconds: u32) -> String {
    grouped(count / u64::from(seconds.max(1)))
}
