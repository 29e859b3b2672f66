//! The running pool: miners in front, nodes behind, books beside.
//!
//! What a share is worth, what a split may be and what a miner may say are decided in `adit-pool` and `adit-protocol`; here are the sockets,
//! threads and tasks that bring things there. Nothing here touches a balance.
//!
//! Reading order: [`Pool`] puts the parts together. [`upstreams`] and [`upstream`] are the nodes behind, [`jobs`] what miners are given to do,
//! [`front`], [`connection`] and [`connections`] where they are, [`web`] how those are who speak
//! HTTP, [`farmers`] those who prove space, [`members`] who they are, [`shared`] how several nodes are one pool, [`checking`] what becomes of their shares, [`warden`] who is turned away, [`bookkeeping`]
//! and [`solved`] of blocks and money, [`metrics`] what is counted; [`hosting`] starts
//! and stops it all while the process runs, and [`api`] shows it.

pub mod api;
pub mod bookkeeping;
pub mod checking;
pub mod connection;
pub mod connections;
pub mod farmers;
pub mod front;
pub mod hosting;
pub mod jobs;
pub mod members;
pub mod metrics;
pub mod shared;
pub mod solved;
pub mod upstream;
pub mod upstreams;
pub mod warden;
pub mod web;

use crate::clock::{Clock, Entropy, random_u32, random_u64};
use crate::settings::pool::{MoneySettings, PoolSettings};
use crate::tls::{self, TlsError};
use adit_pool::money::fees::{BasisPoints, FeeError, Fees};
use adit_pool::money::mean_fees::{MeanFees, MeanFeesError};
use adit_pool::money::payments::{FeeBearer, PaymentSettings};
use adit_pool::money::rounds::RoundSettings;
use adit_pool::money::schemes::{self, SwitchError};
use adit_pool::work::bans::{BanRules, Bans};
use adit_pool::work::check::{Checker, CheckerParts};
use adit_pool::work::extranonce::{ExtranonceRules, Extranonces};
use adit_pool::work::farm::{SpaceBook, SpaceJob};
use adit_pool::work::job::{JobBook, JobRules};
use adit_pool::work::limits::{AddressShares, ConnectionLimits, Connections as OpenConnections, ShareRates};
use adit_pool::work::log::{ShareLog, ShareLogError};
use adit_pool::work::partial::{PartialChecker, PartialParts};
use adit_pool::work::retarget::{RetargetRules, Retargets};
use adit_pool::work::workers::{WorkerRules, Workers};
use adit_primitives::Amount;
use adit_primitives::accounts::{Accounts, AccountsError, Era};
use adit_primitives::contract::payout::Economics;
use adit_primitives::contract::shares::ShareDifficulty;
use adit_primitives::engine::{Fault, HashEngine, PayoutEngine, ShareEngine};
use adit_primitives::storage::Storage;
use adit_protocol::stratum::difficulty::{Base, Decimal};
use adit_protocol::stratum::server::Settings as SessionSettings;
use bookkeeping::{Bookkeeping, BooksFailure, Terms, Waits};
use checking::{Checking, CheckingParts, CheckingThreads, Solved};
use connections::Connections;
use farmers::{Farmers, FarmersChecking, FarmersThread, SpaceParts};
use front::{Difficulties, Front, Port};
use jobs::{Current, Following};
use members::Members;
use metrics::PoolMetrics;
use shared::SharedPool;
use solved::Notes;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use upstream::Upstream;
use upstreams::Upstreams;
use warden::{Keep, Warden};
use web::WebMiners;

/// The bytes of an extranonce that the pool hands out: the front-end's number and a counter.
const EXTRANONCE1_BYTES: usize = 4;

/// The bytes that a miner has for itself.
const EXTRANONCE2_BYTES: u8 = 8;

/// The bytes of a coinbase's extranonce.
pub const EXTRANONCE_BYTES: usize = EXTRANONCE1_BYTES + EXTRANONCE2_BYTES as usize;

/// The same where a node's own bytes leave no room for more: a miner then has 2^32 coinbases for each job.
pub const EXTRANONCE_BYTES_MIN: usize = EXTRANONCE1_BYTES + 4;

/// How long a job is known after another took its place: late shares are told so, late blocks are handed in.
const JOB_KNOWN_MS: u64 = 180_000;

/// Jobs known at once.
const JOBS_MAX: usize = 64;

/// Shares remembered for one job, about a hundred bytes each.
const SHARES_OF_JOB_MAX: usize = 4_000_000;

/// A template that pays two percent more than the job's becomes a job at once.
const GAIN_THOUSANDTHS: u64 = 20;

/// Workers known at once, and for how long after their last share.
const WORKERS_MAX: usize = 200_000;
const WORKER_IDLE_MS: u64 = 600_000;

/// Over which bans count.
const BAN_WINDOW_MS: u64 = 600_000;

/// Senders that are counted, and bans in force, at once.
const BANS_MAX: usize = 100_000;

/// Addresses whose shares are counted, about: those of one second.
const ADDRESSES_MAX: usize = 65_536;

/// How long a slice of a connection's past is, after how many shares it is looked at, and how long without any.
const RETARGET: RetargetRules = RetargetRules { slice_ms: 5_000, shares_due: 12, quiet_ms: 5_000, idle_ms: 60_000 };

/// The same for farmers: their shares come together with each challenge, and nothing between.
const FARM_RETARGET: RetargetRules =
    RetargetRules { slice_ms: 30_000, shares_due: 60, quiet_ms: 60_000, idle_ms: 600_000 };

/// Connections that the system keeps until they are accepted, or as many as it allows: after an outage all miners come at once, and who finds no room comes
/// again after seconds.
const BACKLOG: u32 = 16_384;

/// Connections whose proxy has yet to say who they are, at once.
const INTRODUCTIONS_MAX: usize = 4_096;

/// Without a template for so long, the pool is not ready.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// How long tasks have at the end.
const END_TIME: Duration = Duration::from_secs(8);

/// What a thread that checks shares works with.
pub struct CheckEngines {
    /// The chain's hash in native code, proven equal.
    pub native: Option<Box<dyn HashEngine>>,
    /// The chain's hash plugin.
    pub sandbox: Box<dyn HashEngine>,
    /// A native double SHA-256 for merkle trees.
    pub tree: Option<Box<dyn HashEngine>>,
    pub validator: Box<dyn ShareEngine>,
}

/// The payout scheme.
pub struct Scheme {
    /// Plugin, digest and configuration, in one text: what tells schemes apart in the books.
    pub name: String,
    pub engine: Box<dyn PayoutEngine>,
}

/// Loads a payout scheme that was in force before, by its name in the books. It may take its time; why it cannot is said to the operator.
pub type LoadScheme = Box<dyn Fn(&str) -> Result<Box<dyn PayoutEngine>, String> + Send>;

/// What a pool is made of.
pub struct PoolParts {
    pub settings: PoolSettings,
    /// In order of preference. At least one.
    pub upstreams: Vec<Upstream>,
    /// One for each thread that checks hashed shares. None where plots win blocks.
    pub checks: Vec<CheckEngines>,
    /// Where plots win blocks: what their farmers' proofs are checked with. No Stratum miner is listened for then.
    pub space: Option<SpaceParts>,
    /// The share validator that sets difficulties.
    pub retargets: Box<dyn ShareEngine>,
    pub scheme: Scheme,
    pub load: LoadScheme,
    /// Blocks that were solved and are not in the books.
    pub notes: Notes,
    /// Where the log of shares is kept.
    pub storage: Arc<dyn Storage>,
    pub books: Arc<dyn Accounts>,
    /// Which bits of a version miners may roll.
    pub version_mask: u32,
    /// The other nodes, in a peer-to-peer pool.
    pub shared: Option<SharedPool>,
    pub clock: Clock,
    pub entropy: Entropy,
}

/// Why a pool does not start.
#[derive(Debug, thiserror::Error)]
pub enum PoolStartError {
    #[error(transparent)]
    Log(#[from] ShareLogError),
    #[error(transparent)]
    MeanFees(#[from] MeanFeesError),
    #[error(transparent)]
    Books(#[from] AccountsError),
    #[error("the books: {0}")]
    Failure(#[from] BooksFailure),
    #[error(transparent)]
    Fees(#[from] FeeError),
    #[error("the payout scheme: {0}")]
    Scheme(#[from] Fault),
    #[error("the payout scheme: {0}")]
    Switch(#[from] SwitchError),
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    #[error("pool.stratum-tls needs a certificate: pool.tls, or node.tls")]
    NoCertificate,
    #[error("{number} is no difficulty")]
    Difficulty { number: f64 },
    #[error("pool.shares.difficulty-max is less than pool.shares.difficulty-min")]
    NoDifficulty,
    #[error("nothing can listen at {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("{detail}")]
    Parts { detail: String },
    #[error("no thread for shares: {0}")]
    Thread(std::io::Error),
}

/// What is shown of a pool, and changed in it, while it runs.
pub struct Running {
    pub name: String,
    pub scheme: String,
    /// Where Stratum miners connect. `None` where plots win blocks.
    pub stratum: Option<SocketAddr>,
    pub front: Arc<Front>,
    pub upstreams: Arc<Upstreams>,
    pub books: Arc<dyn Accounts>,
    pub log: Arc<ShareLog>,
    pub metrics: Arc<PoolMetrics>,
    pub terms: Arc<Mutex<Terms>>,
    pub warden: Warden,
    pub web: Arc<WebMiners>,
    /// Where plots win blocks.
    pub farmers: Option<Arc<Farmers>>,
    /// The other nodes, in a peer-to-peer pool.
    pub shared: Option<SharedPool>,
    pub started: Instant,
}

/// A running pool.
pub struct Pool {
    running: Arc<Running>,
    ending: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    threads: CheckingThreads,
    farming: Option<FarmersThread>,
    retargeting: std::thread::JoinHandle<()>,
    books: JoinHandle<()>,
}

/// What most parts of a pool work with.
struct Shared {
    clock: Clock,
    metrics: Arc<PoolMetrics>,
    upstreams: Arc<Upstreams>,
    log: Arc<ShareLog>,
    fees: Arc<Mutex<MeanFees>>,
    books: Arc<dyn Accounts>,
    bans: Arc<Mutex<Bans>>,
    jobs: Arc<JobBook>,
    workers: Arc<Workers>,
    connections: Arc<Connections>,
    terms: Arc<Mutex<Terms>>,
    /// The other nodes, in a peer-to-peer pool.
    pool: Option<SharedPool>,
    /// The job that miners have.
    current: watch::Sender<Option<Arc<Current>>>,
    /// The same for farmers.
    space_jobs: Arc<SpaceBook>,
    space: watch::Sender<Option<Arc<SpaceJob>>>,
    /// What shares are worth, before fees.
    economics: watch::Sender<Option<Economics>>,
    /// Turns true when the pool ends.
    ending: watch::Sender<bool>,
}

impl Pool {
    /// Opens log and books, takes up what a crash left, and listens.
    pub async fn start(parts: PoolParts) -> Result<Self, PoolStartError> {
        let PoolParts { settings, upstreams, checks, retargets, mut scheme, load, notes, storage, books, .. } = parts;
        let ports = if parts.space.is_some() { Vec::new() } else { ports(&settings)? };
        let stratum = ports.first().map(|port| port.listener.local_addr().unwrap_or(settings.stratum));
        let now = (parts.clock)();
        let seed = random_u64(&parts.entropy);
        let upstreams = Arc::new(Upstreams::new(upstreams, &settings, seed, Arc::clone(&parts.clock)));
        let shared = Shared {
            metrics: Arc::new(PoolMetrics::new(upstreams.turn_metrics())),
            upstreams,
            fees: Arc::new(Mutex::new(MeanFees::open(Arc::clone(&storage))?)),
            log: Arc::new(ShareLog::open(storage)?),
            bans: Arc::new(Mutex::new(Bans::new(ban_rules(&settings), books.bans(now)?, now))),
            jobs: Arc::new(JobBook::new(job_rules(&settings), random_u32(&parts.entropy) >> 1)),
            workers: Arc::new(Workers::new(worker_rules(&settings))),
            connections: Arc::new(Connections::new(Retargets::new(match parts.space {
                Some(_) => FARM_RETARGET,
                None => RETARGET,
            }))),
            terms: Arc::new(Mutex::new(terms(&settings.money, parts.shared.is_some())?)),
            pool: parts.shared,
            current: watch::channel(None).0,
            space_jobs: Arc::new(SpaceBook::new(job_rules(&settings), random_u32(&parts.entropy) >> 1)),
            space: watch::channel(None).0,
            economics: watch::channel(None).0,
            ending: watch::channel(false).0,
            clock: parts.clock,
            books,
        };
        shared.put_in_force(&mut scheme).await?;
        let scheme_name = scheme.name.clone();
        let bookkeeping = Arc::new(shared.bookkeeping(scheme, notes, &settings));
        bookkeeping.recover()?;
        bookkeeping.load_earlier(load).await?;

        let (solved, solved_receiver) = mpsc::unbounded_channel();
        let (keeping, keeping_receiver) = mpsc::unbounded_channel();
        let warden = shared.warden(keeping);
        let (checking, threads) = Checking::start(CheckingParts {
            checkers: checks.into_iter().map(|engines| shared.checker(engines)).collect(),
            log: Arc::clone(&shared.log),
            metrics: Arc::clone(&shared.metrics),
            clock: Arc::clone(&shared.clock),
            solved: solved.clone(),
            warden: warden.clone(),
            jobs: Arc::clone(&shared.jobs),
            shared: shared.pool.clone(),
        })
        .map_err(PoolStartError::Thread)?;
        let front = Arc::new(shared.front(&settings, parts.version_mask, checking)?);
        let farmers = parts.space.map(|space| shared.farmers(space, &front, warden.clone(), solved)).transpose();
        let (farmers, farming) = farmers.map_err(PoolStartError::Thread)?.unzip();
        let retargeting = retargeting(Arc::clone(&front), retargets).map_err(PoolStartError::Thread)?;
        let books = tokio::spawn(bookkeeping.run(solved_receiver, keeping_receiver));
        let mut tasks = vec![tokio::spawn(shared.following(&settings).run())];
        for port in ports {
            tasks.push(tokio::spawn(Arc::clone(&front).listen(port)));
        }
        match stratum {
            Some(stratum) => tracing::info!(%stratum, name = settings.name, "the pool listens for miners"),
            None => tracing::info!(name = settings.name, "the pool takes farmers' proofs over its API"),
        }
        let running = Arc::new(Running {
            name: settings.name,
            scheme: scheme_name,
            stratum,
            web: Arc::new(WebMiners::new(Arc::clone(&front), parts.entropy)),
            farmers: farmers.map(Arc::new),
            front,
            upstreams: shared.upstreams,
            books: shared.books,
            log: shared.log,
            metrics: shared.metrics,
            terms: shared.terms,
            warden,
            shared: shared.pool,
            started: Instant::now(),
        });
        Ok(Self { running, ending: shared.ending, tasks, threads, farming, retargeting, books })
    }

    /// Returns what the API shows.
    pub fn running(&self) -> &Arc<Running> {
        &self.running
    }

    /// Ends in order: no new shares, those that came are kept and answered, blocks reach the upstream and the books.
    pub async fn end(self) {
        self.ending.send_replace(true);
        let Self { running, tasks, threads, farming, retargeting, books, .. } = self;
        // The checkers end when nobody can hand in a share any more, the books when nobody can find a block.
        drop(running);
        let all = async {
            for task in tasks {
                drop(task.await);
            }
            let joined = tokio::task::spawn_blocking(move || {
                drop(retargeting.join());
                threads.join();
                farming.into_iter().for_each(FarmersThread::join);
            });
            drop(joined.await);
            drop(books.await);
        };
        if tokio::time::timeout(END_TIME, all).await.is_err() {
            tracing::warn!("the pool's tasks did not end in time");
        }
    }
}

impl Shared {
    /// Puts the payout scheme in force, where it is not.
    async fn put_in_force(&self, scheme: &mut Scheme) -> Result<(), PoolStartError> {
        let (name, plan) = (scheme.name.clone(), scheme.engine.plan()?);
        let era = Era { from: self.log.next(), scheme: name, plan, began: (self.clock)() };
        let fees = self.terms.lock().unwrap_or_else(PoisonError::into_inner).rounds.fees;
        let switched = match schemes::switch(&*self.books, era.clone(), None, None) {
            // Shares that another scheme was to pay for are worth what they are worth now.
            Err(SwitchError::NoEconomics) => {
                let kept = self.fees.lock().unwrap_or_else(PoisonError::into_inner).mean();
                let with_mean = |worth: Economics| {
                    let mean_fees = kept.map_or(worth.mean_fees, Amount::to_atoms);
                    after(fees, Economics { mean_fees, ..worth })
                };
                let worth = self.upstreams.economics().await.map(with_mean);
                schemes::switch(&*self.books, era, worth, None)
            }
            switched => switched,
        };
        if switched? {
            tracing::info!(scheme = scheme.name, "a payout scheme is in force from now on");
        }
        Ok(())
    }

    fn bookkeeping(&self, scheme: Scheme, notes: Notes, settings: &PoolSettings) -> Bookkeeping {
        Bookkeeping {
            books: Arc::clone(&self.books),
            log: Arc::clone(&self.log),
            notes: Arc::new(notes),
            schemes: Arc::new(Mutex::new(BTreeMap::from([(scheme.name, scheme.engine)]))),
            terms: Arc::clone(&self.terms),
            payment_interval: Duration::from_millis(settings.money.payment_ms),
            upstreams: Arc::clone(&self.upstreams),
            workers: Arc::clone(&self.workers),
            bans: Arc::clone(&self.bans),
            current: self.current.subscribe(),
            space: self.space.subscribe(),
            economics: self.economics.subscribe(),
            metrics: Arc::clone(&self.metrics),
            waits: Waits::default(),
            shared: self.pool.clone(),
            clock: Arc::clone(&self.clock),
        }
    }

    fn checker(&self, engines: CheckEngines) -> Checker {
        let CheckEngines { native, sandbox, tree, validator } = engines;
        let (jobs, workers) = (Arc::clone(&self.jobs), Arc::clone(&self.workers));
        Checker::new(CheckerParts { jobs, workers, native, sandbox, tree, validator })
    }

    fn warden(&self, keeping: mpsc::UnboundedSender<Keep>) -> Warden {
        Warden {
            connections: Arc::clone(&self.connections),
            bans: Arc::clone(&self.bans),
            metrics: Arc::clone(&self.metrics),
            keeping,
        }
    }

    fn farmers(
        &self,
        space: SpaceParts,
        front: &Arc<Front>,
        warden: Warden,
        solved: mpsc::UnboundedSender<Solved>,
    ) -> std::io::Result<(Farmers, FarmersThread)> {
        let SpaceParts { rules, hash, validator, identity, signer } = space;
        let checker = PartialChecker::new(PartialParts { workers: Arc::clone(&self.workers), rules, hash, validator });
        let (log, clock) = (Arc::clone(&self.log), Arc::clone(&self.clock));
        let (checking, thread) = farmers::start(FarmersChecking { checker, log, warden, clock, solved })?;
        let (book, upstreams) = (Arc::clone(&self.space_jobs), Arc::clone(&self.upstreams));
        Ok((Farmers::new(Arc::clone(front), book, upstreams, checking, (identity, signer)), thread))
    }

    fn front(&self, settings: &PoolSettings, version_mask: u32, checking: Checking) -> Result<Front, PoolStartError> {
        let rules = ExtranonceRules { front_end: settings.shares.front_end, bytes: EXTRANONCE1_BYTES };
        let limits = ConnectionLimits {
            connections_max: settings.limits.connections as usize,
            per_address_max: settings.limits.connections_per_address as usize,
        };
        let rates = share_rates(settings);
        let (books, upstreams) = (Arc::clone(&self.books), Arc::clone(&self.upstreams));
        let (bans, clock, names) = (Arc::clone(&self.bans), Arc::clone(&self.clock), settings.limits.names_per_hour);
        Ok(Front {
            session: Arc::new(session_settings(settings, version_mask)),
            difficulties: difficulties(settings, self.pool.as_ref())?,
            extranonce2_bytes: if self.pool.is_some() { shared::EXTRANONCE2_BYTES } else { EXTRANONCE2_BYTES },
            line_bytes_max: settings.limits.line_bytes as usize,
            login_time: Duration::from_millis(settings.limits.login_ms),
            stall_time: Duration::from_millis(settings.limits.stall_ms),
            proxied: settings.proxy_protocol,
            introductions: Semaphore::new(INTRODUCTIONS_MAX),
            extranonces: Mutex::new(Extranonces::new(rules)),
            open: Mutex::new(OpenConnections::new(limits)),
            rates,
            address_shares: Mutex::new(AddressShares::new(rates)),
            connections: Arc::clone(&self.connections),
            shared: self.pool.clone(),
            jobs: self.current.subscribe(),
            book: Arc::clone(&self.jobs),
            space: self.space.subscribe(),
            checking,
            members: Members::new(books, upstreams, bans, names, clock),
            workers: Arc::clone(&self.workers),
            metrics: Arc::clone(&self.metrics),
            clock: Arc::clone(&self.clock),
            ending: self.ending.subscribe(),
        })
    }

    fn following(&self, settings: &PoolSettings) -> Following {
        Following {
            upstreams: Arc::clone(&self.upstreams),
            book: Arc::clone(&self.jobs),
            lifetime: settings.shares.job_time(),
            current: self.current.clone(),
            space_book: Arc::clone(&self.space_jobs),
            space: self.space.clone(),
            economics: self.economics.clone(),
            metrics: Arc::clone(&self.metrics),
            clock: Arc::clone(&self.clock),
            ending: self.ending.subscribe(),
            fees: Arc::clone(&self.fees),
        }
    }
}

/// Looks after difficulties, on a thread where the sandbox may take its time.
fn retargeting(front: Arc<Front>, mut validator: Box<dyn ShareEngine>) -> std::io::Result<std::thread::JoinHandle<()>> {
    let look = move || {
        while !*front.ending.borrow() {
            let pause = front.connections.retarget(&mut *validator, front.bounds(), (front.clock)());
            std::thread::sleep(pause);
        }
    };
    std::thread::Builder::new().name("adit-difficulty".to_owned()).spawn(look)
}

fn ports(settings: &PoolSettings) -> Result<Vec<Port>, PoolStartError> {
    let bind = |address: SocketAddr| listener(address).map_err(|source| PoolStartError::Listen { address, source });
    let mut ports = vec![Port { listener: bind(settings.stratum)?, tls: None }];
    if let Some(address) = settings.stratum_tls {
        let files = settings.tls.as_ref().ok_or(PoolStartError::NoCertificate)?;
        let tls = Some(tls::server(&files.certificate, &files.key)?);
        ports.push(Port { listener: bind(address)?, tls });
    }
    Ok(ports)
}

/// Listens for miners.
fn listener(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // The port of a pool that ended is free at once.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Returns what shares are expected to earn after the fees.
pub fn after(fees: Fees, worth: Economics) -> Economics {
    let left = |atoms: u64| fees.divide(Amount::from_atoms(atoms)).distributable.to_atoms();
    Economics { subsidy: left(worth.subsidy), mean_fees: left(worth.mean_fees), work: worth.work }
}

fn terms(money: &MoneySettings, pays_miners: bool) -> Result<Terms, FeeError> {
    // Who is paid by coinbases has an address, or nothing.
    let takes = !pays_miners || money.foundation_address.is_some();
    let foundation = BasisPoints(if takes { money.foundation_fee } else { 0 });
    Ok(Terms {
        rounds: RoundSettings {
            fees: Fees::new(foundation, BasisPoints(money.pool_fee))?,
            confirmations: money.maturity,
            pays_miners,
        },
        payments: PaymentSettings {
            threshold: Amount::from_atoms(money.payment_min),
            outputs_max: money.outputs_max as usize,
            confirmations: money.confirmations,
            fee_bearer: match money.output_fee {
                0 => FeeBearer::Operator,
                atoms => FeeBearer::Payees { each: Amount::from_atoms(atoms) },
            },
            operator: money.pool_address.clone(),
            foundation: money.foundation_address.clone(),
            unpayable: BTreeSet::new(),
        },
    })
}

fn ban_rules(settings: &PoolSettings) -> BanRules {
    BanRules {
        invalid_percent_max: settings.limits.ban_percent,
        shares_min: settings.limits.ban_shares.into(),
        window_ms: BAN_WINDOW_MS,
        ban_ms: settings.limits.ban_ms,
        known_max: BANS_MAX,
    }
}

fn worker_rules(settings: &PoolSettings) -> WorkerRules {
    WorkerRules {
        workers_max: WORKERS_MAX,
        idle_ms: WORKER_IDLE_MS,
        shares_per_second: settings.limits.shares_per_second,
    }
}

fn share_rates(settings: &PoolSettings) -> ShareRates {
    ShareRates {
        connection: settings.limits.shares_of_connection(),
        address: settings.limits.shares_of_address(),
        addresses_max: ADDRESSES_MAX,
    }
}

fn job_rules(settings: &PoolSettings) -> JobRules {
    JobRules {
        lifetime_ms: settings.shares.job_ms,
        known_ms: JOB_KNOWN_MS,
        jobs_max: JOBS_MAX,
        shares_max: SHARES_OF_JOB_MAX,
        gain_thousandths: GAIN_THOUSANDTHS,
    }
}

fn session_settings(settings: &PoolSettings, version_mask: u32) -> SessionSettings {
    SessionSettings {
        base: settings.shares.base.into(),
        version_mask,
        login_ms_max: settings.limits.login_ms,
        idle_ms_max: settings.limits.idle_ms,
        version: concat!("adit/", env!("CARGO_PKG_VERSION")).to_owned(),
    }
}

fn difficulties(settings: &PoolSettings, shared: Option<&SharedPool>) -> Result<Difficulties, PoolStartError> {
    let read = |number: f64| {
        let decimal = Decimal::parse(&number.to_string()).ok_or(PoolStartError::Difficulty { number })?;
        Ok::<_, PoolStartError>(Base::from(settings.shares.base).difficulty(decimal))
    };
    let least = read(settings.shares.difficulty_min)?;
    let greatest = settings.shares.difficulty_max.map(read).transpose()?.unwrap_or(ShareDifficulty::MAX);
    if greatest < least {
        return Err(PoolStartError::NoDifficulty);
    }
    let least = shared.map_or(least, |shared| least.max(shared.difficulty_least));
    Ok(Difficulties { start: read(settings.shares.difficulty_start)?.min(greatest).max(least), least, greatest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_lies_within_the_bounds_and_there_has_to_be_a_difficulty_between_them() {
        let of = |start, least, greatest| {
            let mut settings = PoolSettings::unset();
            let shares = &mut settings.shares;
            (shares.difficulty_start, shares.difficulty_min, shares.difficulty_max) = (start, least, greatest);
            difficulties(&settings, None).map(|found| [found.least, found.start, found.greatest])
        };
        let difficulty = |log2: u8| ShareDifficulty::from_log2_hashes(32 + log2);
        let bounds = [difficulty(1), difficulty(4), difficulty(4)];
        assert_eq!(of(64.0, 2.0, Some(31.0)).unwrap(), bounds, "31 is rounded down");
        assert_eq!(of(1.0, 2.0, None).unwrap(), [difficulty(1), difficulty(1), ShareDifficulty::MAX]);
        assert!(matches!(of(2.0, 4.0, Some(2.0)), Err(PoolStartError::NoDifficulty)));
    }
}
