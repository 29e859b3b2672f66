//! Forgetting headers whose bodies have not come: anybody who has done their work may send them, and memory is bounded.
//!
//! A block whose body is kept is never forgotten, nor is what it stands on. The index is made anew from what remains, which takes seconds
//! for a million blocks: the caller sees to it that this is rare.

use super::arrival::Arrival;
use super::{BlockIndex, BlockStatus, Dag, Node, Place};
use adit_primitives::BlockId;

impl BlockIndex {
    /// Returns how many blocks are known by their headers alone.
    pub(crate) fn bodiless(&self) -> usize {
        self.read().bodiless
    }

    /// Returns how often headers were forgotten.
    pub(crate) fn forgettings(&self) -> u64 {
        self.read().forgettings
    }

    /// Forgets headers that do not lead to the best header. Returns which.
    pub(crate) fn forget_astray(&self) -> Vec<BlockId> {
        let mut dag = self.write();
        let best = dag.best_head();
        dag.forget(|dag, place| !dag.reachability.is_ancestor(place, best))
    }

    /// Forgets the headers that stand on the first body that is lacking on the way to a block, that one among them. Returns which.
    pub(crate) fn forget_towards(&self, towards: BlockId) -> Vec<BlockId> {
        let Some(first) = self.lacking_bodies(towards, 1).pop() else { return Vec::new() };
        let mut dag = self.write();
        let Some(first) = dag.place(first) else { return Vec::new() };
        dag.forget(|dag, place| dag.reachability.is_ancestor(first, place))
    }
}

impl Dag {
    fn forget(&mut self, doomed: impl Fn(&Self, Place) -> bool) -> Vec<BlockId> {
        let mut gone = vec![false; self.nodes.len()];
        let mut ids = Vec::new();
        // Children before parents: what something stands on that remains, remains.
        for place in (1..self.next_place()).rev() {
            let node = self.node(place);
            let stood_upon = node.children.iter().any(|child| !gone[*child as usize]);
            if !node.body && !stood_upon && doomed(self, place) {
                gone[place as usize] = true;
                ids.push(node.id);
            }
        }
        if !ids.is_empty() {
            let forgettings = self.forgettings + 1;
            *self = Self { forgettings, ..self.without(&gone) };
        }
        ids
    }

    fn without(&self, gone: &[bool]) -> Self {
        let mut dag = Self::rooted(self.arrival(0));
        (dag.version, dag.arrivals) = (self.version, self.arrivals);
        for at in (1..self.next_place()).filter(|at| !gone[*at as usize]) {
            let place = dag.insert(self.arrival(at));
            match self.node(at) {
                // One that it has from a block that it stands on, it has already.
                Node { violation: Some(violation), .. } => dag.invalidate(place, violation),
                Node { status: BlockStatus::Valid, .. } => dag.node_mut(place).status = BlockStatus::Valid,
                _ => {}
            }
        }
        if let Some(tip) = dag.place(self.node(self.tip()).id) {
            dag.select(tip);
        }
        dag
    }

    fn arrival(&self, place: Place) -> Arrival {
        let Node { id, time, bits, height, work, tie, ref placed, body, sequence, .. } = *self.node(place);
        let parents = self.node(place).parents.iter().map(|parent| self.node(*parent).id).collect();
        let selected_parent = (place != 0).then(|| self.node(self.node(place).parent).id);
        let placed = placed.clone();
        Arrival { id, parents, selected_parent, time, bits, height, work, tie, placed, body, sequence }
    }
}
