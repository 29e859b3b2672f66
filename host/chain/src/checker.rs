//! What can be said of a block before its place in the chain matters: on any thread, many at once.
//!
//! Sizes, the header's form, the body's root, the digest of the proof of work: nothing here depends on other blocks, so the chain's owner is
//! left with placing blocks in order. Whether the digest meets the target is for the rules, which judge it with the header's place.

use crate::headers::Judge;
use crate::index::BlockStatus;
use crate::{Block, BlockError, BlockIndex, LedgerRules};
use adit_primitives::contract::{HeaderView, Violation};
use adit_primitives::engine::{HashEngine, RulesEngine};
use adit_primitives::{BlockId, Hash256};
use std::sync::Arc;

/// Checks blocks one after another. Several may work beside each other.
pub struct Checker {
    judge: Judge,
    index: Arc<BlockIndex>,
    ledger: LedgerRules,
}

/// A block of which all that it shows by itself is in order.
#[derive(Debug, Clone)]
pub struct Checked {
    pub(crate) block: Block,
    pub(crate) view: HeaderView,
    pub(crate) pow: Hash256,
}

impl Checked {
    /// Returns the block's id.
    pub fn id(&self) -> BlockId {
        self.view.id
    }

    /// Returns how many payments the block holds.
    pub fn payments(&self) -> usize {
        self.block.body.len().saturating_sub(1)
    }
}

impl Checker {
    pub(crate) fn new(
        rules: Arc<dyn RulesEngine>,
        hash: Box<dyn HashEngine>,
        index: Arc<BlockIndex>,
        ledger: LedgerRules,
    ) -> Self {
        Self { judge: Judge::new(rules, hash), index, ledger }
    }

    /// Checks a block. One that is known, or known as invalid, is not hashed again.
    pub fn check(&mut self, block: Block) -> Result<Checked, BlockError> {
        check_block(&mut self.judge, &self.index, &self.ledger, block)
    }
}

/// Checks a block by these plugins.
pub(crate) fn check_block(
    judge: &mut Judge,
    index: &BlockIndex,
    ledger: &LedgerRules,
    block: Block,
) -> Result<Checked, BlockError> {
    check_size(&block, ledger)?;
    let view = judge.decode_one(&block.header)?.map_err(|violation| BlockError::Invalid { id: None, violation })?;
    check_unknown(index, view.id)?;
    check_root(&block, &view)?;
    let pow = judge.digest_of(&view)?;
    Ok(Checked { block, view, pow })
}

/// Refuses a block whose body is kept, or which is invalid.
pub(crate) fn check_unknown(index: &BlockIndex, id: BlockId) -> Result<(), BlockError> {
    match index.status(id) {
        None | Some(BlockStatus::Header) => Ok(()),
        Some(BlockStatus::Invalid) => {
            let violation = index.violation(id).unwrap_or_else(crate::headers::second_genesis);
            Err(BlockError::KnownInvalid { id, violation })
        }
        Some(BlockStatus::Body | BlockStatus::Valid) => Err(BlockError::Known { id }),
    }
}

fn check_size(block: &Block, ledger: &LedgerRules) -> Result<(), BlockError> {
    let (header, bytes) = (block.header.len(), block.size());
    if header <= ledger.header_bytes_max && bytes <= ledger.block_bytes_max {
        return Ok(());
    }
    let detail = format!(
        "{header} bytes of header and {bytes} in all, {} and {} are allowed",
        ledger.header_bytes_max, ledger.block_bytes_max
    );
    Err(BlockError::Invalid { id: None, violation: block_size(detail) })
}

/// Says that a block, or its header, has too many bytes.
pub(crate) fn block_size(detail: String) -> Violation {
    Violation { rule: "block-size".to_owned(), detail }
}

fn check_root(block: &Block, view: &HeaderView) -> Result<(), BlockError> {
    let detail = match block.body_root() {
        Ok(root) if root == view.body_root => return Ok(()),
        Ok(root) => format!("the body's root is {root}, the header commits to {}", view.body_root),
        Err(error) => error.to_string(),
    };
    // Another body may be the right one: nothing is said of the block whose header this is.
    Err(BlockError::Invalid { id: None, violation: Violation { rule: "body-root".to_owned(), detail } })
}
