//! Questions about the chain, answered from the index and the storage by any thread.

use crate::index::IndexedBlock;
use crate::{Block, OutPoint, PublicKey, Transaction, Unspent};
use adit_primitives::contract::KnownBlock;
use adit_primitives::storage::StorageError;
use adit_primitives::{Amount, BlockId, Height, TxId};

/// A handle for questions. What it answers may be one block behind or ahead between two questions.
#[derive(Clone)]
pub struct ChainReader {
    _todo: (),
}

/// A transaction with the place where the ledger accepted it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocatedTransaction {
    pub transaction: Transaction,
    /// The block of the selected chain whose application accepted it.
    pub accepted_by: BlockId,
    /// The block whose body holds it.
    pub block: BlockId,
    pub height: Height,
}

/// What a key holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holdings {
    /// Outputs that may be spent in the next block.
    pub spendable: Vec<(OutPoint, Unspent)>,
    pub spendable_sum: Amount,
    /// Coinbase outputs that are not mature yet.
    pub immature_sum: Amount,
    /// Whether the key holds more outputs than were looked at: the sums are then too low.
    pub more: bool,
}

impl ChainReader {
    pub fn tip(&self) -> KnownBlock {
        todo!()
    }

    /// Returns every tip: blocks without children, invalid ones left out. The selected one is first.
    pub fn tips(&self) -> Vec<KnownBlock> {
        todo!()
    }

    pub fn block(&self, _id: BlockId) -> Result<Option<Block>, StorageError> {
        todo!()
    }

    /// Returns what the index knows of a block.
    pub fn indexed(&self, _id: BlockId) -> Option<IndexedBlock> {
        todo!()
    }

    /// Returns the id at a height of the selected chain.
    pub fn id_at(&self, _height: Height) -> Option<BlockId> {
        todo!()
    }

    /// Returns blocks of the selected chain, from a height upwards, at most `max`.
    pub fn page(&self, _first: Height, _max: usize) -> Result<Vec<(IndexedBlock, Block)>, StorageError> {
        todo!()
    }

    pub fn transaction(&self, _id: TxId) -> Result<Option<LocatedTransaction>, StorageError> {
        todo!()
    }

    /// Returns what a key holds, looking at no more than `max` outputs. Spends that wait in the mempool are not counted.
    pub fn holdings(&self, _key: PublicKey, _max: usize) -> Result<Holdings, StorageError> {
        todo!()
    }
}
