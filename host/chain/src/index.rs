//! The blocks in memory, as plugins and readers see them.
//!
//! Blocks form a tree by selected parents. Each block has a jump pointer (Myers' skew-binary list), so that an ancestor at a height is
//! found in O(log n) steps wherever the block stands. Blocks whose bodies are kept are never removed; what rules said of old ones may lie in the
//! storage instead: see [`placements`].

mod arrival;
mod by_id;
mod deep;
mod forget;
mod glimpse;
mod heads;
mod order;
mod placements;
mod sync;
#[cfg(test)]
mod tests;
mod tips;

use crate::reachability::{Place, Reachability};
use adit_primitives::contract::{HeaderView, KnownBlock, Placement, Stamp, Violation};
use adit_primitives::engine::ChainView;
use adit_primitives::storage::Storage;
use adit_primitives::{BlockId, Hash256, Height, Timestamp, Work};
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

pub(crate) use arrival::Arrival;
pub use order::{Colour, Standing};
pub use placements::PlacementFigures;
pub(crate) use sync::Lacked;

use by_id::ById;
use placements::{Placed, Placements};

/// Every placed block, shared between the chain that adds to it and those who read it.
#[derive(Debug)]
pub struct BlockIndex {
    dag: RwLock<Dag>,
    /// The block that stands on nothing. Its parents, where it names any, are not known.
    root: KnownBlock,
    /// Where placements lie that memory has no room for. Without it all stay.
    placements: Option<Placements>,
}

/// How far a block has been judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockStatus {
    /// The header is placed; the body has not come.
    Header,
    /// The body is kept; the ledger has not judged it since the node started.
    Body,
    /// The ledger has applied it.
    Valid,
    /// It breaks a rule, or stands on a block that does.
    Invalid,
}

/// A block of the index, for display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexedBlock {
    pub known: KnownBlock,
    pub placement: Placement,
    pub status: BlockStatus,
    /// Whether it lies on the selected chain.
    pub selected: bool,
}

/// How the selected chain leads from one tip to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path {
    /// From the old tip down to the fork, newest first, the fork not among them.
    pub(crate) down: Vec<BlockId>,
    /// From the fork up to the new tip, oldest first, the fork not among them.
    pub(crate) up: Vec<BlockId>,
}

/// What fork choice compares: the greatest wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    work: Work,
    tie: Hash256,
    first_seen: Reverse<Place>,
}

/// A number that grows with every change of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Version(u64);

#[derive(Debug)]
pub(crate) struct Node {
    id: BlockId,
    time: Timestamp,
    bits: u32,
    height: Height,
    work: Work,
    tie: Hash256,
    /// What rules said of it, where that is in memory.
    placed: Option<Arc<Placed>>,
    /// In which order it was first seen: never the same for two, and with gaps where headers were forgotten.
    sequence: u32,
    status: BlockStatus,
    /// Few have one.
    violation: Option<Box<Violation>>,
    /// The body is kept.
    body: bool,
    /// The body is kept, and those of all blocks in its past.
    connectable: bool,
    pub(crate) parents: Vec<Place>,
    children: Vec<Place>,
    /// How many of the children can be built upon.
    usable_children: u32,
    /// How many of the children are not invalid.
    sound_children: u32,
    /// The selected parent; the root's is itself.
    parent: Place,
    jump: Place,
    /// Steps to the root along selected parents.
    depth: u32,
    /// How many blocks stand before it in the total order that it sees: its topoheight, were it selected.
    order: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Dag {
    nodes: Vec<Node>,
    places: ById<Place>,
    /// Holds as many blocks as `nodes` does.
    reachability: Reachability,
    /// The selected chain by depth.
    selected: Vec<Place>,
    /// Connectable blocks that rank above the selected tip.
    candidates: BTreeSet<Rank>,
    /// Blocks that can be built upon, of whose children none can.
    tips: BTreeSet<Rank>,
    /// Blocks that are not invalid, of whose children none is sound.
    heads: BTreeSet<Rank>,
    version: Version,
    /// The bytes of the nodes' lists.
    lists: usize,
    /// No block between the root and this one has its placement in memory.
    placed_from: Place,
    /// The bytes of the placements at the blocks.
    placed_bytes: usize,
    /// How many blocks have no body.
    bodiless: usize,
    /// How often headers were forgotten.
    forgettings: u64,
    /// The next sequence number.
    arrivals: u32,
}

impl BlockIndex {
    /// Starts with a block that stands on nothing: the genesis, or the anchor of a chain whose history was cut off below it.
    pub fn new(root: KnownBlock, placement: &Placement) -> Self {
        let root = KnownBlock { selected_parent: None, ..root };
        let dag = Dag::rooted(Arrival::root(&root, placement));
        Self { dag: RwLock::new(dag), root, placements: None }
    }

    /// Keeps no more than so many bytes of placements in memory: those of older blocks are read from the storage that has them.
    pub(crate) fn over(self, storage: Arc<dyn Storage>, placement_bytes_max: usize) -> Self {
        Self { placements: Some(Placements::new(storage, placement_bytes_max)), ..self }
    }

    /// Returns a block with all that is known of it.
    pub fn indexed(&self, id: BlockId) -> Option<IndexedBlock> {
        self.look(|dag| dag.place(id).map(|place| dag.glimpse(place))).map(|glimpse| self.whole(glimpse))
    }

    /// Returns how far a block has been judged, or `None` where it is unknown.
    pub fn status(&self, id: BlockId) -> Option<BlockStatus> {
        let dag = self.read();
        dag.place(id).map(|place| dag.node(place).status)
    }

    /// Returns the selected tip.
    pub fn tip(&self) -> KnownBlock {
        self.known(self.look(|dag| dag.glimpse(dag.tip())))
    }

    /// Returns the id of the selected tip.
    pub fn tip_id(&self) -> BlockId {
        let dag = self.read();
        dag.node(dag.tip()).id
    }

    /// Returns the block at `height` of the selected chain, or `None` where no block has exactly that height.
    pub fn selected_at(&self, height: Height) -> Option<BlockId> {
        let dag = self.read();
        let found = dag.selected.binary_search_by_key(&height, |place| dag.node(*place).height).ok()?;
        Some(dag.node(dag.selected[found]).id)
    }

    /// Returns blocks of the selected chain, from the first not below `first` upwards, at most `max`.
    pub fn selected_page(&self, first: Height, max: usize) -> Vec<IndexedBlock> {
        let page = self.look(|dag| {
            let start = dag.selected.partition_point(|place| dag.node(*place).height < first);
            dag.selected[start..].iter().take(max).map(|place| dag.glimpse(*place)).collect::<Vec<_>>()
        });
        page.into_iter().map(|glimpse| self.whole(glimpse)).collect()
    }

    /// Returns a number that grows with every change: while it stands, every answer stands.
    pub fn version(&self) -> Version {
        self.read().version
    }

    /// Returns the bytes that all blocks and what is known of them take in memory.
    pub fn bytes(&self) -> usize {
        let dag = self.read();
        let nodes = dag.nodes.capacity() * size_of::<Node>() + dag.lists + dag.placed_bytes;
        // A byte of the map's own beside each entry.
        let places = dag.places.capacity() * (size_of::<(BlockId, Place)>() + 1);
        nodes + places + dag.selected.capacity() * size_of::<Place>() + dag.reachability.bytes()
    }

    /// Returns the number of blocks known.
    pub fn count(&self) -> usize {
        self.read().nodes.len()
    }

    pub(crate) fn contains(&self, id: BlockId) -> bool {
        self.read().places.contains_key(&id)
    }

    /// Returns the rule that an invalid block, or the block it stands on, breaks.
    pub(crate) fn violation(&self, id: BlockId) -> Option<Violation> {
        let dag = self.read();
        dag.place(id).and_then(|place| dag.node(place).violation.as_deref().cloned())
    }

    /// Adds a placed block whose parents are known, and returns its number in the order of arrival. With `body` its body is kept too.
    pub(crate) fn insert(&self, view: &HeaderView, placement: &Placement, body: bool) -> u32 {
        let mut dag = self.write();
        let sequence = dag.arrivals;
        let place = dag.insert(Arrival::new(view, placement, body, sequence));
        dag.node(place).sequence
    }

    /// The same for a block that was first seen in an earlier run. Numbers may leave gaps, and must grow.
    pub(crate) fn restore(&self, arrival: Arrival) {
        self.write().insert(arrival);
    }

    /// Notes that a block's body is kept.
    pub(crate) fn add_body(&self, id: BlockId) {
        let mut dag = self.write();
        let Some(place) = dag.place(id).filter(|place| !dag.node(*place).body) else { return };
        dag.bodiless -= 1;
        let node = dag.node_mut(place);
        node.body = true;
        if node.status == BlockStatus::Header {
            node.status = BlockStatus::Body;
            dag.connect_upwards(place);
        }
    }

    /// Notes that a block and all that stand on it are invalid.
    pub(crate) fn invalidate(&self, id: BlockId, violation: &Violation) {
        let mut dag = self.write();
        if let Some(place) = dag.place(id) {
            dag.invalidate(place, violation);
        }
    }

    /// Returns the block that ranks highest among those whose bodies are known; the selected tip where none is better.
    pub(crate) fn best(&self) -> BlockId {
        let dag = self.read();
        let best = dag.candidates.last().map(|rank| rank.first_seen.0).filter(|best| dag.beats_tip(*best));
        dag.node(best.unwrap_or(dag.tip())).id
    }

    /// Tells whether `id` ranks above the selected tip. An equal never does, whenever its header came: nobody may keep a body back and win by it.
    pub(crate) fn beats_tip(&self, id: BlockId) -> bool {
        let dag = self.read();
        dag.place(id).is_some_and(|place| dag.beats_tip(place))
    }

    /// Makes a block the selected tip, and the blocks below it valid.
    pub(crate) fn select(&self, id: BlockId) {
        let mut dag = self.write();
        if let Some(place) = dag.place(id) {
            dag.select(place);
        }
    }

    /// Returns the way along selected parents from one block to another.
    pub(crate) fn path(&self, from: BlockId, to: BlockId) -> Path {
        let dag = self.read();
        let (mut down, mut up) = (Vec::new(), Vec::new());
        let (Some(mut from), Some(mut to)) = (dag.place(from), dag.place(to)) else {
            return Path { down, up };
        };
        while from != to {
            if dag.node(from).depth >= dag.node(to).depth {
                down.push(dag.node(from).id);
                from = dag.node(from).parent;
            } else {
                up.push(dag.node(to).id);
                to = dag.node(to).parent;
            }
        }
        up.reverse();
        Path { down, up }
    }

    /// Asks something of the blocks. Nobody may read the storage meanwhile.
    fn look<T>(&self, ask: impl FnOnce(&Dag) -> T) -> T {
        ask(&self.read())
    }

    fn read(&self) -> RwLockReadGuard<'_, Dag> {
        // Nothing panics between two changes of one update except for want of memory.
        self.dag.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Dag> {
        let mut dag = self.dag.write().unwrap_or_else(PoisonError::into_inner);
        dag.version.0 += 1;
        dag
    }
}

impl ChainView for BlockIndex {
    fn horizon(&self) -> Height {
        self.root.height
    }

    fn block(&self, id: BlockId) -> Option<KnownBlock> {
        self.look(|dag| dag.place(id).map(|place| dag.glimpse(place))).map(|glimpse| self.known(glimpse))
    }

    fn stamps(&self, ids: &[BlockId]) -> Vec<Option<Stamp>> {
        let dag = self.read();
        ids.iter().map(|id| dag.place(*id).map(|place| dag.node(place).stamp())).collect()
    }

    fn is_ancestor(&self, ancestor: BlockId, descendant: BlockId) -> bool {
        let dag = self.read();
        match (dag.place(ancestor), dag.place(descendant)) {
            (Some(ancestor), Some(descendant)) => dag.reachability.is_ancestor(ancestor, descendant),
            _ => false,
        }
    }

    fn ancestry(&self, ancestors: &[BlockId], descendants: &[BlockId]) -> Vec<bool> {
        let dag = self.read();
        dag.ancestry(ancestors, descendants)
    }

    fn merge_set(&self, selected: BlockId, parents: &[BlockId], max: u32) -> Option<Vec<Stamp>> {
        let dag = self.read();
        let parents: Vec<Place> = parents.iter().map(|id| dag.place(*id)).collect::<Option<_>>()?;
        let merged = dag.merge_set(dag.place(selected)?, &parents, max as usize)?;
        let mut stamps: Vec<Stamp> = merged.into_iter().map(|place| dag.node(place).stamp()).collect();
        // Places tell the order of arrival, which is another on every node: no plugin may see it.
        stamps.sort_unstable_by_key(|stamp| stamp.id);
        Some(stamps)
    }

    fn selected_past(&self, from: BlockId, count: u32) -> Vec<KnownBlock> {
        let past = self.look(|dag| {
            let Some(mut place) = dag.place(from) else { return Vec::new() };
            let blocks = (count as usize).min(dag.node(place).depth as usize + 1);
            let mut past = Vec::with_capacity(blocks);
            for _ in 0..blocks {
                past.push(dag.glimpse(place));
                place = dag.node(place).parent;
            }
            past
        });
        past.into_iter().map(|glimpse| self.known(glimpse)).collect()
    }

    fn selected_ancestor(&self, from: BlockId, height: Height) -> Option<KnownBlock> {
        let found = self.look(|dag| Some(dag.glimpse(dag.selected_ancestor(dag.place(from)?, height)?)));
        found.map(|glimpse| self.known(glimpse))
    }
}

impl Node {
    /// Returns the bytes of the node's lists.
    fn lists(&self) -> usize {
        (self.parents.capacity() + self.children.capacity()) * size_of::<Place>()
    }

    fn stamp(&self) -> Stamp {
        let Self { id, time, bits, height, work, .. } = *self;
        Stamp { id, time, bits, height, work }
    }
}

impl Dag {
    pub(crate) fn node(&self, place: Place) -> &Node {
        &self.nodes[place as usize]
    }

    fn ancestry(&self, ancestors: &[BlockId], descendants: &[BlockId]) -> Vec<bool> {
        let places = |ids: &[BlockId]| ids.iter().map(|id| self.place(*id)).collect::<Option<Vec<Place>>>();
        if let (Some(ancestors), Some(descendants)) = (places(ancestors), places(descendants)) {
            return self.reachability.matrix(&ancestors, &descendants);
        }
        let pairs = ancestors.iter().flat_map(|above| descendants.iter().map(|below| (*above, *below)));
        let known = pairs.map(|(above, below)| self.place(above).zip(self.place(below)));
        known.map(|pair| pair.is_some_and(|(above, below)| self.reachability.is_ancestor(above, below))).collect()
    }

    /// Returns what a block with these parents would merge, oldest first; `None` where that is more than `max` blocks.
    fn merge_set(&self, selected: Place, parents: &[Place], max: usize) -> Option<Vec<Place>> {
        self.reachability.merge_set(selected, parents, max, |place| &self.node(place).parents)
    }

    /// Returns the newest block on the selected chain of `from` that is not above `height`.
    pub(crate) fn selected_ancestor(&self, from: Place, height: Height) -> Option<Place> {
        let mut at = from;
        while self.node(at).height > height {
            let node = self.node(at);
            if node.depth == 0 {
                return None;
            }
            at = if self.node(node.jump).height > height { node.jump } else { node.parent };
        }
        Some(at)
    }

    fn node_mut(&mut self, place: Place) -> &mut Node {
        &mut self.nodes[place as usize]
    }

    fn place(&self, id: BlockId) -> Option<Place> {
        self.places.get(&id).copied()
    }

    fn tip(&self) -> Place {
        *self.selected.last().expect("the root is always selected")
    }

    fn beats_tip(&self, place: Place) -> bool {
        let strength = |place: Place| (self.node(place).work, self.node(place).tie);
        strength(place) > strength(self.tip())
    }

    fn rank(&self, place: Place) -> Rank {
        let node = self.node(place);
        Rank { work: node.work, tie: node.tie, first_seen: Reverse(place) }
    }

    fn is_usable(&self, place: Place) -> bool {
        let node = self.node(place);
        node.connectable && node.status != BlockStatus::Invalid
    }

    fn is_selected(&self, place: Place) -> bool {
        self.selected.get(self.node(place).depth as usize) == Some(&place)
    }

    /// Marks a block and all above it connectable as far as bodies are known, and makes them candidates.
    fn connect_upwards(&mut self, from: Place) {
        let mut open = vec![from];
        while let Some(place) = open.pop() {
            let node = self.node(place);
            let has_body = matches!(node.status, BlockStatus::Body | BlockStatus::Valid);
            if node.connectable || !has_body || !node.parents.iter().all(|at| self.node(*at).connectable) {
                continue;
            }
            open.extend_from_slice(&node.children);
            self.node_mut(place).connectable = true;
            self.add_tip(place);
            let rank = self.rank(place);
            if rank > self.rank(self.tip()) {
                self.candidates.insert(rank);
            }
        }
    }

    fn invalidate(&mut self, from: Place, violation: &Violation) {
        let mut open = vec![from];
        while let Some(place) = open.pop() {
            let rank = self.rank(place);
            self.candidates.remove(&rank);
            if self.node(place).status == BlockStatus::Invalid {
                continue;
            }
            let usable = self.is_usable(place);
            let node = self.node_mut(place);
            node.status = BlockStatus::Invalid;
            node.violation = Some(Box::new(violation.clone()));
            open.extend_from_slice(&node.children);
            self.remove_head(place);
            if usable {
                self.remove_tip(place);
            }
        }
    }

    fn select(&mut self, tip: Place) {
        let mut above = Vec::new();
        let mut at = tip;
        while !self.is_selected(at) {
            above.push(at);
            self.node_mut(at).status = BlockStatus::Valid;
            at = self.node(at).parent;
        }
        self.selected.truncate(self.node(at).depth as usize + 1);
        self.selected.extend(above.into_iter().rev());
        let rank = self.rank(tip);
        self.candidates = self.candidates.split_off(&rank);
        self.candidates.remove(&rank);
    }
}
