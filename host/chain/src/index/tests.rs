//! What is kept as blocks come equals what a search over every block finds.

use super::*;
use adit_primitives::U256;
use adit_primitives::contract::{MergedBlock, PowInput};
use proptest::prelude::*;

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
    let (merge_set, state, tie, valid_from) = (known.merge_set.clone(), Vec::new(), Hash256(id.0), time);
    let placement = Placement { selected_parent, merge_set, height, work, tie, valid_from, subsidy: 0, state };
    (view, placement)
}

fn index() -> BlockIndex {
    let root = known(0, Vec::new());
    let placement = parts(&root).1;
    BlockIndex::new(root, &placement)
}

fn add(index: &BlockIndex, number: usize, parents: Vec<BlockId>, body: bool) {
    let mut known = known(number, parents);
    let selected = known.selected_parent.unwrap();
    let merged = index.merge_set(selected, &known.parents, u32::MAX).unwrap();
    known.merge_set = merged.into_iter().map(|stamp| MergedBlock { id: stamp.id, blue: true }).collect();
    let (view, placement) = parts(&known);
    index.insert(&view, &placement, body);
}

/// Finds the tips among all blocks.
fn searched_tips(index: &BlockIndex) -> BTreeSet<BlockId> {
    let dag = index.read();
    let usable: Vec<Place> = (0..).take(dag.nodes.len()).filter(|place| dag.is_usable(*place)).collect();
    let built_upon: BTreeSet<Place> = usable.iter().flat_map(|place| &dag.node(*place).parents).copied().collect();
    let tips = usable.into_iter().filter(|place| !built_upon.contains(place) || *place == dag.tip());
    tips.map(|place| dag.node(place).id).collect()
}

/// Finds the heads that are better than the selected tip among all blocks, best first.
fn searched_heads(index: &BlockIndex) -> Vec<BlockId> {
    let dag = index.read();
    let sound = |place: &Place| dag.node(*place).status != BlockStatus::Invalid;
    let heads = (0..).take(dag.nodes.len()).filter(sound).filter(|place| !dag.node(*place).children.iter().any(sound));
    let mut heads: Vec<Place> = heads.filter(|place| dag.beats_tip(*place)).collect();
    heads.sort_by_key(|place| Reverse(dag.rank(*place)));
    heads.into_iter().map(|place| dag.node(place).id).collect()
}

/// Finds the blocks without bodies on the way to one among all blocks.
fn searched_lacking(index: &BlockIndex, towards: BlockId) -> BTreeSet<BlockId> {
    let dag = index.read();
    let header = |place: &Place| dag.node(*place).status == BlockStatus::Header;
    let lacking = (0..).take(dag.nodes.len()).filter(header).map(|place| dag.node(place).id);
    let all: Vec<BlockId> = lacking.collect();
    drop(dag);
    all.into_iter().filter(|id| index.is_ancestor(*id, towards)).collect()
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

fn apply(index: &BlockIndex, change: Change) {
    let count = index.count();
    match change {
        Change::Header(parents, body) => {
            let parents: BTreeSet<BlockId> = parents.into_iter().map(|at| id(count - 1 - at % count.min(6))).collect();
            add(index, count, parents.into_iter().collect(), body);
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
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn tips_are_the_usable_blocks_that_nothing_usable_stands_on(changes in prop::collection::vec(change(), 1..60)) {
        let index = index();
        for change in changes {
            apply(&index, change);
            let tips = index.tips(usize::MAX);
            prop_assert_eq!(tips[0].id, index.tip_id());
            prop_assert!(tips[1..].is_sorted_by(|better, worse| better.work >= worse.work), "best first");
            prop_assert_eq!(tips.len(), searched_tips(&index).len());
            prop_assert_eq!(tips.iter().map(|tip| tip.id).collect::<BTreeSet<_>>(), searched_tips(&index));
        }
    }

    #[test]
    fn heads_are_the_sound_blocks_that_nothing_sound_stands_on(changes in prop::collection::vec(change(), 1..60)) {
        let index = index();
        for change in changes {
            apply(&index, change);
            let heads: Vec<BlockId> = index.heads_ahead(usize::MAX).iter().map(|head| head.id).collect();
            prop_assert_eq!(index.best_header().id, heads.first().copied().unwrap_or(index.tip_id()));
            prop_assert_eq!(heads, searched_heads(&index));
        }
    }

    #[test]
    fn bodies_are_lacking_where_a_search_finds_none_parents_first(
        changes in prop::collection::vec(change(), 1..60),
        max in 1usize..8,
    ) {
        let index = index();
        for change in changes {
            apply(&index, change);
        }
        for towards in (0..index.count()).map(id).filter(|id| index.status(*id) != Some(BlockStatus::Invalid)) {
            let lacking = index.lacking_bodies(towards, usize::MAX);
            prop_assert_eq!(lacking.iter().copied().collect::<BTreeSet<_>>(), searched_lacking(&index, towards));
            let is_above = |at: usize| lacking[..at].iter().any(|earlier| index.is_ancestor(lacking[at], *earlier));
            prop_assert!(!(0..lacking.len()).any(is_above), "a block comes before one of its past");
            let first = index.lacking_bodies(towards, max);
            prop_assert_eq!(&first[..], &lacking[..max.min(lacking.len())]);
        }
    }

    #[test]
    fn what_is_forgotten_leads_nowhere_and_changes_nothing_of_the_rest(
        changes in prop::collection::vec(change(), 1..60),
        after in prop::collection::vec(change(), 1..20),
        towards in any::<usize>(),
        astray: bool,
    ) {
        let index = index();
        changes.into_iter().for_each(|change| apply(&index, change));
        let count = index.count();
        let towards = id(towards % count);
        let before: Vec<IndexedBlock> = (0..count).map(|at| index.indexed(id(at)).unwrap()).collect();
        let lacking = index.lacking_bodies(towards, 1);
        let (best, tip) = (index.best_header().id, index.tip_id());
        let has_body = |id: BlockId| { let dag = index.read(); dag.node(dag.place(id).unwrap()).body };
        let bodies: Vec<BlockId> = (0..count).map(id).filter(|id| has_body(*id)).collect();
        let needed = |at: &BlockId| bodies.iter().any(|body| index.is_ancestor(*at, *body));
        let doomed = |at: &BlockId| match astray {
            true => !index.is_ancestor(*at, best),
            false => lacking.iter().any(|first| index.is_ancestor(*first, *at)),
        };
        let want: BTreeSet<BlockId> = (0..count).map(id).filter(|at| doomed(at) && !needed(at)).collect();
        let gone = if astray { index.forget_astray() } else { index.forget_towards(towards) };
        prop_assert_eq!(gone.into_iter().collect::<BTreeSet<_>>(), want.clone());
        for block in before.into_iter().filter(|block| !want.contains(&block.known.id)) {
            prop_assert_eq!(index.indexed(block.known.id), Some(block));
        }
        prop_assert_eq!(index.tip_id(), tip);
        prop_assert_eq!(index.bodiless(), index.count() - bodies.len());
        // What comes after is found as in an index that never knew more.
        for change in after {
            match change {
                Change::Body(at) => index.add_body(id(at % count)),
                Change::Select => index.select(index.best()),
                Change::Invalid(_) | Change::Header(..) => {}
            }
            let heads: Vec<BlockId> = index.heads_ahead(usize::MAX).iter().map(|head| head.id).collect();
            prop_assert_eq!(heads, searched_heads(&index));
            prop_assert_eq!(
                index.tips(usize::MAX).iter().map(|tip| tip.id).collect::<BTreeSet<_>>(),
                searched_tips(&index)
            );
        }
    }

    #[test]
    fn a_locator_goes_back_to_the_root_by_steps_that_double(blocks in 1usize..300) {
        let index = index();
        (1..blocks).for_each(|block| add(&index, block, vec![id(block - 1)], false));
        let locator = index.locator(id(blocks - 1));
        let heights: Vec<u64> = locator.iter().map(|id| index.block(*id).unwrap().height.0).collect();
        let steps: Vec<u64> = heights.windows(2).map(|pair| pair[0] - pair[1]).collect();
        prop_assert_eq!((heights[0], heights.last().copied()), (blocks as u64 - 1, Some(0)));
        for (at, step) in steps.iter().enumerate() {
            let want = if at < 9 { 1 } else { 2 << (at - 9) };
            prop_assert!(*step == want || (at + 1 == steps.len() && *step < want), "step {} is {}", at, step);
        }
    }
}
