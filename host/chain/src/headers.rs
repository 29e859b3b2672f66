//! How headers are judged: decoded, hashed and placed in batches by the chain's plugins.

use crate::BlockIndex;
use adit_primitives::contract::{KnownBlock, Violation};
use adit_primitives::engine::{Fault, HashEngine, RulesEngine};
use adit_primitives::{BlockId, Height};
use std::sync::Arc;

/// A chain of headers alone, in memory: what a replay of recorded headers needs.
pub struct HeaderChain {
    _todo: (),
}

/// Why a header of a batch was not taken. Those before it were.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The header at `position` in the batch breaks a rule.
    #[error("header {position} of the batch is invalid: {violation}")]
    Invalid { position: usize, violation: Violation },
    #[error("header {position} of the batch has an unknown parent {parent}")]
    Orphan { position: usize, parent: BlockId },
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl HeaderChain {
    /// Starts at the genesis that the rules name.
    pub fn from_genesis(_rules: Arc<dyn RulesEngine>, _hash: Box<dyn HashEngine>) -> Result<Self, HeaderError> {
        todo!()
    }

    /// Starts in the middle of a chain, at a block that is taken as given. Nothing is known below it: its height is the view's horizon.
    pub fn from_anchor(_anchor: KnownBlock, _rules: Arc<dyn RulesEngine>, _hash: Box<dyn HashEngine>) -> Self {
        todo!()
    }

    /// Judges headers in order and takes them up to the first that is refused. Known headers are skipped.
    /// Returns how many of the batch were new.
    pub fn append(&mut self, _headers: &[Vec<u8>]) -> Result<usize, HeaderError> {
        todo!()
    }

    /// Returns the block with the most work.
    pub fn tip(&self) -> KnownBlock {
        todo!()
    }

    /// Returns the blocks taken so far.
    pub fn index(&self) -> &Arc<BlockIndex> {
        todo!()
    }

    /// Returns the height below which nothing is known.
    pub fn horizon(&self) -> Height {
        todo!()
    }
}
