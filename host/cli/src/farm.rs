//! Farming: `adit up` and `adit miner` on a chain whose blocks are won by plots.

use crate::config::ResolvedChain;
use crate::config::plugins::ChosenPlugin;
use crate::plot::folders;
use crate::plugin::NoWork;
use crate::run::{Opened, clock, entropy, key_file, node_parts, nodes, runtime, signal};
use crate::terminal::{LogFormat, LogLevel, StatusLine};
use crate::{key, pool, sandbox};
use adit_chain::{HeaderChain, SecretKey};
use adit_kernels::space::{Backend, Baseline};
use adit_node::client::{FARM, NodeClient};
use adit_node::farming::{FarmOrders, Farming, FarmingParts};
use adit_node::mining::{MinerReport, WorkSource};
use adit_node::pool::hosting::{HostingParts, Prepared};
use adit_node::run::{Node, run_both};
use adit_node::settings::Settings;
use adit_node::settings::farm::FarmSettings;
use adit_node::settings::pool::PoolMode;
use adit_plugin_host::{ConfigureError, SandboxedHash};
use adit_primitives::Hash256;
use adit_primitives::contract::space::{PlotKind, hard_score_input, plain_score_input, scoop_of};
use adit_primitives::engine::{Fault, FaultClass, HashEngine, RulesEngine, SharedView};
use adit_primitives::space::{LEAF_BYTES, NONCE_BYTES, SCOOP_BYTES, ScoreHash, SpaceEngine, account};
use adit_space::farm::{EngineFactory, Engines, Scoring};
use anyhow::{Context, Result, ensure};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::sync::watch;

/// The hash plugins whose scores native code computes too.
const PLAIN: [(&str, ScoreHash); 2] = [("sha256", ScoreHash::Sha256), ("blake3", ScoreHash::Blake3)];

/// The hash plugin of hard plots.
pub const HARD: &str = "poc2";

/// Leaves that are scored by both before native code is believed.
const LEAVES_COMPARED: usize = 1_024;

/// Nonces that are made by both. The sandbox takes a tenth of a second for some.
const NONCES_COMPARED: usize = 4;

/// Tells whether the chain's blocks are won by plots.
pub fn is_space(chain: &ResolvedChain) -> bool {
    chain.consensus.plugin.info().is_space()
}

/// Refuses a hash plugin that does not score the plots which the chain counts: every score would be none, or cost nothing.
pub fn check_score(consensus: &ChosenPlugin, hash: &ChosenPlugin) -> Result<(), String> {
    if !consensus.plugin.info().is_space() {
        return Ok(());
    }
    let name = &hash.plugin.info().name;
    let plots = plots_of(consensus).map_err(|error| format!("{error:#}"))?;
    match (plots, name == HARD) {
        (PlotKind::Hard, false) => Err(format!("hard plots are scored by `{HARD}`, not by `{name}`")),
        (PlotKind::Plain, true) => {
            Err(format!("`{HARD}` scores no plain plots: `sha256`, `blake3` or another hash does"))
        }
        (PlotKind::Hard, true) | (PlotKind::Plain, false) => Ok(()),
    }
}

/// Asks rules which plots count, by what farmers are asked for the first block.
fn plots_of(consensus: &ChosenPlugin) -> Result<PlotKind> {
    let rules: Arc<dyn RulesEngine> = Arc::new(consensus.plugin.rules(&consensus.config)?);
    let chain = HeaderChain::from_genesis(Arc::clone(&rules), Box::new(NoWork))?;
    let view: SharedView = Arc::clone(chain.index()) as SharedView;
    let next = rules.next(&view, &[chain.tip().id], None)??;
    let space = rules.space().context("the plugin says nothing on plots")?;
    Ok(space.challenge(&view, &next.parents, next.earliest)??.plots)
}

/// Where a farmer's plots are, over chain.toml.
#[derive(Clone, clap::Args)]
pub struct FarmChoice {
    /// A folder with plots, on a chain whose blocks are won by plots; over `farm.folders` of chain.toml. More than one may be named.
    #[arg(long = "plots", value_name = "FOLDER")]
    plots: Vec<PathBuf>,
}

impl FarmChoice {
    /// Puts the choice over the settings. Without one, the folders that `adit plot create` noted here are farmed beside those of the settings.
    pub fn over(&self, settings: &mut FarmSettings) -> Result<()> {
        if self.plots.is_empty() {
            settings.folders.extend(folders::noted()?);
        } else {
            settings.folders.clone_from(&self.plots);
        }
        settings.folders.sort();
        settings.folders.dedup();
        Ok(())
    }

    /// Returns what is to be farmed after the settings were read again.
    fn orders(&self, settings: &Settings) -> FarmOrders {
        let mut farm = settings.farm.clone();
        if let Err(error) = self.over(&mut farm) {
            tracing::warn!(%error, "the folders that were noted are not farmed");
        }
        FarmOrders { farm, enabled: settings.miner.enabled }
    }
}

/// Runs node and farmer in one process, and a pool where the mode says so.
pub fn up(opened: Opened, choice: FarmChoice, level: LogLevel, log: &LogFormat) -> Result<ExitCode> {
    let (report, reports) = watch::channel(Arc::new(MinerReport::default()));
    let farm = Choice::of(&opened.chain)?;
    let pay_to = crate::run::pay_to(&opened.chain)?;
    let mut parts = node_parts(&opened, level, reports.clone())?;
    let mode = opened.chain.settings.pool.mode;
    let hosting = Prepared::new(mode, pool::token(&opened.chain)?);
    parts.pool = hosting.router.clone();
    let opened = Arc::new(opened);
    runtime()?.block_on(async {
        let node = Node::start(parts).await?;
        let status = StatusLine::start(&node, reports, log);
        let own = Arc::new(WorkSource::Own { chain: node.chain().clone(), pay_to, clock: clock() });
        let source = source_of(mode, &opened.chain, &own)?;
        let changes = crate::run::changes(node.standing(), move |settings| choice.orders(settings));
        let farming = Farming::start(farm.parts(&opened.chain, source, report, Some(changes)))?;
        let (switch, joins) = (farming.switch(), Arc::clone(&opened));
        let chain = node.chain().clone();
        let hosting = hosting.start(HostingParts {
            make: Arc::new(move || {
                pool::parts(&opened, Some(chain.clone()), None).map_err(|error| format!("{error:#}"))
            }),
            miner: Some(Box::new(move |mode| {
                switch.set(source_of(mode, &joins.chain, &own).map_err(|error| format!("{error:#}"))?);
                Ok(())
            })),
            clock: clock(),
        });
        let hosting = hosting.await?;
        let ended = run_both(node, |signal| farming.run_until(signal), async {
            signal().await;
            // Blocks of the pool still reach the chain, and its shares the log.
            hosting.end().await;
        });
        let ended = ended.await;
        status.end();
        ended?;
        anyhow::Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Returns what the process's own plots are farmed for. Whoever hosts a pool farms beside it, as every mode but `join` does, for itself.
fn source_of(mode: PoolMode, chain: &ResolvedChain, own: &Arc<WorkSource>) -> Result<Arc<WorkSource>> {
    match mode {
        PoolMode::Solo | PoolMode::Host => Ok(Arc::clone(own)),
        PoolMode::Join => Ok(Arc::new(pools(chain)?)),
    }
}

/// The pools that `[pool.join]` names, as farmers reach them.
fn pools(chain: &ResolvedChain) -> Result<WorkSource> {
    let join = &chain.settings.pool.join;
    ensure!(!join.pools.is_empty(), "no pool to farm for: --pool URL, or pool.join.pools in chain.toml");
    let address = match &join.user {
        Some(user) => user.clone(),
        None => chain.prefix.address(crate::run::pay_to(chain)?).to_string(),
    };
    let places: Vec<_> = join.pools.iter().map(|pool| pool.clone().below(FARM)).collect();
    let miner = &chain.settings.miner;
    let ca_file = miner.ca_file.as_deref();
    let client = NodeClient::with_turns(&places, &miner.failover, ca_file, chain.rules.clone(), entropy());
    let client = client.context("farmers reach a pool by its API: http://host:port, or https://")?;
    Ok(WorkSource::Nodes { client, address: format!("{address}.{}", join.worker) })
}

/// Farms for other nodes, or for pools.
pub fn miner(opened: &Opened, choice: FarmChoice, joins: bool, log: &LogFormat) -> Result<ExitCode> {
    let chain = &opened.chain;
    let source = Arc::new(if joins { pools(chain)? } else { nodes(chain)? });
    let farm = Choice::of(chain)?;
    let (report, reports) = watch::channel(Arc::new(MinerReport::default()));
    runtime()?.block_on(async {
        let status = StatusLine::for_miner(reports, log);
        let changes = crate::run::changes(opened.watched(), move |settings| choice.orders(settings));
        let farming = Farming::start(farm.parts(chain, source, report, Some(changes)))?;
        let ended = farming.run_until(signal()).await;
        status.end();
        ended.context("the farmer stopped")
    })?;
    Ok(ExitCode::SUCCESS)
}

/// How this process farms.
struct Choice {
    key: SecretKey,
    engines: Engines,
    scoring: Scoring,
}

impl Choice {
    fn of(chain: &ResolvedChain) -> Result<Self> {
        let file = key_file(chain);
        let key = key::read_or_create(&file)?;
        let engine = Backend::widest();
        let single = Arc::new(Baseline);
        let scoring = scoring(chain, &[&engine, &*single])?;
        let folders = &chain.settings.farm.folders;
        let named = folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ");
        tracing::info!(key = %file.display(), engine = engine.name(), %scoring, folders = named, "the farmer begins");
        if folders.is_empty() {
            tracing::warn!(
                "no plots to farm: adit plot create --size 10GiB --dir FOLDER, then --plots FOLDER or farm.folders in chain.toml"
            );
        }
        Ok(Self { key, engines: Engines { scan: Arc::new(engine), single }, scoring })
    }

    fn parts(
        self,
        chain: &ResolvedChain,
        source: Arc<WorkSource>,
        report: watch::Sender<Arc<MinerReport>>,
        changes: Option<watch::Receiver<FarmOrders>>,
    ) -> FarmingParts {
        FarmingParts {
            source,
            key: self.key,
            genesis: chain.rules.genesis,
            miner: chain.settings.miner.clone(),
            settings: chain.settings.farm.clone(),
            engines: self.engines,
            scoring: self.scoring,
            entropy: entropy(),
            report,
            changes,
        }
    }
}

/// Returns who scores: native code that is equal to the chain's hash plugin, or the plugin. Of two engines the first scans, and both make nonces.
fn scoring(chain: &ResolvedChain, engines: &[&dyn SpaceEngine; 2]) -> Result<Scoring> {
    let (plugin, config) = (chain.hash.plugin.clone(), chain.hash.config.clone());
    let start = move || -> Result<SandboxedHash, Fault> {
        plugin.hash(&config).map_err(|error| match error {
            ConfigureError::Fault(fault) => fault,
            other => Fault {
                class: FaultClass::Environment,
                plugin: plugin.info().name.clone(),
                function: "start".to_owned(),
                detail: other.to_string(),
            },
        })
    };
    let name = &chain.hash.plugin.info().name;
    let mut reference = start()?;
    let sandboxed: EngineFactory = Arc::new(move || Ok(Box::new(start()?) as Box<dyn HashEngine>));
    if name == HARD {
        for engine in engines {
            ensure!(
                hard_is_equal(*engine, &mut reference)?,
                "native code makes other nonces than the plugin {name}: this machine cannot farm"
            );
        }
        // The nonces of hard plots are scored by native code in any case.
        return Ok(Scoring::Plugin(sandboxed));
    }
    let native = PLAIN.into_iter().find(|(plugin, _)| plugin == name).map(|(_, hash)| hash);
    match native {
        Some(hash) if plain_is_equal(engines[0], hash, &mut reference)? => Ok(Scoring::Native(hash)),
        Some(_) => {
            tracing::error!(hash = name, "native code scores otherwise than the plugin and is not used");
            Ok(Scoring::Plugin(sandboxed))
        }
        None => Ok(Scoring::Plugin(sandboxed)),
    }
}

/// Compares native scores with the plugin's on random leaves: the best one of each, alone.
fn plain_is_equal(engine: &dyn SpaceEngine, hash: ScoreHash, reference: &mut SandboxedHash) -> Result<bool> {
    let challenge = Hash256(sandbox::random()?);
    let mut leaves = vec![0; LEAVES_COMPARED * LEAF_BYTES];
    engine.leaves(&sandbox::random()?, u64::from_le_bytes(sandbox::random()?) >> 1, &mut leaves);
    let (each, _) = leaves.as_chunks::<LEAF_BYTES>();
    let inputs: Vec<u8> = each.iter().flat_map(|leaf| plain_score_input(&challenge, leaf)).collect();
    let mut scores = Vec::new();
    reference.digest_many(&inputs, plain_score_input(&challenge, &each[0]).len(), &mut scores)?;
    let alone = |leaf: &[u8; LEAF_BYTES]| engine.best_leaf(hash, &challenge.0, leaf).map(|best| best.score);
    let lowest = scores.iter().min_by(|one, other| one.0.iter().rev().cmp(other.0.iter().rev()));
    let all = engine.best_leaf(hash, &challenge.0, &leaves).map(|best| Hash256(best.score));
    Ok(each.iter().zip(&scores).all(|(leaf, score)| alone(leaf) == Some(score.0)) && all.as_ref() == lowest)
}

/// Compares native qualities with the plugin's on some nonces of a random account.
fn hard_is_equal(engine: &dyn SpaceEngine, reference: &mut SandboxedHash) -> Result<bool> {
    let (key, challenge) = (Hash256(sandbox::random()?), Hash256(sandbox::random()?));
    let first = u64::from_le_bytes(sandbox::random()?) >> 1;
    let lanes = engine.lanes();
    let rounds = NONCES_COMPARED.div_ceil(lanes);
    let scoop = usize::try_from(scoop_of(&challenge)).expect("below 4,096");
    let mut nonces = vec![0; lanes * NONCE_BYTES];
    for round in 0..rounds as u64 {
        let first = first + round * lanes as u64;
        engine.nonces(account(&key.0), first, &mut nonces);
        let scoops = &nonces[scoop * lanes * SCOOP_BYTES..][..lanes * SCOOP_BYTES];
        let mut qualities = vec![0; lanes];
        engine.qualities(&challenge.0, scoops, &mut qualities);
        let compared = lanes.min(NONCES_COMPARED);
        let inputs: Vec<u8> =
            (first..).take(compared).flat_map(|nonce| hard_score_input(&key, nonce, &challenge)).collect();
        let mut scores = Vec::new();
        reference.digest_many(&inputs, inputs.len() / compared, &mut scores)?;
        let equal =
            |(score, quality): (&Hash256, &u64)| score.0[..24] == [0; 24] && score.0[24..] == quality.to_le_bytes();
        if scores.len() != compared || !scores.iter().zip(&qualities).all(equal) {
            return Ok(false);
        }
    }
    Ok(true)
}
