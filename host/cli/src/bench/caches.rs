//! What each thing that a chain keeps is worth: how long an answer takes as it is kept, and made anew.
//!
//! On a DAG, with transactions waiting: a longest chain keeps the same, and it costs less to make there.

use super::template::{Bench, PENDING, time};
use super::{BenchArguments, grouped, median, time_of};
use adit_chain::BlockIndex;
use adit_plugin_host::Sandbox;
use adit_primitives::contract::Candidate;
use adit_primitives::engine::{ChainView, SharedView};
use adit_primitives::{BlockId, Hash256, Height};
use adit_store::{Options, Store};
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

/// The most tips that the rules are shown.
const TIPS_MAX: usize = 64;

/// Room for placements on the DAG whose older ones lie in a database: a few of those, and more of the newest.
const PLACEMENT_BYTES: usize = 32 << 10;

/// How often a round asks for what is kept, and for what is made anew.
const OFTEN: u32 = 2_000;
const SELDOM: u32 = 20;

/// Prints a row for each.
pub fn print(arguments: &BenchArguments, sandbox: &Arc<Sandbox>) -> Result<()> {
    let mut bench = Bench::on_dag(sandbox)?;
    let late = bench.fill(2 * u32::from(arguments.rounds))?;
    let blocks = bench.chain.index().count() as u64;
    println!("\nwhat is kept on a DAG of {} blocks, {} transactions waiting", grouped(blocks), grouped(PENDING.into()));
    println!("{:<44} {:>12} {:>12} {:>8}", "", "as kept", "made anew", "times");
    placement(arguments, &bench)?;
    older(arguments, sandbox)?;
    tips(arguments, &bench)?;
    requirements(arguments, &mut bench)?;
    templates(arguments, &mut bench, late)
}

fn row(what: &str, kept: Duration, anew: Duration) {
    let times = u64::try_from(anew.as_nanos() / kept.as_nanos().max(1)).unwrap_or(u64::MAX);
    println!("{what:<44} {kept:>12.2?} {anew:>12.2?} {:>8}", grouped(times));
}

fn placement(arguments: &BenchArguments, bench: &Bench) -> Result<()> {
    let index = bench.chain.index();
    let (tip, view) = (index.tip_id(), Arc::clone(index) as SharedView);
    let header = bench.chain.reader().header(tip)?.context("the tip has a header")?;
    let candidate = [Candidate { header, pow: Hash256::default() }];
    let kept = time_of(arguments.rounds, OFTEN, || {
        black_box(index.indexed(tip));
        Ok(())
    })?;
    let anew = time_of(arguments.rounds, SELDOM, || {
        black_box(bench.rules.place(&view, &candidate)?);
        Ok(())
    })?;
    row("a block's placement", kept, anew);
    Ok(())
}

/// Placements of blocks that memory had no room for: one that is asked for again, and all of them in turn, which the database answers.
fn older(arguments: &BenchArguments, sandbox: &Arc<Sandbox>) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("adit-bench-caches-{}", std::process::id()));
    let storage = Arc::new(Store::open(&Options { path: folder.clone(), cache_bytes: 16 << 20 })?);
    let asked = || -> Result<()> {
        let bench = Bench::on_dag_over(sandbox, storage, PLACEMENT_BYTES)?;
        let index = bench.chain.index();
        let all = ids(index);
        let (first, older) = (all[1], &all[2..all.len() / 2]);
        let kept = time_of(arguments.rounds, OFTEN, || {
            black_box(index.block(first));
            Ok(())
        })?;
        let mut next = older.iter().cycle();
        let before = index.placement_figures();
        let anew = time_of(arguments.rounds, SELDOM, || {
            black_box(next.next().and_then(|id| index.block(*id)));
            Ok(())
        })?;
        let after = index.placement_figures();
        anyhow::ensure!(after.hits == before.hits, "the database was to be asked, and memory answered");
        row("an older block's placement", kept, anew);
        Ok(())
    };
    let asked = asked();
    std::fs::remove_dir_all(&folder)?;
    asked
}

fn tips(arguments: &BenchArguments, bench: &Bench) -> Result<()> {
    let index = bench.chain.index();
    let all = ids(index);
    let kept = time_of(arguments.rounds, OFTEN, || {
        black_box(index.tips(TIPS_MAX));
        Ok(())
    })?;
    let anew = time_of(arguments.rounds, SELDOM, || {
        let blocks = index.blocks(&all);
        let parents: BTreeSet<&BlockId> = blocks.iter().flatten().flat_map(|block| &block.parents).collect();
        black_box(all.iter().filter(|id| !parents.contains(id)).count());
        Ok(())
    })?;
    row("the tips", kept, anew);
    Ok(())
}

/// Returns the ids of all blocks that the selected chain holds.
fn ids(index: &BlockIndex) -> Vec<BlockId> {
    let selected = index.selected_page(Height(0), usize::MAX);
    let with_merged = |block: adit_chain::index::IndexedBlock| {
        let merged = block.known.merge_set.into_iter().map(|merged| merged.id);
        std::iter::once(block.known.id).chain(merged).collect::<Vec<_>>()
    };
    selected.into_iter().flat_map(with_merged).collect()
}

fn requirements(arguments: &BenchArguments, bench: &mut Bench) -> Result<()> {
    let kept = time_of(arguments.rounds, OFTEN, || {
        black_box(bench.chain.requirements(None)?);
        Ok(())
    })?;
    let view = Arc::clone(bench.chain.index()) as SharedView;
    let tips: Vec<BlockId> = bench.chain.index().tips(TIPS_MAX).iter().map(|tip| tip.id).collect();
    let anew = time_of(arguments.rounds, SELDOM, || {
        black_box(bench.rules.next(&view, &tips, None)??);
        Ok(())
    })?;
    row("what the next block must have", kept, anew);
    Ok(())
}

/// The choice of transactions, templates made of it, and templates that were made before.
fn templates(arguments: &BenchArguments, bench: &mut Bench, late: Vec<adit_chain::Transaction>) -> Result<()> {
    let (mut chosen, mut stands) = (Vec::new(), Vec::new());
    let (mut of_parts, mut again, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    let mut late = late.into_iter();
    for round in 0..arguments.rounds {
        let [first, second] = [late.next(), late.next()].map(|late| late.context("two transactions for each round"));
        let extra = round.to_le_bytes();
        bench.chain.submit_transaction(bench.now, first?)?;
        chosen.push(time(|| anyhow::Ok(bench.chain.choose_transactions()))?);
        stands.push(time(|| anyhow::Ok(bench.chain.choose_transactions()))?);
        let request = bench.request([&[0], &extra[..]].concat());
        of_parts.push(time(|| bench.chain.template(bench.now, &request))?);
        again.push(time(|| bench.chain.template(bench.now, &request))?);
        bench.add_empty_block()?;
        bench.chain.submit_transaction(bench.now, second?)?;
        whole.push(time(|| bench.chain.template(bench.now, &request))?);
    }
    let of_parts = median(of_parts);
    row("the choice of transactions", median(stands), median(chosen));
    row("a template, by what miners have in common", of_parts, median(whole));
    row("a template for the same miner", median(again), of_parts);
    Ok(())
}
