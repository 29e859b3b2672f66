//! What is judged again: which headers of a batch, and before which blocks.
//!
//! One instance judges a batch, for starting one takes longer than judging a header. What it remembers of earlier headers must not show
//! in its verdicts, so instances that have seen nothing judge a [`Sample`] of them again. Nothing here asks a plugin: `consensus` does.

use adit_primitives::contract::{HeaderView, KnownBlock, Placement, Violation};
use adit_primitives::engine::{ChainView, SharedView};
use adit_primitives::{BlockId, Encode, Hash256, Height};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// One of so many headers is judged again.
const ONE_IN: usize = 256;

/// The numbers of the headers that are judged again.
#[derive(Debug)]
pub(crate) struct Sample(BTreeSet<usize>);

impl Sample {
    /// Chooses among `count` headers from number `first` on: one of each 256, at least one where there is any.
    ///
    /// The choice follows from the batch's bytes, so that it is the same in each run, and nobody knows it before every proof of work of
    /// the batch is done; and from the plugin's digest, which the plugin itself does not know.
    pub fn of(plugin: Hash256, packed: &[u8], first: usize, count: usize) -> Self {
        let mut choice = blake3::Hasher::new_keyed(&plugin.0).update(packed).finalize_xof();
        let choose = |begin: usize| {
            let mut random = [0; 8];
            choice.fill(&mut random);
            let among = u64::try_from(ONE_IN.min(count - begin)).expect("at most 256");
            begin + usize::try_from(u64::from_le_bytes(random) % among).expect("less than 256")
        };
        Self((first..count).step_by(ONE_IN).map(choose).collect())
    }

    pub fn holds(&self, number: usize) -> bool {
        self.0.contains(&number)
    }

    /// Tells whether any header before number `count` is in the sample.
    pub fn begins_before(&self, count: usize) -> bool {
        self.0.first().is_some_and(|first| *first < count)
    }
}

/// Tells whether two answers are one verdict. A violation's detail is prose, which may speak of the batch: its rule is the verdict.
pub(crate) fn agree(one: &Result<Placement, Violation>, other: &Result<Placement, Violation>) -> bool {
    match (one, other) {
        (Err(one), Err(other)) => one.rule == other.rule,
        _ => one == other,
    }
}

/// Says in a line what an answer is. Answers that differ anywhere are said differently.
pub(crate) fn said(answer: &Result<Placement, Violation>) -> String {
    match answer {
        Err(Violation { rule, detail }) => format!("\"{rule}: {detail}\""),
        Ok(placement) => format!(
            "valid (height {}, {} merged, {} bytes of notes, digest {})",
            placement.height.0,
            placement.merge_set.len(),
            placement.state.len(),
            blake3::hash(&placement.to_bytes()).to_hex().split_at(16).0,
        ),
    }
}

/// Blocks of a batch in the order in which they were placed.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    blocks: Vec<KnownBlock>,
    numbers: HashMap<BlockId, usize>,
}

impl Batch {
    /// Takes in the blocks that were placed. The first of two with one id stays.
    pub fn of(placed: impl IntoIterator<Item = (HeaderView, Placement)>) -> Self {
        let blocks: Vec<KnownBlock> = placed.into_iter().map(|(view, placement)| known(view, placement)).collect();
        let numbers = blocks.iter().enumerate().rev().map(|(number, block)| (block.id, number)).collect();
        Self { blocks, numbers }
    }

    /// Returns `id`'s number if it is less than `before`. On a chain the last one before is the one.
    fn number(&self, id: BlockId, before: usize) -> Option<usize> {
        let last = before.checked_sub(1);
        let last = last.filter(|last| self.blocks[*last].id == id && self.numbers.len() == self.blocks.len());
        last.or_else(|| self.numbers.get(&id).copied().filter(|number| *number < before))
    }
}

fn known(view: HeaderView, placement: Placement) -> KnownBlock {
    KnownBlock {
        id: view.id,
        parents: view.parents,
        selected_parent: placement.selected_parent,
        merge_set: placement.merge_set,
        time: view.time,
        bits: view.bits,
        height: placement.height,
        work: placement.work,
        state: placement.state,
    }
}

/// The chain with the first blocks of a batch above it: what a later header of the batch stands on.
pub(crate) struct Above {
    pub chain: SharedView,
    pub batch: Arc<Batch>,
    /// How many blocks of the batch are shown.
    pub shown: usize,
}

impl Above {
    fn number(&self, id: BlockId) -> Option<usize> {
        self.batch.number(id, self.shown)
    }
}

impl ChainView for Above {
    fn horizon(&self) -> Height {
        self.chain.horizon()
    }

    fn block(&self, id: BlockId) -> Option<KnownBlock> {
        match self.number(id) {
            Some(number) => Some(self.batch.blocks[number].clone()),
            None => self.chain.block(id),
        }
    }

    fn is_ancestor(&self, ancestor: BlockId, descendant: BlockId) -> bool {
        let mut seen = BTreeSet::new();
        let mut open = vec![descendant];
        while let Some(id) = open.pop() {
            match self.number(id) {
                _ if !seen.insert(id) => (),
                Some(_) if id == ancestor => return true,
                Some(number) => open.extend(&self.batch.blocks[number].parents),
                None if self.chain.is_ancestor(ancestor, id) => return true,
                None => (),
            }
        }
        false
    }

    fn selected_past(&self, from: BlockId, count: u32) -> Vec<KnownBlock> {
        let mut past = Vec::new();
        let (mut next, mut before) = (Some(from), self.shown);
        for left in (1..=count).rev() {
            let Some(id) = next else { break };
            let Some(number) = self.batch.number(id, before) else {
                past.extend(self.chain.selected_past(id, left));
                break;
            };
            let block = &self.batch.blocks[number];
            (next, before) = (block.selected_parent, number);
            past.push(block.clone());
        }
        past
    }

    fn selected_ancestor(&self, from: BlockId, height: Height) -> Option<KnownBlock> {
        let (mut at, mut before) = (from, self.shown);
        while let Some(number) = self.batch.number(at, before) {
            let block = &self.batch.blocks[number];
            if block.height <= height {
                return Some(block.clone());
            }
            (at, before) = (block.selected_parent?, number);
        }
        self.chain.selected_ancestor(at, height)
    }
}

#[cfg(test)]
mod tests;
