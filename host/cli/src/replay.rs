//! `adit replay`: recorded headers, judged by the chain's own plugins.

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
    /// Headers: raw bytes one after another, or lines of `height,hex` (fields between are passed over).
    headers: PathBuf,
    /// The height of the first header of a raw file. A run that does not start at the genesis is judged in full from where
    /// it holds what a rule needs.
    #[arg(long, default_value_t = 0, value_name = "HEIGHT")]
    height: u64,
}

/// Headers in order, without gaps.
#[derive(Debug, PartialEq, Eq)]
struct Run {
    first: u64,
    headers: Vec<Vec<u8>>,
}

/// Judges a file of headers and says what it found.
pub fn run(arguments: &ReplayArguments) -> Result<ExitCode> {
    let sandbox = sandbox::open()?;
    let chain = config::read(&arguments.chain, &sandbox)?.into_chain()?;
    let rules: Arc<dyn RulesEngine> = Arc::new(chain.consensus.plugin.rules(&chain.consensus.config)?);
    let hash = Box::new(chain.hash.plugin.hash(&chain.hash.config)?);
    let length = rules.genesis()?.len();
    let bytes =
        std::fs::read(&arguments.headers).with_context(|| format!("failed to read {}", arguments.headers.display()))?;
    let run = read_run(&bytes, length, arguments.height)
        .with_context(|| format!("{} holds no run of headers", arguments.headers.display()))?;

    let mut headers = run.headers.as_slice();
    let mut next = run.first;
    let mut judge = if run.first == 0 {
        HeaderChain::from_genesis(rules, hash)?
    } else {
        println!(
            "the run starts at height {}: that header is taken as given, and rules that look further back apply once the run holds what they need",
            run.first
        );
        let anchor = anchor(rules.as_ref(), &headers[0], run.first)?;
        headers = &headers[1..];
        next += 1;
        HeaderChain::from_anchor(anchor, rules, hash)
    };

    let bar = progress(headers.len());
    let start = Instant::now();
    let cpu = cpu_seconds();
    for batch in headers.chunks(BATCH) {
        if let Err(error) = judge.append(batch) {
            bar.abandon();
            return Ok(refused(&error, next));
        }
        next += batch.len() as u64;
        bar.inc(batch.len() as u64);
    }
    bar.finish_and_clear();
    let (wall, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds().zip(cpu).map(|(end, start)| end - start));
    let tip = judge.tip();
    println!("valid: {} headers, heights {} to {}", run.headers.len(), run.first, next - 1);
    println!("tip {} with work {}", tip.id, tip.work);
    let count = headers.len() as f64;
    print!("{:.0} headers a second", count / wall);
    match cpu {
        Some(cpu) if cpu > 0.0 => println!(", {:.0} a CPU-second", count / cpu),
        _ => println!(),
    }
    Ok(ExitCode::SUCCESS)
}

fn refused(error: &HeaderError, batch_first: u64) -> ExitCode {
    match error {
        HeaderError::Invalid { position, violation } => {
            println!(
                "invalid: the header at height {} breaks the rule `{}`: {}",
                batch_first + *position as u64,
                violation.rule,
                violation.detail
            );
        }
        HeaderError::Orphan { position, parent } => {
            println!(
                "invalid: the header at height {} breaks the rule `parent-unknown`: it names {parent}",
                batch_first + *position as u64
            );
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

/// Reads raw headers of `length` bytes, or lines of `height,…,hex`.
fn read_run(bytes: &[u8], length: usize, first: u64) -> Result<Run> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.bytes().any(|byte| byte == b',') => read_lines(text),
        _ => {
            if length == 0 || bytes.is_empty() || !bytes.len().is_multiple_of(length) {
                bail!("{} bytes are no whole number of headers of {length} bytes", bytes.len());
            }
            Ok(Run { first, headers: bytes.chunks(length).map(<[u8]>::to_vec).collect() })
        }
    }
}

fn read_lines(text: &str) -> Result<Run> {
    let mut run = Run { first: 0, headers: Vec::new() };
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let number = number + 1;
        let (height, rest) = line.split_once(',').with_context(|| format!("line {number} has no comma"))?;
        let Ok(height) = height.trim().parse::<u64>() else {
            if run.headers.is_empty() {
                continue; // the names of the columns
            }
            bail!("line {number} does not begin with a height");
        };
        let hex = rest.rsplit(',').next().unwrap_or(rest).trim();
        let header = parse_hex(hex).with_context(|| format!("line {number} does not end in hexadecimal digits"))?;
        if run.headers.is_empty() {
            run.first = height;
        }
        let expected = run.first + run.headers.len() as u64;
        if height != expected {
            bail!("line {number} has height {height}, but {expected} is next: a run has no gaps");
        }
        run.headers.push(header);
    }
    if run.headers.is_empty() {
        bail!("there is no line with a height and a header");
    }
    Ok(run)
}

fn parse_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() || text.is_empty() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_headers_are_cut_at_the_chains_length() {
        let run = read_run(&[7; 6], 3, 5).unwrap();
        assert_eq!(run, Run { first: 5, headers: vec![vec![7; 3]; 2] });
        assert!(read_run(&[7; 5], 3, 0).is_err());
    }

    #[test]
    fn lines_say_their_own_height_and_may_have_fields_between() {
        let run = read_run(b"height,hash,header\n9,ffff,0102\n10,eeee,0304\n", 2, 0).unwrap();
        assert_eq!(run, Run { first: 9, headers: vec![vec![1, 2], vec![3, 4]] });
    }

    #[test]
    fn a_gap_is_named_with_its_line() {
        let error = read_run(b"1,00\n3,00\n", 1, 0).unwrap_err();
        assert_eq!(error.to_string(), "line 2 has height 3, but 2 is next: a run has no gaps");
    }

    #[test]
    fn what_is_no_hexadecimal_is_named_with_its_line() {
        assert!(read_run(b"1,0g\n", 1, 0).unwrap_err().to_string().starts_with("line 1"));
    }
}
