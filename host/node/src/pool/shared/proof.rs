//! Whether a block of the chain pays as the pool's certified rounds say: what anybody can check at any node.

use super::payouts::{Facts, Payouts, output};
use adit_chain::Block;
use adit_network::shares::Base;
use adit_pool::money::credited::PaidOutput;
use adit_primitives::storage::StorageError;
use adit_primitives::{Amount, BlockId, Height, Work};
use std::sync::Arc;

/// How many rounds back a block's base is looked for.
const BASES_LOOKED_AT: u64 = 96;

/// A block that pays as a certified round says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolBlock {
    pub id: BlockId,
    pub height: Height,
    pub base: Base,
    pub reward: Amount,
    /// What of it the block creates.
    pub subsidy: Amount,
    /// The expected hashes of the block.
    pub work: Work,
    /// As this node computes them; the block's are the same.
    pub outputs: Arc<[PaidOutput]>,
}

impl Payouts {
    /// Recognizes a block of the pool: its coinbase pays exactly what one of the newest rounds says that a block like it has to pay. `None`
    /// for every other block, and where it is not known.
    pub fn recognize(&self, id: BlockId) -> Result<Option<PoolBlock>, StorageError> {
        let Some(parent) = self.reader().indexed(id).and_then(|indexed| indexed.known.selected_parent) else {
            return Ok(None);
        };
        let Some(block) = self.reader().block(id)? else { return Ok(None) };
        let Some(coinbase) = block.body.first().filter(|coinbase| !coinbase.outputs.is_empty()) else {
            return Ok(None);
        };
        let (Some(reward), Ok(facts)) = (coinbase.output_sum(), self.facts(parent)) else { return Ok(None) };
        let newest = self.newest().round;
        let rounds = (newest.saturating_sub(BASES_LOOKED_AT).max(1)..=newest).rev();
        for base in rounds.filter_map(|round| self.base(round)) {
            let Ok(outputs) = self.outputs(base, facts, reward) else { continue };
            if outputs.iter().map(output).eq(coinbase.outputs.iter().copied()) {
                let Facts { height, subsidy, work, .. } = facts;
                return Ok(Some(PoolBlock { id, height, base, reward, subsidy, work, outputs }));
            }
        }
        Ok(None)
    }

    /// Returns the newest blocks of the selected chain, at most so many.
    pub fn newest_blocks(&self, max: u64) -> Vec<BlockId> {
        let tip = self.reader().tip().height.0;
        (tip.saturating_sub(max.saturating_sub(1))..=tip)
            .filter_map(|height| self.reader().id_at(Height(height)))
            .collect()
    }

    /// Returns a block of the chain.
    pub fn block(&self, id: BlockId) -> Result<Option<Block>, StorageError> {
        self.reader().block(id)
    }
}
