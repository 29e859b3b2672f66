//! Puts the parts together, and takes them apart in order at the end.

use crate::anomaly::{AnomalyEvent, AnomalyReport, Watch};
use crate::api::origin::Names;
use crate::api::reads::Reads;
use crate::api::{self, ApiState, READS_MAX};
use crate::chain::{ChainChoice, ChainFailure, ChainHandle, ChainParts, ChainThread};
use crate::clock::{Clock, Entropy, random_u32};
use crate::metrics::Metrics;
use crate::mining::{MinerReport, MiningFailure};
use crate::network::{Network, NetworkHandle, NetworkParts, NetworkStartError};
use crate::reload::{Loaded, Reloader, SettingsSource, Standing};
use crate::server::{FAREWELL, Server, ended};
use crate::settings::NodeSettings;
use crate::statistics::timed::{Stopwatch, TimedRules};
use crate::tls::{self, TlsError};
use crate::token::{Token, TokenError};
use adit_chain::{
    AddressPrefix, Chain, ChainConfig, LedgerRules, MempoolLimits, OpenError, OrphanLimits, TemplateLimits,
};
use adit_primitives::Amount;
use adit_primitives::engine::{HashEngine, RulesEngine};
use adit_primitives::identity::Rules;
use adit_primitives::storage::Storage;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;

/// The most transactions that depend on each other in the mempool.
const PACKAGE_MAX: usize = 25;

/// How far ahead of the clock a block may be and still be kept until its time.
const EARLY_MS_MAX: u64 = 600_000;

/// How long the tasks of a node have to end after its server.
const END_TIME: Duration = Duration::from_secs(2);

/// Takes up a changed log level.
pub type SetLogLevel = Box<dyn Fn(&str) + Send + Sync>;

/// What a node is made of.
pub struct NodeParts {
    /// Settings in force at the start, and where changed ones come from.
    pub loaded: Loaded,
    pub source: Arc<dyn SettingsSource>,
    /// The rules of the chain, item by item, and the plugins that carry them out.
    pub identity: Rules,
    pub rules: Arc<dyn RulesEngine>,
    pub hash: Box<dyn HashEngine>,
    /// One for each thread that checks blocks beside the chain's. At least one.
    pub checking: Vec<Box<dyn HashEngine>>,
    pub ledger: LedgerRules,
    pub prefix: AddressPrefix,
    pub storage: Arc<dyn Storage>,
    /// Whether this process keeps the share log of a peer-to-peer pool.
    pub keeps_shares: bool,
    pub clock: Clock,
    pub entropy: Entropy,
    pub set_log_level: SetLogLevel,
    /// Routes of this process's pool, served beside the node's.
    pub pool: axum::Router,
    /// What this process's own miner does; a channel that never changes where there is none.
    pub miner: watch::Receiver<Arc<MinerReport>>,
}

impl NodeParts {
    /// Returns the routes of a process that hosts no pool.
    pub fn no_pool() -> axum::Router {
        axum::Router::new()
    }
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the chain does not open: {0}")]
    Open(#[from] OpenError),
    #[error(transparent)]
    Chain(#[from] ChainFailure),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    #[error("nothing can listen at {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error(transparent)]
    Network(#[from] NetworkStartError),
    #[error("opening the chain panicked")]
    Panic,
}

/// A running node.
pub struct Node {
    address: SocketAddr,
    encrypted: bool,
    chain: ChainThread,
    /// Without a `[network]` table there is none.
    network: Option<Network>,
    ending: watch::Sender<bool>,
    standing: watch::Receiver<Arc<Standing>>,
    server: JoinHandle<()>,
    tasks: Vec<JoinHandle<()>>,
}

impl Node {
    /// Opens the chain, and serves it.
    pub async fn start(parts: NodeParts) -> Result<Self, StartError> {
        let settings = parts.loaded.settings.node.clone();
        let network_settings = parts.loaded.settings.network.clone();
        let tls = settings.tls.as_ref().map(|tls| tls::server(&tls.certificate, &tls.key)).transpose()?;
        let encrypted = tls.is_some();
        let entropy = Arc::clone(&parts.entropy);
        let token = Token::load_or_create(&settings.token_path(), || {
            let mut bytes = [0; 32];
            entropy(&mut bytes);
            bytes
        })?;
        let (listener, address) = listen(settings.api, encrypted).await?;
        let opening = Opening {
            storage: Arc::clone(&parts.storage),
            rules: Arc::clone(&parts.rules),
            hash: parts.hash,
            checking: parts.checking,
            clock: Arc::clone(&parts.clock),
            choice: chain_choice(&settings),
        };
        let chain = open(chain_config(&parts.identity, parts.ledger, &settings), opening).await?;
        let network = network_settings.map(|network| {
            Network::start(NetworkParts {
                settings: network,
                data_dir: settings.data_dir.clone(),
                chain: chain.handle.clone(),
                rules: parts.identity.clone(),
                keeps_shares: parts.keeps_shares,
                clock: Arc::clone(&parts.clock),
                entropy: Arc::clone(&parts.entropy),
            })
        });
        let network = network.transpose()?;
        let (ending, ending_receiver) = watch::channel(false);
        let (reloader, standing) = Reloader::new(parts.source, parts.loaded);
        // One request: a second one while the file is being read is told so.
        let (refresh, refresh_requests) = mpsc::channel(1);
        let (found, anomalies) = watch::channel(Arc::new(Watch::new().report()));
        let state = Arc::new(ApiState {
            chain: chain.handle.clone(),
            network: network.as_ref().map(|network| network.handle().clone()),
            rules: parts.rules,
            storage: parts.storage,
            identity: parts.identity,
            prefix: parts.prefix,
            token,
            clock: parts.clock,
            metrics: Metrics::new(),
            miner: parts.miner,
            anomalies,
            standing: standing.clone(),
            refresh,
            ending: ending_receiver.clone(),
            started: Instant::now(),
            run_id: random_u32(&parts.entropy),
            names: Names::new(address, &settings.names),
            subscriptions: AtomicU32::new(0),
            subscribers: Arc::new(Semaphore::new(settings.limits.subscribers as usize)),
            limiter: ApiState::rate_limiter(&settings.limits),
            difficulties: ApiState::difficulty_memory(),
            reads: Reads::new(READS_MAX),
        });
        let tasks = vec![
            tokio::spawn(reloader.run(refresh_requests, Some(chain.handle.clone()))),
            tokio::spawn(follow_settings(Arc::clone(&state), standing.clone(), parts.set_log_level)),
            tokio::spawn(follow_chain(Arc::clone(&state))),
            tokio::spawn(watch_for_anomalies(Arc::clone(&state), found)),
        ];
        let server = Server {
            listener,
            tls,
            router: api::router(state, parts.pool),
            limits: settings.limits,
            ending: ending_receiver,
        };
        let server = tokio::spawn(server.run());
        tracing::info!(%address, encrypted, "the API listens");
        Ok(Self { address, encrypted, chain, network, ending, standing, server, tasks })
    }

    /// Returns where the API listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the API's URL.
    pub fn url(&self) -> String {
        format!("{}://{}", if self.encrypted { "https" } else { "http" }, self.address)
    }

    /// Returns the way to the chain.
    pub fn chain(&self) -> &ChainHandle {
        &self.chain.handle
    }

    /// Returns the way to the network, where there is one.
    pub fn network(&self) -> Option<&NetworkHandle> {
        self.network.as_ref().map(Network::handle)
    }

    /// Returns the settings in force, and every later state of them.
    pub fn standing(&self) -> watch::Receiver<Arc<Standing>> {
        self.standing.clone()
    }

    /// Returns a receiver that turns true when the node ends.
    pub fn ending(&self) -> watch::Receiver<bool> {
        self.ending.subscribe()
    }

    /// Runs until `signal` comes, or until the chain fails; then ends.
    pub async fn run_until(self, signal: impl Future<Output = ()>) -> Result<(), ChainFailure> {
        let chain = self.chain.handle.clone();
        tokio::select! {
            () = signal => tracing::info!("ending"),
            () = chain.ended() => tracing::error!("the chain has stopped"),
        }
        self.end().await
    }

    /// Ends in order: no new requests, open ones finish, then the chain. Takes at most some seconds, and as long as one commit.
    pub async fn end(self) -> Result<(), ChainFailure> {
        self.ending.send_replace(true);
        drop(tokio::time::timeout(FAREWELL + END_TIME, self.server).await);
        self.tasks.iter().for_each(JoinHandle::abort);
        if let Some(network) = self.network {
            network.end().await;
        }
        self.chain.end().await
    }
}

/// Why a process with a node and a miner ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunFailure {
    #[error("the node stopped: {0}")]
    Node(#[from] ChainFailure),
    #[error("the miner stopped: {0}")]
    Miner(#[from] MiningFailure),
}

/// Runs a node and the miner or farmer that works for it until `signal` comes or one of them fails; then ends both, the miner first, so that its
/// last finds still reach the chain.
pub async fn run_both<T, W: Future<Output = Result<T, MiningFailure>>>(
    node: Node,
    work: impl FnOnce(Pin<Box<dyn Future<Output = ()> + Send>>) -> W,
    signal: impl Future<Output = ()> + Send + 'static,
) -> Result<T, RunFailure> {
    let chain = node.chain().clone();
    let until = Box::pin(async move {
        tokio::select! {
            () = signal => tracing::info!("ending"),
            () = chain.ended() => tracing::error!("the chain has stopped"),
        }
    });
    let mined = work(until).await;
    // The chain's own failure says more than that of the miner which it brought down.
    node.end().await?;
    Ok(mined?)
}

/// Listens for the API.
async fn listen(at: SocketAddr, encrypted: bool) -> Result<(TcpListener, SocketAddr), StartError> {
    let listen_error = |source| StartError::Listen { address: at, source };
    let listener = TcpListener::bind(at).await.map_err(listen_error)?;
    let address = listener.local_addr().map_err(listen_error)?;
    if !address.ip().is_loopback() && !encrypted {
        tracing::warn!(%address, "the API is open to other machines without TLS: tokens can be read on the way");
    }
    Ok((listener, address))
}

/// Opens the chain where waiting is allowed: a long one takes its time.
async fn open(config: ChainConfig, opening: Opening) -> Result<ChainThread, StartError> {
    let Opening { storage, rules, hash, checking, clock, choice } = opening;
    let placing = Arc::new(Stopwatch::default());
    let timed = TimedRules { rules: Arc::clone(&rules), placing: Arc::clone(&placing) };
    let (own_storage, own_rules) = (Arc::clone(&storage), Arc::new(timed));
    let opened = tokio::task::spawn_blocking(move || Chain::open(config, own_storage, own_rules, hash)).await;
    let chain = opened.map_err(|_| StartError::Panic)??;
    Ok(ChainThread::start(ChainParts { chain, rules, storage, checking, clock, choice, placing })?)
}

struct Opening {
    storage: Arc<dyn Storage>,
    rules: Arc<dyn RulesEngine>,
    hash: Box<dyn HashEngine>,
    checking: Vec<Box<dyn HashEngine>>,
    clock: Clock,
    choice: ChainChoice,
}

/// Returns what the chain's thread takes up while it runs.
pub fn chain_choice(node: &NodeSettings) -> ChainChoice {
    let sizes = node.sizes_in_force();
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    ChainChoice {
        difficulty: node.difficulty,
        statistics_blocks: sizes.statistics_blocks as usize,
        mempool: MempoolLimits {
            transactions_max: sizes.mempool_transactions as usize,
            bytes_max: size(sizes.mempool_bytes),
            fee_per_kilobyte_min: Amount::from_atoms(node.fee_per_kilobyte_min),
            package_max: PACKAGE_MAX,
        },
        orphans: OrphanLimits {
            blocks_max: sizes.orphans as usize,
            bytes_max: size(sizes.orphan_bytes),
            early_ms_max: EARLY_MS_MAX,
            fork_depth_max: sizes.fork_depth.into(),
        },
        templates: TemplateLimits { lifetime_ms: sizes.template_ttl_ms, templates_max: sizes.templates as usize },
        placement_bytes_max: size(sizes.placement_bytes),
    }
}

/// Returns what the chain is opened with.
pub fn chain_config(identity: &Rules, ledger: LedgerRules, node: &NodeSettings) -> ChainConfig {
    let ChainChoice { mempool, orphans, templates, placement_bytes_max, .. } = chain_choice(node);
    ChainConfig { identity: identity.identity(), ledger, mempool, orphans, templates, placement_bytes_max }
}

/// Takes up settings as they change.
async fn follow_settings(api: Arc<ApiState>, mut standing: watch::Receiver<Arc<Standing>>, set_log_level: SetLogLevel) {
    let mut before = standing.borrow_and_update().settings.clone();
    while standing.changed().await.is_ok() {
        let now = standing.borrow_and_update().settings.clone();
        if now.node.limits != before.node.limits {
            api.set_limits(&now.node.limits);
        }
        if chain_choice(&now.node) != chain_choice(&before.node) {
            api.chain.configure(chain_choice(&now.node)).await;
        }
        if now.log.level != before.log.level {
            set_log_level(&now.log.level);
        }
        before = now;
    }
}

/// Reads the metrics at intervals, and tells of what is out of the ordinary.
async fn watch_for_anomalies(api: Arc<ApiState>, found: watch::Sender<Arc<AnomalyReport>>) {
    let mut watch = Watch::new();
    loop {
        let settings = api.standing.borrow().settings.node.anomalies.clone();
        tokio::time::sleep(settings.interval()).await;
        // A chain too busy to answer is read at the next turn.
        let Ok(report) = api.chain.statistics().await else { continue };
        let readings = watch.read(report.since_start, &api.miner.borrow());
        for event in watch.observe((api.clock)(), readings, &settings) {
            let AnomalyEvent { metric, change, reading, median, z, .. } = event;
            tracing::warn!(%metric, %change, reading, median, z, "out of the ordinary");
        }
        found.send_replace(Arc::new(watch.report()));
    }
}

/// Writes every new tip to the log.
async fn follow_chain(api: Arc<ApiState>) {
    let mut snapshots = api.chain.watch();
    let mut ending = api.ending.clone();
    let mut tip = None;
    loop {
        let snapshot = snapshots.borrow_and_update().clone();
        if tip.is_some_and(|tip| tip != snapshot.tip.id) {
            let (height, difficulty) = (snapshot.tip.height.0, &snapshot.next.difficulty);
            tracing::info!(height, hash = %snapshot.tip.id, %difficulty, "new tip");
        }
        tip = Some(snapshot.tip.id);
        tokio::select! {
            changed = snapshots.changed() => if changed.is_err() { return },
            () = ended(&mut ending) => return,
        }
    }
}
