//! The blocks in memory, as plugins and readers see them.

use adit_primitives::contract::{KnownBlock, Placement};
use adit_primitives::engine::ChainView;
use adit_primitives::{BlockId, Height};

/// Every placed block, shared between the chain that adds to it and those who read it.
#[derive(Debug)]
pub struct BlockIndex {}

/// What a block's placement and body are worth so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockStatus {
    /// The header is placed; the body has not come.
    Header,
    /// The body is kept; the ledger has not judged it.
    Body,
    /// The ledger has applied it at least once.
    Valid,
    /// It breaks a rule, or stands on a block that does.
    Invalid,
}

/// A block of the index, for display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexedBlock {
    pub known: KnownBlock,
    pub placement: Placement,
    pub status: BlockStatus,
    /// Whether it lies on the selected chain.
    pub selected: bool,
}

impl ChainView for BlockIndex {
    fn horizon(&self) -> Height {
        todo!()
    }
    fn block(&self, _id: BlockId) -> Option<KnownBlock> {
        todo!()
    }
    fn is_ancestor(&self, _ancestor: BlockId, _descendant: BlockId) -> bool {
        todo!()
    }
    fn selected_past(&self, _from: BlockId, _count: u32) -> Vec<KnownBlock> {
        todo!()
    }
    fn selected_ancestor(&self, _from: BlockId, _height: Height) -> Option<KnownBlock> {
        todo!()
    }
}
