//! `adit up`, `adit node`, `adit miner`: the parts wired together, run until Ctrl-C.

use crate::config::{self, ChainSource, ResolvedChain, source};
use crate::engine::{self, monotonic};
use crate::farm::{self, FarmChoice};
use crate::stats::url_of;
use crate::terminal::{LogFormat, StatusLine};
use crate::{key, pool, sandbox};
use adit_chain::{PublicKey, SecretKey};
use adit_node::client::NodeClient;
use adit_node::clock::{Clock, Entropy};
use adit_node::mining::stratum::{Pools, PoolsParts};
use adit_node::mining::{MinerReport, Mining, MiningParts, WorkSource};
use adit_node::pool::hosting::{HostingParts, Prepared};
use adit_node::reload::{self, Loaded, Standing};
use adit_node::run::{Node, NodeParts, run_both};
use adit_node::settings::failover::UpstreamPlace;
use adit_node::settings::pool::{JoinSettings, PoolMode};
use adit_node::settings::{MinerSettings, Settings};
use adit_plugin_host::Sandbox;
use adit_primitives::Timestamp;
use adit_primitives::engine::HashEngine;
use adit_store::{Options, Store};
use anyhow::{Context, Result};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::watch;

/// Bytes of the database's blocks that are kept in memory.
const STORE_CACHE_BYTES: u64 = 16 << 20;

#[derive(clap::Args)]
pub struct UpArguments {
    /// The chain.
    chain: PathBuf,
    #[command(flatten)]
    miner: MinerChoice,
    #[command(flatten)]
    farm: FarmChoice,
}

#[derive(clap::Args)]
pub struct NodeArguments {
    /// The chain.
    chain: PathBuf,
}

#[derive(clap::Args)]
pub struct MinerArguments {
    /// The chain.
    chain: PathBuf,
    /// A node to mine for; over `miner.nodes` of chain.toml, without which it is the one at `node.api`. Several are tried in order.
    #[arg(long = "node", value_name = "URL", conflicts_with = "pools")]
    nodes: Vec<String>,
    /// A Stratum pool to mine for (stratum+tcp://host:port, stratum+ssl://host:port), whatever chain it is on: chain.toml then only names the hash. Where plots win
    /// blocks, the API of a pool of that chain (http://host:port, https://host:port). Several are tried in order; over `pool.join.pools` of chain.toml.
    #[arg(long = "pool", value_name = "URL")]
    pools: Vec<String>,
    #[command(flatten)]
    join: JoinChoice,
    #[command(flatten)]
    miner: MinerChoice,
    #[command(flatten)]
    farm: FarmChoice,
}

#[derive(clap::Args)]
struct JoinChoice {
    /// Who is paid by the pool; over chain.toml. Without it, the miner's own address.
    #[arg(long)]
    user: Option<String>,
    /// This machine's name at the pool; over chain.toml.
    #[arg(long)]
    worker: Option<String>,
    /// What the pool is told as a password; over chain.toml.
    #[arg(long)]
    password: Option<String>,
}

#[derive(clap::Args)]
struct MinerChoice {
    /// The address that is paid; over chain.toml.
    #[arg(long, conflicts_with = "key")]
    address: Option<String>,
    /// A key file whose address is paid, made where there is none; over chain.toml.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Search threads; over chain.toml.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

impl MinerChoice {
    fn over(self, settings: &mut MinerSettings) {
        if self.address.is_some() {
            settings.address = self.address;
        }
        if self.key.is_some() {
            settings.address = None;
            settings.key_file = self.key;
        }
        settings.threads = self.threads.or(settings.threads);
    }
}

impl JoinChoice {
    fn over(self, join: &mut JoinSettings) {
        join.user = self.user.or_else(|| join.user.take());
        join.worker = self.worker.unwrap_or_else(|| std::mem::take(&mut join.worker));
        join.password = self.password.unwrap_or_else(|| std::mem::take(&mut join.password));
    }
}

/// The time of day.
pub fn clock() -> Clock {
    #[expect(clippy::disallowed_methods, reason = "the one place where the clock is made")]
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Arc::new(move || Timestamp::from_millis(u64::try_from(now().as_millis()).unwrap_or(u64::MAX)))
}

/// The system's generator of secrets.
pub fn entropy() -> Entropy {
    Arc::new(|bytes: &mut [u8]| getrandom::fill(bytes).expect("a system without random numbers runs nothing safely"))
}

/// Ctrl-C, or the system's request to end.
pub async fn signal() {
    let interrupt = async { drop(tokio::signal::ctrl_c().await) };
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => tokio::select! {
                () = interrupt => {}
                _ = terminate.recv() => {}
            },
            Err(_) => interrupt.await,
        }
    }
    #[cfg(not(unix))]
    interrupt.await;
}

pub fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build().context("no runtime for tasks")
}

/// A chain that was read for running, with what reading it again needs.
pub struct Opened {
    pub chain: ResolvedChain,
    loaded: Loaded,
    pub sandbox: Arc<Sandbox>,
    path: PathBuf,
}

pub fn open(path: PathBuf) -> Result<Opened> {
    let sandbox = sandbox::open()?;
    let report = config::read(&path, &sandbox)?;
    let diagnostics = source::diagnostics(&report);
    let chain = report.into_chain()?;
    let loaded = Loaded { settings: chain.settings.clone(), identity: chain.rules.identity(), diagnostics };
    Ok(Opened { chain, loaded, sandbox, path })
}

pub fn node_parts(
    opened: &Opened,
    log: crate::terminal::LogLevel,
    miner: watch::Receiver<Arc<MinerReport>>,
) -> Result<NodeParts> {
    let Opened { chain, loaded, sandbox, path } = opened;
    let node = &chain.settings.node;
    let database = node.data_dir.join("chain");
    std::fs::create_dir_all(&node.data_dir).with_context(|| format!("failed to make {}", node.data_dir.display()))?;
    let store = Store::open(&Options { path: database.clone(), cache_bytes: STORE_CACHE_BYTES })
        .with_context(|| format!("failed to open the database in {}", database.display()))?;
    let hash = || Ok(Box::new(chain.hash.plugin.hash(&chain.hash.config)?) as Box<dyn HashEngine>);
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    Ok(NodeParts {
        loaded: loaded.clone(),
        source: Arc::new(ChainSource::new(path.clone(), Arc::clone(sandbox))),
        identity: chain.rules.clone(),
        rules: Arc::new(chain.consensus.plugin.rules(&chain.consensus.config)?),
        hash: hash()?,
        checking: (0..cores).map(|_| hash()).collect::<Result<_>>()?,
        ledger: chain.ledger.clone(),
        prefix: chain.prefix.clone(),
        storage: Arc::new(store),
        keeps_shares: chain.settings.pool.shared.is_some(),
        clock: clock(),
        entropy: entropy(),
        set_log_level: Box::new(move |level| log.set(level)),
        pool: NodeParts::no_pool(),
        miner,
    })
}

/// The key that is paid.
pub fn pay_to(chain: &ResolvedChain) -> Result<PublicKey> {
    let miner = &chain.settings.miner;
    if let Some(address) = &miner.address {
        let address = chain.prefix.parse(address).with_context(|| format!("{address} is no address of this chain"))?;
        return Ok(address.key);
    }
    let file = key_file(chain);
    let fresh = !file.exists();
    let key: SecretKey = key::read_or_create(&file)?;
    if fresh {
        tracing::info!(file = %file.display(), address = %chain.prefix.address(key.public()), "made a key for the miner");
    }
    Ok(key.public())
}

/// The file of the key that is paid, and owns plots.
pub fn key_file(chain: &ResolvedChain) -> PathBuf {
    // Plots made from here belong to the key that lies here.
    let here = || Some(PathBuf::from(key::FILE)).filter(|file| farm::is_space(chain) && file.exists());
    let own = || chain.settings.node.data_dir.join(key::FILE);
    chain.settings.miner.key_file.clone().or_else(here).unwrap_or_else(own)
}

/// Runs a node without a miner.
pub fn node(arguments: NodeArguments, log: &LogFormat) -> Result<ExitCode> {
    let opened = open(arguments.chain)?;
    let level = log.start(&opened.chain.settings.log.level)?;
    let (_, silent) = watch::channel(Arc::new(MinerReport::default()));
    let parts = node_parts(&opened, level, silent.clone())?;
    let storage = Arc::clone(&parts.storage);
    runtime()?.block_on(async {
        let node = Node::start(parts).await?;
        let shared = pool::shared::start(&opened.chain, &node, storage)?;
        let status = StatusLine::start(&node, silent, log);
        let ended = node.run_until(async {
            signal().await;
            if let Some(shared) = shared {
                shared.end().await;
            }
        });
        let ended = ended.await;
        status.end();
        ended.context("the node stopped")
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Runs node and miner in one process.
pub fn up(arguments: UpArguments, log: &LogFormat) -> Result<ExitCode> {
    let mut opened = open(arguments.chain)?;
    let level = log.start(&opened.chain.settings.log.level)?;
    arguments.miner.over(&mut opened.chain.settings.miner);
    opened.loaded.settings.miner = opened.chain.settings.miner.clone();
    if farm::is_space(&opened.chain) {
        arguments.farm.over(&mut opened.chain.settings.farm)?;
        return farm::up(opened, arguments.farm, level, log);
    }
    let settings = opened.chain.settings.miner.clone();
    let key = pay_to(&opened.chain)?;
    let search = search(&opened.chain)?;
    let (report, reports) = watch::channel(Arc::new(MinerReport::default()));
    let mut parts = node_parts(&opened, level, reports.clone())?;
    let mode = opened.chain.settings.pool.mode;
    let hosting = Prepared::new(mode, pool::token(&opened.chain)?);
    parts.pool = hosting.router.clone();
    let (opened, storage) = (Arc::new(opened), Arc::clone(&parts.storage));
    runtime()?.block_on(async {
        let node = Node::start(parts).await?;
        let shared = pool::shared::start(&opened.chain, &node, storage)?;
        let status = StatusLine::start(&node, reports, log);
        let own = Arc::new(WorkSource::Own { chain: node.chain().clone(), pay_to: key, clock: clock() });
        // In a peer-to-peer pool whoever mines beside the pool mines for it, like every other miner.
        let host = match shared {
            Some(_) => Arc::new(own_pool(&opened.chain)?),
            None => Arc::clone(&own),
        };
        let source = match mode {
            PoolMode::Join => Arc::new(pools(&opened.chain)?),
            PoolMode::Solo => Arc::clone(&own),
            PoolMode::Host => Arc::clone(&host),
        };
        let mining = Mining::start(MiningParts {
            source,
            settings,
            factory: search.factory,
            backend: search.backend,
            clock: Arc::new(monotonic),
            entropy: entropy(),
            report,
            changes: Some(changes(node.standing(), |settings| settings.miner.clone())),
        })?;
        let switch = mining.switch();
        let (hosts, joins) = (Arc::clone(&opened), Arc::clone(&opened));
        let (chain, others) = (node.chain().clone(), shared.as_ref().map(|shared| shared.pool.clone()));
        let hosting = hosting.start(HostingParts {
            make: Arc::new(move || {
                pool::parts(&hosts, Some(chain.clone()), others.clone()).map_err(|error| format!("{error:#}"))
            }),
            miner: Some(Box::new(move |mode| {
                switch.set(match mode {
                    PoolMode::Join => Arc::new(pools(&joins.chain).map_err(|error| format!("{error:#}"))?),
                    PoolMode::Solo => Arc::clone(&own),
                    PoolMode::Host => Arc::clone(&host),
                });
                Ok(())
            })),
            clock: clock(),
        });
        let hosting = hosting.await?;
        let ended = run_both(node, |signal| mining.run_until(signal), async {
            signal().await;
            // Blocks of the pool still reach the chain, and its shares the log.
            hosting.end().await;
            if let Some(shared) = shared {
                shared.end().await;
            }
        });
        let ended = ended.await;
        status.end();
        ended?;
        anyhow::Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}

impl Opened {
    /// Reads the file again as it changes, for a process without a node. Called within a runtime.
    pub fn watched(&self) -> watch::Receiver<Arc<Standing>> {
        let source = Arc::new(ChainSource::new(self.path.clone(), Arc::clone(&self.sandbox)));
        reload::watched(source, self.loaded.clone())
    }
}

/// A part of the settings as they change.
pub fn changes<T: PartialEq + Send + Sync + 'static>(
    mut standing: watch::Receiver<Arc<Standing>>,
    part: impl Fn(&Settings) -> T + Send + 'static,
) -> watch::Receiver<T> {
    let (sender, mut receiver) = watch::channel(part(&standing.borrow_and_update().settings));
    // What the process began with was read before this was: a folder may have been noted since.
    receiver.mark_changed();
    tokio::spawn(async move {
        while standing.changed().await.is_ok() {
            let now = part(&standing.borrow_and_update().settings);
            sender.send_if_modified(|before| {
                let changed = *before != now;
                *before = now;
                changed
            });
        }
    });
    receiver
}

fn search(chain: &ResolvedChain) -> Result<engine::Search> {
    let search = engine::choose(&chain.hash, &chain.settings.miner.native, scratch(chain))?;
    tracing::info!(backend = %search.backend, algorithm = %chain.hash.plugin.info().name, "the miner searches");
    Ok(search)
}

fn scratch(chain: &ResolvedChain) -> &Path {
    &chain.settings.node.data_dir
}

/// The pools that `[pool.join]` names.
fn pools(chain: &ResolvedChain) -> Result<WorkSource> {
    work_of_pools(chain, &chain.settings.pool.join)
}

/// The pool of this process, for its own miner.
fn own_pool(chain: &ResolvedChain) -> Result<WorkSource> {
    let pool = &chain.settings.pool;
    let (address, port) = (pool.stratum.ip(), pool.stratum.port());
    anyhow::ensure!(port > 0, "pool.stratum: a peer-to-peer pool needs a port that its own miner knows");
    let host = match address {
        any if any.is_unspecified() && any.is_ipv4() => Ipv4Addr::LOCALHOST.into(),
        any if any.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        one => one,
    };
    let join = JoinSettings {
        pools: vec![format!("stratum+tcp://{}", SocketAddr::new(host, port)).into()],
        user: None,
        ..pool.join.clone()
    };
    work_of_pools(chain, &join)
}

fn work_of_pools(chain: &ResolvedChain, join: &JoinSettings) -> Result<WorkSource> {
    let pool = &chain.settings.pool;
    let address = match &join.user {
        Some(user) => user.clone(),
        None => chain.prefix.address(pay_to(chain)?).to_string(),
    };
    let parts = PoolsParts {
        join: join.clone(),
        address,
        base: pool.shares.base,
        failover: chain.settings.miner.failover.clone(),
        clock: clock(),
        entropy: entropy(),
    };
    let pools = Pools::new(parts, chain.settings.miner.ca_file.as_deref());
    Ok(WorkSource::Pools(pools.context("no pool to mine for: --pool URL, or pool.join.pools in chain.toml")?))
}

/// The nodes that `[miner]` names, or else the one that runs beside the miner with the same file.
pub fn nodes(chain: &ResolvedChain) -> Result<WorkSource> {
    let settings = &chain.settings.miner;
    let node = &chain.settings.node;
    let beside = [UpstreamPlace::from(url_of(node))];
    let nodes = if settings.nodes.is_empty() { beside.as_slice() } else { &settings.nodes };
    anyhow::ensure!(
        !settings.nodes.is_empty() || node.api.port() > 0,
        "no node to mine for: --node URL, or miner.nodes in chain.toml; for a pool --pool URL"
    );
    let address = chain.prefix.address(pay_to(chain)?).to_string();
    let ca_file = settings.ca_file.as_deref();
    let client = NodeClient::with_turns(nodes, &settings.failover, ca_file, chain.rules.clone(), entropy())?;
    Ok(WorkSource::Nodes { client, address })
}

/// Mines for other nodes, or for pools.
pub fn miner(arguments: MinerArguments, log: &LogFormat) -> Result<ExitCode> {
    let mut opened = open(arguments.chain)?;
    log.start(&opened.chain.settings.log.level)?;
    let chain = &mut opened.chain;
    arguments.miner.over(&mut chain.settings.miner);
    let join = &mut chain.settings.pool.join;
    arguments.join.over(join);
    let mut joins = chain.settings.pool.mode == PoolMode::Join && arguments.nodes.is_empty();
    if !arguments.pools.is_empty() {
        join.pools = arguments.pools.into_iter().map(UpstreamPlace::from).collect();
        joins = true;
    }
    if !arguments.nodes.is_empty() {
        chain.settings.miner.nodes = arguments.nodes.into_iter().map(UpstreamPlace::from).collect();
    }
    if farm::is_space(chain) {
        arguments.farm.over(&mut chain.settings.farm)?;
        return farm::miner(&opened, arguments.farm, joins, log);
    }
    let settings = chain.settings.miner.clone();
    let source = if joins { pools(chain)? } else { nodes(chain)? };
    let search = search(chain)?;
    let (report, reports) = watch::channel(Arc::new(MinerReport::default()));
    runtime()?.block_on(async {
        let status = StatusLine::for_miner(reports, log);
        let mining = Mining::start(MiningParts {
            source: Arc::new(source),
            settings,
            factory: search.factory,
            backend: search.backend,
            clock: Arc::new(monotonic),
            entropy: entropy(),
            report,
            changes: None,
        })?;
        let ended = mining.run_until(signal()).await;
        status.end();
        ended.context("the miner stopped")
    })?;
    Ok(ExitCode::SUCCESS)
}
