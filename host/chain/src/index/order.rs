//! The total order of blocks: what each block of the selected chain merges stands before it, and after its selected parent.

use super::glimpse::Glimpse;
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

/// A block's place in the total order, as far as places tell.
enum Seat {
    Selected {
        topoheight: u64,
    },
    /// With the topoheight of the first block that the same one merges.
    Merged {
        by: Box<Glimpse>,
        first: u64,
    },
    Unmerged,
}

impl BlockIndex {
    /// Returns a block's place in the total order.
    pub fn standing(&self, id: BlockId) -> Option<Standing> {
        let standing = |colour, applied_by, topoheight| {
            Some(Standing { colour, applied_by: Some(applied_by), topoheight: Some(topoheight) })
        };
        let merged = match self.look(|dag| dag.place(id).map(|place| dag.seat(place)))? {
            Seat::Selected { topoheight } => return standing(Colour::Selected, id, topoheight),
            Seat::Merged { by, first } => Some((self.known(*by), first)),
            Seat::Unmerged => None,
        };
        let found = merged.and_then(|(by, first)| {
            let at = by.merge_set.iter().position(|merged| merged.id == id)?;
            let colour = if by.merge_set[at].blue { Colour::Blue } else { Colour::Red };
            standing(colour, by.id, first + at as u64)
        });
        Some(found.unwrap_or(Standing { colour: Colour::Unmerged, applied_by: None, topoheight: None }))
    }

    /// Returns the block with so many before it in the total order.
    pub fn at_topoheight(&self, topoheight: u64) -> Option<BlockId> {
        let (merger, merged) = self.look(|dag| {
            let found = dag.selected.partition_point(|place| dag.node(*place).order < topoheight);
            let place = *dag.selected.get(found)?;
            let merged = topoheight.checked_sub(dag.first_merged(place))?;
            Some((dag.glimpse(place), usize::try_from(merged).ok()?))
        })?;
        let merger = self.known(merger);
        // It stands behind all that it merges.
        if merged == merger.merge_set.len() { Some(merger.id) } else { merger.merge_set.get(merged).map(|at| at.id) }
    }
}

impl Dag {
    /// Returns the topoheight of the first block that a block merges; its own where it merges none.
    fn first_merged(&self, place: Place) -> u64 {
        if place == 0 { 0 } else { self.node(self.node(place).parent).order + 1 }
    }

    fn seat(&self, place: Place) -> Seat {
        if self.is_selected(place) {
            return Seat::Selected { topoheight: self.node(place).order };
        }
        // Whatever a block of the selected chain has in its past, those above it have too.
        let merger = self.selected.partition_point(|above| !self.reachability.is_ancestor(place, *above));
        match self.selected.get(merger) {
            Some(by) => Seat::Merged { by: Box::new(self.glimpse(*by)), first: self.first_merged(*by) },
            None => Seat::Unmerged,
        }
    }
}
