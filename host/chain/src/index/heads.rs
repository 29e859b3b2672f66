//! The heads: sound blocks on which no sound block stands, whether or not their bodies have come. The best of them is where headers lead.
//!
//! Nothing is mined on a head: that is for [`tips`](super::tips), whose bodies are known. Heads say what to fetch.

use super::{BlockIndex, BlockStatus, Dag, Place};
use adit_primitives::contract::KnownBlock;

impl BlockIndex {
    /// Returns the block with the most work of which nothing is known that speaks against it, whether or not its body has come: the selected tip
    /// where none is better.
    pub fn best_header(&self) -> KnownBlock {
        self.known(self.look(|dag| dag.glimpse(dag.best_head())))
    }

    /// Returns the blocks better than the selected tip on which no sound block stands, best first, at most `max`: where bodies may be missing.
    pub fn heads_ahead(&self, max: usize) -> Vec<KnownBlock> {
        let heads = self.look(|dag| dag.heads_ahead().take(max).map(|place| dag.glimpse(place)).collect::<Vec<_>>());
        heads.into_iter().map(|glimpse| self.known(glimpse)).collect()
    }
}

impl Dag {
    pub(super) fn heads_ahead(&self) -> impl Iterator<Item = Place> + '_ {
        self.heads.iter().rev().map(|rank| rank.first_seen.0).take_while(|place| self.beats_tip(*place))
    }

    pub(super) fn best_head(&self) -> Place {
        self.heads_ahead().next().unwrap_or(self.tip())
    }

    /// Notes a new block that breaks no rule as far as is known.
    pub(super) fn add_head(&mut self, place: Place) {
        self.heads.insert(self.rank(place));
        for at in 0..self.node(place).parents.len() {
            let parent = self.node(place).parents[at];
            self.node_mut(parent).sound_children += 1;
            self.heads.remove(&self.rank(parent));
        }
    }

    /// Notes that a block was sound and is not any more.
    pub(super) fn remove_head(&mut self, place: Place) {
        self.heads.remove(&self.rank(place));
        for at in 0..self.node(place).parents.len() {
            let parent = self.node(place).parents[at];
            self.node_mut(parent).sound_children -= 1;
            let node = self.node(parent);
            if node.sound_children == 0 && node.status != BlockStatus::Invalid {
                self.heads.insert(self.rank(parent));
            }
        }
    }
}
