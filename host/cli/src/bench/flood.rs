//! `adit bench flood`: what a node does with more blocks than it can take.
//!
//! A node in a process of its own, with its disk, is offered the blocks of a DAG over `POST /block`, on several connections, each block as soon as the
//! connection's last one is answered, and never so many that it would have to drop some that wait. The DAG is made beforehand, by the node's own rules: layers of blocks that do not know each other, a second of
//! its clock between two layers, full of payments that are signed and spend different outputs. Whoever sends has its cores beside the node.
//!
//! Reading order: [`run`], then [`blocks`] for how the DAG is made, [`offer`] for how it is sent, [`node`] for who gets it.

mod blocks;
mod node;
mod offer;

use super::grouped;
use anyhow::Result;
use blocks::Flood;
use node::FloodedNode;
use offer::Answers;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The most blocks beside each other: a block names all those of the layer before as its parents.
const BESIDE_MAX: i64 = 16;

/// The most payments in all: one transaction makes the outputs that they spend.
const PAYMENTS_MAX: u32 = 90_000;

#[derive(clap::Args)]
pub struct FloodArguments {
    /// Blocks that are offered.
    #[arg(long, default_value_t = 2_000, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    blocks: u32,
    /// Payments in each block.
    #[arg(long, default_value_t = 20, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(0..=10_000))]
    payments: u32,
    /// Blocks beside each other.
    #[arg(long, default_value_t = 10, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=BESIDE_MAX))]
    beside: u32,
    /// Connections on which blocks are offered.
    #[arg(long, default_value_t = 8, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    connections: u16,
    /// The chain's hash plugin.
    #[arg(long, default_value = "blake3", value_name = "NAME")]
    hash: String,
}

/// Makes a DAG, floods a node with it, and prints what that took.
pub fn run(arguments: &FloodArguments) -> Result<ExitCode> {
    let build = if cfg!(debug_assertions) { "a development build" } else { "a release build" };
    println!("{build}, {} cores", std::thread::available_parallelism()?);
    anyhow::ensure!(
        arguments.blocks.saturating_mul(arguments.payments) <= PAYMENTS_MAX,
        "more than {} payments in all",
        grouped(PAYMENTS_MAX.into())
    );
    let node = FloodedNode::write(arguments)?;
    let start = Instant::now();
    let flood = Flood::make(&node.file, arguments)?;
    println!("made in {:.1?}", start.elapsed());
    let node = node.start()?;
    offer::offer(node.api, &flood.before, 1)?;
    let before = node.figures()?;
    let answers = offer::offer(node.api, &flood.blocks, arguments.connections.into())?;
    let after = node.figures()?;
    offer::offer_again(node.api, &flood.blocks, &answers.waited)?;
    let Answers { waited, busy, taken, took, cpu: sending } = answers;
    println!(
        "\n{} blocks of {} payments, {} beside each other, offered on {} connections",
        grouped(arguments.blocks.into()),
        arguments.payments,
        arguments.beside,
        arguments.connections
    );
    let second = |count: u64| grouped(count * 1_000 / u64::try_from(took.as_millis()).unwrap_or(1).max(1));
    row("blocks taken, a second", second(taken));
    row("payments of theirs, a second", second(taken * u64::from(arguments.payments)));
    row("blocks pushed out by others that waited", grouped(u64::from(arguments.blocks).saturating_sub(taken)));
    let cores = |cpu: Duration| format!("{:.2}", cpu.as_secs_f64() / took.as_secs_f64());
    let spent = after.since(&before);
    row("cores taken by the node", cores(spent.cpu));
    for (name, cpu) in spent.threads.iter().filter(|(_, cpu)| **cpu * 20 >= took) {
        row(&format!("  {name}"), cores(*cpu));
    }
    row("cores taken by whoever sends", cores(sending));
    row("blocks that waited for a parent", grouped(waited.len() as u64));
    row("answers that all is busy", grouped(busy));
    row("memory before, MB", grouped(before.memory_bytes / 1_000_000));
    row("memory at its peak, MB", grouped(after.memory_peak_bytes / 1_000_000));
    row(
        "of that, what is known of all blocks, kB",
        grouped(offer::metric(node.api, "adit_block_index_bytes")? / 1_000),
    );
    row(
        "and of that, placements, which are bounded, kB",
        grouped(offer::metric(node.api, "adit_placements_bytes")? / 1_000),
    );
    Ok(ExitCode::SUCCESS)
}

fn row(what: &str, value: impl std::fmt::Display) {
    println!("  {what:<44} {value:>12}");
}
