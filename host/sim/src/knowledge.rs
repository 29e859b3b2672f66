//! Which blocks one node knows, and which tip it has selected: fork choice as `adit_chain` does it, over the shared [`Tree`].

use crate::transaction::{Numbers, Source};
use crate::tree::{GENESIS, Tree};
use adit_network::wire::Locator;
use adit_network::{BlockState, Facts, Tip};
use adit_primitives::{BlockId, Height, TxId, Work};
use std::collections::{BTreeSet, VecDeque};

/// Blocks without their parents that a node keeps.
const WAITING_MAX: usize = 256;
/// Tips that a node shows to its rules and to its peers, as nodes do.
const TIPS_MAX: usize = 64;
/// Tips beside the selected one that a locator names.
const LOCATOR_TIPS_MAX: usize = 16;
/// Ids of a locator that follow one by one before the steps double.
const LOCATOR_DENSE: usize = 10;

/// See the module.
#[derive(Debug)]
pub struct Knowledge {
    /// By the number of the block.
    stages: Vec<Stage>,
    tip: u32,
    /// The best header, with or without its body.
    best: u32,
    /// Whole blocks that no whole block stands on, in the order in which they came.
    tips: Vec<u32>,
    /// Headers without bodies.
    lacking: BTreeSet<u32>,
    /// Whole blocks some parent of which is not whole.
    waiting: VecDeque<u32>,
    pub transactions: Numbers,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    #[default]
    Unknown,
    Header,
    Whole,
}

/// A node changed its mind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reorg {
    /// Blocks of the selected chain that were given up.
    pub depth: u32,
    /// The lowest of them.
    pub lowest: u32,
}

/// What came of a block.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    /// These blocks are whole now: the block itself, then what waited for it. With what it did to the selected chain.
    Whole {
        blocks: Vec<u32>,
        reorg: Option<Reorg>,
    },
    Known,
    /// It waits for these.
    Orphan {
        missing: Vec<u32>,
    },
}

/// What came of headers.
#[derive(Debug, PartialEq, Eq)]
pub enum Placed {
    New,
    Known,
    Orphan { missing: Vec<u32> },
}

impl Knowledge {
    /// Starts with the genesis alone.
    pub fn new() -> Self {
        Self {
            stages: vec![Stage::Whole],
            tip: GENESIS,
            best: GENESIS,
            tips: vec![GENESIS],
            lacking: BTreeSet::new(),
            waiting: VecDeque::new(),
            transactions: Numbers::default(),
        }
    }

    fn stage(&self, block: u32) -> Stage {
        self.stages.get(block as usize).copied().unwrap_or_default()
    }

    fn set(&mut self, block: u32, stage: Stage) {
        let place = block as usize;
        if self.stages.len() <= place {
            self.stages.resize(place + 1, Stage::Unknown);
        }
        self.stages[place] = stage;
    }

    /// Returns the selected tip.
    pub fn tip(&self) -> u32 {
        self.tip
    }

    /// Tells whether a block is here with its body.
    pub fn is_whole(&self, block: u32) -> bool {
        self.stage(block) == Stage::Whole
    }

    /// Tells whether a block's header is placed.
    pub fn is_placed(&self, block: u32) -> bool {
        self.stage(block) != Stage::Unknown
    }

    /// Takes a valid header.
    pub fn place(&mut self, tree: &Tree, block: u32) -> Placed {
        if self.is_placed(block) {
            return Placed::Known;
        }
        let missing = self.missing(tree, block, |stage| stage != Stage::Unknown);
        if !missing.is_empty() {
            return Placed::Orphan { missing };
        }
        self.set(block, Stage::Header);
        self.lacking.insert(block);
        if tree.beats(block, self.best) {
            self.best = block;
        }
        Placed::New
    }

    /// Takes a valid block with its body.
    pub fn take(&mut self, tree: &Tree, block: u32) -> Taken {
        if self.is_whole(block) || self.waiting.contains(&block) {
            return Taken::Known;
        }
        let missing = self.missing(tree, block, |stage| stage == Stage::Whole);
        if !missing.is_empty() {
            if self.waiting.len() >= WAITING_MAX {
                self.waiting.pop_front();
            }
            self.waiting.push_back(block);
            return Taken::Orphan { missing };
        }
        let before = self.tip;
        let mut blocks = vec![block];
        self.complete(tree, block);
        while let Some(next) = self.next_waiting(tree) {
            self.complete(tree, next);
            blocks.push(next);
        }
        Taken::Whole { blocks, reorg: self.reorg(tree, before) }
    }

    fn missing(&self, tree: &Tree, block: u32, enough: impl Fn(Stage) -> bool) -> Vec<u32> {
        let parents = tree.block(block).parents.iter().copied();
        parents.filter(|parent| !enough(self.stage(*parent))).collect()
    }

    fn next_waiting(&mut self, tree: &Tree) -> Option<u32> {
        let ready = |block: &u32| tree.block(*block).parents.iter().all(|parent| self.is_whole(*parent));
        let place = self.waiting.iter().position(ready)?;
        self.waiting.remove(place)
    }

    fn complete(&mut self, tree: &Tree, block: u32) {
        self.set(block, Stage::Whole);
        self.lacking.remove(&block);
        let parents = &tree.block(block).parents;
        self.tips.retain(|tip| !parents.contains(tip));
        self.tips.push(block);
        if self.tips.len() > 2 * TIPS_MAX {
            // Old branches that lost.
            self.tips.retain(|tip| *tip != self.tip);
            self.tips.drain(..TIPS_MAX);
            self.tips.push(self.tip);
        }
        if tree.beats(block, self.best) {
            self.best = block;
        }
        if tree.beats(block, self.tip) {
            self.tip = block;
        }
    }

    fn reorg(&self, tree: &Tree, before: u32) -> Option<Reorg> {
        if self.tip == before || tree.block(self.tip).selected_parent == before {
            return None;
        }
        let (mut depth, mut lowest, mut at) = (0, before, before);
        // The selected chains of both meet where they have one block of a height.
        while tree.selected_ancestor(self.tip, tree.block(at).height) != at {
            depth += 1;
            lowest = at;
            at = tree.block(at).selected_parent;
        }
        (depth > 0).then_some(Reorg { depth, lowest })
    }

    /// Returns the tips that a miner's rules are shown, the selected one first.
    pub fn mining_tips(&self, tree: &Tree) -> Vec<u32> {
        let mut tips = self.tips.clone();
        // Of equal ones the first seen: the sort is stable.
        tips.sort_by(|one, other| {
            let rank = |number: u32| (tree.block(number).work, tree.block(number).tie);
            rank(*other).cmp(&rank(*one))
        });
        tips.retain(|tip| *tip != self.tip);
        tips.insert(0, self.tip);
        tips.truncate(TIPS_MAX);
        tips
    }

    /// Goes through the transactions that are known and in no block of the selected tip's past, the oldest first.
    pub fn waiting_transactions(&self, tree: &Tree) -> impl Iterator<Item = u64> {
        self.transactions.iter().filter(|number| !tree.confirmed(*number, self.tip))
    }

    /// Returns headers that whoever sent a locator lacks, parents before children, at most `max` of `bytes_max`, and whether there are more.
    pub fn lacked_by(&self, tree: &Tree, locator: &Locator, max: usize, bytes_max: usize) -> (Vec<u32>, bool) {
        let known = locator.blocks.iter().chain(&locator.tips).filter_map(|id| tree.number(id));
        let mut known: Vec<u32> = known.filter(|block| self.is_placed(*block)).collect();
        known.sort_unstable();
        known.dedup();
        let mut lacked = BTreeSet::new();
        let mut open: Vec<u32> = self.tips.clone();
        while let Some(block) = open.pop() {
            let is_known = known.iter().rev().any(|known| tree.is_ancestor(block, *known));
            if block != GENESIS && !is_known && lacked.insert(block) {
                open.extend(&tree.block(block).parents);
            }
        }
        let (mut page, mut bytes, all) = (Vec::new(), 0, lacked.len());
        for block in lacked {
            bytes += tree.block(block).header.len();
            if page.len() >= max || (bytes > bytes_max && !page.is_empty()) {
                break;
            }
            page.push(block);
        }
        let more = page.len() < all;
        (page, more)
    }
}

/// What a machine asks of its node.
pub struct NodeFacts<'a> {
    pub tree: &'a Tree,
    pub knowledge: &'a Knowledge,
    pub transactions: Option<&'a Source>,
}

impl NodeFacts<'_> {
    fn told(&self, block: u32) -> Tip {
        let block = self.tree.block(block);
        Tip { id: block.id, work: block.work, height: block.height }
    }
}

impl Facts for NodeFacts<'_> {
    fn block(&self, id: &BlockId) -> BlockState {
        match self.tree.number(id).map(|number| self.knowledge.stage(number)) {
            None | Some(Stage::Unknown) => BlockState::Unknown,
            Some(Stage::Header) => BlockState::Header,
            Some(Stage::Whole) => BlockState::Whole,
        }
    }

    fn work(&self, id: &BlockId) -> Option<Work> {
        let number = self.tree.number(id).filter(|number| self.knowledge.is_placed(*number))?;
        Some(self.tree.block(number).work)
    }

    fn tip(&self) -> Tip {
        self.told(self.knowledge.tip)
    }

    fn best_header(&self) -> Tip {
        self.told(self.knowledge.best)
    }

    fn locator(&self) -> Locator {
        let (mut blocks, mut at, mut step) = (Vec::new(), self.knowledge.best, 1_u64);
        loop {
            blocks.push(self.tree.block(at).id);
            let height = self.tree.block(at).height.0;
            if at == GENESIS {
                break;
            }
            if blocks.len() < LOCATOR_DENSE {
                at = self.tree.block(at).selected_parent;
            } else {
                step *= 2;
                at = self.tree.selected_ancestor(at, Height(height.saturating_sub(step)));
            }
        }
        let tips = self.knowledge.mining_tips(self.tree).into_iter().take(LOCATOR_TIPS_MAX);
        Locator { blocks, tips: tips.map(|tip| self.tree.block(tip).id).collect() }
    }

    fn lacking(&self, max: usize, out: &mut Vec<BlockId>) {
        let best = self.knowledge.best;
        let on_the_way = self.knowledge.lacking.iter().filter(|block| self.tree.is_ancestor(**block, best));
        out.extend(on_the_way.take(max).map(|block| self.tree.block(*block).id));
    }

    fn transaction(&self, id: &TxId) -> bool {
        let number = self.transactions.and_then(|source| source.number_of(id));
        number.is_some_and(|number| self.knowledge.transactions.contains(number))
    }
}
