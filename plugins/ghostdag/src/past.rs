//! What the rules know of the blocks before the one that they judge: asked of the host, and remembered as far as memory is bounded.
//!
//! A memory is a copy of facts that the host tells: an instance that has none asks, and answers the same.

use crate::notes::Notes;
use crate::violation::Rule;
use crate::window::Windows;
use adit_plugin_sdk::{BlockId, ChainView, Decode, Height, KnownBlock, MergedBlock, Stamp, Violation};
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

/// Blocks remembered.
const BLOCKS: usize = 2048;

/// Blocks of merge sets, and anticones, remembered with them.
const ROWS: usize = 1 << 17;

/// Windows remembered: those of the newest tips.
const WINDOWS: usize = 16;

/// Chain blocks asked for at once, when one is not remembered.
const CHAIN_BLOCKS: u32 = 16;

/// The most chain blocks asked for at once.
const CHAIN_BLOCKS_MAX: u32 = 1024;

/// A placed block, as the rules need it.
#[derive(Debug, Clone)]
pub struct Block {
    pub stamp: Stamp,
    pub selected_parent: Option<BlockId>,
    /// The blue blocks that it merged, its selected parent first. Empty for the genesis.
    pub blues: Vec<BlockId>,
    pub notes: Notes,
}

/// A block of a selected chain with all that it merged but its selected parent, in ascending order.
#[derive(Debug, Clone)]
pub struct ChainBlock {
    pub block: Block,
    pub merge_set: Vec<MergedBlock>,
}

/// Spreads ids over a map. They are hashes already, and who found one that meets a target cannot choose it for this as well; the order of such
/// a map is never looked at.
#[derive(Debug, Clone, Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        let last = rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
        for word in words.iter().map(|word| u64::from_le_bytes(*word)).chain([last]) {
            self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }
}

type ById<T> = HashMap<BlockId, T, BuildHasherDefault<IdHasher>>;

/// What an instance remembers.
#[derive(Default)]
pub struct Memory {
    blocks: ById<Arc<Block>>,
    /// The ids of `blocks`, oldest first.
    age: VecDeque<BlockId>,
    rows: usize,
    windows: VecDeque<(BlockId, Arc<Windows>)>,
}

/// The blocks before one that is judged.
pub struct Past<'a> {
    pub view: &'a dyn ChainView,
    pub memory: &'a mut Memory,
}

impl Block {
    /// Reads a block as the host shows it.
    fn read(known: &KnownBlock) -> Result<Self, Violation> {
        let notes = Notes::from_bytes(&known.state).map_err(|_| {
            Rule::HistoryUnknown.broken(format!("the host shows no notes on block {}: it was not placed", known.id))
        })?;
        Ok(Self::new(known.stamp(), known.selected_parent, &known.merge_set, notes))
    }

    pub fn new(stamp: Stamp, selected_parent: Option<BlockId>, merge_set: &[MergedBlock], notes: Notes) -> Self {
        let mut blues = Vec::with_capacity(notes.anticones.len());
        blues.extend(selected_parent);
        blues.extend(merge_set.iter().filter(|merged| merged.blue).map(|merged| merged.id));
        Self { stamp, selected_parent, blues, notes }
    }

    fn rows(&self) -> usize {
        self.blues.len() + self.notes.grown.len()
    }
}

impl Memory {
    /// Remembers a block, and forgets the oldest where there is no room.
    pub fn keep(&mut self, block: Arc<Block>) {
        let id = block.stamp.id;
        let rows = block.rows();
        if self.blocks.insert(id, block).is_some() {
            return;
        }
        self.age.push_back(id);
        self.rows += rows;
        while self.age.len() > BLOCKS || (self.rows > ROWS && self.age.len() > 1) {
            let oldest = self.age.pop_front().and_then(|oldest| self.blocks.remove(&oldest));
            self.rows -= oldest.map_or(0, |oldest| oldest.rows());
        }
    }

    /// Remembers the windows of a block, and forgets the oldest where there is no room.
    pub fn keep_windows(&mut self, id: BlockId, windows: Arc<Windows>) {
        if self.windows.len() == WINDOWS {
            self.windows.pop_front();
        }
        self.windows.push_back((id, windows));
    }

    /// Returns the windows of a block, where they are remembered.
    pub fn windows(&self, id: BlockId) -> Option<Arc<Windows>> {
        self.windows.iter().rev().find(|(of, _)| *of == id).map(|(_, windows)| Arc::clone(windows))
    }
}

impl Past<'_> {
    /// Returns a block of a selected chain: where it is not remembered, the host is asked for those below it too.
    pub fn block(&mut self, id: BlockId) -> Result<Arc<Block>, Violation> {
        if let Some(block) = self.memory.blocks.get(&id) {
            return Ok(Arc::clone(block));
        }
        let mut found = None;
        for known in self.view.selected_past(id, CHAIN_BLOCKS) {
            let block = Arc::new(Block::read(&known)?);
            found.get_or_insert_with(|| Arc::clone(&block));
            self.memory.keep(block);
        }
        found.ok_or_else(|| unknown(id))
    }

    /// Returns the stamps of blocks, in order.
    pub fn stamps(&self, ids: &[BlockId]) -> Result<Vec<Stamp>, Violation> {
        let remembered: Option<Vec<Stamp>> =
            ids.iter().map(|id| self.memory.blocks.get(id).map(|block| block.stamp)).collect();
        match remembered {
            Some(stamps) => Ok(stamps),
            None => {
                let shown = self.view.stamps(ids);
                std::iter::zip(ids, shown).map(|(id, stamp)| stamp.ok_or_else(|| unknown(*id))).collect()
            }
        }
    }

    /// Returns the selected chain from a block down, in pieces that grow. Each begins with the last block of the one before.
    pub fn chain(&self, from: BlockId) -> impl Iterator<Item = Result<Vec<ChainBlock>, Violation>> {
        let view = self.view;
        let mut next = Some((from, CHAIN_BLOCKS));
        std::iter::from_fn(move || {
            let (from, count) = next.take()?;
            let read = |known: KnownBlock| Ok(ChainBlock { block: Block::read(&known)?, merge_set: known.merge_set });
            let read: Result<Vec<ChainBlock>, Violation> =
                view.selected_past(from, count).into_iter().map(read).collect();
            if let Ok(blocks) = &read {
                let last = blocks.last().map(|last| &last.block).filter(|last| last.selected_parent.is_some());
                next = last.filter(|_| blocks.len() > 1).map(|last| (last.stamp.id, (2 * count).min(CHAIN_BLOCKS_MAX)));
            }
            Some(read)
        })
    }

    /// Returns the block of the selected chain of `from` that is the newest not above `height`.
    pub fn chain_at(&self, from: BlockId, height: Height) -> Result<BlockId, Violation> {
        let found = self.view.selected_ancestor(from, height);
        found.map(|known| known.id).ok_or_else(|| unknown(from))
    }
}

fn unknown(id: BlockId) -> Violation {
    Rule::HistoryUnknown.broken(format!("the host does not show block {id}"))
}
