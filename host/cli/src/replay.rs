//! `adit replay`: recorded headers, judged by the chain's own plugins.
//!
//! Reading order: this file, `file` (the forms of files), `kaspa` (one of them).

mod file;
mod kaspa;

use self::file::{Counted, Run};
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

    let mut judge = match run.counted {
        Counted::Heights if run.first > 0 => {
            if run.headers[0] == rules.genesis()? {
                println!(
                    "invalid: the file begins with the genesis of this chain.toml: its height is 0, not {}",
                    run.first
                );
                return Ok(ExitCode::FAILURE);
            }
            println!(
                "the run starts at height {}: that header is taken as given, and rules that look further back apply once the run holds what they need",
                run.first
            );
            let anchor = anchor(rules.as_ref(), &run.headers[0], run.first)?;
            HeaderChain::from_anchor(anchor, Arc::clone(&rules), hash)
        }
        Counted::Heights | Counted::Lines => {
            if let Some(problem) = other_genesis(rules.as_ref(), &run.headers[0])? {
                let hint = match run.counted {
                    Counted::Heights => "; for a raw run from the middle of a chain: --height",
                    Counted::Lines => "",
                };
                println!("invalid: {problem}{hint}");
                return Ok(ExitCode::FAILURE);
            }
            HeaderChain::from_genesis(Arc::clone(&rules), hash)?
        }
    };

    // The first header is the chain's beginning.
    let headers = &run.headers[1..];
    let bar = progress(headers.len());
    let start = Instant::now();
    let cpu = cpu_seconds();
    let mut taken = 1;
    for batch in headers.chunks(BATCH) {
        if let Some(problem) = judge_batch(&mut judge, rules.as_ref(), &run, taken, batch.len())? {
            bar.abandon();
            println!("{problem}");
            return Ok(ExitCode::FAILURE);
        }
        taken += batch.len();
        bar.inc(batch.len() as u64);
    }
    bar.finish_and_clear();
    let (wall, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds().zip(cpu).map(|(end, start)| end - start));
    println!("valid: {taken} headers, {} {} to {}", run.counted.plural(), run.first, run.number(taken - 1));
    report_tip(&judge);
    let count = headers.len() as f64;
    print!("{:.0} headers a second", count / wall);
    match cpu {
        Some(cpu) if cpu > 0.0 => println!(", {:.0} a CPU-second", count / cpu),
        _ => println!(),
    }
    Ok(ExitCode::SUCCESS)
}

/// Judges `count` headers from `from`, and says what is wrong with the first that is refused.
fn judge_batch(
    judge: &mut HeaderChain,
    rules: &dyn RulesEngine,
    run: &Run,
    from: usize,
    count: usize,
) -> Result<Option<String>> {
    let fresh = judge.append(&run.headers[from..from + count]);
    let sound = match &fresh {
        Ok(_) => count,
        Err(HeaderError::Invalid { position, .. } | HeaderError::Orphan { position, .. }) => *position,
        Err(HeaderError::Fault(_)) => 0,
    };
    if run.counted == Counted::Heights {
        // As many new headers as the tip went up by are a line.
        let is_line = fresh == Ok(count) && judge.tip().height == Height(run.number(from + count - 1));
        let stray = if is_line { None } else { stray(rules, run, from, sound)? };
        if stray.is_some() {
            return Ok(stray);
        }
    }
    Ok(fresh.err().map(|error| refused(&error, run, from)))
}

/// Finds the first of `count` headers from `from` that does not stand on the one before it. The chain took all of them, or had them already.
fn stray(rules: &dyn RulesEngine, run: &Run, from: usize, count: usize) -> Result<Option<String>> {
    let views = rules.decode(&run.headers[from - 1..from + count])?.into_iter().collect::<Result<Vec<_>, _>>()?;
    let Some(at) = views.windows(2).position(|pair| !pair[1].parents.contains(&pair[0].id)) else { return Ok(None) };
    let header = &run.headers[from + at];
    let height = run.number(from + at);
    let place = run.headers[..from + at].iter().position(|earlier| earlier == header);
    let problem = match (place, views[at + 1].parents.first()) {
        (Some(place), _) => format!("repeats the one at height {}", run.number(place)),
        (None, Some(parent)) => format!("does not follow the one at height {}: its parent is {parent}", height - 1),
        (None, None) => format!("does not follow the one at height {}: it has no parent", height - 1),
    };
    Ok(Some(format!("invalid: the header at height {height} {problem}")))
}

/// Reads a recorded DAG that begins with the rules' genesis.
pub fn recorded_dag(rules: &dyn RulesEngine, path: &Path) -> Result<Vec<Vec<u8>>> {
    let run = file::read(path, rules.genesis()?.len(), 0)?;
    match other_genesis(rules, &run.headers[0])? {
        None => Ok(run.headers),
        Some(problem) => bail!(problem),
    }
}

/// The examples with the rules of networks that are recorded.
const RECORDED: [(&str, &str); 8] = [
    ("examples/bitcoin/chain.toml", include_str!("../../../examples/bitcoin/chain.toml")),
    ("examples/bitcoin-cash/chain.toml", include_str!("../../../examples/bitcoin-cash/chain.toml")),
    ("examples/bitcoin-testnet/chain.toml", include_str!("../../../examples/bitcoin-testnet/chain.toml")),
    ("examples/kaspa/chain.toml", include_str!("../../../examples/kaspa/chain.toml")),
    ("examples/kaspa/devnet-2023.toml", include_str!("../../../examples/kaspa/devnet-2023.toml")),
    ("examples/kaspa/devnet-2023-pruning.toml", include_str!("../../../examples/kaspa/devnet-2023-pruning.toml")),
    ("examples/litecoin/chain.toml", include_str!("../../../examples/litecoin/chain.toml")),
    ("examples/litecoin-regtest/chain.toml", include_str!("../../../examples/litecoin-regtest/chain.toml")),
];

/// Names the examples whose genesis is the first header of a file.
fn examples_of(first: &[u8]) -> String {
    let genesis = format!("header = \"{}\"", first.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    let fitting: Vec<&str> =
        RECORDED.iter().filter(|(_, text)| text.contains(&genesis)).map(|(name, _)| *name).collect();
    if fitting.is_empty() { String::new() } else { format!(": that is the genesis of {}", fitting.join(" and ")) }
}

/// Says what is wrong with a file that begins with another genesis, before its second header is blamed for an unknown parent.
fn other_genesis(rules: &dyn RulesEngine, first: &[u8]) -> Result<Option<String>> {
    let genesis = rules.genesis()?;
    if first == genesis {
        return Ok(None);
    }
    match rules.decode(&[genesis, first.to_vec()])?.as_slice() {
        [Ok(genesis), Ok(found)] => {
            let (found, genesis, hint) = (found.id, genesis.id, examples_of(first));
            Ok(Some(format!("the file begins with block {found}, the genesis of this chain.toml is {genesis}{hint}")))
        }
        [Ok(_), Err(violation)] => Ok(Some(format!("the first header is no header of this chain.toml: {violation}"))),
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

/// Says why a header of the batch from `from` was not taken.
fn refused(error: &HeaderError, run: &Run, from: usize) -> String {
    let place = |position: &usize| format!("{} {}", run.counted.singular(), run.number(from + position));
    match error {
        HeaderError::Invalid { position, violation } => format!(
            "invalid: the header at {} breaks the rule `{}`: {}",
            place(position),
            violation.rule,
            violation.detail
        ),
        HeaderError::Orphan { position, parent } => {
            format!("invalid: the header at {} breaks the rule `parent-unknown`: it names {parent}", place(position))
        }
        HeaderError::Fault(fault) => format!("no verdict: {fault}"),
    }
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
