//! What it takes a node to judge a block that a plot won: decoded, scored and placed by compiled plugins, one header at a time and in a batch.

use super::super::sandbox::source;
use super::super::{grouped, median};
use crate::engine::cpu_time;
use adit_chain::{HeaderChain, SecretKey};
use adit_plugin_host::{Plugin, Sandbox};
use adit_primitives::contract::Draft;
use adit_primitives::contract::space::{
    Challenge, PlotKind, PlotPlace, Registration, SpaceClaim, SpaceProof, hard_score_input, plain_score_input,
};
use adit_primitives::engine::{HashEngine, RulesEngine, SharedView};
use adit_primitives::space::{leaf, plot_id, root_of};
use adit_primitives::{Hash256, Height, Timestamp};
use anyhow::{Context, Result, bail, ensure};
use std::sync::Arc;

/// Headers of a batch: as many as lanes are filled with.
const BATCH: usize = 16;

/// Levels of the tree of the plain plot: sixteen gibibytes of leaves.
const LEVELS: u32 = 29;

/// Seconds between blocks: the difficulty stays as it began.
const SPACING: u64 = 20;

/// Both kinds of plots with the hash plugin that scores them.
const KINDS: [(PlotKind, &str, &str); 2] = [(PlotKind::Plain, "plain", "sha256"), (PlotKind::Hard, "hard", "poc2")];

/// Prints a row for each kind of plots.
pub fn print(rounds: u16, sandbox: &Arc<Sandbox>) -> Result<()> {
    println!("\nblocks judged in the sandbox");
    for (kind, name, hash) in KINDS {
        let (rules, hash) = plugins(sandbox, name, hash)?;
        let headers = win(kind, &rules, &mut hash.hash("{}")?, BATCH)?;
        let alone = (0..rounds).map(|_| judged(&rules, &hash, &headers[..1])).collect::<Result<_>>()?;
        let together = (0..rounds).map(|_| judged(&rules, &hash, &headers)).collect::<Result<_>>()?;
        let (alone, together) = (grouped(median(alone)), grouped(median(together)));
        println!("  {name:<12} {alone:>14} us alone {together:>10} us each of {BATCH}");
    }
    Ok(())
}

/// Loads the rules of one kind of plots, and the hash plugin that scores them.
fn plugins(sandbox: &Arc<Sandbox>, leaf: &str, hash: &str) -> Result<(Arc<dyn RulesEngine>, Plugin)> {
    let rules = sandbox.load(&source("proof-of-space")?)?.rules(&config(leaf))?;
    Ok((Arc::new(rules), sandbox.load(&source(hash)?)?))
}

fn config(leaf: &str) -> String {
    format!(
        r#"{{"leaf":"{leaf}","challenge-seconds":5,"spacing-seconds":{SPACING},"registration-age":1000,
        "limit-bits":{bits},"genesis":{{"time-seconds":1735689600,"bits":{bits}}},"subsidy":{{"initial-atoms":1}}}}"#,
        bits = 0x207f_ffff
    )
}

/// Returns the microseconds of CPU time that each header takes above a chain's genesis.
///
/// # Errors
/// Where one of them is not accepted: what it takes to refuse a header is another figure.
fn judged(rules: &Arc<dyn RulesEngine>, hash: &Plugin, headers: &[Vec<u8>]) -> Result<u64> {
    let mut chain = HeaderChain::from_genesis(Arc::clone(rules), Box::new(hash.hash("{}")?))?;
    let start = cpu_time();
    let taken = chain.append(headers)?;
    let spent = cpu_time().saturating_sub(start);
    ensure!(taken == headers.len() && taken > 0, "{taken} of {} headers were new", headers.len());
    Ok(u64::try_from(spent.as_micros() / taken as u128).unwrap_or(u64::MAX))
}

/// Wins a run of headers above the genesis, as a farmer would whose plots hold whatever is asked for.
fn win(kind: PlotKind, rules: &Arc<dyn RulesEngine>, hash: &mut dyn HashEngine, count: usize) -> Result<Vec<Vec<u8>>> {
    let genesis = rules.decode(&[rules.genesis()?])?.pop().context("a genesis decodes")??.id;
    let space = rules.space().context("the plugin says nothing on plots")?;
    let secret = SecretKey::from_bytes([7; 32])?;
    let mut chain = HeaderChain::from_genesis(Arc::clone(rules), Box::new(crate::plugin::NoWork))?;
    let mut headers = Vec::with_capacity(count);
    while headers.len() < count {
        let view: SharedView = Arc::clone(chain.index()) as SharedView;
        let tip = chain.tip();
        let next = rules.next(&view, &[tip.id], None)??;
        let time = Timestamp::from_millis(tip.time.to_millis() + SPACING * 1_000);
        let asked = space.challenge(&view, &next.parents, time)??;
        let draft = Draft { parents: next.parents, bits: next.bits, time, body_root: Hash256([1; 32]) };
        let template = rules.encode(&draft)??;
        let claim = answer(kind, Hash256(secret.public().0), &asked, hash)?;
        let signature = secret.sign(&claim.message(&genesis, &template.header)).0;
        let header = space.prove(&template.header, &SpaceProof { claim, signature })??;
        chain.append(std::slice::from_ref(&header))?;
        headers.push(header);
    }
    Ok(headers)
}

/// A plot that need not have been registered before registers itself.
fn registrations(asked: &Challenge, key: Hash256, place: &PlotPlace) -> Vec<Registration> {
    match *place {
        PlotPlace::Plain { seed, leaves, root, .. } if asked.registered_by.is_none() && asked.registrations_max > 0 => {
            vec![Registration { key, seed, leaves, root }]
        }
        _ => Vec::new(),
    }
}

/// Looks for a place that meets the target: every other one does.
fn answer(kind: PlotKind, key: Hash256, asked: &Challenge, hash: &mut dyn HashEngine) -> Result<SpaceClaim> {
    let seed = Hash256([3; 32]);
    let plot = plot_id(&key.0, &seed.0);
    for number in 0..1_000 {
        let input = match kind {
            PlotKind::Plain => plain_score_input(&asked.challenge, &leaf(&plot, number)).to_vec(),
            PlotKind::Hard => hard_score_input(&key, number, &asked.challenge).to_vec(),
        };
        if !asked.target.is_met_by(&hash.digest(&input)?.0) {
            continue;
        }
        let place = match kind {
            PlotKind::Hard => PlotPlace::Hard { nonce: number },
            PlotKind::Plain => {
                // Of a real plot the nodes beside the leaf's would follow from its other leaves; to judge them takes as long.
                let path: Vec<Hash256> = (0..LEVELS).map(|level| Hash256([level.to_le_bytes()[0]; 32])).collect();
                let root = Hash256(root_of(&leaf(&plot, number), number, path.iter().map(|node| &node.0)));
                PlotPlace::Plain { seed, leaves: 1 << LEVELS, root, index: number, path, registered: Height(0) }
            }
        };
        return Ok(SpaceClaim {
            challenge: asked.challenge,
            key,
            registrations: registrations(asked, key, &place),
            place,
        });
    }
    bail!("no place meets a target that every other one meets")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_measured_are_headers_that_the_rules_accept() {
        let sandbox = crate::sandbox::open().unwrap();
        for (kind, name, hash) in KINDS {
            let (rules, hash) = plugins(&sandbox, name, hash).unwrap();
            let mut headers = win(kind, &rules, &mut hash.hash("{}").unwrap(), 2).unwrap();
            assert!(judged(&rules, &hash, &headers).unwrap() > 0, "{name}");
            // No figure is given for what is refused, or was there before.
            let twice = [headers[0].clone(), headers[0].clone()];
            assert!(judged(&rules, &hash, &twice).is_err(), "{name}");
            let last = headers[1].last_mut().unwrap();
            *last ^= 1;
            let refused = judged(&rules, &hash, &headers).unwrap_err().to_string();
            assert!(refused.contains("signature"), "{name}: {refused}");
        }
    }
}
