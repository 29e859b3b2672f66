//! `adit replay`: recorded headers, judged by the chain's own plugins.
//!
//! Reading order: this file, `outcome` (what is said), `file` (the forms of files), `kaspa` (one of them).

mod file;
mod kaspa;
mod outcome;

use self::file::{Counted, Run};
use self::outcome::{Colours, Refusal, Taken};
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

/// Judges a file of headers and says what it found, as text or as JSON.
pub fn run(arguments: &ReplayArguments, json: bool) -> Result<ExitCode> {
    let sandbox = sandbox::open()?;
    let chain = config::read(&arguments.chain, &sandbox)?.into_chain()?;
    let rules: Arc<dyn RulesEngine> = Arc::new(chain.consensus.plugin.rules(&chain.consensus.config)?);
    let hash = Box::new(chain.hash.plugin.hash(&chain.hash.config)?);
    let run = file::read(&arguments.headers, rules.genesis()?.len(), arguments.height)?;
    if let Some(refusal) = strange(rules.as_ref(), &run)? {
        return Ok(refused(&refusal, json));
    }
    let mut judge = if run.is_anchored() {
        if !json {
            println!(
                "the run starts at height {}: that header is taken as given, and rules that look further back apply once the run holds what they need",
                run.first
            );
        }
        let anchor = anchor(rules.as_ref(), &run.headers[0], run.first)?;
        HeaderChain::from_anchor(anchor, Arc::clone(&rules), hash)
    } else {
        HeaderChain::from_genesis(Arc::clone(&rules), hash)?
    };

    // The first header is the chain's beginning.
    let headers = &run.headers[1..];
    let bar = progress(headers.len());
    let start = Instant::now();
    let cpu = cpu_seconds();
    let mut taken = 1;
    for batch in headers.chunks(BATCH) {
        if let Some(refusal) = judge_batch(&mut judge, rules.as_ref(), &run, taken, batch.len())? {
            bar.abandon();
            return Ok(refused(&refusal, json));
        }
        taken += batch.len();
        bar.inc(batch.len() as u64);
    }
    bar.finish_and_clear();
    let seconds = start.elapsed().as_secs_f64();
    let cpu_seconds = cpu_seconds().zip(cpu).map(|(end, start)| end - start);
    let (tip, colours) = (judge.tip(), Colours::of(&judge));
    let taken = Taken { run: &run, count: taken, tip, colours, seconds, cpu_seconds };
    if json {
        println!("{}", taken.json());
    } else {
        println!("{taken}");
    }
    Ok(ExitCode::SUCCESS)
}

fn refused(refusal: &Refusal, json: bool) -> ExitCode {
    if json {
        println!("{}", refusal.json());
    } else {
        println!("{refusal}");
    }
    ExitCode::FAILURE
}

/// Says what is wrong with a file that does not begin as this chain does.
fn strange(rules: &dyn RulesEngine, run: &Run) -> Result<Option<Refusal>> {
    if run.is_anchored() {
        let is_genesis = run.headers[0] == rules.genesis()?;
        let problem =
            || format!("the file begins with the genesis of this chain.toml: its height is 0, not {}", run.first);
        return Ok(is_genesis.then(|| Refusal::Invalid(problem())));
    }
    let hint = match run.counted {
        Counted::Heights => "; for a raw run from the middle of a chain: --height",
        Counted::Lines => "",
    };
    Ok(other_genesis(rules, &run.headers[0])?.map(|problem| Refusal::Invalid(format!("{problem}{hint}"))))
}

/// Judges `count` headers from `from`, and says what is wrong with the first that is refused.
fn judge_batch(
    judge: &mut HeaderChain,
    rules: &dyn RulesEngine,
    run: &Run,
    from: usize,
    count: usize,
) -> Result<Option<Refusal>> {
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
    Ok(fresh.err().map(|error| refusal_of(&error, run, from)))
}

/// Finds the first of `count` headers from `from` that does not stand on the one before it. The chain took all of them, or had them already.
fn stray(rules: &dyn RulesEngine, run: &Run, from: usize, count: usize) -> Result<Option<Refusal>> {
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
    Ok(Some(Refusal::Invalid(format!("the header at height {height} {problem}"))))
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

/// Says why a header of the batch from `from` was not taken.
fn refusal_of(error: &HeaderError, run: &Run, from: usize) -> Refusal {
    let place = |position: &usize| format!("{} {}", run.counted.singular(), run.number(from + position));
    match error {
        HeaderError::Invalid { position, violation } => Refusal::Invalid(format!(
            "the header at {} breaks the rule `{}`: {}",
            place(position),
            violation.rule,
            violation.detail
        )),
        HeaderError::Orphan { position, parent } => Refusal::Invalid(format!(
            "the header at {} breaks the rule `parent-unknown`: it names {parent}",
            place(position)
        )),
        HeaderError::Fault(fault) => Refusal::NoVerdict(fault.to_string()),
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
