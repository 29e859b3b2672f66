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
        let ids = ids_of("blocks", ids)?;
        Ok(rows(&self.look(ids.len())?.blocks(&ids)))
    }

    pub fn stamps(&mut self, ids: &[u8]) -> Result<Vec<u8>, Refusal> {
        let ids = ids_of("stamps", ids)?;
        Ok(rows(&self.look(ids.len())?.stamps(&ids)))
    }

    pub fn ancestry(&mut self, ancestors: &[u8], descendants: &[u8]) -> Result<Vec<u8>, Refusal> {
        let (ancestors, descendants) = (ids_of("ancestry", ancestors)?, ids_of("ancestry", descendants)?);
        let view = self.pay(ancestors.len().saturating_mul(descendants.len()))?;
        Ok(view.ancestry(&ancestors, &descendants).into_iter().map(u8::from).collect())
    }

    pub fn merge_set(&mut self, selected: BlockId, parents: &[u8], max: u32) -> Result<Vec<u8>, Refusal> {
        let parents = ids_of("merge-set", parents)?;
        // The walk looks at what it finds, and at the parents of that.
        let rows = (max as usize).saturating_add(parents.len());
        Ok(self.look(rows)?.merge_set(selected, &parents, max).to_bytes())
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
        self.pay(rows)
    }

    /// The same where an answer takes a byte for each.
    fn pay(&mut self, rows: usize) -> Result<&SharedView, Refusal> {
        let blocks = u64::try_from(rows).unwrap_or(u64::MAX);
        self.blocks_left = self.blocks_left.checked_sub(blocks).ok_or(Refusal::Blocks { max: self.blocks_max })?;
        self.view.as_ref().ok_or(Refusal::NoView)
    }
}

fn ids_of(question: &str, packed: &[u8]) -> Result<Vec<BlockId>, Refusal> {
    read_rows(packed).map_err(|error| Refusal::Question { detail: format!("{question}: {error}") })
}

impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Window")
            .field("open", &self.view.is_some())
            .field("blocks_left", &self.blocks_left)
            .finish_non_exhaustive()
    }
}
