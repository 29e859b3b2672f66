//! `chain.toml`: read, checked, and resolved into rules and settings.
//!
//! Nothing here starts anything. One check serves the host's own tables and each plugin's `config` table, by JSON Schema; every
//! finding keeps its line. Reading order: [`mod@file`] has the tables, [`schema`] the check, [`finding`] what it reports; [`start`] is what a start
//! would not get, which `adit chain check` asks.

pub mod file;
pub mod finding;
pub mod plugins;
pub mod schema;
pub mod source;
pub mod start;

pub use source::ChainSource;

use crate::terminal;
use adit_chain::{AddressPrefix, Conflicts, LedgerRules};
use adit_node::settings::Settings;
use adit_node::settings::pool::UpstreamKind;
use adit_plugin_host::{Kind, Sandbox};
use adit_primitives::identity::{RulePlugin, Rules};
use adit_primitives::{Amount, BlockId};
use file::{ChainFile, ConflictsSetting, LedgerTable, Network, PluginTable};
use finding::{Finding, Place};
use plugins::{Chooser, ChosenPlugin};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use toml_edit::{Document, Item};

const FILE_BYTES_MAX: u64 = 1 << 20;

/// A chain whose file is right: its rules as plugins, and this machine's settings.
#[derive(Debug, Clone)]
pub struct ResolvedChain {
    pub prefix: AddressPrefix,
    pub rules: Rules,
    pub consensus: ChosenPlugin,
    pub hash: ChosenPlugin,
    /// How the pool divides what it earns. Local: no part of the rules.
    pub payout: ChosenPlugin,
    /// Which shares the pool counts. Local: no part of the rules.
    pub shares: ChosenPlugin,
    pub ledger: LedgerRules,
    /// Paths in it are absolute, or relative to the working directory.
    pub settings: Settings,
}

/// What reading a `chain.toml` brought.
#[derive(Debug)]
pub struct Report {
    /// The file's path as given.
    pub file: String,
    pub text: String,
    pub findings: Vec<Finding>,
    /// The chain, unless a finding is an error.
    pub chain: Option<ResolvedChain>,
}

impl Report {
    /// Returns the chain, or all errors as one message.
    pub fn into_chain(self) -> anyhow::Result<ResolvedChain> {
        let errors: Vec<String> = self
            .findings
            .iter()
            .filter(|finding| finding.is_error())
            .map(|finding| finding.show(&self.file, &self.text))
            .collect();
        match self.chain {
            Some(chain) if errors.is_empty() => Ok(chain),
            _ => anyhow::bail!("{} cannot be used\n{}", self.file, errors.join("\n")),
        }
    }
}

/// Reads a `chain.toml` and loads its plugins.
///
/// # Errors
/// Only where the file cannot be read: everything wrong inside it is a finding.
pub fn read(path: &Path, sandbox: &Arc<Sandbox>) -> anyhow::Result<Report> {
    use anyhow::Context;
    let file = path.display().to_string();
    let length = std::fs::metadata(path).with_context(|| format!("failed to read {file}"))?.len();
    anyhow::ensure!(length <= FILE_BYTES_MAX, "{file} has {length} bytes; a chain.toml has at most {FILE_BYTES_MAX}");
    let text = std::fs::read_to_string(path).with_context(|| format!("failed to read {file}"))?;
    Ok(judge(path, text, sandbox))
}

/// Checks the text of the `chain.toml` at `path`, which need not lie there yet, and loads its plugins.
pub fn judge(path: &Path, text: String, sandbox: &Arc<Sandbox>) -> Report {
    let mut findings = Vec::new();
    let folder = path.parent().unwrap_or(Path::new(""));
    let chain = resolve(&text, folder, sandbox, &mut findings);
    let failed = findings.iter().any(Finding::is_error);
    Report { file: path.display().to_string(), text, findings, chain: chain.filter(|_| !failed) }
}

fn resolve(text: &str, folder: &Path, sandbox: &Arc<Sandbox>, findings: &mut Vec<Finding>) -> Option<ResolvedChain> {
    let document = match Document::parse(text) {
        Ok(document) => document,
        Err(error) => {
            findings.push(Finding::error(Place::of(error.span()), "", format!("does not parse: {}", error.message())));
            return None;
        }
    };
    let schema = serde_json::to_value(schemars::schema_for!(ChainFile)).expect("a schema is JSON");
    let checked = schema::check(&schema, document.as_item(), "", Place::TOP);
    let sound = !checked.findings.iter().any(Finding::is_error);
    findings.extend(checked.findings);
    let file: ChainFile = match serde_path_to_error::deserialize(checked.value) {
        Ok(file) => file,
        Err(error) => {
            if sound {
                findings.push(refused(&document, &error));
            }
            return None;
        }
    };
    let table = |name: &str| document.get(name).unwrap_or(&Item::None);
    let mut chooser = Chooser { folder, sandbox, findings: &mut *findings };
    // All are looked at before one ends the check: every error is reported at once.
    let consensus = chooser.choose(&file.consensus, table("consensus"), "consensus", Kind::Consensus);
    let hash = chooser.choose(&file.hash, table("hash"), "hash", Kind::Hash);
    let payout = chooser.choose(&file.payout, table("payout"), "payout", Kind::Payout);
    let shares = chooser.choose(&file.shares, table("shares"), "shares", Kind::Shares);
    let (consensus, hash, payout, shares) = (consensus?, hash?, payout?, shares?);
    let plugins = [
        (&file.consensus, &consensus, "consensus"),
        (&file.hash, &hash, "hash"),
        (&file.payout, &payout, "payout"),
        (&file.shares, &shares, "shares"),
    ];
    if file.chain.network == Network::Mainnet {
        check_pins(&plugins, &document, findings);
    }
    check_shared(&file, &shares, &document, findings);
    check_score(&consensus, &hash, place_of(&document, "hash"), findings);
    let prefix = AddressPrefix::new(&file.ledger.address_prefix)
        .map_err(|error| {
            findings.push(Finding::error(place_of(&document, "ledger"), "ledger.address-prefix", error.to_string()))
        })
        .ok()?;
    check_words(&file, &prefix, &document, findings);
    let genesis = genesis(&consensus, findings, place_of(&document, "consensus"))?;
    let ledger = ledger_rules(&file.ledger);
    let rules = Rules {
        chain: file.chain.name.clone(),
        network: file.chain.network.name().to_owned(),
        genesis,
        consensus: rule_plugin(&consensus),
        hash: rule_plugin(&hash),
        ledger: ledger_json(&file.ledger, &ledger),
    };
    let settings = Settings {
        node: file.node,
        miner: file.miner,
        farm: file.farm,
        pool: file.pool,
        network: file.network,
        log: file.log,
    };
    Some(ResolvedChain {
        prefix,
        rules,
        consensus,
        hash,
        payout,
        shares,
        ledger,
        settings: absolute_paths(settings, folder),
    })
}

/// Names a value that has the type which the schema wants, and is none of those that are meant.
fn refused(document: &Document<&str>, error: &serde_path_to_error::Error<serde_json::Error>) -> Finding {
    let path = match error.path().to_string() {
        top if top == "." => String::new(),
        path => path,
    };
    let problem = match error.inner().to_string() {
        address if address.contains("socket address") => {
            "is no address and port; an IP address and port is wanted, such as \"127.0.0.1:8645\"".to_owned()
        }
        other => format!("is not allowed: {other}"),
    };
    Finding::error(plugins::find(document.as_item(), &path), &path, problem)
}

/// Finds plugins that a chain of the public must pin and does not.
fn check_pins(plugins: &[(&PluginTable, &ChosenPlugin, &str)], document: &Document<&str>, findings: &mut Vec<Finding>) {
    for (table, chosen, name) in plugins {
        // What a file does not choose is what this program brings, and is no part of the rules.
        if document.contains_key(name) && table.digest.is_none() {
            let digest = chosen.plugin.info().digest;
            let problem =
                format!("is missing; on mainnet plugins are pinned: \"blake3:{digest}\" (`adit chain pin` writes it)");
            findings.push(Finding::error(place_of(document, name), &format!("{name}.digest"), problem));
        }
    }
}

/// Finds what a peer-to-peer pool lacks.
fn check_shared(file: &ChainFile, shares: &ChosenPlugin, document: &Document<&str>, findings: &mut Vec<Finding>) {
    if file.pool.shared.is_none() {
        return;
    }
    if file.network.is_none() {
        let problem = "needs the [network] table: its nodes are one pool over it".to_owned();
        findings.push(Finding::error(place_of(document, "pool"), "pool.shared", problem));
    }
    let info = shares.plugin.info();
    if !info.is_quorum() {
        let problem = format!(
            "{} says nothing on how nodes of a pool agree, which [pool.shared] needs: the bundled `quorum` does",
            info.name
        );
        findings.push(Finding::error(place_of(document, "shares"), "shares.plugin", problem));
    }
}

/// Finds a hash plugin that does not score the plots which the chain counts.
fn check_score(consensus: &ChosenPlugin, hash: &ChosenPlugin, place: Place, findings: &mut Vec<Finding>) {
    if let Err(problem) = crate::farm::check_score(consensus, hash) {
        findings.push(Finding::error(place, "hash.plugin", problem));
    }
}

/// Finds texts that are not what they stand for: to a schema one text is as good as another.
fn check_words(file: &ChainFile, prefix: &AddressPrefix, document: &Document<&str>, findings: &mut Vec<Finding>) {
    let mut wrong = |path: &str, problem: String| {
        findings.push(Finding::error(plugins::find(document.as_item(), path), path, problem));
    };
    if let Some(address) = &file.miner.address
        && let Err(error) = prefix.parse(address)
    {
        wrong("miner.address", format!("{address:?} is no address of this chain: {error}"));
    }
    // Nodes of Bitcoin's family know their own addresses.
    if let Some(address) = &file.pool.address
        && file.pool.upstreams.iter().all(|upstream| upstream.kind == UpstreamKind::Adit)
        && let Err(error) = prefix.parse(address)
    {
        wrong("pool.address", format!("{address:?} is no address of this chain: {error}"));
    }
    if let Err(error) = terminal::parse_filter(&file.log.level) {
        wrong("log.level", format!("{:?} is no log filter: {error}", file.log.level));
    }
}

fn place_of(document: &Document<&str>, table: &str) -> Place {
    Place::of(document.get(table).and_then(Item::span))
}

fn rule_plugin(chosen: &ChosenPlugin) -> RulePlugin {
    let info = chosen.plugin.info();
    RulePlugin { name: info.name.clone(), digest: info.digest, config: chosen.config.clone() }
}

/// Asks the consensus plugin for the genesis block's id.
fn genesis(consensus: &ChosenPlugin, findings: &mut Vec<Finding>, place: Place) -> Option<BlockId> {
    use adit_primitives::engine::RulesEngine;
    let id = || -> anyhow::Result<BlockId> {
        let rules = consensus.plugin.rules(&consensus.config)?;
        let header = rules.genesis()?;
        let mut views = rules.decode(&[header])?;
        let view = views.pop().ok_or_else(|| anyhow::anyhow!("the plugin does not decode its own genesis"))??;
        Ok(view.id)
    };
    id().map_err(|error| {
        findings.push(Finding::error(place, "consensus.config", format!("gives no genesis: {error:#}")))
    })
    .ok()
}

fn ledger_rules(table: &LedgerTable) -> LedgerRules {
    LedgerRules {
        coinbase_maturity: table.coinbase_maturity,
        conflicts: match table.conflicts {
            ConflictsSetting::RefuseBlock => Conflicts::RefuseBlock,
            ConflictsSetting::SkipTransaction => Conflicts::SkipTransaction,
        },
        block_bytes_max: table.block_bytes_max as usize,
        block_transactions_max: table.block_transactions_max,
        header_bytes_max: table.header_bytes_max as usize,
        data_bytes_max: table.data_bytes_max as usize,
        money_max: Amount::from_atoms(table.money_max),
    }
}

/// The ledger's rules with the addresses' prefix: an address means the same to everyone on the chain.
fn ledger_json(table: &LedgerTable, rules: &LedgerRules) -> String {
    format!("{{\"address_prefix\":\"{}\",\"rules\":{}}}", table.address_prefix, rules.canonical_json())
}

/// Paths in `chain.toml` are relative to the file.
fn absolute_paths(mut settings: Settings, folder: &Path) -> Settings {
    let join = |path: &mut PathBuf| *path = folder.join(&*path);
    join(&mut settings.node.data_dir);
    settings.node.token_file.iter_mut().for_each(join);
    settings.miner.key_file.iter_mut().for_each(join);
    settings.miner.ca_file.iter_mut().for_each(join);
    settings.farm.folders.iter_mut().for_each(join);
    settings.pool.key_file.iter_mut().for_each(join);
    settings.network.iter_mut().filter_map(|network| network.key_file.as_mut()).for_each(join);
    for tls in [&mut settings.node.tls, &mut settings.pool.tls].into_iter().flatten() {
        join(&mut tls.certificate);
        join(&mut tls.key);
    }
    for upstream in &mut settings.pool.upstreams {
        upstream.password_file.iter_mut().chain(&mut upstream.cookie_file).for_each(join);
    }
    for native in [&mut settings.miner.native, &mut settings.pool.shares.native] {
        if let adit_node::settings::NativeKernel::File(kernel) = native {
            join(&mut kernel.file);
        }
    }
    settings
}
