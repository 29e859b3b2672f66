//! Blocks of a peer-to-peer pool that other nodes found: recognized by what they pay, and kept in the books beside this node's own.

use super::{Bookkeeping, BooksFailure};
use crate::pool::shared::SharedPool;
use adit_primitives::accounts::{Block, BlockState, Reserved, WorkerId};
use adit_primitives::{Amount, BlockId, Encode, Height};
use lru::LruCache;
use std::num::NonZeroUsize;
use std::sync::Arc;

/// How many of the newest heights are looked at.
const HEIGHTS: u64 = 48;

/// How often a block is looked at that is not recognized: its round may not be certified here yet.
const LOOKS_MAX: u8 = 3;

/// Blocks that are remembered with how often they were looked at.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(1_024).expect("not zero");

/// What was looked at.
pub(super) struct Looked(LruCache<BlockId, u8>);

impl Default for Looked {
    fn default() -> Self {
        Self(LruCache::new(REMEMBERED))
    }
}

impl Bookkeeping {
    /// Looks for new blocks of the pool on the chain.
    pub(super) async fn find_others(self: &Arc<Self>, looked: &mut Looked) {
        let Some(shared) = self.shared.clone() else { return };
        let new: Vec<BlockId> = shared.payouts.newest_blocks(HEIGHTS);
        for id in new {
            let looks = looked.0.get_or_insert_mut(id, || 0);
            if *looks >= LOOKS_MAX {
                continue;
            }
            *looks += 1;
            let shared = shared.clone();
            match self.step(move |keeper| keeper.take_other(&shared, id)).await {
                Ok(true) => _ = looked.0.put(id, LOOKS_MAX),
                Ok(false) => {}
                Err(error) => tracing::error!(block = %id, %error, "a block of the pool is not in the books"),
            }
        }
    }

    /// Takes a block into the books where it is the pool's. Tells whether it is.
    fn take_other(&self, shared: &SharedPool, id: BlockId) -> Result<bool, BooksFailure> {
        if self.books.block(id)?.is_some() {
            return Ok(true);
        }
        let Some(found) = shared.payouts.recognize(id)? else { return Ok(false) };
        let Some(block) = shared.payouts.block(id)? else { return Ok(false) };
        let Height(height) = found.height;
        let new = self.rounds().found(&Block {
            id,
            height: found.height,
            reward: found.reward,
            fees: found.reward.checked_sub(found.subsidy).unwrap_or(Amount::ZERO),
            work: found.work,
            // Which of the pool's miners found it, only its node knows.
            finder: Reserved::Blocks.id(),
            worker: WorkerId(0),
            shares_end: self.log.next(),
            found: (self.clock)(),
            state: BlockState::Found,
            split: false,
            bytes: block.to_bytes(),
        })?;
        if new {
            tracing::info!(block = %id, height, round = found.base.round, "another node of the pool found a block");
        }
        Ok(true)
    }
}
