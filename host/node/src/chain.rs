//! The chain's actor: one thread owns the [`Chain`], a bounded mailbox brings it work, answers go back one by one.
//!
//! What most readers want stands in a [`Snapshot`] that the thread publishes after every change, so that nobody waits for it. The thread ends, and
//! the node with it, when the database fails: it does not go on with a state that it cannot keep.
//!
//! Reading order: this file is what others see, `peers` what the network does, `checks` what is done beside the thread, `owner` what the thread does, `following` brings back what has waited for a parent, `outbox` who is told when it is durable, `outlook` what the rules say
//! about the next block, `foresight` which templates are made before anybody asks, `handed` which stay known, [`plots`] which plots the chain has registered.

mod checks;
mod following;
mod foresight;
mod handed;
mod outbox;
mod outlook;
mod owner;
mod peers;
pub mod plots;

pub(crate) use checks::session;
pub use handed::Client;
pub use peers::{NEWS_MAX, News, TURNS};

use crate::audit::Deed;
use crate::clock::Clock;
use crate::statistics::timed::Stopwatch;
use crate::statistics::{Colours, StatisticsReport};
use adit_chain::{
    Accepted, Block, BlockError, Chain, ChainReader, Checked, CheckedHeaders, MempoolError, MempoolLimits,
    OrphanLimits, Pending, TakenHeaders, TemplateError, TemplateLimits, TemplateRequest, Transaction, Waited,
    WorkTemplate,
};
use adit_primitives::contract::space::SpaceProof;
use adit_primitives::contract::{KnownBlock, PowInput, Requirements, Violation};
use adit_primitives::engine::{Fault, HashEngine, RulesEngine};
use adit_primitives::storage::{Storage, StorageError};
use adit_primitives::{BlockId, Height, TxId, Work};
use checks::Checks;
use outbox::Outbox;
use owner::Owner;
use plots::Plots;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{Semaphore, broadcast, mpsc, oneshot, watch};

/// Requests that may wait for the chain; the next one is refused as "busy".
pub const MAILBOX: usize = 1024;

/// Transactions that are judged and kept with one commit at most.
const TRANSACTIONS_PER_COMMIT: usize = 256;

/// Blocks offered one by one that are judged and kept with one commit at most.
const BLOCKS_PER_COMMIT: usize = 64;

/// The most tips that are counted.
pub const TIPS_MAX: usize = 1_000;

/// How often blocks that were too early are looked at again.
const TICK: Duration = Duration::from_secs(1);

/// The chain as it stood after the last change.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// See [`Chain::state_version`].
    pub state_version: u64,
    pub tip: KnownBlock,
    /// The block with the most work, whether or not its body has come: the tip, where nothing is to be fetched.
    pub best_header: BestHeader,
    pub difficulty: DifficultyLayers,
    /// What the next block must have, with the difficulty in force.
    pub next: Requirements,
    /// Waiting transactions: how many, their bytes, and a number that grows with every change.
    pub pool: PoolSize,
    /// What was counted since the start.
    pub counts: Counts,
    /// How the newest blocks lie, on a chain that merges blocks.
    pub dag: Option<DagStanding>,
}

/// Where the headers lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BestHeader {
    pub id: BlockId,
    pub height: Height,
    pub work: Work,
}

/// How the newest blocks of a chain that merges blocks lie. Its blue score is the tip's height.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DagStanding {
    /// Blocks on which nothing valid stands, at most [`TIPS_MAX`].
    pub tips: usize,
    /// Over the blocks for which statistics are kept.
    pub colours: Colours,
}

/// The difficulty, layer by layer, as decimal numbers of the chain's own unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DifficultyLayers {
    /// What the genesis states.
    pub genesis: String,
    /// What the configuration asks for; without that, what the consensus plugin computes.
    pub configured: String,
    /// What blocks are mined with now.
    pub current: String,
    /// Whether `configured` is the plugin's computed number, which adjusts itself.
    pub computed: bool,
    /// The override in force.
    pub forced: Option<u64>,
    /// Why the configured difficulty is not in force, where the plugin refuses it.
    pub refused: Option<String>,
}

/// How much waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PoolSize {
    pub transactions: usize,
    pub bytes: usize,
    pub version: u64,
}

/// What happened since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    pub blocks_accepted: u64,
    /// Accepted, and not on the selected chain.
    pub blocks_aside: u64,
    pub blocks_refused: u64,
    pub reorgs: u64,
    pub transactions_accepted: u64,
    pub transactions_refused: u64,
    /// Plugin calls that gave no answer.
    pub faults: u64,
}

/// Why a submission is not a block of the chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    #[error("template {id} is not known: it was replaced too long ago, or is of another run of the node")]
    UnknownTemplate { id: u64 },
    #[error("the header cannot be built: {0}")]
    Header(Violation),
    #[error("parent {parent} is not known")]
    UnknownParent { parent: BlockId },
    #[error("after block {parent} comes height {want}, not {found}")]
    Height { parent: BlockId, found: Height, want: Height },
    #[error(transparent)]
    Block(#[from] BlockError),
}

/// Why there is no work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorkError {
    #[error("as many templates are out as this node keeps, and all of them are good")]
    Full,
    #[error(transparent)]
    Template(#[from] TemplateError),
}

/// The template that was solved.
#[derive(Debug, Clone)]
pub enum Solved {
    /// Its number.
    Named(u64),
    /// The template itself, from who has kept it.
    Kept(Arc<WorkTemplate>),
}

/// A block that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    pub accepted: Accepted,
    /// The state for which it was made, where that is known.
    pub made_for: Option<u64>,
    /// The state after it.
    pub state_version: u64,
    /// Whether the chain merges blocks: one beside the selected chain is then none that came too late.
    pub merges: bool,
}

impl Taken {
    /// Tells whether the block has a place in the chain: on the selected chain, or beside it where blocks are merged.
    pub fn counts(&self) -> bool {
        self.accepted.selected || self.merges
    }
}

/// A block given by its parts: the header is built by the rules.
#[derive(Debug, Clone, PartialEq)]
pub struct BlockParts {
    pub draft: PartialDraft,
    pub height: Height,
    pub proof: Proof,
    pub body: Vec<Transaction>,
}

/// What solves a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    Work(Proof),
    Space(Box<SpaceProof>),
}

impl From<Proof> for Found {
    fn from(proof: Proof) -> Self {
        Self::Work(proof)
    }
}

impl From<SpaceProof> for Found {
    fn from(proof: SpaceProof) -> Self {
        Self::Space(Box::new(proof))
    }
}

/// What a miner found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    pub nonce: u64,
    /// The rolled word as it was hashed. Without it, as the template has it.
    pub rolled: Option<u32>,
}

/// A header's parts.
#[derive(Debug, Clone, PartialEq)]
pub struct PartialDraft {
    pub parent: BlockId,
    /// The difficulty in the header's coding; without it, what the rules ask for, with or without `difficulty`.
    pub bits: Option<u32>,
    pub difficulty: Option<u64>,
    pub time: adit_primitives::Timestamp,
    pub body_root: adit_primitives::Hash256,
}

/// Why a difficulty was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DifficultyError {
    #[error("difficulty {forced} is in force already: force replaces it, restore takes it back")]
    Active { forced: u64 },
    #[error("the chain's rules allow no such difficulty: {0}")]
    Refused(Violation),
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// What a difficulty was, and is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DifficultyChange {
    pub old: String,
    pub new: String,
    pub forced: Option<u64>,
}

/// An operator's wish for a difficulty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DifficultyOrder {
    /// `None` returns to the configured one.
    pub difficulty: Option<u64>,
    /// Whether an override in force may be replaced.
    pub force: bool,
    pub reason: String,
    pub from: String,
}

/// The chain does not answer: its mailbox is full, or it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    #[error("too many requests wait for the chain")]
    Busy,
    #[error("the chain has stopped")]
    Stopped,
}

type Reply<T> = oneshot::Sender<T>;

enum Request {
    Block {
        offered: Box<Offered>,
        reply: Reply<Result<Taken, SubmitError>>,
    },
    Blocks {
        checked: Vec<Result<Checked, BlockError>>,
        reply: Reply<Vec<Result<Taken, SubmitError>>>,
    },
    /// Blocks that had waited, checked beside the thread. The answer is the next of them.
    Follow {
        checked: Vec<Followed>,
        reply: Reply<Vec<Waited>>,
    },
    Headers {
        checked: Result<CheckedHeaders, Fault>,
        reply: Reply<TakenHeaders>,
    },
    Forget {
        towards: BlockId,
        reply: Reply<usize>,
    },
    Build {
        parts: Box<BlockParts>,
        reply: Reply<Result<Block, SubmitError>>,
    },
    Assemble {
        template: Solved,
        found: Found,
        reply: Reply<Result<(Block, u64), SubmitError>>,
    },
    Transaction {
        transaction: Transaction,
        reply: Reply<Result<TxId, MempoolError>>,
    },
    Template {
        client: Client,
        request: TemplateRequest,
        reply: Reply<Result<Arc<WorkTemplate>, WorkError>>,
    },
    Pool {
        reply: Reply<Vec<Arc<Pending>>>,
    },
    Pending {
        id: TxId,
        reply: Reply<Option<Arc<Pending>>>,
    },
    Difficulty {
        order: DifficultyOrder,
        reply: Reply<Result<DifficultyChange, DifficultyError>>,
    },
    Configure {
        choice: ChainChoice,
    },
    Statistics {
        reply: Reply<StatisticsReport>,
    },
    Audit {
        deed: Deed,
        reply: Reply<()>,
    },
    Tick,
    /// Nothing but a turn: what was handed over to the storage is durable or has failed, or blocks are ready.
    Turn,
    End,
}

/// A block that has waited and was checked since, and who had offered it.
struct Followed {
    checked: Result<Checked, BlockError>,
    source: Option<u64>,
}

/// A block that was checked beside the thread.
struct Offered {
    checked: Result<Checked, BlockError>,
    /// Set where a miner of this node found it.
    find: Option<Find>,
}

/// A block of a miner of this node.
#[derive(Clone, Copy)]
struct Find {
    /// The state for which its template was made, where it had one.
    made_for: Option<u64>,
}

/// The way to the chain, for any task.
#[derive(Clone)]
pub struct ChainHandle {
    mailbox: mpsc::Sender<Request>,
    snapshot: watch::Receiver<Arc<Snapshot>>,
    reader: ChainReader,
    checks: Checks,
    plots: Arc<Plots>,
    news: broadcast::Sender<News>,
    /// For turns of what peers send.
    turns: Arc<Semaphore>,
}

/// What the thread is started with.
pub struct ChainParts {
    pub chain: Chain,
    pub rules: Arc<dyn RulesEngine>,
    pub storage: Arc<dyn Storage>,
    /// One for each thread that checks blocks beside the chain's. At least one.
    pub checking: Vec<Box<dyn HashEngine>>,
    pub clock: Clock,
    pub choice: ChainChoice,
    /// On which the rules note how long they take to place blocks.
    pub placing: Arc<Stopwatch>,
}

/// What an operator may change while the chain runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainChoice {
    /// The configured difficulty.
    pub difficulty: Option<u64>,
    /// Blocks over which statistics are kept.
    pub statistics_blocks: usize,
    pub mempool: MempoolLimits,
    pub orphans: OrphanLimits,
    pub templates: TemplateLimits,
    /// See [`adit_chain::ChainConfig::placement_bytes_max`].
    pub placement_bytes_max: usize,
}

/// Why the chain's thread does not start, or has ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainFailure {
    #[error("the rules name no next block: {0}")]
    Template(#[from] TemplateError),
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("the rules refuse the chain's own genesis: {0}")]
    Genesis(Violation),
    #[error("the chain's thread panicked")]
    Panic,
}

/// The running thread.
pub struct ChainThread {
    pub handle: ChainHandle,
    thread: JoinHandle<Result<(), ChainFailure>>,
}

impl ChainThread {
    /// Starts the thread, a task that wakes it every second, and one that brings back what has waited.
    pub fn start(mut parts: ChainParts) -> Result<Self, ChainFailure> {
        let reader = parts.chain.reader();
        let checking = std::mem::take(&mut parts.checking);
        let checks = Checks::new(checking.into_iter().map(|hash| parts.chain.checker(hash)).collect());
        let plots = Arc::new(Plots::new(Arc::clone(&parts.rules), reader.clone()));
        let (mailbox, requests) = mpsc::channel(MAILBOX);
        let owner = Owner::new(parts, Outbox::new(mailbox.clone()))?;
        let (snapshot, news, ready) = (owner.watch(), owner.news(), owner.ready());
        let thread = std::thread::Builder::new()
            .name("adit-chain".to_owned())
            .spawn(move || owner.run(requests))
            .map_err(|error| StorageError { detail: format!("no thread for the chain: {error}") })?;
        let ticks = mailbox.clone();
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(TICK);
            tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
            loop {
                tick.tick().await;
                // A full mailbox means that the thread is awake; a closed one, that it is gone.
                if let Err(mpsc::error::TrySendError::Closed(_)) = ticks.try_send(Request::Tick) {
                    return;
                }
            }
        });
        let turns = Arc::new(Semaphore::new(TURNS));
        let handle = ChainHandle { mailbox, snapshot, reader, checks, plots, news, turns };
        tokio::spawn(following::follow(handle.clone(), ready));
        Ok(Self { handle, thread })
    }

    /// Asks the thread to end after what waits already, and waits for it.
    pub async fn end(self) -> Result<(), ChainFailure> {
        // A closed mailbox means that the thread has ended by itself: joining it says why.
        drop(self.handle.mailbox.send(Request::End).await);
        let thread = self.thread;
        let joined = tokio::task::spawn_blocking(move || thread.join()).await;
        joined.map_err(|_| ChainFailure::Panic)?.map_err(|_| ChainFailure::Panic)?
    }
}

impl ChainHandle {
    /// Returns the chain as it stood after the last change.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.borrow().clone()
    }

    /// Returns a receiver of every later snapshot.
    pub fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshot.clone()
    }

    /// Returns the handle for questions to index and storage. They may read the disk: not for async tasks.
    pub fn reader(&self) -> &ChainReader {
        &self.reader
    }

    /// Returns which plots the chain has registered, and which wait for that.
    pub fn plots(&self) -> &Arc<Plots> {
        &self.plots
    }

    /// Tells whether the chain's thread still answers.
    pub fn is_running(&self) -> bool {
        !self.mailbox.is_closed()
    }

    /// Waits until the chain's thread has ended.
    pub async fn ended(&self) {
        self.mailbox.closed().await;
    }

    /// Submits a whole block: what it shows by itself is checked here, beside the thread. `from` is who sent it, where it is not this process.
    pub async fn submit_block(
        &self,
        block: Block,
        from: Option<IpAddr>,
    ) -> Result<Result<Taken, SubmitError>, Unavailable> {
        self.offer(block, None, from).await
    }

    /// Submits a block by its parts.
    pub async fn submit_parts(
        &self,
        parts: BlockParts,
        from: Option<IpAddr>,
    ) -> Result<Result<Taken, SubmitError>, Unavailable> {
        match self.ask(|reply| Request::Build { parts: Box::new(parts), reply }).await? {
            Ok(block) => self.offer(block, Some(Find { made_for: None }), from).await,
            Err(error) => Ok(Err(error)),
        }
    }

    /// Submits what solves a template.
    pub async fn submit_proof(
        &self,
        template: Solved,
        found: impl Into<Found>,
        from: Option<IpAddr>,
    ) -> Result<Result<Taken, SubmitError>, Unavailable> {
        let found = found.into();
        match self.ask(|reply| Request::Assemble { template, found, reply }).await? {
            Ok((block, made_for)) => self.offer(block, Some(Find { made_for: Some(made_for) }), from).await,
            Err(error) => Ok(Err(error)),
        }
    }

    async fn offer(
        &self,
        block: Block,
        find: Option<Find>,
        from: Option<IpAddr>,
    ) -> Result<Result<Taken, SubmitError>, Unavailable> {
        let checked = self.checks.check(block, from).await;
        self.ask(|reply| Request::Block { offered: Box::new(Offered { checked, find }), reply }).await
    }

    /// Submits a transaction.
    pub async fn submit_transaction(
        &self,
        transaction: Transaction,
    ) -> Result<Result<TxId, MempoolError>, Unavailable> {
        self.ask(|reply| Request::Transaction { transaction, reply }).await
    }

    /// Asks for work. The difficulty in force replaces the request's.
    pub async fn template(
        &self,
        client: Client,
        request: TemplateRequest,
    ) -> Result<Result<Arc<WorkTemplate>, WorkError>, Unavailable> {
        self.ask(|reply| Request::Template { client, request, reply }).await
    }

    /// Returns the waiting transactions, best fee rate first.
    pub async fn pool(&self) -> Result<Vec<Arc<Pending>>, Unavailable> {
        self.ask(|reply| Request::Pool { reply }).await
    }

    /// Returns a waiting transaction.
    pub async fn pending(&self, id: TxId) -> Result<Option<Arc<Pending>>, Unavailable> {
        self.ask(|reply| Request::Pending { id, reply }).await
    }

    /// Sets or takes back the difficulty override, and records that.
    pub async fn order_difficulty(
        &self,
        order: DifficultyOrder,
    ) -> Result<Result<DifficultyChange, DifficultyError>, Unavailable> {
        self.ask(|reply| Request::Difficulty { order, reply }).await
    }

    /// Takes up what an operator has changed.
    pub async fn configure(&self, choice: ChainChoice) {
        drop(self.mailbox.send(Request::Configure { choice }).await);
    }

    /// Returns what was done over the newest blocks.
    pub async fn statistics(&self) -> Result<StatisticsReport, Unavailable> {
        self.ask(|reply| Request::Statistics { reply }).await
    }

    /// Records a change made elsewhere. When this returns, the record survives a crash.
    pub async fn audit(&self, deed: Deed) -> Result<(), Unavailable> {
        let (reply, answer) = oneshot::channel();
        // A record waits for its turn where other requests are refused.
        self.mailbox.send(Request::Audit { deed, reply }).await.map_err(|_| Unavailable::Stopped)?;
        answer.await.map_err(|_| Unavailable::Stopped)
    }

    async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, Unavailable> {
        let (reply, answer) = oneshot::channel();
        self.mailbox.try_send(request(reply)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Unavailable::Busy,
            mpsc::error::TrySendError::Closed(_) => Unavailable::Stopped,
        })?;
        answer.await.map_err(|_| Unavailable::Stopped)
    }
}

impl Proof {
    /// Fills in the rolled word.
    fn over(self, pow: &PowInput) -> (u64, u32) {
        let offset = pow.roll_offset as usize;
        let word = || pow.bytes.get(offset..)?.first_chunk::<4>().copied().map(u32::from_le_bytes);
        (self.nonce, self.rolled.or_else(word).unwrap_or_default())
    }
}
