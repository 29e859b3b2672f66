//! What the chain's thread does with each request.

use super::{
    BlockParts, ChainFailure, ChainParts, Counts, DifficultyChange, DifficultyError, DifficultyLayers, DifficultyOrder,
    PoolSize, Proof, Reply, Request, Snapshot, SubmitError, TRANSACTIONS_PER_COMMIT, Taken,
};
use crate::audit::{AuditLog, Deed};
use crate::clock::Clock;
use adit_chain::{Accepted, Block, BlockError, Chain, MempoolError, Solution, TemplateError, Transaction};
use adit_primitives::contract::{Draft, Requirements, Violation};
use adit_primitives::engine::{RulesEngine, SharedView};
use adit_primitives::storage::StorageError;
use adit_primitives::{Height, TxId};
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// What the thread owns.
pub struct Owner {
    chain: Chain,
    rules: Arc<dyn RulesEngine>,
    clock: Clock,
    audit: AuditLog,
    configured: Option<u64>,
    forced: Option<u64>,
    outlook: Outlook,
    counts: Counts,
    snapshots: watch::Sender<Arc<Snapshot>>,
}

impl Owner {
    pub fn new(parts: ChainParts) -> Result<Self, ChainFailure> {
        let ChainParts { chain, rules, storage, clock, difficulty } = parts;
        let genesis = chain
            .reader()
            .id_at(Height(0))
            .ok_or_else(|| StorageError { detail: "the selected chain has no block at height 0".to_owned() })?;
        let view: SharedView = chain.index().clone();
        let bits = view.block(genesis).map_or(0, |genesis| genesis.bits);
        let difficulty_of_genesis = rules.difficulty(bits)?.map_err(ChainFailure::Genesis)?;
        let basis = Basis { state_version: chain.state_version(), configured: difficulty, forced: None };
        let outlook = Outlook::new(&chain, basis, difficulty_of_genesis)?;
        let counts = Counts::default();
        let (snapshots, _) = watch::channel(Arc::new(snapshot(&chain, &outlook, counts)));
        let audit = AuditLog::open(storage)?;
        Ok(Self { chain, rules, clock, audit, configured: difficulty, forced: None, outlook, counts, snapshots })
    }

    /// Answers requests until one says that it is the end, or the database fails.
    pub fn run(mut self, mut requests: mpsc::Receiver<Request>) -> Result<(), ChainFailure> {
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
        }
        Ok(())
    }

    /// Returns a receiver of snapshots.
    pub fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshots.subscribe()
    }

    /// Publishes a snapshot where something changed. Before the answer goes out: whoever has it and looks, sees what it says.
    fn publish(&mut self) {
        self.look_ahead();
        let now = Arc::new(snapshot(&self.chain, &self.outlook, self.counts));
        self.snapshots.send_if_modified(|before| {
            let changed = *before != now;
            *before = now;
            changed
        });
    }

    fn answer(&mut self, request: Request) -> Result<(), StorageError> {
        match request {
            Request::Block { block, reply } => {
                let taken = self.take_block(None, block)?;
                self.publish();
                send(reply, taken);
            }
            Request::Parts { parts, reply } => {
                let taken = match self.build(*parts) {
                    Ok(block) => self.take_block(None, block)?,
                    Err(error) => Err(error),
                };
                self.publish();
                send(reply, taken);
            }
            Request::Proof { template, proof, reply } => {
                let taken = self.take_proof(template, proof)?;
                self.publish();
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
                self.publish();
                send(reply, changed);
                failed?;
            }
            Request::Configure { difficulty } => {
                self.configured = difficulty;
                self.publish();
            }
            Request::Audit { deed, reply } => {
                self.audit.record((self.clock)(), deed)?;
                send(reply, ());
            }
            Request::Tick => {
                for outcome in self.chain.advance((self.clock)()) {
                    self.count(&outcome)?;
                }
                self.publish();
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
        let accepted = outcomes.iter().filter(|outcome| outcome.is_ok()).count() as u64;
        self.counts.transactions_accepted += accepted;
        self.counts.transactions_refused += outcomes.len() as u64 - accepted;
        self.publish();
        outcomes.into_iter().zip(replies).for_each(|(outcome, reply)| send(reply, outcome));
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
}

fn snapshot(chain: &Chain, outlook: &Outlook, counts: Counts) -> Snapshot {
    let pool = chain.mempool();
    Snapshot {
        state_version: chain.state_version(),
        tip: chain.tip(),
        difficulty: outlook.difficulty.clone(),
        next: outlook.next.clone(),
        pool: PoolSize { transactions: pool.count(), bytes: pool.bytes(), version: pool.version() },
        counts,
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
