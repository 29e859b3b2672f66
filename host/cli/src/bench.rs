//! `adit bench`: what this machine reaches, in CPU time, against the crates that everybody uses.
//!
//! Prints what it measured and nothing else: no figure here is an aim. One file for each section.

mod caches;
mod dag;
#[cfg(target_os = "linux")]
mod figures;
#[cfg(target_os = "linux")]
mod flood;
mod hashes;
mod headers;
#[cfg(target_os = "linux")]
mod net;
#[cfg(target_os = "linux")]
mod pool;
mod sandbox;
mod space;
mod template;

use crate::engine::cpu_time;
use anyhow::Result;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct BenchArguments {
    #[cfg(target_os = "linux")]
    #[command(subcommand)]
    command: Option<BenchCommand>,
    /// What to measure; everything unless told otherwise.
    #[arg(value_enum)]
    sections: Vec<Section>,
    /// How often everything is measured: the median counts.
    #[arg(long, default_value_t = 5, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// About how long one measurement of a search takes, in milliseconds.
    #[arg(long, default_value_t = 200, value_name = "MILLISECONDS")]
    budget: u64,
    /// For `dag`: a recorded DAG that is placed too, in a form that `adit replay` reads.
    #[arg(long, value_name = "FILE", requires = "chain")]
    file: Option<PathBuf>,
    /// The chain whose rules place it.
    #[arg(long, value_name = "CHAIN", requires = "file")]
    chain: Option<PathBuf>,
}

/// What is measured by a load of its own.
#[cfg(target_os = "linux")]
#[derive(clap::Subcommand)]
enum BenchCommand {
    /// A pool under load: shares, idle miners, miners that come and go.
    Pool(pool::PoolBenchArguments),
    /// Nodes among others: small messages, shares that reach every node, a node that was away.
    Net(net::NetBenchArguments),
    /// A node that is offered more blocks than it can take.
    Flood(flood::FloodArguments),
    /// Proof of space: plots made and scanned, and what an attacker without them would need.
    Space(space::SpaceBenchArguments),
    /// One of the nodes that `net` starts.
    #[command(hide = true)]
    NetNode(net::node::NodeArguments),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Section {
    /// Searches by native kernels and in the sandbox.
    Hashes,
    /// What a call into the sandbox costs.
    Sandbox,
    /// Headers judged in the sandbox.
    Headers,
    /// Blocks of a DAG, placed by the compiled plugin.
    Dag,
    /// Templates from a full mempool.
    Template,
    /// What is kept so that it need not be made again.
    Caches,
}

/// Measures the sections asked for.
pub fn run(arguments: &BenchArguments) -> Result<ExitCode> {
    #[cfg(target_os = "linux")]
    match &arguments.command {
        Some(BenchCommand::Pool(arguments)) => return pool::run(arguments),
        Some(BenchCommand::Net(arguments)) => return net::run(arguments),
        Some(BenchCommand::Flood(arguments)) => return flood::run(arguments),
        Some(BenchCommand::Space(arguments)) => return space::run(arguments),
        Some(BenchCommand::NetNode(arguments)) => return net::node::run(arguments),
        None => {}
    }
    let sandbox = crate::sandbox::open()?;
    println!("one core, CPU time, median of {} rounds", arguments.rounds);
    let wanted = |section| arguments.sections.is_empty() || arguments.sections.contains(&section);
    if wanted(Section::Hashes) {
        hashes::print(arguments, &sandbox)?;
    }
    if wanted(Section::Sandbox) {
        sandbox::print(arguments, &sandbox)?;
    }
    if wanted(Section::Headers) {
        headers::print(arguments, &sandbox)?;
    }
    if wanted(Section::Dag) {
        dag::print(arguments, &sandbox)?;
    }
    if wanted(Section::Template) {
        template::print(arguments, &sandbox)?;
    }
    if wanted(Section::Caches) {
        caches::print(arguments, &sandbox)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the median time of one call, over rounds of `count` calls.
fn time_of(rounds: u16, count: u32, mut call: impl FnMut() -> Result<()>) -> Result<Duration> {
    let mut times = Vec::new();
    for _ in 0..rounds {
        let start = cpu_time();
        for _ in 0..count {
            call()?;
        }
        times.push(cpu_time().saturating_sub(start) / count);
    }
    Ok(median(times))
}

fn median<T: Ord + Copy + Default>(mut values: Vec<T>) -> T {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Writes a number with a comma after every third digit.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn digits_are_grouped_by_three() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
