//! `adit chain`: writing, checking, showing and pinning a `chain.toml`.

use crate::config::finding::{Finding, Gravity};
use crate::config::plugins::ChosenPlugin;
use crate::config::{self, Report, ResolvedChain, start};
use crate::{farm, reference, sandbox};
use anyhow::{Context, Result, bail};
use serde_json::{Value as Json, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use toml_edit::{DocumentMut, Formatted, Item, Value, value};

#[derive(clap::Subcommand)]
pub enum ChainCommand {
    /// Write a chain.toml to start from.
    New {
        /// The chain's name.
        name: String,
        /// The hash plugin: a bundled one, or a component's file. Without it `sha256d`; with `proof-of-space` `poc2`.
        #[arg(long, value_name = "PLUGIN")]
        hash: Option<String>,
        /// The consensus plugin: a bundled one, or a component's file.
        #[arg(long, default_value = "longest-chain", value_name = "PLUGIN")]
        consensus: String,
        /// Where to write.
        #[arg(long, default_value = "chain.toml", value_name = "FILE")]
        out: PathBuf,
    },
    /// Report every wrong, missing, unknown or defaulted value with its line, and what a start would not get: ports that are taken twice, files of TLS
    /// that are not there, pools to join that are not named.
    Check {
        file: PathBuf,
        /// Leave out the values that are defaults.
        #[arg(long)]
        quiet: bool,
    },
    /// Show the resolved chain and its identity.
    Show { file: PathBuf },
    /// Write the digests of the plugins into the file, so that no other bytes are ever taken for them.
    Pin { file: PathBuf },
    /// Print the reference of chain.toml.
    #[command(hide = true)]
    Reference,
}

/// Runs a command on a `chain.toml`. What `check` and `show` say is JSON where that is wished for.
pub fn run(command: ChainCommand, json: bool) -> Result<ExitCode> {
    match command {
        ChainCommand::New { name, hash, consensus, out } => new(&name, hash.as_deref(), &consensus, &out),
        ChainCommand::Check { file, quiet } => check(&file, quiet, json),
        ChainCommand::Show { file } => show(&file, json),
        ChainCommand::Pin { file } => pin(&file),
        ChainCommand::Reference => {
            print!("{}", reference::markdown()?);
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// What files begin from that `adit chain new` writes, by the bundled consensus plugin.
const TEMPLATES: [(&str, &str); 3] = [
    ("longest-chain", include_str!("../templates/chain.toml")),
    ("ghostdag", include_str!("../templates/ghostdag.toml")),
    ("proof-of-space", include_str!("../templates/proof-of-space.toml")),
];

fn new(name: &str, hash: Option<&str>, consensus: &str, out: &Path) -> Result<ExitCode> {
    if out.exists() {
        bail!("{} exists already", out.display());
    }
    let text = begun(name, hash, consensus)?;
    let report = config::judge(out, text, &sandbox::open()?);
    if report.chain.is_none() {
        print_report(&report, true);
        println!("{} was not written", out.display());
        return Ok(ExitCode::FAILURE);
    }
    let mut file = std::fs::File::create_new(out).with_context(|| format!("failed to make {}", out.display()))?;
    if let Err(error) = file.write_all(report.text.as_bytes()) {
        // What is not whole is no file to begin from.
        let _ = std::fs::remove_file(out);
        return Err(error).with_context(|| format!("failed to write {}", out.display()));
    }
    println!("wrote {}", out.display());
    Ok(print_report(&report, true))
}

/// Returns the text of a new chain.
fn begun(name: &str, hash: Option<&str>, consensus: &str) -> Result<String> {
    let bundled = TEMPLATES.iter().find(|(plugin, _)| *plugin == consensus);
    let (_, template) = bundled.unwrap_or(&TEMPLATES[0]);
    let mut document: DocumentMut = template.parse().context("the template is TOML")?;
    document["chain"]["name"] = value(name);
    document["consensus"]["plugin"] = value(consensus);
    if bundled.is_some() {
        document["consensus"]["config"]["genesis"]["message"] = value(name);
    } else if let Some(table) = document["consensus"].as_table_mut() {
        // Another plugin has other settings.
        table.remove("config");
    }
    if let Some(hash) = hash {
        document["hash"]["plugin"] = value(hash);
        if consensus == "proof-of-space" && hash != farm::HARD {
            document["consensus"]["config"]["leaf"] = plain_leaf();
        }
    }
    Ok(document.to_string())
}

/// The plots that other hashes than that of hard ones score.
fn plain_leaf() -> Item {
    let mut leaf = Formatted::new("plain".to_owned());
    leaf.decor_mut()
        .set_suffix("              # a leaf costs one hash, so a processor does what a disk does: for study");
    Item::Value(Value::String(leaf))
}

fn check(file: &Path, quiet: bool, json: bool) -> Result<ExitCode> {
    let mut report = config::read(file, &sandbox::open()?)?;
    if let Some(chain) = &report.chain {
        report.findings.extend(start::findings(chain, &report.text));
    }
    Ok(if json { print_json(&report, quiet) } else { print_report(&report, quiet) })
}

/// The findings, the gravest first.
fn in_order(report: &Report, quiet: bool) -> Vec<&Finding> {
    let mut findings: Vec<&Finding> =
        report.findings.iter().filter(|finding| !quiet || finding.gravity != Gravity::Default).collect();
    findings.sort_by_key(|finding| (finding.gravity, finding.place.line(&report.text)));
    findings
}

/// Prints what was found as one document. `identity` is `null` where there is no chain.
fn print_json(report: &Report, quiet: bool) -> ExitCode {
    let finding = |finding: &&Finding| {
        json!({ "gravity": finding.gravity.to_string(), "line": finding.place.line(&report.text), "key": finding.path,
            "problem": finding.problem })
    };
    let good = !report.findings.iter().any(Finding::is_error);
    let identity = report.chain.as_ref().filter(|_| good).map(|chain| chain.rules.identity().to_string());
    let findings: Vec<_> = in_order(report, quiet).iter().map(finding).collect();
    println!("{}", json!({ "file": report.file, "good": good, "identity": identity, "findings": findings }));
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print_report(report: &Report, quiet: bool) -> ExitCode {
    for finding in in_order(report, quiet) {
        println!("{}", finding.show(&report.file, &report.text));
    }
    let count = |gravity| report.findings.iter().filter(|finding| finding.gravity == gravity).count();
    let errors = count(Gravity::Error);
    match &report.chain {
        Some(chain) if errors == 0 => {
            let warnings = match count(Gravity::Warning) {
                0 => String::new(),
                1 => ", 1 warning".to_owned(),
                more => format!(", {more} warnings"),
            };
            let (defaults, identity) = (count(Gravity::Default), chain.rules.identity());
            println!("{}: good ({defaults} defaults{warnings}); identity {identity}", report.file);
            ExitCode::SUCCESS
        }
        _ => {
            println!("{}: {errors} errors", report.file);
            ExitCode::FAILURE
        }
    }
}

fn show(file: &Path, json: bool) -> Result<ExitCode> {
    let ResolvedChain { rules, consensus, hash, payout, shares, settings, .. } =
        config::read(file, &sandbox::open()?)?.into_chain()?;
    if json {
        let whole = json!({ "chain": rules.chain, "network": rules.network, "identity": rules.identity().to_string(),
            "genesis": rules.genesis.to_string(), "consensus": plugin_json(&consensus)?, "hash": plugin_json(&hash)?,
            "ledger": serde_json::from_str::<Json>(&rules.ledger)?, "node": settings.node, "miner": settings.miner,
            "pool": settings.pool, "payout": plugin_json(&payout)?, "shares": plugin_json(&shares)? });
        println!("{whole}");
        return Ok(ExitCode::SUCCESS);
    }
    println!("chain       {} ({})", rules.chain, rules.network);
    println!("identity    {}", rules.identity());
    println!("genesis     {}", rules.genesis);
    [("consensus", &consensus), ("hash", &hash)].into_iter().for_each(|(role, chosen)| show_plugin(role, chosen));
    println!("ledger      {}", rules.ledger);
    println!("node        {}", serde_json::to_string(&settings.node)?);
    println!("miner       {}", serde_json::to_string(&settings.miner)?);
    println!("pool        {}", serde_json::to_string(&settings.pool)?);
    [("payout", &payout), ("shares", &shares)].into_iter().for_each(|(role, chosen)| show_plugin(role, chosen));
    Ok(ExitCode::SUCCESS)
}

fn plugin_json(chosen: &ChosenPlugin) -> Result<Json> {
    let info = chosen.plugin.info();
    let config: Json = serde_json::from_str(&chosen.config).context("a configuration is JSON")?;
    let digest = format!("blake3:{}", info.digest);
    Ok(json!({ "name": info.name, "version": info.version, "digest": digest, "summary": info.summary,
        "config": config }))
}

fn show_plugin(role: &str, chosen: &ChosenPlugin) {
    let info = chosen.plugin.info();
    println!("{role:<11} {} {} blake3:{}", info.name, info.version, info.digest);
    println!("            {}", info.summary);
    println!("            config {}", chosen.config);
}

fn pin(file: &Path) -> Result<ExitCode> {
    let text = std::fs::read_to_string(file).with_context(|| format!("failed to read {}", file.display()))?;
    let mut document: DocumentMut = text.parse().with_context(|| format!("{} is not TOML", file.display()))?;
    // A pin that no longer fits is what is being replaced: the file is read without any.
    let folder = file.parent().unwrap_or(Path::new(""));
    for table in ["consensus", "hash", "payout", "shares"] {
        let is_local = ["payout", "shares"].contains(&table);
        if is_local && !document.contains_key(table) {
            // The plugin that this program brings is used: nothing is named, so nothing is pinned.
            continue;
        }
        let plugin = document.get(table).and_then(|table| table.get("plugin")).and_then(|plugin| plugin.as_str());
        let plugin = plugin.with_context(|| format!("{} names no {table}.plugin", file.display()))?;
        let bytes = config::plugins::bytes_of(plugin, folder).map_err(anyhow::Error::msg)?;
        let pin = format!("blake3:{}", blake3::hash(&bytes).to_hex());
        println!("{table}: {plugin} {pin}");
        document[table]["digest"] = value(pin);
    }
    let temporary = file.with_extension("toml.new");
    std::fs::write(&temporary, document.to_string())
        .with_context(|| format!("failed to write {}", temporary.display()))?;
    std::fs::rename(&temporary, file).with_context(|| format!("failed to replace {}", file.display()))?;
    check(file, true, false)
}
