//! Where each block stands: columns by the longest way from the left, lanes around the selected chain.

use adit_node::dag::{DagBlock, DagColour, DagPart};
use std::collections::{BTreeSet, HashMap};

/// A block's place. The selected chain has lane 0; lanes above it are negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    pub column: usize,
    pub lane: i32,
}

/// Where every block of a part stands.
#[derive(Debug)]
pub struct Layout<'a> {
    /// In the order of the columns.
    pub blocks: Vec<(Spot, &'a DagBlock)>,
    pub columns: usize,
    /// The lowest and the highest lane.
    pub lanes: (i32, i32),
    spots: HashMap<&'a str, Spot>,
}

impl<'a> Layout<'a> {
    /// Places every block of a part right of its parents.
    pub fn new(part: &'a DagPart) -> Self {
        let mut blocks: Vec<&DagBlock> = part.blocks.iter().collect();
        blocks.sort_by_key(|block| (block.height, block.colour != DagColour::Selected, &block.hash));
        let mut layout = Self { blocks: Vec::new(), columns: 0, lanes: (0, 0), spots: HashMap::new() };
        let mut taken = BTreeSet::new();
        for block in parents_first(blocks) {
            let parents = || block.parents.iter().filter_map(|parent| layout.spots.get(parent.as_str()));
            let column = parents().map(|spot| spot.column + 1).max().unwrap_or_default();
            let near = parents().map(|spot| spot.lane).find(|lane| *lane != 0).unwrap_or_default();
            let lane = match block.colour {
                DagColour::Selected => 0,
                _ => lanes_from(near).find(|lane| !taken.contains(&Spot { column, lane: *lane })).unwrap_or_default(),
            };
            let spot = Spot { column, lane };
            taken.insert(spot);
            layout.spots.insert(&block.hash, spot);
            layout.blocks.push((spot, block));
            layout.columns = layout.columns.max(column + 1);
            layout.lanes = (layout.lanes.0.min(lane), layout.lanes.1.max(lane));
        }
        layout.blocks.sort_by_key(|(spot, _)| *spot);
        layout
    }

    /// Returns where a block stands, if it is shown.
    pub fn spot(&self, hash: &str) -> Option<Spot> {
        self.spots.get(hash).copied()
    }
}

/// Puts blocks behind their parents, and otherwise leaves them as they stand: a merged block may be as high as the one that merges it.
fn parents_first(blocks: Vec<&DagBlock>) -> Vec<&DagBlock> {
    let shown: HashMap<&str, &DagBlock> = blocks.iter().map(|block| (block.hash.as_str(), *block)).collect();
    let mut placed = BTreeSet::new();
    let mut order = Vec::with_capacity(blocks.len());
    for block in blocks {
        let mut open = vec![block];
        while let Some(at) = open.last().copied() {
            let missing = |hash: &&String| !placed.contains(hash.as_str()) && shown.contains_key(hash.as_str());
            match at.parents.iter().find(missing) {
                Some(parent) => open.push(shown[parent.as_str()]),
                None => {
                    open.pop();
                    if placed.insert(at.hash.as_str()) {
                        order.push(at);
                    }
                }
            }
        }
    }
    order
}

/// Lanes beside the selected chain: the wished one, then ever farther ones on both sides of the chain.
fn lanes_from(near: i32) -> impl Iterator<Item = i32> {
    let others = (1..).flat_map(|distance| [-distance, distance]);
    std::iter::once(near).filter(|lane| *lane != 0).chain(others)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dag::svg::tests::small;

    #[test]
    fn no_two_blocks_share_a_place_and_each_stands_right_of_its_parents() {
        let part = small();
        let layout = Layout::new(&part);
        let spots: BTreeSet<Spot> = layout.blocks.iter().map(|(spot, _)| *spot).collect();
        assert_eq!(spots.len(), part.blocks.len());
        for (spot, block) in &layout.blocks {
            for parent in block.parents.iter().filter_map(|parent| layout.spot(parent)) {
                assert!(parent.column < spot.column, "{}", block.hash);
            }
        }
    }

    #[test]
    fn the_selected_chain_is_a_straight_line() {
        let part = small();
        for (spot, block) in Layout::new(&part).blocks {
            assert_eq!(spot.lane == 0, block.colour == DagColour::Selected, "{}", block.hash);
        }
    }
}
