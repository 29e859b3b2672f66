//! The total order of blocks: what each block of the selected chain merges stands before it, and after its selected parent.

use super::{BlockIndex, Dag, Place};
use adit_primitives::BlockId;

/// What the selected chain makes of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// It lies on the selected chain.
    Selected,
    /// Merged, and paid like a block of the selected chain.
    Blue,
    /// Merged, and paid nothing.
    Red,
    /// No block of the selected chain has it in its past.
    Unmerged,
}

/// A block's place in the total order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    pub colour: Colour,
    /// The block of the selected chain whose application applied it: itself, or the one that merged it.
    pub applied_by: Option<BlockId>,
    /// How many blocks stand before it in the order. The genesis has 0.
    pub topoheight: Option<u64>,
}

impl BlockIndex {
    /// Returns a block's place in the total order.
    pub fn standing(&self, id: BlockId) -> Option<Standing> {
        let dag = self.read();
        dag.place(id).map(|place| dag.standing(place))
    }

    /// Returns the block with so many before it in the total order.
    pub fn at_topoheight(&self, topoheight: u64) -> Option<BlockId> {
        let dag = self.read();
        let found = dag.selected.partition_point(|place| dag.node(*place).order < topoheight);
        let node = dag.node(*dag.selected.get(found)?);
        if node.order == topoheight {
            return Some(node.known.id);
        }
        let first = node.order - node.known.merge_set.len() as u64;
        let merged = usize::try_from(topoheight.checked_sub(first)?).ok()?;
        node.known.merge_set.get(merged).map(|merged| merged.id)
    }
}

impl Dag {
    fn standing(&self, place: Place) -> Standing {
        let standing = |colour, node: &super::Node, topoheight| Standing {
            colour,
            applied_by: Some(node.known.id),
            topoheight: Some(topoheight),
        };
        let node = self.node(place);
        if self.is_selected(place) {
            return standing(Colour::Selected, node, node.order);
        }
        // Whatever a block of the selected chain has in its past, those above it have too.
        let merger = self.selected.partition_point(|above| !self.reachability.is_ancestor(place, *above));
        let merger = self.selected.get(merger).map(|merger| self.node(*merger));
        let found = merger.and_then(|merger| {
            let at = merger.known.merge_set.iter().position(|merged| merged.id == node.known.id)?;
            let colour = if merger.known.merge_set[at].blue { Colour::Blue } else { Colour::Red };
            let first = merger.order - merger.known.merge_set.len() as u64;
            Some(standing(colour, merger, first + at as u64))
        });
        found.unwrap_or(Standing { colour: Colour::Unmerged, applied_by: None, topoheight: None })
    }
}
