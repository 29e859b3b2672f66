//! What a consensus plugin sees of the chain while it is being asked.

use crate::fault::Refusal;
use crate::limits::Limits;
use adit_primitives::contract::{read_rows, rows};
use adit_primitives::engine::SharedView;
use adit_primitives::{BlockId, Encode, Height};
use std::fmt;

/// A window on the chain, open for one call and with a bound on what may be read through it.
pub(crate) struct Window {
    view: Option<SharedView>,
    blocks_left: u64,
    blocks_max: u64,
    rows_max: usize,
}

const ID_BYTES: usize = 32;

impl Window {
    /// Shows nothing: for calls that are about no place in the chain.
    pub fn closed(limits: &Limits) -> Self {
        Self {
            view: None,
            blocks_left: limits.view_blocks_max,
            blocks_max: limits.view_blocks_max,
            rows_max: limits.rows_max,
        }
    }

    /// Shows `view`.
    pub fn open(limits: &Limits, view: SharedView) -> Self {
        Self { view: Some(view), ..Self::closed(limits) }
    }

    pub fn horizon(&mut self) -> Result<u64, Refusal> {
        Ok(self.look(0)?.horizon().0)
    }

    pub fn blocks(&mut self, ids: &[u8]) -> Result<Vec<u8>, Refusal> {
        let ids: Vec<BlockId> =
            read_rows(ids).map_err(|error| Refusal::Question { detail: format!("blocks: {error}") })?;
        Ok(rows(&self.look(ids.len())?.blocks(&ids)))
    }

    pub fn is_ancestor_many(&mut self, pairs: &[u8]) -> Result<Vec<u8>, Refusal> {
        let (pairs, left) = pairs.as_chunks::<{ 2 * ID_BYTES }>();
        if !left.is_empty() {
            return Err(Refusal::Question { detail: format!("is-ancestor-many: {} bytes are left over", left.len()) });
        }
        let view = self.look(pairs.len())?;
        let id = |bytes: &[u8]| BlockId(bytes.try_into().expect("half a pair has the length of an id"));
        Ok(pairs
            .iter()
            .map(|pair| pair.split_at(ID_BYTES))
            .map(|(ancestor, descendant)| u8::from(view.is_ancestor(id(ancestor), id(descendant))))
            .collect())
    }

    pub fn selected_past(&mut self, tip: BlockId, count: u32) -> Result<Vec<u8>, Refusal> {
        let mut blocks = self.look(count as usize)?.selected_past(tip, count);
        blocks.truncate(count as usize);
        Ok(rows(&blocks))
    }

    pub fn selected_ancestor(&mut self, tip: BlockId, height: u64) -> Result<Vec<u8>, Refusal> {
        Ok(self.look(1)?.selected_ancestor(tip, Height(height)).to_bytes())
    }

    /// Pays for `rows` blocks out of the call's allowance.
    fn look(&mut self, rows: usize) -> Result<&SharedView, Refusal> {
        if rows > self.rows_max {
            return Err(Refusal::Rows { rows, max: self.rows_max });
        }
        let blocks = u64::try_from(rows).unwrap_or(u64::MAX);
        self.blocks_left = self.blocks_left.checked_sub(blocks).ok_or(Refusal::Blocks { max: self.blocks_max })?;
        self.view.as_ref().ok_or(Refusal::NoView)
    }
}

impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Window")
            .field("open", &self.view.is_some())
            .field("blocks_left", &self.blocks_left)
            .finish_non_exhaustive()
    }
}
