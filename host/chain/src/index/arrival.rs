//! How a block comes into the index: its place in the tree, what it merges, and what it makes of its parents.

use super::placements::Placed;
use super::{BlockStatus, Dag, Node, Place};
use crate::record::HeaderRecord;
use adit_primitives::contract::{HeaderView, KnownBlock, Placement, Violation};
use adit_primitives::{BlockId, Hash256, Height, Timestamp, Work};
use std::sync::Arc;

/// A block that comes into the index.
pub(crate) struct Arrival {
    pub(super) id: BlockId,
    pub(super) parents: Vec<BlockId>,
    pub(super) selected_parent: Option<BlockId>,
    pub(super) time: Timestamp,
    pub(super) bits: u32,
    pub(super) height: Height,
    pub(super) work: Work,
    pub(super) tie: Hash256,
    /// Left out where the storage has it.
    pub(super) placed: Option<Arc<Placed>>,
    pub(super) body: bool,
    pub(super) sequence: u32,
}

impl Arrival {
    pub(super) fn new(view: &HeaderView, placement: &Placement, body: bool, sequence: u32) -> Self {
        let Placement { selected_parent, height, work, tie, .. } = *placement;
        let HeaderView { id, time, bits, .. } = *view;
        let (parents, placed) = (view.parents.clone(), Some(Arc::new(Placed::of(&view.parents, placement))));
        Self { id, parents, selected_parent, time, bits, height, work, tie, placed, body, sequence }
    }

    /// Of a block that the storage has.
    pub(crate) fn kept(record: &HeaderRecord) -> Self {
        let HeaderRecord { view, placement, body, sequence, .. } = record;
        let Placement { selected_parent, height, work, tie, .. } = *placement;
        let HeaderView { id, time, bits, .. } = *view;
        let (parents, body, sequence) = (view.parents.clone(), *body, *sequence);
        Self { id, parents, selected_parent, time, bits, height, work, tie, placed: None, body, sequence }
    }

    pub(super) fn root(known: &KnownBlock, placement: &Placement) -> Self {
        let KnownBlock { id, time, bits, height, work, .. } = *known;
        let (tie, placed) = (placement.tie, Some(Arc::new(Placed::of(&[], placement))));
        let (parents, selected_parent) = (Vec::new(), None);
        Self { id, parents, selected_parent, time, bits, height, work, tie, placed, body: true, sequence: 0 }
    }

    pub(crate) fn id(&self) -> BlockId {
        self.id
    }

    pub(crate) fn sequence(&self) -> u32 {
        self.sequence
    }

    /// Returns the blocks that must be known before it.
    pub(crate) fn below(&self) -> impl Iterator<Item = BlockId> + '_ {
        self.parents.iter().chain(&self.selected_parent).copied()
    }

    /// Returns the block as it stands in the index, but for its place in the tree.
    fn node(self, status: BlockStatus, violation: Option<Box<Violation>>, parents: Vec<Place>) -> Node {
        let Self { id, time, bits, height, work, tie, placed, body, sequence, .. } = self;
        Node {
            id,
            time,
            bits,
            height,
            work,
            tie,
            placed,
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
        let mut dag = Self { arrivals: root.sequence.saturating_add(1), placed_from: 1, ..Self::default() };
        dag.places.insert(root.id, 0);
        dag.selected.push(0);
        dag.nodes.push(Node { connectable: true, ..root.node(BlockStatus::Valid, None, Vec::new()) });
        dag.add_placed(0);
        dag.tips.insert(dag.rank(0));
        dag.heads.insert(dag.rank(0));
        dag
    }

    /// Adds a block whose parents are known, and returns its place.
    pub(super) fn insert(&mut self, arrival: Arrival) -> Place {
        if let Some(place) = self.place(arrival.id) {
            return place;
        }
        let place = self.next_place();
        let id = arrival.id;
        let parents: Vec<Place> = arrival.parents.iter().filter_map(|id| self.place(*id)).collect();
        let parent = arrival.selected_parent.and_then(|id| self.place(id)).expect("a placed block's parents are known");
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
        self.add_placed(place);
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
