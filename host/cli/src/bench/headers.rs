//! How many headers a second the sandbox judges: decoded, hashed and placed by compiled plugins.

use super::sandbox::{RULES, source};
use super::{BenchArguments, grouped, median};
use crate::engine::cpu_time;
use crate::plugin::{NoWork, rolled};
use adit_chain::HeaderChain;
use adit_plugin_host::Sandbox;
use adit_primitives::Hash256;
use adit_primitives::contract::{Draft, SearchJob};
use adit_primitives::engine::{HashEngine, RulesEngine, SharedView};
use anyhow::{Result, bail};
use std::sync::Arc;

const HEADERS: usize = 10_000;
const BATCH: usize = 2_000;

/// Prints one row.
pub fn print(arguments: &BenchArguments, sandbox: &Arc<Sandbox>) -> Result<()> {
    let rules: Arc<dyn RulesEngine> = Arc::new(sandbox.load(&source("longest-chain")?)?.rules(RULES)?);
    let hash = sandbox.load(&source("sha256d")?)?;
    let headers = mine(&rules, &mut hash.hash("{}")?)?;
    let mut speeds = Vec::new();
    for _ in 0..arguments.rounds {
        let mut chain = HeaderChain::from_genesis(Arc::clone(&rules), Box::new(hash.hash("{}")?))?;
        let start = cpu_time();
        for batch in headers.chunks(BATCH) {
            chain.append(batch)?;
        }
        let spent = cpu_time().saturating_sub(start).as_nanos().max(1);
        speeds.push(u64::try_from(HEADERS as u128 * 1_000_000_000 / spent).unwrap_or(u64::MAX));
    }
    println!("\nheaders judged in the sandbox, double SHA-256, batches of {BATCH}");
    println!("{:<56} {:>12}", "headers a second", grouped(median(speeds)));
    Ok(())
}

/// Makes a run of headers above the genesis, as a miner would.
fn mine(rules: &Arc<dyn RulesEngine>, hash: &mut dyn HashEngine) -> Result<Vec<Vec<u8>>> {
    let mut chain = HeaderChain::from_genesis(Arc::clone(rules), Box::new(NoWork))?;
    let mut headers = Vec::with_capacity(HEADERS);
    while headers.len() < HEADERS {
        let view: SharedView = Arc::clone(chain.index()) as SharedView;
        let next = rules.next(&view, &[chain.tip().id], None)??;
        let draft = Draft { parents: next.parents, bits: next.bits, time: next.earliest, body_root: Hash256([1; 32]) };
        let template = rules.encode(&draft)??;
        let pow = template.pow;
        let rolled = rolled(&pow);
        let job = SearchJob {
            inputs: vec![pow.bytes],
            nonce_offset: pow.nonce_offset,
            nonce_bytes: pow.nonce_bytes,
            target: template.target,
        };
        let header = rules.seal(&template.header, first_nonce(hash, &job)?, rolled)??;
        chain.append(std::slice::from_ref(&header))?;
        headers.push(header);
    }
    Ok(headers)
}

/// Returns the first nonce that meets a target.
pub fn first_nonce(hash: &mut dyn HashEngine, job: &SearchJob) -> Result<u64> {
    let mut first = 0;
    while first < u64::from(u32::MAX) {
        let scan = hash.search(job, first, 256)?;
        if let Some(nonce) = scan.found.iter().map(|found| found.nonce).min() {
            return Ok(nonce);
        }
        first += scan.scanned;
    }
    bail!("no nonce meets the target of one leading zero digit")
}
