//! Judges a batch of headers in order, each seeing those placed before it as though the host knew them already.
//!
//! Never judges by itself: it shows blocks to [`Consensus::place`]. Every question is answered from the batch where it can be, and the
//! host is asked once for what the batch does not hold.

use crate::{
    BlockId, Candidate, ChainView, Consensus, HeaderView, Height, JudgedHeader, KnownBlock, Placement, Stamp, Violation,
};
use adit_primitives::engine::walk_merge_set;
use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Judges headers in order. One whose parent is unknown, or was refused before it, is refused. One answer for each.
pub fn judge<C: Consensus>(
    rules: &C,
    host: &dyn ChainView,
    candidates: &[Candidate],
) -> Vec<Result<Placement, Violation>> {
    if let [candidate] = candidates {
        return vec![judge_one(rules, host, candidate)];
    }
    let views: Vec<_> = candidates.iter().map(|candidate| rules.decode_again(&candidate.header)).collect();
    let mut batch = Batch::new(host);
    batch.fetch_parents(views.iter().flatten());
    let in_turn = |(candidate, view): (&Candidate, Result<HeaderView, Violation>)| {
        let view = view?;
        batch.check_parents(&view)?;
        let placement =
            rules.place(&batch, &JudgedHeader { header: &candidate.header, view: &view, pow: candidate.pow })?;
        batch.add(known(&view, &placement));
        Ok(placement)
    };
    candidates.iter().zip(views).map(in_turn).collect()
}

/// Judges a header by itself: the host knows its parents.
fn judge_one<C: Consensus>(rules: &C, host: &dyn ChainView, candidate: &Candidate) -> Result<Placement, Violation> {
    let view = rules.decode_again(&candidate.header)?;
    rules.place(host, &JudgedHeader { header: &candidate.header, view: &view, pow: candidate.pow })
}

/// Returns a placed block as later ones see it.
pub fn known(view: &HeaderView, placement: &Placement) -> KnownBlock {
    KnownBlock {
        id: view.id,
        parents: view.parents.clone(),
        selected_parent: placement.selected_parent,
        merge_set: placement.merge_set.clone(),
        time: view.time,
        bits: view.bits,
        height: placement.height,
        work: placement.work,
        state: placement.state.clone(),
    }
}

/// The host's blocks with those of a batch above them.
struct Batch<'a> {
    host: &'a dyn ChainView,
    placed: Vec<Placed>,
    index: BTreeMap<BlockId, usize>,
    horizon: OnceCell<Height>,
    blocks: RefCell<BTreeMap<BlockId, Option<KnownBlock>>>,
    pasts: RefCell<BTreeMap<BlockId, Past>>,
    ancestors: RefCell<BTreeMap<(BlockId, Height), Option<KnownBlock>>>,
    pairs: RefCell<BTreeMap<(BlockId, BlockId), bool>>,
}

/// A block that was placed in this batch.
struct Placed {
    block: KnownBlock,
    /// Where its run begins: from there on, each block of the batch is the selected parent of the next.
    run: usize,
    /// The blocks of the host by which its past leaves the batch.
    exits: Rc<BTreeSet<BlockId>>,
}

/// A selected chain that the host has shown, newest first.
struct Past {
    blocks: Vec<KnownBlock>,
    /// Whether the chain goes no further down.
    whole: bool,
}

impl<'a> Batch<'a> {
    fn new(host: &'a dyn ChainView) -> Self {
        Self {
            host,
            placed: Vec::new(),
            index: BTreeMap::new(),
            horizon: OnceCell::new(),
            blocks: RefCell::default(),
            pasts: RefCell::default(),
            ancestors: RefCell::default(),
            pairs: RefCell::default(),
        }
    }

    /// Asks the host in one call for all parents that the batch itself does not hold.
    fn fetch_parents<'v>(&self, views: impl Iterator<Item = &'v HeaderView> + Clone) {
        let own: BTreeSet<BlockId> = views.clone().map(|view| view.id).collect();
        let parents: BTreeSet<BlockId> =
            views.flat_map(|view| view.parents.iter().copied()).filter(|parent| !own.contains(parent)).collect();
        let parents = Vec::from_iter(parents);
        if !parents.is_empty() {
            let found = self.host.blocks(&parents);
            self.blocks.borrow_mut().extend(parents.into_iter().zip(found));
        }
    }

    fn check_parents(&self, view: &HeaderView) -> Result<(), Violation> {
        match view.parents.iter().find(|parent| !self.holds(**parent)) {
            None => Ok(()),
            Some(parent) => Err(Violation {
                rule: "parent-unknown".to_owned(),
                detail: format!("parent {parent} is neither known nor valid in this batch"),
            }),
        }
    }

    /// Tells whether a block is known, without copying it.
    fn holds(&self, id: BlockId) -> bool {
        self.index.contains_key(&id) || self.host_block(id, Option::is_some)
    }

    fn add(&mut self, block: KnownBlock) {
        let number = self.placed.len();
        let follows = number.checked_sub(1).filter(|last| block.selected_parent == Some(self.placed[*last].block.id));
        let run = follows.map_or(number, |last| self.placed[last].run);
        let exits = self.exits(&block.parents);
        self.index.insert(block.id, number);
        self.placed.push(Placed { block, run, exits });
    }

    fn exits(&self, parents: &[BlockId]) -> Rc<BTreeSet<BlockId>> {
        if let [parent] = parents
            && let Some(number) = self.index.get(parent)
        {
            return Rc::clone(&self.placed[*number].exits);
        }
        let mut exits = BTreeSet::new();
        for parent in parents {
            match self.index.get(parent) {
                Some(number) => exits.extend(self.placed[*number].exits.iter().copied()),
                None => _ = exits.insert(*parent),
            }
        }
        Rc::new(exits)
    }

    fn host_block<T>(&self, id: BlockId, read: impl FnOnce(&Option<KnownBlock>) -> T) -> T {
        read(self.blocks.borrow_mut().entry(id).or_insert_with(|| self.host.block(id)))
    }

    /// Appends the host's selected chain from `tip` down.
    fn extend_from_host(&self, tip: BlockId, count: usize, out: &mut Vec<KnownBlock>) {
        let mut pasts = self.pasts.borrow_mut();
        let past = pasts.entry(tip).or_insert(Past { blocks: Vec::new(), whole: false });
        if past.blocks.len() < count && !past.whole {
            past.blocks = self.host.selected_past(tip, u32::try_from(count).unwrap_or(u32::MAX));
            past.whole = past.blocks.len() < count;
        }
        out.extend(past.blocks.iter().take(count).cloned());
    }

    fn host_ancestor(&self, from: BlockId, height: Height) -> Option<KnownBlock> {
        let mut ancestors = self.ancestors.borrow_mut();
        ancestors.entry((from, height)).or_insert_with(|| self.host.selected_ancestor(from, height)).clone()
    }

    fn host_is_ancestor(&self, ancestor: BlockId, descendant: BlockId) -> bool {
        let mut pairs = self.pairs.borrow_mut();
        *pairs.entry((ancestor, descendant)).or_insert_with(|| self.host.is_ancestor(ancestor, descendant))
    }

    /// Tells whether a block of the batch is in the past of a later one. Parents stand before their children, so the walk stays between the two.
    fn reaches(&self, ancestor: usize, descendant: usize) -> bool {
        let mut left = BTreeSet::from([descendant]);
        while let Some(number) = left.pop_last() {
            if number == ancestor {
                return true;
            }
            let Placed { block, run, .. } = &self.placed[number];
            if *run <= ancestor && ancestor < number {
                return true;
            }
            let parents = block.parents.iter().filter_map(|parent| self.index.get(parent));
            left.extend(parents.filter(|parent| **parent >= ancestor));
        }
        false
    }
}

impl ChainView for Batch<'_> {
    fn horizon(&self) -> Height {
        *self.horizon.get_or_init(|| self.host.horizon())
    }

    fn block(&self, id: BlockId) -> Option<KnownBlock> {
        match self.index.get(&id) {
            Some(number) => Some(self.placed[*number].block.clone()),
            None => self.host_block(id, Option::clone),
        }
    }

    fn is_ancestor(&self, ancestor: BlockId, descendant: BlockId) -> bool {
        match (self.index.get(&ancestor), self.index.get(&descendant)) {
            (Some(ancestor), Some(descendant)) => self.reaches(*ancestor, *descendant),
            (Some(_), None) => false,
            (None, Some(descendant)) => {
                self.placed[*descendant].exits.iter().any(|exit| self.host_is_ancestor(ancestor, *exit))
            }
            (None, None) => self.host_is_ancestor(ancestor, descendant),
        }
    }

    fn merge_set(&self, selected: BlockId, parents: &[BlockId], max: u32) -> Option<Vec<Stamp>> {
        if std::iter::once(&selected).chain(parents).any(|id| self.index.contains_key(id)) {
            walk_merge_set(self, selected, parents, max)
        } else {
            self.host.merge_set(selected, parents, max)
        }
    }

    fn selected_past(&self, from: BlockId, count: u32) -> Vec<KnownBlock> {
        let count = count as usize;
        let mut past = Vec::with_capacity(count.min(self.placed.len() + 64));
        let mut next = Some(from);
        while let Some(id) = next.filter(|_| past.len() < count) {
            let Some(number) = self.index.get(&id) else {
                self.extend_from_host(id, count - past.len(), &mut past);
                break;
            };
            let block = &self.placed[*number].block;
            next = block.selected_parent;
            past.push(block.clone());
        }
        past
    }

    fn selected_ancestor(&self, from: BlockId, height: Height) -> Option<KnownBlock> {
        let mut from = from;
        while let Some(number) = self.index.get(&from) {
            let run = &self.placed[self.placed[*number].run..=*number];
            let not_above = run.partition_point(|placed| placed.block.height <= height);
            match (not_above.checked_sub(1), run[0].block.selected_parent) {
                (Some(newest), _) => return Some(run[newest].block.clone()),
                (None, Some(below)) => from = below,
                (None, None) => return None,
            }
        }
        self.host_ancestor(from, height)
    }
}

#[cfg(test)]
mod tests;
