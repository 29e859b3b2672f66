//! The chain: blocks come in, the tip with the most work is followed, the ledger goes with it.

use crate::{
    Block, BlockIndex, ChainConfig, ChainReader, Mempool, MempoolError, Pending, Solution, TemplateError,
    TemplateRequest, Transaction, WorkTemplate,
};
use adit_primitives::contract::{KnownBlock, Violation};
use adit_primitives::engine::{Fault, HashEngine, RulesEngine};
use adit_primitives::storage::{Storage, StorageError};
use adit_primitives::{BlockId, Hash256, Height, Timestamp, TxId, Work};
use std::sync::Arc;

/// A chain and its state. One owner; readers go through [`Chain::reader`].
pub struct Chain {
    _todo: (),
}

/// A block that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    pub id: BlockId,
    pub height: Height,
    /// The work behind the block.
    pub work: Work,
    /// Whether the block lies on the selected chain now.
    pub selected: bool,
    /// How the selected chain changed: `None` where the block stays on a side.
    pub reorg: Option<Reorg>,
    /// Blocks that had waited for this one and were taken after it, in order.
    pub followers: Vec<BlockId>,
}

/// A change of the selected tip: a simple extension where nothing was disconnected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reorg {
    pub from: BlockId,
    pub to: BlockId,
    /// Blocks that left the selected chain, newest first.
    pub disconnected: Vec<BlockId>,
    /// Blocks that joined it, oldest first.
    pub connected: Vec<BlockId>,
}

/// Why a block was not taken. Only [`BlockError::Invalid`] and [`BlockError::KnownInvalid`] say anything about the block itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    #[error("block {id} is known")]
    Known { id: BlockId },
    /// It is kept, within bounds, until its parents come.
    #[error("block {id} waits for its parent {missing}")]
    Orphan { id: BlockId, missing: BlockId },
    /// It is kept, within bounds, when its time is near: [`Chain::advance`] takes it then.
    #[error("block {id} is too early: valid from {valid_from:?}")]
    Early { id: BlockId, valid_from: Timestamp, kept: bool },
    #[error("block {id:?} is invalid: {violation}")]
    Invalid { id: Option<BlockId>, violation: Violation },
    #[error("block {id} is known as invalid")]
    KnownInvalid { id: BlockId },
    /// A plugin gave no answer. The block may be offered again.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The chain must be dropped and opened again: its memory may be ahead of what is kept.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why a chain does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the database holds a chain with identity {found}, these rules have {want}")]
    OtherChain { found: Hash256, want: Hash256 },
    #[error("the database has format {found}, this program knows {want}")]
    Format { found: u32, want: u32 },
    #[error("the genesis block is invalid: {violation}")]
    Genesis { violation: Violation },
    #[error("the database is damaged: {detail}")]
    Damaged { detail: String },
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Chain {
    /// Opens the chain that the storage holds, or begins one with the rules' genesis. Whatever a crash left half-way is brought to an end.
    pub fn open(
        _config: ChainConfig,
        _storage: Arc<dyn Storage>,
        _rules: Arc<dyn RulesEngine>,
        _hash: Box<dyn HashEngine>,
    ) -> Result<Self, OpenError> {
        todo!()
    }

    /// Judges a block and takes it. When this returns `Ok`, the block survives `kill -9`.
    pub fn submit_block(&mut self, _now: Timestamp, _block: Block) -> Result<Accepted, BlockError> {
        todo!()
    }

    /// Judges a transaction and lets it wait for a block. When this returns `Ok`, it survives `kill -9`.
    pub fn submit_transaction(&mut self, _now: Timestamp, _transaction: Transaction) -> Result<TxId, MempoolError> {
        todo!()
    }

    /// The same for many, with one commit. One answer for each.
    pub fn submit_transactions(
        &mut self,
        _now: Timestamp,
        _transactions: Vec<Transaction>,
    ) -> Result<Vec<Result<TxId, MempoolError>>, StorageError> {
        todo!()
    }

    /// Takes blocks that were too early and are not any more. Call it about once a second.
    pub fn advance(&mut self, _now: Timestamp) -> Vec<Result<Accepted, BlockError>> {
        todo!()
    }

    /// Returns work for a miner: from the cache while tip and mempool stand.
    pub fn template(
        &mut self,
        _now: Timestamp,
        _request: &TemplateRequest,
    ) -> Result<Arc<WorkTemplate>, TemplateError> {
        todo!()
    }

    /// Returns a template that was handed out, while it is remembered.
    pub fn template_by_id(&self, _id: u64) -> Option<Arc<WorkTemplate>> {
        todo!()
    }

    /// Puts a solution into a template: the block to submit.
    pub fn assemble(&self, _template: &WorkTemplate, _solution: Solution) -> Result<Block, TemplateError> {
        todo!()
    }

    /// Returns the selected tip.
    pub fn tip(&self) -> KnownBlock {
        todo!()
    }

    /// Returns a number that grows with every change of the selected tip, also across restarts. A template whose number differs is stale.
    pub fn state_version(&self) -> u64 {
        todo!()
    }

    pub fn mempool(&self) -> &Mempool {
        todo!()
    }

    /// Returns what the next block must have, for display: difficulty, height, subsidy.
    pub fn requirements(&self, _wish: Option<u64>) -> Result<adit_primitives::contract::Requirements, TemplateError> {
        todo!()
    }

    /// Returns a handle for questions, which any thread may keep.
    pub fn reader(&self) -> ChainReader {
        todo!()
    }

    pub fn index(&self) -> &Arc<BlockIndex> {
        todo!()
    }
}

impl Mempool {
    /// Returns a waiting transaction.
    pub fn get(&self, _id: TxId) -> Option<&Arc<Pending>> {
        todo!()
    }

    /// Returns how many transactions wait.
    pub fn count(&self) -> usize {
        todo!()
    }

    /// Returns their canonical bytes.
    pub fn bytes(&self) -> usize {
        todo!()
    }

    /// Returns the waiting transactions, best fee rate first, at most `max`.
    pub fn best_first(&self, _max: usize) -> Vec<Arc<Pending>> {
        todo!()
    }

    /// Returns a number that grows with every change.
    pub fn version(&self) -> u64 {
        todo!()
    }
}
