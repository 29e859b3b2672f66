//! What one node has and another lacks, in the order in which it can be taken.
//!
//! The selected chain is a list of groups: what a block of it merges, oldest first, then the block itself. A whole group leads from one block
//! of the chain to the next, so pages hold whole groups. Chains without merges are the case of groups of one.

use super::{BlockIndex, BlockStatus, Dag, Place};
use adit_primitives::{BlockId, Height};
use std::collections::BTreeSet;

/// Ids of a locator that are followed one by one before the steps double.
const LOCATOR_DENSE: usize = 10;

/// The most ids of a peer that are looked at. What is in the past of others costs next to nothing.
const KNOWN_MAX: usize = 256;

/// Of them, the most that are not in the past of others.
const NEWEST_MAX: usize = 64;

/// The most tips beside the selected one that are told of.
const BESIDE_MAX: usize = 64;

/// The most blocks that are told of with a tip beside the selected one: more than chains let one block merge.
const BESIDE_MERGED_MAX: usize = 1000;

/// How far below what both have in common a tip may stand and still be told of: older ones are branches that lost.
const BESIDE_DEPTH: u64 = 1000;

/// Blocks that a peer lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lacked {
    /// Groups of the selected chain: each ends with a block of it.
    pub(crate) chain: Vec<Vec<BlockId>>,
    /// Whether the last group ends with the selected tip.
    pub(crate) whole: bool,
    /// Where the chain is whole: groups that the selected tip does not have in its past, each of which ends with a tip. Best first.
    pub(crate) beside: Vec<Vec<BlockId>>,
}

impl BlockIndex {
    /// Returns ids back from a block along selected parents: ten one by one, then with doubled steps, the root last. Nothing for an unknown block.
    pub(crate) fn locator(&self, from: BlockId) -> Vec<BlockId> {
        let dag = self.read();
        dag.place(from).map_or_else(Vec::new, |from| dag.locator(from))
    }

    /// Returns what a peer lacks that has these blocks and their pasts: about `max` blocks, and always a whole group where it lacks any. With
    /// `beside`, blocks that the selected tip has not merged are among them.
    pub(crate) fn lacked_by(&self, known: &[BlockId], beside: bool, max: usize) -> Lacked {
        let dag = self.read();
        let known = dag.newest(known.iter().take(KNOWN_MAX).filter_map(|id| dag.place(*id)));
        let common = known.iter().map(|place| dag.depth_in_past(*place)).max().unwrap_or(0);
        let (mut chain, mut blocks) = (Vec::new(), 0);
        let mut above = dag.selected[common + 1..].iter();
        for place in above.by_ref() {
            let group = dag.group(*place, &known);
            blocks += group.len();
            chain.push(dag.ids(&group));
            if blocks >= max {
                break;
            }
        }
        let whole = above.as_slice().is_empty();
        let room = max.saturating_sub(blocks);
        let floor = dag.node(dag.selected[common]).height.0.saturating_sub(BESIDE_DEPTH);
        let beside = if beside && whole { dag.beside(&known, Height(floor), room.max(1)) } else { Vec::new() };
        Lacked { chain, whole, beside }
    }

    /// Returns blocks whose headers are placed and whose bodies are missing, of those that `towards` has in its past and itself, in an order in
    /// which they can be taken: at most `max`.
    pub(crate) fn lacking_bodies(&self, towards: BlockId, max: usize) -> Vec<BlockId> {
        let dag = self.read();
        let Some(towards) = dag.place(towards).filter(|place| dag.node(*place).status != BlockStatus::Invalid) else {
            return Vec::new();
        };
        let mut lacking = Vec::new();
        let mut depth = dag.connectable_depth(towards) + 1;
        while lacking.len() < max && depth <= dag.depth(towards) {
            let last = dag.depth(towards).min(depth.saturating_add(u32::try_from(max).unwrap_or(u32::MAX) - 1));
            for place in dag.chain_between(towards, depth, last) {
                let group = dag.group(place, &[]).into_iter();
                lacking.extend(group.filter(|place| dag.node(*place).status == BlockStatus::Header));
            }
            depth = last + 1;
        }
        lacking.truncate(max);
        dag.ids(&lacking)
    }
}

impl Dag {
    fn ids(&self, places: &[Place]) -> Vec<BlockId> {
        places.iter().map(|place| self.node(*place).id).collect()
    }

    fn depth(&self, place: Place) -> u32 {
        self.node(place).depth
    }

    fn locator(&self, from: Place) -> Vec<BlockId> {
        let (mut ids, mut at, mut step) = (Vec::new(), from, 1);
        loop {
            ids.push(self.node(at).id);
            let depth = self.depth(at);
            if depth == 0 {
                return ids;
            }
            if ids.len() >= LOCATOR_DENSE {
                step *= 2;
            }
            at = self.chain_ancestor(at, depth.saturating_sub(step));
        }
    }

    /// Returns the block at a depth along selected parents.
    fn chain_ancestor(&self, from: Place, depth: u32) -> Place {
        let mut at = from;
        while self.depth(at) > depth {
            let node = self.node(at);
            at = if self.depth(node.jump) >= depth { node.jump } else { node.parent };
        }
        at
    }

    /// Returns the blocks on the selected chain of `top` from one depth to another, lowest first.
    fn chain_between(&self, top: Place, first: u32, last: u32) -> Vec<Place> {
        let parent = |place: &Place| (self.depth(*place) > first).then(|| self.node(*place).parent);
        let mut chain: Vec<Place> = std::iter::successors(Some(self.chain_ancestor(top, last)), parent).collect();
        chain.reverse();
        chain
    }

    /// Returns the depth of the newest block on the selected chain of `from` whose body is known with all those in its past.
    fn connectable_depth(&self, from: Place) -> u32 {
        let mut at = from;
        // What holds for a block holds for those in its past, and always for the root.
        while !self.node(at).connectable {
            let node = self.node(at);
            at = if self.node(node.jump).connectable { node.parent } else { node.jump };
        }
        self.depth(at)
    }

    /// Leaves out blocks that others have in their pasts, and the oldest of too many.
    fn newest(&self, places: impl Iterator<Item = Place>) -> Vec<Place> {
        let places: BTreeSet<Place> = places.collect();
        let mut newest: Vec<Place> = Vec::new();
        // No block is older than one of its past.
        for place in places.into_iter().rev() {
            if newest.len() < NEWEST_MAX && !self.is_in_past_of_any(place, &newest) {
                newest.push(place);
            }
        }
        newest
    }

    fn is_in_past_of_any(&self, place: Place, above: &[Place]) -> bool {
        above.iter().any(|above| self.reachability.is_ancestor(place, *above))
    }

    /// Returns the depth of the newest block of the selected chain that a block has in its past, or is.
    fn depth_in_past(&self, place: Place) -> usize {
        self.selected.partition_point(|selected| self.reachability.is_ancestor(*selected, place)).saturating_sub(1)
    }

    /// Returns what a block merges, oldest first, and the block itself, but for what `known` has in its past.
    fn group(&self, place: Place, known: &[Place]) -> Vec<Place> {
        let node = self.node(place);
        let merged = if place == 0 { None } else { self.merge_set(node.parent, &node.parents, usize::MAX) };
        let mut group = merged.unwrap_or_default();
        group.retain(|merged| !self.is_in_past_of_any(*merged, known));
        group.push(place);
        group
    }

    /// Returns the tips beside the selected one with what neither it nor a better tip has in its past, as far as there is room.
    fn beside(&self, known: &[Place], floor: Height, mut room: usize) -> Vec<Vec<BlockId>> {
        let tip = self.tip();
        let tips = self.tips.iter().rev().map(|rank| rank.first_seen.0);
        let tips = tips.filter(|place| *place != tip && self.node(*place).height >= floor).take(BESIDE_MAX);
        let (mut told, mut groups) = (known.to_vec(), Vec::new());
        for place in tips {
            let Some(merged) = self.merge_set(tip, &[place], BESIDE_MERGED_MAX) else { continue };
            let group: Vec<Place> = merged.into_iter().filter(|place| !self.is_in_past_of_any(*place, &told)).collect();
            if group.is_empty() {
                continue;
            }
            groups.push(self.ids(&group));
            told.push(place);
            match room.checked_sub(group.len()) {
                Some(left) => room = left,
                None => break,
            }
        }
        groups
    }
}
