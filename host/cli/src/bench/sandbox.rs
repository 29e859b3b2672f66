//! What a call into the sandbox costs: one that does nothing, a hash by itself, a fresh instance, a load from the cache.

use super::{BenchArguments, time_of};
use adit_plugin_host::{PluginSource, Sandbox};
use adit_primitives::engine::{HashEngine, RulesEngine};
use anyhow::{Context, Result};
use std::sync::Arc;

/// Rules to start instances of.
pub const RULES: &str = r#"{"genesis":{"difficulty":1,"message":"bench","time-seconds":1600000000},"header":"bitcoin","retarget":{"difficulty":1,"enabled":false,"interval":10,"max":12,"min":1,"rule":"interval","spacing-seconds":1},"subsidy":{"initial-atoms":5000000000}}"#;

/// A hash plugin that computes nothing: `nothing.wat` as a component. A test of `adit-plugin-host` holds both together.
const NOTHING: &[u8] = include_bytes!("nothing.wasm");

/// Returns a bundled plugin as a file.
pub fn source(name: &str) -> Result<PluginSource> {
    let plugin = adit_plugin_bundle::find(name).with_context(|| format!("{name} is not bundled"))?;
    Ok(PluginSource { bytes: plugin.bytes.to_vec(), pinned: None })
}

/// Prints a row for each kind of call.
pub fn print(arguments: &BenchArguments, sandbox: &Arc<Sandbox>) -> Result<()> {
    let rounds = arguments.rounds;
    let nothing = PluginSource { bytes: NOTHING.to_vec(), pinned: None };
    let mut nothing = sandbox.load(&nothing)?.hash("{}")?;
    let mut hash = sandbox.load(&source("sha256d")?)?.hash("{}")?;
    let rules = sandbox.load(&source("longest-chain")?)?.rules(RULES)?;
    println!("\ncalls into the sandbox");
    let row = |what: &str, count: u32, call: &mut dyn FnMut() -> Result<()>| -> Result<()> {
        println!("{what:<56} {:>12.2?}", time_of(rounds, count, call)?);
        Ok(())
    };
    row("a call that does nothing", 500_000, &mut || nothing.digest(&[]).map(drop).map_err(Into::into))?;
    row("the same over 80 bytes", 500_000, &mut || nothing.digest(&[7; 80]).map(drop).map_err(Into::into))?;
    row("double SHA-256 of 80 bytes", 50_000, &mut || hash.digest(&[7; 80]).map(drop).map_err(Into::into))?;
    row("consensus: fresh instance, configured, one answer", 500, &mut || {
        rules.genesis().map(drop).map_err(Into::into)
    })?;
    for name in ["sha256d", "longest-chain"] {
        let source = source(name)?;
        row(&format!("loading {name} from the cache"), 5, &mut || sandbox.load(&source).map(drop).map_err(Into::into))?;
    }
    Ok(())
}
