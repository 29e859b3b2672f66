//! How many blocks of a DAG a second are placed: colours by the compiled plugin, ancestors by the host's index.

use super::sandbox::source;
use super::{BenchArguments, grouped, time_of};
use crate::plugin::NoWork;
use adit_chain::HeaderChain;
use adit_chain::reachability::Reachability;
use adit_plugin_host::Sandbox;
use adit_primitives::engine::RulesEngine;
use anyhow::{Context, Result};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

/// The easiest target that a header can state: the blocks need no proof of work.
const BITS: u32 = 0x207f_ffff;
const K: u16 = 18;
const PARENTS_MAX: usize = 16;
/// Blocks that a miner may not have seen yet.
const UNSEEN_MAX: u64 = 10;
const BATCH: usize = 2_000;
/// The lengths, as powers of two: what a block costs should not grow with them.
const LENGTHS: [u32; 3] = [12, 14, 16];

/// The length over which windows are measured, and that over which each block is judged by itself, as a node does.
const WINDOWED: u32 = 14;
const ALONE: u32 = 10;
/// The windows of `examples/tos`.
const DIFFICULTY_WINDOW: u32 = 240;
const MEDIAN_WINDOW: u32 = 27;
const MEDIAN_RATE: u32 = 10;

/// Prints one row for each length, rows with windows, and those of a recorded DAG where one is named.
pub fn print(arguments: &BenchArguments, sandbox: &Arc<Sandbox>) -> Result<()> {
    let plugin = sandbox.load(&source("ghostdag")?)?;
    println!("\nblocks of a DAG placed, up to {UNSEEN_MAX} blocks in parallel, k = {K}, batches of {BATCH}");
    let heads = ["blocks a second", "ns a block", "ns in the index", "bytes a block"];
    println!("{:<16} {:>15} {:>15} {:>15} {:>15}", "blocks", heads[0], heads[1], heads[2], heads[3]);
    for length in LENGTHS {
        let headers = headers(1 << length);
        let rules: Arc<dyn RulesEngine> = Arc::new(plugin.rules(&config(&headers[0], false))?);
        let Cost { nanos, chain } = cost(arguments.rounds, &rules, &headers, BATCH)?;
        let merges = merges(&chain, &headers)?;
        let index = time_of(arguments.rounds, 1, || {
            let mut reachability = Reachability::new();
            for (block, (selected, merged)) in (1u32..).zip(&merges) {
                reachability.insert(block, *selected, merged);
            }
            Ok(())
        })?;
        let index = index.as_nanos() / headers.len() as u128;
        let bytes = chain.index().bytes() / headers.len();
        println!("{} {index:>15} {bytes:>15}", row(&grouped(1 << length), nanos));
    }
    println!(
        "\nthe same with windows of {DIFFICULTY_WINDOW} blocks for the difficulty and {MEDIAN_WINDOW} for the median time"
    );
    for (length, batch) in [(WINDOWED, BATCH), (ALONE, 1)] {
        let headers = headers(1 << length);
        let rules: Arc<dyn RulesEngine> = Arc::new(plugin.rules(&config(&headers[0], true))?);
        let Cost { nanos, .. } = cost(arguments.rounds, &rules, &headers, batch)?;
        println!("{} {}", row(&grouped(1 << length), nanos), in_batches(batch));
    }
    match (&arguments.file, &arguments.chain) {
        (Some(file), Some(chain)) => print_recorded(arguments.rounds, sandbox, file, chain),
        _ => Ok(()),
    }
}

/// Prints how fast a recorded DAG is placed by its own rules, whatever they are. Its proofs of work are not hashed.
fn print_recorded(rounds: u16, sandbox: &Arc<Sandbox>, file: &Path, chain: &Path) -> Result<()> {
    let consensus = crate::config::read(chain, sandbox)?.into_chain()?.consensus;
    let rules: Arc<dyn RulesEngine> = Arc::new(consensus.plugin.rules(&consensus.config)?);
    let headers = crate::replay::recorded_dag(rules.as_ref(), file)?;
    println!("\n{} with the rules of {}", file.display(), chain.display());
    for batch in [BATCH, 1] {
        let Cost { nanos, .. } = cost(rounds, &rules, &headers, batch)?;
        println!("{} {}", row(&grouped(headers.len() as u64), nanos), in_batches(batch));
    }
    Ok(())
}

/// What placing took.
struct Cost {
    /// CPU time of a block: the median over the rounds.
    nanos: u64,
    /// The chain of the last round.
    chain: HeaderChain,
}

/// Places blocks, the first of which is the genesis, in batches.
fn cost(rounds: u16, rules: &Arc<dyn RulesEngine>, headers: &[Vec<u8>], batch: usize) -> Result<Cost> {
    let begin = || HeaderChain::from_genesis(Arc::clone(rules), Box::new(NoWork));
    let mut chain = begin()?;
    let whole = time_of(rounds, 1, || {
        chain = begin()?;
        headers[1..].chunks(batch).try_for_each(|batch| chain.append(batch).map(drop))?;
        Ok(())
    })?;
    let nanos = u64::try_from(whole.as_nanos() / headers.len() as u128).unwrap_or(u64::MAX);
    Ok(Cost { nanos, chain })
}

fn row(blocks: &str, nanos: u64) -> String {
    format!("{blocks:<16} {:>15} {:>15}", grouped(1_000_000_000 / nanos.max(1)), grouped(nanos))
}

fn in_batches(batch: usize) -> String {
    if batch == 1 { "one at a time".to_owned() } else { format!("in batches of {batch}") }
}

/// Returns a generated DAG as headers, a second apart, the genesis first.
fn headers(blocks: usize) -> Vec<Vec<u8>> {
    (0..).zip(&grow(blocks)).map(|(block, parents)| header(block, parents)).collect()
}

/// Returns the selected parent and the merge set of each block but the first, by their numbers.
fn merges(chain: &HeaderChain, headers: &[Vec<u8>]) -> Result<Vec<(u32, Vec<u32>)>> {
    let number = |id: [u8; 32]| u32::from_le_bytes([id[0], id[1], id[2], id[3]]);
    let of = |header: &Vec<u8>| {
        let id = header.first_chunk().map(|id| adit_primitives::BlockId(*id)).context("a header begins with its id")?;
        let block = chain.index().indexed(id).context("each block was placed")?.known;
        let selected = block.selected_parent.context("a block has parents")?;
        let mut merged: Vec<u32> = block.merge_set.iter().map(|merged| number(merged.id.0)).collect();
        merged.sort_unstable();
        Ok((number(selected.0), merged))
    };
    headers[1..].iter().map(of).collect()
}

/// Makes a DAG in which each block stands on the tips of all but so many of the newest blocks.
fn grow(blocks: usize) -> Vec<Vec<u32>> {
    let mut state = 0x5eed;
    let mut parents: Vec<Vec<u32>> = vec![Vec::new()];
    let mut tips: VecDeque<Vec<u32>> = VecDeque::from([vec![0]]);
    for block in (1u32..).take(blocks - 1) {
        let unseen = usize::try_from(next(&mut state) % UNSEEN_MAX).unwrap_or(0).min(tips.len() - 1);
        let seen: Vec<u32> = tips[tips.len() - 1 - unseen].iter().rev().take(PARENTS_MAX).copied().collect();
        let mut after = tips.back().cloned().unwrap_or_default();
        after.retain(|tip| !seen.contains(tip));
        after.push(block);
        tips.push_back(after);
        if tips.len() as u64 > UNSEEN_MAX {
            tips.pop_front();
        }
        parents.push(seen);
    }
    parents
}

/// Writes a block as a header of the format `labelled`. Its number stands in its id behind which a digest's other bytes would.
fn header(block: u32, parents: &[u32]) -> Vec<u8> {
    let id = |block: u32| {
        let mut state = u64::from(block);
        let mut id = [0; 32];
        id[..4].copy_from_slice(&block.to_le_bytes());
        id[8..16].copy_from_slice(&next(&mut state).to_le_bytes());
        id
    };
    let mut header = id(block).to_vec();
    header.extend((1000 * u64::from(block)).to_le_bytes());
    header.extend(BITS.to_le_bytes());
    header.extend(u16::try_from(parents.len()).unwrap_or(u16::MAX).to_le_bytes());
    header.extend(parents.iter().flat_map(|parent| id(*parent)));
    header
}

/// The rules of a generated DAG. Its blocks come slower than its windows aim at, so that the target stays the easiest.
fn config(genesis: &[u8], windows: bool) -> String {
    let genesis: String = genesis.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut config = serde_json::json!({
        "k": K, "parents-max": PARENTS_MAX, "merge-set-max": 1_000, "header": "labelled", "proof-of-work": false,
        "genesis": { "header": genesis }, "difficulty": { "rule": "fixed" },
    });
    if windows {
        config["difficulty"] =
            serde_json::json!({ "rule": "window", "size": DIFFICULTY_WINDOW, "min": 20, "target-ms": 1 });
        config["median-time"] = serde_json::json!({ "size": MEDIAN_WINDOW, "sample-rate": MEDIAN_RATE });
    }
    config.to_string()
}

/// Returns the next number (SplitMix64): the same on every run.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
