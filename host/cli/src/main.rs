//! The `adit` binary: arguments, `chain.toml`, logging, and the wiring of the host's parts.
//!
//! It decides nothing about blocks or money. The clock and the random generator are made here and handed down.
//!
//! Reading order: [`config`] reads a `chain.toml`, [`sandbox`] opens the plugins' sandbox, [`run`] wires a node or a miner; every
//! other module is one command.

// First, because its macros hold in what comes after it.
#[macro_use]
mod out;

mod bench;
mod chain;
mod config;
mod dag;
mod engine;
mod farm;
mod key;
mod peers;
mod plot;
mod plugin;
mod pool;
mod reference;
mod replay;
mod run;
mod sandbox;
mod sim;
mod stats;
mod terminal;
mod wallet;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Jemalloc gives back what a storm of connections has left free between what lives on, page by page; the C library's allocator keeps it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// A host for chains and mining whose rules are plugins.
#[derive(Parser)]
#[command(name = "adit", version, max_term_width = 110)]
struct Arguments {
    /// Write the log as JSON, and one document of JSON as the answer of `balance`, `send`, `stats`, `peers`, `sim`, `replay`, `chain check`, `chain show`, `key`,
    /// `plot list` and the commands on a pool's books. What other commands answer (`bench`, `dag`, `plugin`, `chain new`, `chain pin`) is text, or a file, either way.
    #[arg(long, global = true)]
    json: bool,
    /// What is logged, in tracing's notation; over `log.level` of chain.toml.
    #[arg(long, global = true, value_name = "FILTER")]
    log: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run node and miner in one process.
    Up(run::UpArguments),
    /// Run a node.
    Node(run::NodeArguments),
    /// Mine for one or several nodes.
    Miner(run::MinerArguments),
    /// Run a mining pool, or show its books.
    Pool(pool::PoolArguments),
    /// Write, check, show and pin a chain.toml.
    #[command(subcommand)]
    Chain(chain::ChainCommand),
    /// Write, build, test and inspect plugins.
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
    /// Judge recorded headers with a chain's own plugins.
    Replay(replay::ReplayArguments),
    /// Make and show keys.
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Make, show and check plots for proof of space.
    #[command(subcommand)]
    Plot(plot::PlotCommand),
    /// Pay from a key.
    Send(wallet::SendArguments),
    /// Show what an address or a key holds.
    Balance(wallet::BalanceArguments),
    /// Draw the newest blocks and how they merge each other.
    Dag(dag::DagArguments),
    /// Show what a node did over its newest blocks.
    Stats(stats::StatsArguments),
    /// Show the nodes that a node talks with, and how far it is behind them.
    Peers(peers::PeersArguments),
    /// Simulate a network of many nodes under a chain's rules.
    Sim(sim::SimArguments),
    /// Measure this machine: search, checking, sandbox, templates.
    Bench(bench::BenchArguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    out::while_read(|| execute(arguments))
}

fn execute(arguments: Arguments) -> ExitCode {
    let json = arguments.json;
    let log = terminal::LogFormat { json, filter: arguments.log };
    let outcome = match arguments.command {
        Command::Up(arguments) => run::up(arguments, &log),
        Command::Node(arguments) => run::node(arguments, &log),
        Command::Miner(arguments) => run::miner(arguments, &log),
        Command::Pool(arguments) => pool::run(arguments, &log),
        Command::Chain(command) => chain::run(command, json),
        Command::Plugin(command) => plugin::run(command),
        Command::Replay(arguments) => replay::run(&arguments, json),
        Command::Key(command) => key::run(command, json),
        Command::Plot(command) => plot::run(command, &log),
        Command::Send(arguments) => wallet::send(&arguments, json),
        Command::Balance(arguments) => wallet::balance(&arguments, json),
        Command::Dag(arguments) => dag::run(&arguments),
        Command::Stats(arguments) => stats::run(&arguments, json),
        Command::Peers(arguments) => peers::run(&arguments, json),
        Command::Sim(arguments) => sim::run(&arguments, json),
        Command::Bench(arguments) => bench::run(&arguments),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", told(&error));
            ExitCode::FAILURE
        }
    }
}

/// Joins an error with its causes, each said once: many errors quote their cause already.
fn told(error: &anyhow::Error) -> String {
    let mut told = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !told.contains(&cause) {
            told = format!("{told}: {cause}");
        }
    }
    told
}
