//! The chain's actor: one thread owns the [`Chain`], a bounded mailbox brings it work, answers go back one by one.
//!
//! What most readers want stands in a [`Snapshot`] that the thread publishes after every change, so that nobody waits for it. The thread ends, and
//! the node with it, when the database fails: it does not go on with a state that it cannot keep.

use crate::audit::{AuditLog, Deed};
use crate::clock::Clock;
use adit_chain::{
    Accepted, Block, BlockError, Chain, ChainReader, MempoolError, Pending, Solution, TemplateError, TemplateRequest,
    Transaction, WorkTemplate,
};
use adit_primitives::contract::{Draft, KnownBlock, PowInput, Requirements, Violation};
use adit_primitives::engine::{Fault, RulesEngine, SharedView};
use adit_primitives::storage::{Storage, StorageError};
use adit_primitives::{BlockId, Height, TxId};
use serde_json::Value;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// Requests that may wait for the chain; the next one is refused as "busy".
pub const MAILBOX: usize = 1024;

/// Transactions that are judged and kept with one commit at most.
const TRANSACTIONS_PER_COMMIT: usize = 256;

/// How often blocks that were too early are looked at again.
const TICK: Duration = Duration::from_secs(1);

/// The chain as it stood after the last change.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// See [`Chain::state_version`].
    pub state_version: u64,
    pub tip: KnownBlock,
    pub difficulty: DifficultyLayers,
    /// What the next block must have, with the difficulty in force.
    pub next: Requirements,
    /// Waiting transactions: how many, their bytes, and a number that grows with every change.
    pub pool: PoolSize,
    /// What was counted since the start.
    pub counts: Counts,
}

/// The difficulty, layer by layer, as decimal numbers of the chain's own unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DifficultyLayers {
    /// What the first block after the genesis had to have.
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
    #[error("template {id} is not known: it is too old, or of another run of the node")]
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

/// A block that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    pub accepted: Accepted,
    /// The state for which it was made, where that is known.
    pub made_for: Option<u64>,
    /// The state after it.
    pub state_version: u64,
}

/// A block given by its parts: the header is built by the rules.
#[derive(Debug, Clone, PartialEq)]
pub struct BlockParts {
    pub draft: PartialDraft,
    pub height: Height,
    pub proof: Proof,
    pub body: Vec<Transaction>,
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
    Block { block: Block, reply: Reply<Result<Taken, SubmitError>> },
    Parts { parts: Box<BlockParts>, reply: Reply<Result<Taken, SubmitError>> },
    Proof { template: u64, proof: Proof, reply: Reply<Result<Taken, SubmitError>> },
    Transaction { transaction: Transaction, reply: Reply<Result<TxId, MempoolError>> },
    Template { request: TemplateRequest, reply: Reply<Result<Arc<WorkTemplate>, TemplateError>> },
    Pool { reply: Reply<Vec<Arc<Pending>>> },
    Pending { id: TxId, reply: Reply<Option<Arc<Pending>>> },
    Difficulty { order: DifficultyOrder, reply: Reply<Result<DifficultyChange, DifficultyError>> },
    Configure { difficulty: Option<u64> },
    Audit { deed: Deed },
    Tick,
    End,
}

/// The way to the chain, for any task.
#[derive(Clone)]
pub struct ChainHandle {
    mailbox: mpsc::Sender<Request>,
    snapshot: watch::Receiver<Arc<Snapshot>>,
    reader: ChainReader,
}

/// What the thread is started with.
pub struct ChainParts {
    pub chain: Chain,
    pub rules: Arc<dyn RulesEngine>,
    pub storage: Arc<dyn Storage>,
    pub clock: Clock,
    /// The configured difficulty.
    pub difficulty: Option<u64>,
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
    /// Starts the thread, and a task that wakes it every second.
    pub fn start(parts: ChainParts) -> Result<Self, ChainFailure> {
        let reader = parts.chain.reader();
        let owner = Owner::new(parts)?;
        let (snapshot_sender, snapshot) = watch::channel(Arc::new(owner.snapshot()));
        let (mailbox, requests) = mpsc::channel(MAILBOX);
        let thread = std::thread::Builder::new()
            .name("adit-chain".to_owned())
            .spawn(move || owner.run(requests, &snapshot_sender))
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
        Ok(Self { handle: ChainHandle { mailbox, snapshot, reader }, thread })
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

    /// Tells whether the chain's thread still answers.
    pub fn is_running(&self) -> bool {
        !self.mailbox.is_closed()
    }

    /// Waits until the chain's thread has ended.
    pub async fn ended(&self) {
        self.mailbox.closed().await;
    }

    /// Submits a whole block.
    pub async fn submit_block(&self, block: Block) -> Result<Result<Taken, SubmitError>, Unavailable> {
        self.ask(|reply| Request::Block { block, reply }).await
    }

    /// Submits a block by its parts.
    pub async fn submit_parts(&self, parts: BlockParts) -> Result<Result<Taken, SubmitError>, Unavailable> {
        self.ask(|reply| Request::Parts { parts: Box::new(parts), reply }).await
    }

    /// Submits the proof for a template.
    pub async fn submit_proof(&self, template: u64, proof: Proof) -> Result<Result<Taken, SubmitError>, Unavailable> {
        self.ask(|reply| Request::Proof { template, proof, reply }).await
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
        request: TemplateRequest,
    ) -> Result<Result<Arc<WorkTemplate>, TemplateError>, Unavailable> {
        self.ask(|reply| Request::Template { request, reply }).await
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

    /// Takes up a configured difficulty.
    pub async fn configure(&self, difficulty: Option<u64>) {
        drop(self.mailbox.send(Request::Configure { difficulty }).await);
    }

    /// Records a change made elsewhere.
    pub async fn audit(&self, deed: Deed) {
        drop(self.mailbox.send(Request::Audit { deed }).await);
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
    fn over(self, pow: &PowInput) -> Solution {
        let offset = pow.roll_offset as usize;
        let word = || pow.bytes.get(offset..)?.first_chunk::<4>().copied().map(u32::from_le_bytes);
        Solution { nonce: self.nonce, rolled: self.rolled.or_else(word).unwrap_or_default() }
    }
}

/// What the thread owns.
struct Owner {
    chain: Chain,
    rules: Arc<dyn RulesEngine>,
    clock: Clock,
    audit: AuditLog,
    configured: Option<u64>,
    forced: Option<u64>,
    outlook: Outlook,
    counts: Counts,
}

impl Owner {
    fn new(parts: ChainParts) -> Result<Self, ChainFailure> {
        let ChainParts { chain, rules, storage, clock, difficulty } = parts;
        let genesis = chain
            .reader()
            .id_at(Height(0))
            .ok_or_else(|| StorageError { detail: "the selected chain has no block at height 0".to_owned() })?;
        let view: SharedView = chain.index().clone();
        let first = rules.next(&view, &[genesis], None)?.map_err(ChainFailure::Genesis)?;
        let basis = Basis { state_version: chain.state_version(), configured: difficulty, forced: None };
        Ok(Self {
            outlook: Outlook::new(&chain, basis, first.difficulty)?,
            chain,
            rules,
            clock,
            audit: AuditLog::open(storage)?,
            configured: difficulty,
            forced: None,
            counts: Counts::default(),
        })
    }

    fn run(
        mut self,
        mut requests: mpsc::Receiver<Request>,
        snapshots: &watch::Sender<Arc<Snapshot>>,
    ) -> Result<(), ChainFailure> {
        let mut ahead = None;
        while let Some(request) = ahead.take().or_else(|| requests.blocking_recv()) {
            match request {
                Request::End => return Ok(()),
                Request::Transaction { transaction, reply } => {
                    let batch;
                    (batch, ahead) = collect(transaction, reply, &mut requests);
                    self.take_transactions(batch)?;
                }
                request => self.answer(request)?,
            }
            self.look_ahead();
            let now = Arc::new(self.snapshot());
            snapshots.send_if_modified(|before| {
                let changed = *before != now;
                *before = now;
                changed
            });
        }
        Ok(())
    }

    fn answer(&mut self, request: Request) -> Result<(), StorageError> {
        match request {
            Request::Block { block, reply } => send(reply, self.take_block(None, block)?),
            Request::Parts { parts, reply } => {
                let taken = match self.build(*parts) {
                    Ok(block) => self.take_block(None, block)?,
                    Err(error) => Err(error),
                };
                send(reply, taken);
            }
            Request::Proof { template, proof, reply } => {
                let taken = self.take_proof(template, proof)?;
                send(reply, taken);
            }
            Request::Template { mut request, reply } => {
                request.difficulty = self.wish();
                send(reply, self.chain.template((self.clock)(), &request));
            }
            Request::Pool { reply } => {
                let pool = self.chain.mempool();
                send(reply, pool.best_first(pool.count()));
            }
            Request::Pending { id, reply } => send(reply, self.chain.mempool().get(id).cloned()),
            Request::Difficulty { order, reply } => {
                let changed = self.order_difficulty(order);
                let failed = match &changed {
                    Err(DifficultyError::Storage(error)) => Err(error.clone()),
                    _ => Ok(()),
                };
                send(reply, changed);
                failed?;
            }
            Request::Configure { difficulty } => self.configured = difficulty,
            Request::Audit { deed } => self.audit.record((self.clock)(), deed)?,
            Request::Tick => {
                for outcome in self.chain.advance((self.clock)()) {
                    self.count(&outcome)?;
                }
            }
            Request::Transaction { .. } | Request::End => unreachable!("the loop answers these itself"),
        }
        Ok(())
    }

    fn take_block(&mut self, made_for: Option<u64>, block: Block) -> Result<Result<Taken, SubmitError>, StorageError> {
        let outcome = self.chain.submit_block((self.clock)(), block);
        self.count(&outcome)?;
        let state_version = self.chain.state_version();
        Ok(outcome.map(|accepted| Taken { accepted, made_for, state_version }).map_err(SubmitError::Block))
    }

    fn take_proof(&mut self, id: u64, proof: Proof) -> Result<Result<Taken, SubmitError>, StorageError> {
        let Some(template) = self.chain.template_by_id(id) else {
            return Ok(Err(SubmitError::UnknownTemplate { id }));
        };
        match self.chain.assemble(&template, proof.over(&template.pow)) {
            // A find for a state that is gone is a block all the same: fork choice decides what it is worth.
            Ok(block) => self.take_block(Some(template.state_version), block),
            Err(error) => Ok(Err(submit_error(error))),
        }
    }

    /// Builds a block whose header was given by its parts.
    fn build(&self, parts: BlockParts) -> Result<Block, SubmitError> {
        let BlockParts { draft, height, proof, body } = parts;
        let fault = |fault| SubmitError::Block(BlockError::Fault(fault));
        let parent = draft.parent;
        if self.chain.reader().indexed(parent).is_none() {
            return Err(SubmitError::UnknownParent { parent });
        }
        let view: SharedView = self.chain.index().clone();
        let next = |wish| self.rules.next(&view, &[parent], wish).map_err(fault)?.map_err(SubmitError::Header);
        let mut required = next(None)?;
        let other = draft.difficulty.filter(|wish| wish.to_string() != required.difficulty);
        if let (None, Some(wish)) = (draft.bits, other) {
            required = next(Some(wish))?;
        }
        if required.height != height {
            return Err(SubmitError::Height { parent, found: height, want: required.height });
        }
        let bits = draft.bits.unwrap_or(required.bits);
        let draft = Draft { parents: required.parents, bits, time: draft.time, body_root: draft.body_root };
        let template = self.rules.encode(&draft).map_err(fault)?.map_err(SubmitError::Header)?;
        let Solution { nonce, rolled } = proof.over(&template.pow);
        let sealed = self.rules.seal(&template.header, nonce, rolled).map_err(fault)?;
        Ok(Block { header: sealed.map_err(SubmitError::Header)?, body })
    }

    fn take_transactions(&mut self, batch: TransactionBatch) -> Result<(), StorageError> {
        let (transactions, replies): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        let outcomes = self.chain.submit_transactions((self.clock)(), transactions)?;
        for (outcome, reply) in outcomes.into_iter().zip(replies) {
            match &outcome {
                Ok(_) => self.counts.transactions_accepted += 1,
                Err(_) => self.counts.transactions_refused += 1,
            }
            send(reply, outcome);
        }
        Ok(())
    }

    fn count(&mut self, outcome: &Result<Accepted, BlockError>) -> Result<(), StorageError> {
        let counts = &mut self.counts;
        match outcome {
            Ok(accepted) => {
                counts.blocks_accepted += 1;
                counts.blocks_aside += u64::from(!accepted.selected);
                let reorganised = accepted.reorg.as_ref().is_some_and(|reorg| !reorg.disconnected.is_empty());
                counts.reorgs += u64::from(reorganised);
            }
            Err(BlockError::Storage(error)) => return Err(error.clone()),
            Err(BlockError::Fault(fault)) => {
                tracing::warn!(%fault, "a plugin gave no answer");
                counts.faults += 1;
            }
            Err(_) => counts.blocks_refused += 1,
        }
        Ok(())
    }

    fn order_difficulty(&mut self, order: DifficultyOrder) -> Result<DifficultyChange, DifficultyError> {
        let DifficultyOrder { difficulty, force, reason, from } = order;
        if let (Some(_), Some(forced), false) = (difficulty, self.forced, force) {
            return Err(DifficultyError::Active { forced });
        }
        let old = self.required(self.wish()).map(|next| next.difficulty)?;
        let new = self.required(difficulty.or_else(|| self.configured_if_allowed()))?.difficulty;
        let action = if difficulty.is_some() { "difficulty-set" } else { "difficulty-restored" };
        let [old_value, new_value] = [&old, &new].map(|text| Value::String(text.clone()));
        self.audit.record((self.clock)(), Deed { action, old: old_value, new: new_value, reason, from })?;
        self.forced = difficulty;
        Ok(DifficultyChange { old, new, forced: difficulty })
    }

    fn required(&self, wish: Option<u64>) -> Result<Requirements, DifficultyError> {
        self.chain.requirements(wish).map_err(|error| match error {
            TemplateError::Refused(violation) => DifficultyError::Refused(violation),
            TemplateError::Fault(fault) => DifficultyError::Fault(fault),
            other => DifficultyError::Refused(Violation { rule: "template".to_owned(), detail: other.to_string() }),
        })
    }

    /// The difficulty to ask the rules for: the override, or the configured one where the rules allow it.
    fn wish(&self) -> Option<u64> {
        self.forced.or(self.configured_if_allowed())
    }

    fn configured_if_allowed(&self) -> Option<u64> {
        self.configured.filter(|_| self.outlook.difficulty.refused.is_none())
    }

    /// Asks the rules about the next block again where something changed that their answer depends on. A plugin that gives no answer leaves
    /// the last one standing: the next change asks again.
    fn look_ahead(&mut self) {
        let basis =
            Basis { state_version: self.chain.state_version(), configured: self.configured, forced: self.forced };
        if self.outlook.basis == basis {
            return;
        }
        match Outlook::new(&self.chain, basis, self.outlook.difficulty.genesis.clone()) {
            Ok(outlook) => self.outlook = outlook,
            Err(error) => tracing::warn!(%error, "the rules say nothing about the next block"),
        }
    }

    fn snapshot(&self) -> Snapshot {
        let pool = self.chain.mempool();
        Snapshot {
            state_version: self.chain.state_version(),
            tip: self.chain.tip(),
            difficulty: self.outlook.difficulty.clone(),
            next: self.outlook.next.clone(),
            pool: PoolSize { transactions: pool.count(), bytes: pool.bytes(), version: pool.version() },
            counts: self.counts,
        }
    }
}

/// What the rules said about the next block, and what that depends on.
struct Outlook {
    basis: Basis,
    difficulty: DifficultyLayers,
    next: Requirements,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Basis {
    state_version: u64,
    configured: Option<u64>,
    forced: Option<u64>,
}

impl Outlook {
    fn new(chain: &Chain, basis: Basis, genesis: String) -> Result<Self, TemplateError> {
        let computed = chain.requirements(None)?;
        let (configured, refused) = match basis.configured.map(|wish| chain.requirements(Some(wish))) {
            None => (None, None),
            Some(Ok(next)) => (Some(next), None),
            Some(Err(TemplateError::Refused(violation))) => (None, Some(violation.to_string())),
            Some(Err(error)) => return Err(error),
        };
        let is_computed = configured.is_none();
        let configured = configured.unwrap_or(computed);
        let next = match basis.forced {
            Some(wish) => chain.requirements(Some(wish))?,
            None => configured.clone(),
        };
        let difficulty = DifficultyLayers {
            genesis,
            configured: configured.difficulty,
            current: next.difficulty.clone(),
            computed: is_computed,
            forced: basis.forced,
            refused,
        };
        Ok(Self { basis, difficulty, next })
    }
}

type TransactionBatch = Vec<(Transaction, Reply<Result<TxId, MempoolError>>)>;

/// Takes the transactions that wait right behind this one, so that they share a commit, and the first request of another kind.
fn collect(
    transaction: Transaction,
    reply: Reply<Result<TxId, MempoolError>>,
    requests: &mut mpsc::Receiver<Request>,
) -> (TransactionBatch, Option<Request>) {
    let mut batch = vec![(transaction, reply)];
    while batch.len() < TRANSACTIONS_PER_COMMIT {
        match requests.try_recv() {
            Ok(Request::Transaction { transaction, reply }) => batch.push((transaction, reply)),
            Ok(other) => return (batch, Some(other)),
            Err(_) => break,
        }
    }
    (batch, None)
}

fn submit_error(error: TemplateError) -> SubmitError {
    match error {
        TemplateError::Refused(violation) => SubmitError::Header(violation),
        TemplateError::Fault(fault) => SubmitError::Block(BlockError::Fault(fault)),
        other => SubmitError::Header(Violation { rule: "template".to_owned(), detail: other.to_string() }),
    }
}

/// Whoever asked may have gone away: then nobody needs the answer.
fn send<T>(reply: Reply<T>, answer: T) {
    drop(reply.send(answer));
}
