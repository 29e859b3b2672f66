//! The tips: blocks on which a next one may stand. They are kept as blocks come, so that a question costs nothing for blocks that cannot be used.

use super::{BlockIndex, Dag, Place};
use adit_primitives::contract::KnownBlock;

impl BlockIndex {
    /// Returns the blocks on which a next one may stand, best first: the selected tip, and every block without children
    /// whose body is known and that is not invalid, blocks that cannot be used not counted as children. At most `max`.
    pub fn tips(&self, max: usize) -> Vec<KnownBlock> {
        let tips = self.look(|dag| {
            let tip = dag.tip();
            let others = dag.tips.iter().rev().map(|rank| rank.first_seen.0).filter(|place| *place != tip);
            std::iter::once(tip).chain(others).take(max).map(|place| dag.glimpse(place)).collect::<Vec<_>>()
        });
        tips.into_iter().map(|glimpse| self.known(glimpse)).collect()
    }
}

impl Dag {
    /// Notes that a block can be built upon from now on.
    pub(super) fn add_tip(&mut self, place: Place) {
        if self.node(place).usable_children == 0 {
            self.tips.insert(self.rank(place));
        }
        for at in 0..self.node(place).parents.len() {
            let parent = self.node(place).parents[at];
            self.node_mut(parent).usable_children += 1;
            self.tips.remove(&self.rank(parent));
        }
    }

    /// Notes that a block could be built upon, and cannot any more.
    pub(super) fn remove_tip(&mut self, place: Place) {
        self.tips.remove(&self.rank(place));
        for at in 0..self.node(place).parents.len() {
            let parent = self.node(place).parents[at];
            self.node_mut(parent).usable_children -= 1;
            if self.node(parent).usable_children == 0 && self.is_usable(parent) {
                self.tips.insert(self.rank(parent));
            }
        }
    }
}
