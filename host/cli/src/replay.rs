//! `adit replay`: recorded headers, judged by the chain's own plugins.
//!
//! Reading order: this file, `file` (the forms of files), `kaspa` (one of them).

mod file;
mod kaspa;

use self::file::Counted;
use crate::{config, sandbox};
use adit_chain::{HeaderChain, HeaderError};
use adit_primitives::contract::KnownBlock;
use adit_primitives::engine::RulesEngine;
use adit_primitives::{Height, Work};
use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

/// Headers judged in one batch.
const BATCH: usize = 2_000;

/// Blocks of the selected chain read at once.
const PAGE: usize = 1_000;

#[derive(clap::Args)]
pub struct ReplayArguments {
    /// The chain whose rules judge.
    chain: PathBuf,
    /// Headers: raw bytes one after another, lines of `height,hex` (fields between are passed over), or Kaspa's blocks as lines of
    /// JSON. It may be compressed by gzip.
    headers: PathBuf,
    /// The height of the first header of a raw file. A run that does not start at the genesis is judged in full from where
    /// it holds what a rule needs.
    #[arg(long, default_value_t = 0, value_name = "HEIGHT")]
    height: u64,
}

/// Judges a file of headers and says what it found.
pub fn run(arguments: &ReplayArguments) -> Result<ExitCode> {
    let sandbox = sandbox::open()?;
    let chain = config::read(&arguments.chain, &sandbox)?.into_chain()?;
    let rules: Arc<dyn RulesEngine> = Arc::new(chain.consensus.plugin.rules(&chain.consensus.config)?);
    let hash = Box::new(chain.hash.plugin.hash(&chain.hash.config)?);
    let length = rules.genesis()?.len();
    let run = file::read(&arguments.headers, length, arguments.height)?;

    let mut headers = run.headers.as_slice();
    let mut next = run.first;
    let mut judge = match run.counted {
        Counted::Heights if run.first > 0 => {
            println!(
                "the run starts at height {}: that header is taken as given, and rules that look further back apply once the run holds what they need",
                run.first
            );
            let anchor = anchor(rules.as_ref(), &headers[0], run.first)?;
            headers = &headers[1..];
            next += 1;
            HeaderChain::from_anchor(anchor, rules, hash)
        }
        Counted::Heights => HeaderChain::from_genesis(rules, hash)?,
        Counted::Lines => {
            check_genesis(rules.as_ref(), &headers[0])?;
            HeaderChain::from_genesis(rules, hash)?
        }
    };

    let bar = progress(headers.len());
    let start = Instant::now();
    let cpu = cpu_seconds();
    for batch in headers.chunks(BATCH) {
        if let Err(error) = judge.append(batch) {
            bar.abandon();
            return Ok(refused(&error, run.counted, next));
        }
        next += batch.len() as u64;
        bar.inc(batch.len() as u64);
    }
    bar.finish_and_clear();
    let (wall, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds().zip(cpu).map(|(end, start)| end - start));
    println!("valid: {} headers, {} {} to {}", run.headers.len(), run.counted.plural(), run.first, next - 1);
    report_tip(&judge);
    let count = headers.len() as f64;
    print!("{:.0} headers a second", count / wall);
    match cpu {
        Some(cpu) if cpu > 0.0 => println!(", {:.0} a CPU-second", count / cpu),
        _ => println!(),
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads a recorded DAG that begins with the rules' genesis.
pub fn recorded_dag(rules: &dyn RulesEngine, path: &Path) -> Result<Vec<Vec<u8>>> {
    let run = file::read(path, rules.genesis()?.len(), 0)?;
    check_genesis(rules, &run.headers[0])?;
    Ok(run.headers)
}

/// The examples with the rules of Kaspa's recorded networks.
const KASPAS: [(&str, &str); 3] = [
    ("examples/kaspa/chain.toml", include_str!("../../../examples/kaspa/chain.toml")),
    ("examples/kaspa/devnet-2023.toml", include_str!("../../../examples/kaspa/devnet-2023.toml")),
    ("examples/kaspa/devnet-2023-pruning.toml", include_str!("../../../examples/kaspa/devnet-2023-pruning.toml")),
];

/// Names the examples whose genesis is the first header of a file.
fn examples_of(first: &[u8]) -> String {
    let genesis = format!("header = \"{}\"", first.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    let fitting: Vec<&str> = KASPAS.iter().filter(|(_, text)| text.contains(&genesis)).map(|(name, _)| *name).collect();
    if fitting.is_empty() { String::new() } else { format!(": that is the genesis of {}", fitting.join(" and ")) }
}

/// Refuses a file that begins with another genesis, before its second header is blamed for an unknown parent.
fn check_genesis(rules: &dyn RulesEngine, first: &[u8]) -> Result<()> {
    let genesis = rules.genesis()?;
    if first == genesis {
        return Ok(());
    }
    match rules.decode(&[genesis, first.to_vec()])?.as_slice() {
        [Ok(genesis), Ok(found)] => {
            let (found, genesis, hint) = (found.id, genesis.id, examples_of(first));
            bail!("the file begins with block {found}, the genesis of this chain.toml is {genesis}{hint}")
        }
        [Ok(_), Err(violation)] => bail!("the first header is no header of this chain.toml: {violation}"),
        _ => bail!("the rules do not read their own genesis"),
    }
}

/// Says where the chain ends, and how many blocks of a DAG are blue and red as its tip sees them.
fn report_tip(judge: &HeaderChain) {
    let tip = judge.tip();
    println!("tip {} with work {}", tip.id, tip.work);
    let (mut first, mut chain, mut blue, mut red) = (Height(0), 0u64, 0u64, 0u64);
    loop {
        let page = judge.index().selected_page(first, PAGE);
        for block in &page {
            chain += 1;
            let blues = block.placement.merge_set.iter().filter(|merged| merged.blue).count();
            blue += blues as u64;
            red += (block.placement.merge_set.len() - blues) as u64;
        }
        match page.last() {
            Some(last) if page.len() == PAGE => first = Height(last.known.height.0 + 1),
            _ => break,
        }
    }
    if blue + red > 0 {
        println!("{chain} blocks on the selected chain, {blue} merged blue and {red} red; blue score {}", tip.height);
    }
}

fn refused(error: &HeaderError, counted: Counted, batch_first: u64) -> ExitCode {
    let place = |position: &usize| format!("{} {}", counted.singular(), batch_first + *position as u64);
    match error {
        HeaderError::Invalid { position, violation } => println!(
            "invalid: the header at {} breaks the rule `{}`: {}",
            place(position),
            violation.rule,
            violation.detail
        ),
        HeaderError::Orphan { position, parent } => {
            println!("invalid: the header at {} breaks the rule `parent-unknown`: it names {parent}", place(position))
        }
        HeaderError::Fault(fault) => println!("no verdict: {fault}"),
    }
    ExitCode::FAILURE
}

/// Takes the first header of a run in the middle of a chain as given.
fn anchor(rules: &dyn RulesEngine, header: &[u8], height: u64) -> Result<KnownBlock> {
    let view = rules.decode(&[header.to_vec()])?.pop().context("the plugin gives no answer")??;
    Ok(KnownBlock {
        id: view.id,
        parents: view.parents.clone(),
        selected_parent: view.parents.first().copied(),
        merge_set: Vec::new(),
        time: view.time,
        bits: view.bits,
        height: Height(height),
        work: Work::ZERO,
        state: Vec::new(),
    })
}

fn progress(length: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos} of {len} headers, {per_sec}, {eta} left")
        .expect("the template is valid");
    ProgressBar::new(length as u64).with_style(style)
}

/// The CPU time of this process in seconds, where the system tells.
pub fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string(Path::new("/proc/self/stat")).ok()?;
    // The second field is the program's name in parentheses and may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    // Linux counts in hundredths of a second on every architecture.
    Some(ticks as f64 / 100.0)
}
