//! A block as it stands in the index, seen while that is locked and made whole afterwards: the storage may have to be read, which takes a while.

use super::placements::Placed;
use super::{BlockIndex, BlockStatus, Dag, IndexedBlock, Place};
use adit_primitives::Hash256;
use adit_primitives::contract::{KnownBlock, Placement};
use std::sync::Arc;

/// What the index itself knows of a block.
pub(super) struct Glimpse {
    /// Without parents, merge set and notes.
    known: KnownBlock,
    tie: Hash256,
    status: BlockStatus,
    selected: bool,
    placed: Option<Arc<Placed>>,
}

impl Dag {
    pub(super) fn glimpse(&self, place: Place) -> Glimpse {
        let node = self.node(place);
        let known = KnownBlock {
            id: node.id,
            parents: Vec::new(),
            selected_parent: (place != 0).then(|| self.node(node.parent).id),
            merge_set: Vec::new(),
            time: node.time,
            bits: node.bits,
            height: node.height,
            work: node.work,
            state: Vec::new(),
        };
        let (tie, status, placed) = (node.tie, node.status, node.placed.clone());
        Glimpse { known, tie, status, selected: self.is_selected(place), placed }
    }
}

impl BlockIndex {
    /// Returns a block as rules see it.
    pub(super) fn known(&self, glimpse: Glimpse) -> KnownBlock {
        if glimpse.known.id == self.root.id {
            return self.root.clone();
        }
        let Glimpse { mut known, placed, .. } = glimpse;
        match placed.or_else(|| self.read_placed(&known)) {
            Some(placed) => {
                known.parents.clone_from(&placed.parents);
                known.merge_set.clone_from(&placed.merge_set);
                known.state.clone_from(&placed.state);
                known
            }
            None => known,
        }
    }

    /// Returns all that is known of a block.
    pub(super) fn whole(&self, glimpse: Glimpse) -> IndexedBlock {
        let Glimpse { known, tie, status, selected, placed } = glimpse;
        let placed = placed.or_else(|| self.read_placed(&known)).unwrap_or_else(|| Arc::new(Placed::unknown()));
        let known = self.known(Glimpse { known, tie, status, selected, placed: Some(Arc::clone(&placed)) });
        let placement = Placement {
            selected_parent: known.selected_parent,
            merge_set: known.merge_set.clone(),
            height: known.height,
            work: known.work,
            tie,
            valid_from: placed.valid_from,
            subsidy: placed.subsidy,
            state: known.state.clone(),
        };
        IndexedBlock { known, placement, status, selected }
    }

    /// Reads what is not in memory. `None` where the block was forgotten meanwhile, or where the storage failed, which is then known.
    fn read_placed(&self, known: &KnownBlock) -> Option<Arc<Placed>> {
        let placements = self.placements.as_ref()?;
        if let Some(found) = placements.read(known.id) {
            return Some(found);
        }
        // It may have been forgotten, and have come again since.
        let now = self.look(|dag| dag.place(known.id).map(|place| dag.node(place).placed.clone()))?;
        if now.is_none() {
            placements.lacks(known.id);
        }
        now
    }
}
