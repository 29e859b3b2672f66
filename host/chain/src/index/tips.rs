//! The tips: blocks on which a next one may stand. They are kept as blocks come, so that a question costs nothing for blocks that cannot be used.

use super::{BlockIndex, Dag, Place};
use adit_primitives::contract::KnownBlock;

impl BlockIndex {
    /// Returns the blocks on which a next one may stand, best first: the selected tip, and every block without children
    /// whose body is known and that is not invalid, blocks that cannot be used not counted as children. At most `max`.
    pub fn tips(&self, max: usize) -> Vec<KnownBlock> {
        let dag = self.read();
        let tip = dag.tip();
        let others = dag.tips.iter().rev().map(|rank| rank.first_seen.0).filter(|place| *place != tip);
        std::iter::once(tip).chain(others).take(max).map(|place| dag.node(place).known.clone()).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use adit_primitives::contract::{HeaderView, Placement, PowInput, Violation};
    use adit_primitives::engine::ChainView;
    use adit_primitives::{BlockId, Hash256, Height, Timestamp, U256, Work};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn id(number: usize) -> BlockId {
        let mut id = BlockId::default();
        id.0[..8].copy_from_slice(&(number as u64).to_be_bytes());
        id
    }

    fn known(number: usize, parents: Vec<BlockId>) -> KnownBlock {
        let height = number as u64;
        KnownBlock {
            id: id(number),
            selected_parent: parents.iter().max().copied(),
            parents,
            merge_set: Vec::new(),
            time: Timestamp::default(),
            bits: 1,
            height: Height(height),
            work: Work(U256::from(height)),
            state: Vec::new(),
        }
    }

    fn parts(known: &KnownBlock) -> (HeaderView, Placement) {
        let pow = PowInput { bytes: Vec::new(), nonce_offset: 0, nonce_bytes: 0, roll_offset: 0, roll_mask: 0 };
        let KnownBlock { id, parents, selected_parent, time, bits, height, work, .. } = known.clone();
        let view = HeaderView { id, parents, time, bits, body_root: Hash256::default(), pow };
        let (merge_set, state, tie, valid_from) = (Vec::new(), Vec::new(), Hash256(id.0), time);
        let placement = Placement { selected_parent, merge_set, height, work, tie, valid_from, subsidy: 0, state };
        (view, placement)
    }

    fn index() -> BlockIndex {
        let root = known(0, Vec::new());
        let placement = parts(&root).1;
        BlockIndex::new(root, &placement)
    }

    fn add(index: &BlockIndex, number: usize, parents: Vec<BlockId>, body: bool) {
        let (view, placement) = parts(&known(number, parents));
        index.insert(&view, &placement, body);
    }

    /// Looks at every block.
    fn searched(index: &BlockIndex) -> BTreeSet<BlockId> {
        let dag = index.read();
        let usable: Vec<Place> = (0..).take(dag.nodes.len()).filter(|place| dag.is_usable(*place)).collect();
        let built_upon: BTreeSet<Place> = usable.iter().flat_map(|place| &dag.node(*place).parents).copied().collect();
        let tips = usable.into_iter().filter(|place| !built_upon.contains(place) || *place == dag.tip());
        tips.map(|place| dag.node(place).known.id).collect()
    }

    #[derive(Debug, Clone)]
    enum Change {
        Header(Vec<usize>, bool),
        Body(usize),
        Invalid(usize),
        Select,
    }

    fn change() -> impl Strategy<Value = Change> {
        prop_oneof![
            6 => (prop::collection::vec(0usize..6, 1..4), any::<bool>()).prop_map(|(at, body)| Change::Header(at, body)),
            3 => any::<usize>().prop_map(Change::Body),
            1 => any::<usize>().prop_map(Change::Invalid),
            1 => Just(Change::Select),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

        #[test]
        fn tips_are_the_usable_blocks_that_nothing_usable_stands_on(changes in prop::collection::vec(change(), 1..60)) {
            let index = index();
            for change in changes {
                let count = index.count();
                match change {
                    Change::Header(parents, body) => {
                        let parents: BTreeSet<BlockId> =
                            parents.into_iter().map(|at| id(count - 1 - at % count.min(6))).collect();
                        add(&index, count, parents.into_iter().collect(), body);
                    }
                    Change::Body(at) => index.add_body(id(at % count)),
                    // What a selected tip stands on was found valid.
                    Change::Invalid(at) if !index.is_ancestor(id(at % count), index.tip_id()) => {
                        let violation = Violation { rule: "test".to_owned(), detail: String::new() };
                        index.invalidate(id(at % count), &violation);
                    }
                    Change::Invalid(_) => {}
                    Change::Select => index.select(index.best()),
                }
                let tips = index.tips(usize::MAX);
                prop_assert_eq!(tips[0].id, index.tip_id());
                prop_assert!(tips[1..].is_sorted_by(|better, worse| better.work >= worse.work), "best first");
                prop_assert_eq!(tips.len(), searched(&index).len());
                prop_assert_eq!(tips.iter().map(|tip| tip.id).collect::<BTreeSet<_>>(), searched(&index));
            }
        }
    }
}
