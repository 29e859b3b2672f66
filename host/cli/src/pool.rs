//! `adit pool`: the pool wired together, and its books shown.

mod bans;
mod books;
mod schemes;
pub mod shared;

use crate::config::ResolvedChain;
use crate::engine;
use crate::farm;
use crate::key;
use crate::run::{Opened, clock, entropy, open, runtime, signal};
use crate::sandbox::random;
use crate::terminal::LogFormat;
use adit_chain::SecretKey;
use adit_kernels::NativeEngine;
use adit_node::api::ApiState;
use adit_node::api::origin::Names;
use adit_node::chain::ChainHandle;
use adit_node::client::NodeClient;
use adit_node::pool::api::{self, Guard};
use adit_node::pool::farmers::SpaceParts;
use adit_node::pool::hosting::{HostingParts, Prepared};
use adit_node::pool::shared::SharedPool;
use adit_node::pool::solved::Notes;
use adit_node::pool::upstream::Upstream;
use adit_node::pool::upstream::adit::{AditNode, Purse};
use adit_node::pool::upstream::bitcoin::{BitcoinNode, CoinbaseShape};
use adit_node::pool::upstream::remote::RemoteNode;
use adit_node::pool::upstream::shared::SharedNode;
use adit_node::pool::{CheckEngines, EXTRANONCE_BYTES, EXTRANONCE_BYTES_MIN, PoolParts};
use adit_node::server::Server;
use adit_node::settings::pool::{PoolMode, PoolSettings, UpstreamKind, UpstreamSettings};
use adit_node::token::Token;
use adit_primitives::accounts::Accounts;
use adit_primitives::contract::HeaderView;
use adit_primitives::engine::{HashEngine, RulesEngine, ShareEngine};
use adit_primitives::{Amount, Hash256};
use adit_store::{Books, Options, Store};
use anyhow::{Context, Result, bail};
use books::BooksCommand;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use schemes::Kept;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Bytes of the log of shares that are kept in memory.
const LOG_CACHE_BYTES: u64 = 16 << 20;

/// The most threads that score farmers' proofs: a batch is of so many lanes' worth.
const SCORING_MAX: usize = 8;

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct PoolArguments {
    /// The chain.
    #[arg(required = true)]
    chain: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<BooksCommand>,
}

/// Runs a pool before the nodes that `pool.upstreams` names, or shows its books.
pub fn run(arguments: PoolArguments, log: &LogFormat) -> Result<ExitCode> {
    if let Some(command) = arguments.command {
        return books::show(&command, log.json);
    }
    let chain = arguments.chain.context("a chain.toml is wanted")?;
    let opened = open(chain)?;
    log.start(&opened.chain.settings.log.level)?;
    let settings = &opened.chain.settings.pool;
    if settings.upstreams.is_empty() {
        bail!("no node to mine on: pool.upstreams is empty. `adit up` runs node and pool in one process");
    }
    if settings.shared.is_some() {
        bail!("[pool.shared] is for `adit up`, which runs node and pool in one process");
    }
    let (address, limits) = (settings.api, opened.chain.settings.node.limits.clone());
    let (names, token) = (opened.chain.settings.node.names.clone(), token(&opened.chain)?);
    runtime()?.block_on(async {
        let prepared = Prepared::new(PoolMode::Host, token);
        let listener = TcpListener::bind(address).await.with_context(|| format!("nothing can listen at {address}"))?;
        let address = listener.local_addr()?;
        let guard = Guard {
            limiter: ApiState::rate_limiter(&limits),
            names: Names::new(address, &names),
            limits: limits.clone(),
        };
        let router = api::standalone(prepared.router.clone().merge(prepared.probes.clone()), guard);
        let (ending, receiver) = watch::channel(false);
        let server = tokio::spawn(Server { listener, tls: None, router, limits, ending: receiver }.run());
        tracing::info!(%address, "the pool's API listens");
        let opened = Arc::new(opened);
        let make = Arc::new(move || parts(&opened, None, None).map_err(|error| format!("{error:#}")));
        let hosting = prepared.start(HostingParts { make, miner: None, clock: clock() }).await?;
        signal().await;
        tracing::info!("ending");
        hosting.end().await;
        ending.send_replace(true);
        server.await?;
        anyhow::Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Lets this process hold as many descriptors as the system allows: each miner takes one. Returns how many that is.
///
/// # Errors
/// Where the system refuses what it says it allows.
pub fn raise_descriptors() -> std::io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

/// The token of a chain's data folder, made where there is none.
pub fn token(chain: &ResolvedChain) -> Result<Token> {
    let node = &chain.settings.node;
    std::fs::create_dir_all(&node.data_dir).with_context(|| format!("failed to make {}", node.data_dir.display()))?;
    let fresh = random()?;
    Ok(Token::load_or_create(&node.token_path(), || fresh)?)
}

/// Returns where the pool of a chain keeps its books.
fn books_path(chain: &ResolvedChain) -> PathBuf {
    folder(chain).join("books.sqlite")
}

fn folder(chain: &ResolvedChain) -> PathBuf {
    chain.settings.node.data_dir.join("pool")
}

/// Opens log and books, and loads plugins and kernels. `own` is the chain of this process, where there is one, and `shared` what it has of the
/// other nodes of a peer-to-peer pool.
pub fn parts(opened: &Opened, own: Option<ChainHandle>, shared: Option<SharedPool>) -> Result<PoolParts> {
    let chain = &opened.chain;
    let wanted = u64::from(chain.settings.pool.limits.connections);
    match raise_descriptors() {
        Ok(descriptors) if descriptors >= wanted => {}
        Ok(descriptors) => {
            tracing::warn!(
                descriptors,
                wanted,
                "fewer miners than pool.limits.connections can connect: raise LimitNOFILE"
            );
        }
        Err(error) => tracing::warn!(%error, "the limit of descriptors stays as it is"),
    }
    let folder = folder(chain);
    std::fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
    let log = folder.join("shares");
    let store = Store::open(&Options { path: log.clone(), cache_bytes: LOG_CACHE_BYTES })
        .with_context(|| format!("failed to open the log of shares in {}", log.display()))?;
    let books = Books::open(&books_path(chain)).context("failed to open the pool's books")?;
    let notes = folder.join("solved");
    let notes = Notes::open(notes.clone()).with_context(|| format!("failed to make {}", notes.display()))?;
    let genesis = genesis(chain)?;
    let kept = Kept::of(&folder, Arc::clone(&opened.sandbox));
    let scheme = kept.keep(&chain.payout)?;
    Ok(PoolParts {
        settings: pool_settings(chain),
        upstreams: upstreams(chain, &genesis, own, shared.as_ref())?,
        checks: if farm::is_space(chain) { Vec::new() } else { checks(chain, &folder)? },
        space: farm::is_space(chain).then(|| space(chain)).transpose()?,
        retargets: Box::new(chain.shares.plugin.shares(&chain.shares.config)?),
        scheme,
        load: Box::new(move |name| kept.load(name)),
        notes,
        storage: Arc::new(store),
        books: Arc::new(books) as Arc<dyn Accounts>,
        version_mask: version_mask(chain, &genesis),
        shared,
        clock: clock(),
        entropy: entropy(),
    })
}

/// The bits of a version that miners may roll: of those that the settings allow, what the chain's rules leave free. A node of Bitcoin's family judges by rules
/// of its own, and says in each template which bits it needs.
fn version_mask(chain: &ResolvedChain, genesis: &HeaderView) -> u32 {
    let settings = &chain.settings.pool;
    let is_foreign = settings.upstreams.iter().any(|upstream| upstream.kind == UpstreamKind::Bitcoin);
    let free = match genesis.pow.roll_offset {
        0 if is_foreign => u32::MAX,
        0 => genesis.pow.roll_mask,
        _ => 0,
    };
    settings.shares.version_mask.to_bits() & free
}

/// The pool's settings, with what it takes over from the node's.
fn pool_settings(chain: &ResolvedChain) -> PoolSettings {
    let mut settings = chain.settings.pool.clone();
    settings.tls = settings.tls.or_else(|| chain.settings.node.tls.clone());
    settings
}

/// The genesis as the chain's rules read it.
fn genesis(chain: &ResolvedChain) -> Result<HeaderView> {
    let rules = chain.consensus.plugin.rules(&chain.consensus.config)?;
    let header = rules.genesis()?;
    let view = rules.decode(&[header])?.pop().context("the rules do not read their own genesis")?;
    Ok(view?)
}

fn upstreams(
    chain: &ResolvedChain,
    genesis: &HeaderView,
    own: Option<ChainHandle>,
    shared: Option<&SharedPool>,
) -> Result<Vec<Upstream>> {
    let settings = &chain.settings.pool;
    let tag = format!("/{}/", settings.name).into_bytes();
    let mut nodes = Vec::new();
    for upstream in &settings.upstreams {
        nodes.push(match upstream.kind {
            UpstreamKind::Bitcoin => Upstream::Bitcoin(bitcoin(settings, upstream, genesis, &tag)?),
            UpstreamKind::Adit => {
                let ca_file = chain.settings.miner.ca_file.as_deref();
                let client =
                    NodeClient::new(std::slice::from_ref(&upstream.url), ca_file, chain.rules.clone(), entropy())?;
                Upstream::Remote(Box::new(RemoteNode::new(upstream.url.clone(), client, purse(chain, &tag)?)))
            }
        });
    }
    if let Some(own) = own.filter(|_| nodes.is_empty()) {
        nodes.push(match shared {
            Some(shared) => Upstream::Shared(SharedNode { chain: own, payouts: Arc::clone(&shared.payouts), tag }),
            None => Upstream::Adit(AditNode { chain: own, purse: purse(chain, &tag)? }),
        });
    }
    Ok(nodes)
}

/// The key that an Adit chain's blocks pay and that payments are signed with, made at the first start.
fn own_key(chain: &ResolvedChain) -> Result<SecretKey> {
    let file = chain.settings.pool.key_file.clone();
    key::read_or_create(&file.unwrap_or_else(|| chain.settings.node.data_dir.join("pool.key")))
}

/// Whom an Adit chain's blocks pay.
fn purse(chain: &ResolvedChain, tag: &[u8]) -> Result<Purse> {
    let settings = &chain.settings.pool;
    let key = own_key(chain)?;
    let own = chain.prefix.address(key.public());
    let is_other = |address: &&String| chain.prefix.parse(address).map_or(true, |address| address.key != own.key);
    if let Some(address) = settings.address.as_ref().filter(is_other) {
        bail!(
            "pool.address is {address}, but this pool pays miners with the key of {own}, which opens no other address: leave pool.address out, or name \
             the key of that address as pool.key-file"
        );
    }
    tracing::info!(address = %own, "the pool's blocks pay this address");
    Ok(Purse {
        identity: chain.rules.identity(),
        prefix: chain.prefix.clone(),
        key,
        extranonce_bytes: EXTRANONCE_BYTES,
        tag: tag.to_vec(),
        fee_rate: Amount::from_atoms(settings.money.fee_rate),
    })
}

fn bitcoin(
    settings: &PoolSettings,
    upstream: &UpstreamSettings,
    genesis: &HeaderView,
    tag: &[u8],
) -> Result<BitcoinNode> {
    let shape = CoinbaseShape {
        extranonce_bytes: EXTRANONCE_BYTES,
        extranonce_bytes_min: EXTRANONCE_BYTES_MIN,
        tag: tag.to_vec(),
        version_mask: settings.shares.version_mask.to_bits(),
    };
    Ok(BitcoinNode::new(upstream, genesis.id, settings.address.clone(), shape)?)
}

/// What farmers' proofs are checked with.
fn space(chain: &ResolvedChain) -> Result<SpaceParts> {
    let signer = own_key(chain)?;
    let key = Hash256(signer.public().0);
    tracing::info!(%key, "the pool signs for plots of this key: adit plot create --owner makes some");
    let hash = || Ok(Box::new(chain.hash.plugin.hash(&chain.hash.config)?) as Box<dyn HashEngine>);
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    Ok(SpaceParts {
        signer,
        rules: Arc::new(chain.consensus.plugin.rules(&chain.consensus.config)?),
        hash: (0..cores.min(SCORING_MAX)).map(|_| hash()).collect::<Result<_>>()?,
        validator: Box::new(chain.shares.plugin.shares(&chain.shares.config)?),
        identity: chain.rules.clone(),
    })
}

/// What each thread that checks shares works with.
fn checks(chain: &ResolvedChain, scratch: &Path) -> Result<Vec<CheckEngines>> {
    let hash = &chain.hash;
    let settings = &chain.settings.pool.shares;
    let kernel = engine::proven_kernel(hash, &settings.native, scratch, u64::from_le_bytes(random()?))?;
    let threads =
        settings.threads.map_or_else(|| std::thread::available_parallelism().map_or(1, NonZero::get), usize::from);
    let is_tree = hash.plugin.info().name == "sha256d";
    let native =
        || kernel.map(|table| anyhow::Ok(Box::new(NativeEngine::new(table)?) as Box<dyn HashEngine>)).transpose();
    (0..threads)
        .map(|_| {
            Ok(CheckEngines {
                native: native()?,
                sandbox: Box::new(hash.plugin.hash(&hash.config)?),
                // Trees are double SHA-256 whatever the chain's hash is; its proof is that of the same kernel.
                tree: if is_tree { native()? } else { None },
                validator: Box::new(chain.shares.plugin.shares(&chain.shares.config)?) as Box<dyn ShareEngine>,
            })
        })
        .collect()
}
