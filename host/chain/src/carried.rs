//! What the blocks carry that the next block would merge: a template that held the same payments would earn nothing by them.

use crate::index::Version;
use crate::{BlockIndex, Transaction, record};
use adit_primitives::engine::ChainView;
use adit_primitives::storage::{Storage, Table};
use adit_primitives::{BlockId, Encode, TxId};
use std::collections::{BTreeMap, BTreeSet};

/// The most blocks looked at: more than chains let one block merge.
const BLOCKS_MAX: u32 = 10_000;

/// The payments of blocks that are not merged yet, by block. Bodies are read once, while their blocks wait to be merged.
#[derive(Debug, Default)]
pub(crate) struct Carried {
    /// The index and the parents for which they were found.
    found_for: Option<(Version, Vec<BlockId>)>,
    blocks: BTreeMap<BlockId, Vec<TxId>>,
    payments: BTreeSet<TxId>,
    changes: u64,
}

impl Carried {
    /// Brings the payments up to date for a block with these parents, the selected tip among them. What no such block merges, like a branch that lost,
    /// will not bring its payments. A block whose body cannot be read counts as carrying nothing: this is a choice of fees, not of validity.
    pub(crate) fn update(&mut self, index: &BlockIndex, storage: &dyn Storage, parents: &[BlockId]) {
        let version = index.version();
        if self.found_for.as_ref().is_some_and(|(at, of)| *at == version && of == parents) {
            return;
        }
        self.found_for = Some((version, parents.to_vec()));
        let unmerged = match parents {
            [] | [_] => Vec::new(),
            _ => index.merge_set(index.tip_id(), parents, BLOCKS_MAX).unwrap_or_default(),
        };
        if unmerged.len() == self.blocks.len() && unmerged.iter().all(|stamp| self.blocks.contains_key(&stamp.id)) {
            return;
        }
        let mut blocks = BTreeMap::new();
        for stamp in unmerged {
            let payments = match self.blocks.remove(&stamp.id) {
                Some(payments) => payments,
                None => payments(storage, stamp.id),
            };
            blocks.insert(stamp.id, payments);
        }
        self.payments = blocks.values().flatten().copied().collect();
        self.blocks = blocks;
        self.changes += 1;
    }

    /// Returns the payments.
    pub(crate) fn payments(&self) -> &BTreeSet<TxId> {
        &self.payments
    }

    /// Returns a number that grows with every change.
    pub(crate) fn version(&self) -> u64 {
        self.changes
    }
}

fn payments(storage: &dyn Storage, id: BlockId) -> Vec<TxId> {
    let body: Option<Vec<Transaction>> = record::read(storage, Table::Bodies, &id.to_bytes()).ok().flatten();
    body.unwrap_or_default().iter().skip(1).map(Transaction::id).collect()
}
