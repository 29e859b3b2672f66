//! How a block comes into the index: its place in the tree, what it merges, and what it makes of its parents.

use super::{BlockStatus, Dag, Node, Place};
use adit_primitives::contract::{HeaderView, KnownBlock, Placement, Violation};
use adit_primitives::{Hash256, Timestamp};

/// A block that comes into the index.
pub(super) struct Arrival {
    pub(super) known: KnownBlock,
    pub(super) tie: Hash256,
    pub(super) valid_from: Timestamp,
    pub(super) subsidy: u64,
    pub(super) body: bool,
    pub(super) sequence: u32,
}

impl Arrival {
    pub(super) fn new(view: &HeaderView, placement: &Placement, body: bool, sequence: u32) -> Self {
        let known = KnownBlock {
            id: view.id,
            parents: view.parents.clone(),
            selected_parent: placement.selected_parent,
            merge_set: placement.merge_set.clone(),
            time: view.time,
            bits: view.bits,
            height: placement.height,
            work: placement.work,
            state: placement.state.clone(),
        };
        let Placement { tie, valid_from, subsidy, .. } = *placement;
        Self { known, tie, valid_from, subsidy, body, sequence }
    }

    /// Returns the block as it stands in the index, but for its place in the tree.
    fn node(self, status: BlockStatus, violation: Option<Violation>, parents: Vec<Place>) -> Node {
        let Self { known, tie, valid_from, subsidy, body, sequence } = self;
        Node {
            known,
            tie,
            valid_from,
            subsidy,
            sequence,
            status,
            violation,
            body,
            connectable: false,
            parents,
            children: Vec::new(),
            usable_children: 0,
            sound_children: 0,
            parent: 0,
            jump: 0,
            depth: 0,
            order: 0,
        }
    }
}

impl Dag {
    pub(super) fn next_place(&self) -> Place {
        Place::try_from(self.nodes.len()).expect("fewer than 2^32 blocks fit into memory")
    }

    /// Starts with a block that stands on nothing.
    pub(super) fn rooted(root: Arrival) -> Self {
        let mut dag = Self { arrivals: root.sequence.saturating_add(1), ..Self::default() };
        dag.places.insert(root.known.id, 0);
        dag.selected.push(0);
        dag.nodes.push(Node { connectable: true, ..root.node(BlockStatus::Valid, None, Vec::new()) });
        dag.tips.insert(dag.rank(0));
        dag.heads.insert(dag.rank(0));
        dag
    }

    /// Adds a block whose parents are known, and returns its place.
    pub(super) fn insert(&mut self, arrival: Arrival) -> Place {
        if let Some(place) = self.place(arrival.known.id) {
            return place;
        }
        let place = self.next_place();
        let KnownBlock { id, parents, selected_parent, .. } = &arrival.known;
        let id = *id;
        let parents: Vec<Place> = parents.iter().filter_map(|id| self.place(*id)).collect();
        let parent = selected_parent.and_then(|id| self.place(id)).expect("a placed block's parents are known");
        // Found here, not taken from the placement: answers about the past must not rest on a plugin's word.
        let merged = self.merge_set(parent, &parents, usize::MAX).expect("no set is larger than that");
        let violation = parents.iter().find_map(|at| self.node(*at).violation.clone());
        let sound = violation.is_none();
        let status = match (sound, arrival.body) {
            (false, _) => BlockStatus::Invalid,
            (true, true) => BlockStatus::Body,
            (true, false) => BlockStatus::Header,
        };
        self.arrivals = self.arrivals.max(arrival.sequence.saturating_add(1));
        self.bodiless += usize::from(!arrival.body);
        let node = Node {
            parent,
            jump: self.jump_above(parent),
            depth: self.node(parent).depth + 1,
            order: self.node(parent).order + merged.len() as u64 + 1,
            ..arrival.node(status, violation, parents.clone())
        };
        self.nodes.push(node);
        self.reachability.insert(place, parent, &merged);
        self.places.insert(id, place);
        self.lists += self.node(place).lists();
        for at in parents {
            let before = self.node(at).lists();
            self.node_mut(at).children.push(place);
            self.lists += self.node(at).lists() - before;
        }
        if sound {
            self.add_head(place);
        }
        self.connect_upwards(place);
        place
    }

    /// Returns the jump pointer of a child: twice as far as its parent's where the parent's two last jumps were equally long.
    fn jump_above(&self, parent: Place) -> Place {
        let jump = self.node(parent).jump;
        let depth = |place: Place| self.node(place).depth;
        let next = self.node(jump).jump;
        if depth(parent) - depth(jump) == depth(jump) - depth(next) { next } else { parent }
    }
}
