//! What a consensus plugin sees of the chain while it is being asked.

use crate::fault::Refusal;
use crate::limits::Limits;
use adit_primitives::contract::{read_rows, rows};
use adit_primitives::engine::SharedView;
use adit_primitives::{BlockId, Encode, Height};
use std::fmt;

/// How many blocks are asked for at once: no more than these are copied before their bytes are counted.
const PIECE: u16 = 16;

/// A window on the chain, open for one call and with a bound on what may be read through it.
///
/// Blocks are counted before they are looked up and bytes while they are collected, each time that a block is asked for: a plugin that
/// names one large block again and again comes to its bounds before the host comes to those of its memory.
pub(crate) struct Window {
    view: Option<SharedView>,
    blocks_left: u64,
    blocks_max: u64,
    bytes_left: u64,
    bytes_max: u64,
    answer_bytes_max: usize,
    rows_max: usize,
}

impl Window {
    /// Shows nothing: for calls that are about no place in the chain.
    pub fn closed(limits: &Limits) -> Self {
        Self {
            view: None,
            blocks_left: limits.view_blocks_max,
            blocks_max: limits.view_blocks_max,
            bytes_left: limits.view_bytes_max,
            bytes_max: limits.view_bytes_max,
            answer_bytes_max: limits.answer_bytes_max,
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
        let view = self.look(ids.len())?;
        let mut answer = Rows::new();
        for piece in ids.chunks(PIECE.into()) {
            self.append(&mut answer, &view.blocks(piece))?;
        }
        Ok(answer.finish())
    }

    pub fn stamps(&mut self, ids: &[u8]) -> Result<Vec<u8>, Refusal> {
        let ids = ids_of("stamps", ids)?;
        let stamps = self.look(ids.len())?.stamps(&ids);
        self.charged(rows(&stamps))
    }

    pub fn ancestry(&mut self, ancestors: &[u8], descendants: &[u8]) -> Result<Vec<u8>, Refusal> {
        let (ancestors, descendants) = (ids_of("ancestry", ancestors)?, ids_of("ancestry", descendants)?);
        let view = self.pay(ancestors.len().saturating_mul(descendants.len()))?;
        self.charged(view.ancestry(&ancestors, &descendants).into_iter().map(u8::from).collect())
    }

    pub fn merge_set(&mut self, selected: BlockId, parents: &[u8], max: u32) -> Result<Vec<u8>, Refusal> {
        let parents = ids_of("merge-set", parents)?;
        // The walk looks at what it finds, and at the parents of that.
        let rows = (max as usize).saturating_add(parents.len());
        let merged = self.look(rows)?.merge_set(selected, &parents, max);
        self.charged(merged.to_bytes())
    }

    pub fn selected_past(&mut self, tip: BlockId, count: u32) -> Result<Vec<u8>, Refusal> {
        let view = self.look(count as usize)?;
        let mut answer = Rows::new();
        let mut next = Some(tip);
        while let Some(from) = next.filter(|_| answer.count < count) {
            let piece = (count - answer.count).min(PIECE.into());
            let mut blocks = view.selected_past(from, piece);
            blocks.truncate(piece as usize);
            // A piece that is not full ends where the view does.
            next = blocks.last().filter(|_| blocks.len() == piece as usize).and_then(|last| last.selected_parent);
            self.append(&mut answer, &blocks)?;
        }
        Ok(answer.finish())
    }

    pub fn selected_ancestor(&mut self, tip: BlockId, height: u64) -> Result<Vec<u8>, Refusal> {
        let found = self.look(1)?.selected_ancestor(tip, Height(height));
        self.charged(found.to_bytes())
    }

    /// Pays for `rows` blocks out of the call's allowance.
    fn look(&mut self, rows: usize) -> Result<SharedView, Refusal> {
        if rows > self.rows_max {
            return Err(Refusal::Rows { rows, max: self.rows_max });
        }
        self.pay(rows)
    }

    /// The same where an answer takes a byte for each.
    fn pay(&mut self, rows: usize) -> Result<SharedView, Refusal> {
        let blocks = u64::try_from(rows).unwrap_or(u64::MAX);
        self.blocks_left = self.blocks_left.checked_sub(blocks).ok_or(Refusal::Blocks { max: self.blocks_max })?;
        self.view.clone().ok_or(Refusal::NoView)
    }

    /// Appends rows to an answer while the allowance lasts.
    fn append<T: Encode>(&mut self, answer: &mut Rows, rows: &[T]) -> Result<(), Refusal> {
        for row in rows {
            let before = answer.bytes.len();
            answer.push(row);
            self.charge(answer.bytes.len() - before)?;
            if answer.bytes.len() > self.answer_bytes_max {
                return Err(Refusal::Answer { max: self.answer_bytes_max });
            }
        }
        Ok(())
    }

    /// Charges for an answer whose rows are short.
    fn charged(&mut self, answer: Vec<u8>) -> Result<Vec<u8>, Refusal> {
        self.charge(answer.len())?;
        Ok(answer)
    }

    /// Pays for bytes out of the call's allowance.
    fn charge(&mut self, bytes: usize) -> Result<(), Refusal> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.bytes_left = self.bytes_left.checked_sub(bytes).ok_or(Refusal::Bytes { max: self.bytes_max })?;
        Ok(())
    }
}

/// A canonical list in the making.
struct Rows {
    /// The length, written last, and the rows.
    bytes: Vec<u8>,
    count: u32,
}

impl Rows {
    fn new() -> Self {
        Self { bytes: vec![0; size_of::<u32>()], count: 0 }
    }

    fn push<T: Encode>(&mut self, row: &T) {
        row.encode(&mut self.bytes);
        self.count += 1;
    }

    fn finish(mut self) -> Vec<u8> {
        self.bytes[..size_of::<u32>()].copy_from_slice(&self.count.to_le_bytes());
        self.bytes
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
            .field("bytes_left", &self.bytes_left)
            .finish_non_exhaustive()
    }
}
