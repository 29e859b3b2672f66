//! Questions about the chain, answered from the index and the storage by any thread.
//!
//! Reading order: this file, then `sync`, what other nodes ask for.

mod sync;

use crate::index::{IndexedBlock, PlacementFigures, Standing};
use crate::record::{self, Location};
use crate::{Block, BlockIndex, LedgerRules, OutPoint, PublicKey, Transaction, Unspent};
use adit_primitives::contract::KnownBlock;
use adit_primitives::engine::{ChainView, SharedView};
use adit_primitives::storage::{Storage, StorageError, Table};
use adit_primitives::{Amount, BlockId, Decode, Encode, Height, TxId};
use std::sync::Arc;

pub use sync::HeadersPage;

/// A handle for questions. Between two of them the chain may have gone on.
#[derive(Clone)]
pub struct ChainReader {
    storage: Arc<dyn Storage>,
    index: Arc<BlockIndex>,
    rules: LedgerRules,
}

/// A transaction with the place where the ledger accepted it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocatedTransaction {
    pub transaction: Transaction,
    /// The block of the selected chain whose application accepted it.
    pub accepted_by: BlockId,
    /// The block whose body holds it.
    pub block: BlockId,
    /// The height of the accepting block.
    pub height: Height,
}

/// What a key holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holdings {
    /// Outputs that may be spent in the next block.
    pub spendable: Vec<(OutPoint, Unspent)>,
    pub spendable_sum: Amount,
    /// Coinbase outputs that are not mature yet.
    pub immature_sum: Amount,
    /// Whether the key holds more outputs than were looked at: the sums are then too low.
    pub more: bool,
}

/// How much a page of blocks holds. One block is always on it, however large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageLimits {
    pub blocks_max: usize,
    /// Bytes of the blocks, as [`Block::size`] counts them.
    pub bytes_max: usize,
}

impl ChainReader {
    pub(crate) fn new(storage: Arc<dyn Storage>, index: Arc<BlockIndex>, rules: LedgerRules) -> Self {
        Self { storage, index, rules }
    }

    /// Returns the bytes that all blocks and what is known of them take in memory.
    pub fn index_bytes(&self) -> usize {
        self.index.bytes()
    }

    /// Returns how placements in memory are used.
    pub fn placement_figures(&self) -> PlacementFigures {
        self.index.placement_figures()
    }

    /// Returns how often headers were forgotten that no bodies followed. While it stands, what is known stays known.
    pub fn forgettings(&self) -> u64 {
        self.index.forgettings()
    }

    /// Returns the blocks as the rules see them.
    pub fn view(&self) -> SharedView {
        self.index.clone()
    }

    /// Returns the selected tip.
    pub fn tip(&self) -> KnownBlock {
        self.index.tip()
    }

    /// Returns the blocks on which nothing valid stands, at most `max`: the selected tip first, then the others, best first.
    pub fn tips(&self, max: usize) -> Vec<KnownBlock> {
        self.index.tips(max)
    }

    /// Returns a block whose body is known.
    pub fn block(&self, id: BlockId) -> Result<Option<Block>, StorageError> {
        let header: Option<record::HeaderRecord> = record::read(&*self.storage, Table::Headers, &id.to_bytes())?;
        let body = record::read(&*self.storage, Table::Bodies, &id.to_bytes())?;
        Ok(header.zip(body).map(|(record, body)| Block { header: record.header, body }))
    }

    /// Returns what the index knows of a block.
    pub fn indexed(&self, id: BlockId) -> Option<IndexedBlock> {
        self.index.indexed(id)
    }

    /// Returns the id of the block with exactly this height on the selected chain.
    pub fn id_at(&self, height: Height) -> Option<BlockId> {
        self.index.selected_at(height)
    }

    /// Returns the newest block of the selected chain that is not above this height.
    pub fn selected_below(&self, height: Height) -> Option<KnownBlock> {
        self.index.selected_ancestor(self.index.tip_id(), height)
    }

    /// Returns a block's place in the total order: its colour, who applied it, its topoheight.
    pub fn standing(&self, id: BlockId) -> Option<Standing> {
        self.index.standing(id)
    }

    /// Returns the block with so many before it in the total order.
    pub fn id_at_topoheight(&self, topoheight: u64) -> Option<BlockId> {
        self.index.at_topoheight(topoheight)
    }

    /// Returns blocks of the selected chain from a height upwards.
    pub fn page(&self, first: Height, limits: PageLimits) -> Result<Vec<(IndexedBlock, Block)>, StorageError> {
        self.with_bodies(self.index.selected_page(first, limits.blocks_max).into_iter(), limits)
    }

    /// Returns the newest blocks of the selected chain, the lowest first.
    pub fn newest(&self, limits: PageLimits) -> Result<Vec<(IndexedBlock, Block)>, StorageError> {
        let parent = |child: &IndexedBlock| child.known.selected_parent.and_then(|id| self.index.indexed(id));
        let downwards = std::iter::successors(self.index.indexed(self.index.tip_id()), parent);
        let mut page = self.with_bodies(downwards.take(limits.blocks_max), limits)?;
        page.reverse();
        Ok(page)
    }

    /// Reads the blocks' bodies until a page is full. A block without a body is left out.
    fn with_bodies(
        &self,
        blocks: impl Iterator<Item = IndexedBlock>,
        limits: PageLimits,
    ) -> Result<Vec<(IndexedBlock, Block)>, StorageError> {
        let (mut page, mut bytes) = (Vec::new(), 0);
        for indexed in blocks {
            let Some(block) = self.block(indexed.known.id)? else { continue };
            bytes += block.size();
            if bytes > limits.bytes_max && !page.is_empty() {
                break;
            }
            page.push((indexed, block));
        }
        Ok(page)
    }

    /// Returns the name under which the ledger knows a transaction of a block, and its outputs once it is accepted.
    pub fn transaction_id(&self, transaction: &Transaction, block: BlockId) -> TxId {
        transaction.id_in(block, self.rules.conflicts)
    }

    /// Returns a transaction that the ledger has accepted. A coinbase says what it claimed, which may be more than it was paid.
    pub fn transaction(&self, id: TxId) -> Result<Option<LocatedTransaction>, StorageError> {
        let location: Option<Location> = record::read(&*self.storage, Table::Transactions, &id.to_bytes())?;
        let Some(Location { accepted_by, block, position }) = location else { return Ok(None) };
        let body: Option<Vec<Transaction>> = record::read(&*self.storage, Table::Bodies, &block.to_bytes())?;
        let transaction = body.and_then(|body| body.into_iter().nth(position as usize));
        let height = self.index.block(accepted_by).map(|known| known.height);
        let found = transaction.zip(height);
        Ok(found.map(|(transaction, height)| LocatedTransaction { transaction, accepted_by, block, height }))
    }

    /// Returns an unspent output.
    pub fn unspent(&self, at: &OutPoint) -> Result<Option<Unspent>, StorageError> {
        record::read(&*self.storage, Table::Unspent, &at.to_bytes())
    }

    /// Returns what a key holds, looking at no more than `max` outputs. Spends that wait in the mempool are not counted.
    pub fn holdings(&self, key: PublicKey, max: usize) -> Result<Holdings, StorageError> {
        let next = self.index.tip().height.0.saturating_add(1);
        let entries = self.storage.scan(Table::Owned, &key.to_bytes(), max.saturating_add(1))?;
        let owned = entries.iter().filter_map(|(entry, _)| entry.strip_prefix(key.0.as_slice()));
        let mut holdings = Holdings::default();
        for (position, at) in owned.enumerate() {
            if position == max {
                holdings.more = true;
                break;
            }
            let at = OutPoint::from_bytes(at).map_err(|error| record::damaged(Table::Owned, &error.to_string()))?;
            // An output that a block has spent since the scan is left out.
            let Some(unspent) = self.unspent(&at)? else { continue };
            let mature = unspent.height.0.saturating_add(self.rules.coinbase_maturity);
            let amount = unspent.output.amount;
            let sum = if unspent.coinbase && next < mature {
                &mut holdings.immature_sum
            } else {
                holdings.spendable.push((at, unspent));
                &mut holdings.spendable_sum
            };
            *sum = sum.checked_add(amount).unwrap_or(Amount::from_atoms(u64::MAX));
        }
        Ok(holdings)
    }
}
