//! Room for batches: how much of it each node has, and who makes room for whom.
//!
//! A node with weight has room of its own. All others share one: where it is full, who has the most of it makes room for who has less,
//! so that a newcomer's first shares find some, whoever floods. What a proposal names finds room before what none names, or nobody
//! could vote for it.
//!
//! Decides by sums alone; which batches may go, [`Held`](super::held::Held) says.

use crate::id::NodeId;
use crate::shares::batch::BatchId;
use std::collections::btree_map::{BTreeMap, Entry};
use std::collections::{BTreeSet, HashMap};

/// The most bytes of batches of one node that has weight.
const NODE_BYTES_MAX: usize = 4 << 20;
/// The most bytes of batches of all nodes without weight together, and of one of them.
const STRANGERS_BYTES_MAX: usize = 8 << 20;
const STRANGER_BYTES_MAX: usize = 1 << 20;
/// How many strangers who may spare nothing are passed over for a batch that no proposal names.
const PASSED_MAX: usize = 64;

/// Whose a batch is, and how large.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parcel {
    pub node: NodeId,
    pub bytes: usize,
    /// Its node had weight when it came, or is this one.
    pub is_weighty: bool,
}

/// Bytes of the batches at hand, by node.
#[derive(Debug, Default)]
pub(super) struct Room {
    weighty: BTreeMap<NodeId, usize>,
    strangers: BTreeMap<NodeId, usize>,
    /// The strangers by what they have.
    by_bytes: BTreeSet<(usize, NodeId)>,
    strangers_sum: usize,
}

impl Room {
    pub fn add(&mut self, parcel: Parcel) {
        if parcel.is_weighty {
            *self.weighty.entry(parcel.node).or_default() += parcel.bytes;
        } else {
            let had = self.strangers.get(&parcel.node).copied().unwrap_or(0);
            self.set_stranger(parcel.node, had, had + parcel.bytes);
        }
    }

    pub fn remove(&mut self, parcel: Parcel) {
        if !parcel.is_weighty {
            let had = self.strangers.get(&parcel.node).copied().unwrap_or(0);
            self.set_stranger(parcel.node, had, had - parcel.bytes);
        } else if let Entry::Occupied(mut sum) = self.weighty.entry(parcel.node) {
            *sum.get_mut() -= parcel.bytes;
            if *sum.get() == 0 {
                sum.remove();
            }
        }
    }

    fn set_stranger(&mut self, node: NodeId, had: usize, has: usize) {
        self.strangers_sum = self.strangers_sum + has - had;
        self.by_bytes.remove(&(had, node));
        if has > 0 {
            self.by_bytes.insert((has, node));
            self.strangers.insert(node, has);
        } else {
            self.strangers.remove(&node);
        }
    }

    /// Tells whether a batch fits as things are.
    pub fn fits(&self, parcel: &Parcel) -> bool {
        self.excess_own(parcel) == 0 && self.excess_shared(parcel) == 0
    }

    /// Returns which batches make room for one that does not fit: `None` where none have to. `free` gives those of a node that may go, in
    /// the order in which they go. Costs what those who make room have, not what all have.
    pub fn make<I: Iterator<Item = (BatchId, usize)>>(
        &self,
        parcel: &Parcel,
        is_named: bool,
        free: impl Fn(NodeId) -> I,
    ) -> Option<Vec<BatchId>> {
        let (mut own, mut shared) = (self.excess_own(parcel), self.excess_shared(parcel));
        if own > 0 && !is_named {
            return None;
        }
        let mut gone = Vec::new();
        let mut own_free = (own > 0).then(|| free(parcel.node)).into_iter().flatten();
        while own > 0 {
            let (batch, bytes) = own_free.next()?;
            gone.push(batch);
            (own, shared) = (own.saturating_sub(bytes), shared.saturating_sub(bytes));
        }
        let had = self.strangers.get(&parcel.node).copied().unwrap_or(0);
        let mut rest = self.by_bytes.iter().rev().filter(|(_, node)| *node != parcel.node).peekable();
        // Those of them who gave something already, by what they would have left.
        let (mut givers, mut frees, mut passed) = (BTreeSet::new(), HashMap::new(), 0);
        while shared > 0 {
            let (most, node) = match rest.peek() {
                Some(next) if givers.last() < Some(*next) => *rest.next()?,
                _ => givers.pop_last()?,
            };
            if !is_named && (most <= had + parcel.bytes || passed == PASSED_MAX) {
                return None;
            }
            match frees.entry(node).or_insert_with(|| free(node)).next() {
                Some((batch, bytes)) => {
                    gone.push(batch);
                    givers.insert((most.saturating_sub(bytes), node));
                    shared = shared.saturating_sub(bytes);
                }
                None => passed += 1,
            }
        }
        Some(gone)
    }

    /// Returns by how many bytes its node would have too much.
    fn excess_own(&self, parcel: &Parcel) -> usize {
        let (side, most) = match parcel.is_weighty {
            true => (&self.weighty, NODE_BYTES_MAX),
            false => (&self.strangers, STRANGER_BYTES_MAX),
        };
        (side.get(&parcel.node).copied().unwrap_or(0) + parcel.bytes).saturating_sub(most)
    }

    /// Returns by how many bytes all without weight would have too much.
    fn excess_shared(&self, parcel: &Parcel) -> usize {
        let more = if parcel.is_weighty { 0 } else { parcel.bytes };
        (self.strangers_sum + more).saturating_sub(STRANGERS_BYTES_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BATCH: usize = 32 << 10;

    fn node(number: u8) -> NodeId {
        NodeId([number; 32])
    }

    fn parcel(number: u8, bytes: usize) -> Parcel {
        Parcel { node: node(number), bytes, is_weighty: false }
    }

    /// Batches of a node: numbered from 0, each of [`BATCH`] bytes, the newest first.
    fn batches(of: NodeId, count: u8) -> impl Iterator<Item = (BatchId, usize)> {
        (0..count).rev().map(move |number| (id(of, number), BATCH))
    }

    fn id(of: NodeId, number: u8) -> BatchId {
        let mut id = of.0;
        id[31] = number;
        BatchId(id)
    }

    /// A room full of batches of eight nodes, which have as many each.
    fn full() -> Room {
        let mut room = Room::default();
        (1..=8).for_each(|number| (0..32).for_each(|_| room.add(parcel(number, BATCH))));
        room
    }

    #[test]
    fn who_has_the_most_makes_room_with_what_it_may_spare() {
        let room = full();
        assert!(!room.fits(&parcel(9, BATCH)));
        // The last of equals gives first, then the next one.
        let made = room.make(&parcel(9, BATCH + 1), false, |node| batches(node, 32)).unwrap();
        assert_eq!(made, [id(node(8), 31), id(node(7), 31)]);
        let spares = |of: NodeId| batches(of, u8::from(of == node(3)));
        assert_eq!(room.make(&parcel(9, BATCH), false, spares), Some(vec![id(node(3), 0)]));
        assert_eq!(room.make(&parcel(9, BATCH + 1), false, spares), None, "what may go is too little");
    }

    #[test]
    fn a_newcomer_finds_room_until_it_has_as_much_as_the_others() {
        let mut room = full();
        let mut taken = 0;
        while let Some(made) = room.make(&parcel(9, BATCH), false, |node| batches(node, 32)) {
            for gone in made {
                room.remove(parcel(gone.0[0], BATCH));
            }
            room.add(parcel(9, BATCH));
            taken += 1;
        }
        // A ninth of 256 batches.
        assert_eq!(taken, 28);
        assert!(room.strangers.values().all(|bytes| (28 * BATCH..=29 * BATCH).contains(bytes)), "{room:?}");
    }

    #[test]
    fn what_is_named_finds_room_where_its_node_has_none_left() {
        let room = full();
        assert_eq!(room.make(&parcel(1, BATCH), false, |node| batches(node, 32)), None);
        assert_eq!(room.make(&parcel(1, BATCH), true, |node| batches(node, 32)), Some(vec![id(node(1), 31)]));
        let mut weighty = Parcel { is_weighty: true, ..parcel(9, NODE_BYTES_MAX) };
        let mut room = Room::default();
        room.add(weighty);
        weighty.bytes = BATCH;
        assert_eq!(room.make(&weighty, false, |node| batches(node, 32)), None);
        assert_eq!(room.make(&weighty, true, |node| batches(node, 32)), Some(vec![id(node(9), 31)]));
    }

    #[test]
    fn where_nobody_may_spare_anything_the_search_has_an_end() {
        let (mut room, asked) = (Room::default(), std::cell::Cell::new(0));
        let nobody = |_| {
            asked.set(asked.get() + 1);
            std::iter::empty()
        };
        let many = (0..=255).flat_map(|high| (0..=255).map(move |low| (high, low)));
        many.for_each(|(high, low)| {
            let mut node = node(high);
            node.0[0] = low;
            room.add(Parcel { node, bytes: 128, is_weighty: false });
        });
        let mut newcomer = parcel(9, 64);
        newcomer.node.0[31] = 0;
        assert_eq!(room.make(&newcomer, false, nobody), None);
        assert_eq!(asked.take(), PASSED_MAX);
        assert_eq!(room.make(&newcomer, true, nobody), None);
        assert_eq!(asked.take(), 1 << 16, "what is named is looked for everywhere");
    }

    #[test]
    fn what_is_gone_leaves_nothing_behind() {
        let mut room = full();
        (1..=8).for_each(|number| (0..32).for_each(|_| room.remove(parcel(number, BATCH))));
        assert!(room.strangers.is_empty() && room.by_bytes.is_empty() && room.strangers_sum == 0);
        assert!(room.fits(&parcel(9, STRANGER_BYTES_MAX)) && !room.fits(&parcel(9, STRANGER_BYTES_MAX + 1)));
    }
}
