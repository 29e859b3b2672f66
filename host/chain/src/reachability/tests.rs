//! Every answer against plain sets of ancestors, on random and on hostile DAGs.

mod deep;

use super::{Place, Reachability};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use std::hash::{BuildHasher, RandomState};

/// A DAG with its whole past as a bit set for each block.
#[derive(Debug, Default)]
struct Plain {
    parents: Vec<Vec<Place>>,
    selected: Vec<Place>,
    /// Bit `b` of row `a`: `b` is `a` or in its past.
    pasts: Vec<Vec<u64>>,
}

impl Plain {
    fn new() -> Self {
        let mut plain = Self::default();
        plain.add(0, Vec::new());
        plain
    }

    fn add(&mut self, selected: Place, parents: Vec<Place>) -> Place {
        let place = self.parents.len();
        let mut past = vec![0; place / 64 + 1];
        for parent in &parents {
            past.iter_mut().zip(&self.pasts[*parent as usize]).for_each(|(all, theirs)| *all |= theirs);
        }
        past[place / 64] |= 1 << (place % 64);
        self.parents.push(parents);
        self.selected.push(selected);
        self.pasts.push(past);
        Place::try_from(place).unwrap()
    }

    fn is_ancestor(&self, ancestor: Place, descendant: Place) -> bool {
        let bit = ancestor as usize;
        self.pasts[descendant as usize].get(bit / 64).is_some_and(|word| word >> (bit % 64) & 1 == 1)
    }

    fn is_chain_ancestor(&self, ancestor: Place, mut descendant: Place) -> bool {
        while descendant > ancestor {
            descendant = self.selected[descendant as usize];
        }
        descendant == ancestor
    }

    fn merge_set(&self, selected: Place, parents: &[Place]) -> Vec<Place> {
        let all = 0..Place::try_from(self.parents.len()).unwrap();
        let in_past = |place: &Place| parents.iter().any(|parent| self.is_ancestor(*place, *parent));
        all.filter(|place| in_past(place) && !self.is_ancestor(*place, selected)).collect()
    }

    /// Builds the index of the blocks in `order`, and returns it with the place that each block has there. Every merge set that
    /// the index finds is compared on the way.
    fn index(&self, order: &[Place]) -> (Reachability, Vec<Place>) {
        let mut index = Reachability::new();
        let mut places = vec![0; order.len()];
        let mut parents: Vec<Vec<Place>> = vec![Vec::new()];
        for (place, block) in order.iter().enumerate().skip(1) {
            let (place, block) = (Place::try_from(place).unwrap(), *block as usize);
            let above: Vec<Place> = self.parents[block].iter().map(|parent| places[*parent as usize]).collect();
            let selected = places[self.selected[block] as usize];
            let merged = index.merge_set(selected, &above, usize::MAX, |at| &parents[at as usize]).unwrap();
            let mut found: Vec<Place> = merged.iter().map(|at| order[*at as usize]).collect();
            found.sort_unstable();
            assert_eq!(found, self.merge_set(self.selected[block], &self.parents[block]), "merge set of {block}");
            let fewer = merged.len().checked_sub(1);
            assert!(
                fewer.is_none_or(|max| index.merge_set(selected, &above, max, |at| &parents[at as usize]).is_none())
            );
            index.insert(place, selected, &merged);
            parents.push(above);
            places[block] = place;
        }
        (index, places)
    }

    fn in_order(&self) -> Vec<Place> {
        (0..Place::try_from(self.parents.len()).unwrap()).collect()
    }

    /// Returns another order in which parents come before children: of the blocks whose parents have come, `picks` says which is next.
    fn shuffled(&self, picks: &[u32]) -> Vec<Place> {
        let mut order = vec![0];
        let mut come = vec![false; self.parents.len()];
        come[0] = true;
        for pick in picks.iter().cycle().take(self.parents.len() - 1) {
            let ready: Vec<Place> = self
                .in_order()
                .into_iter()
                .filter(|at| {
                    !come[*at as usize] && self.parents[*at as usize].iter().all(|parent| come[*parent as usize])
                })
                .collect();
            let next = ready[*pick as usize % ready.len()];
            come[next as usize] = true;
            order.push(next);
        }
        order
    }

    /// Compares every answer for every pair of blocks.
    #[track_caller]
    fn check(&self, order: &[Place]) {
        let (index, places) = self.index(order);
        let everyone = self.in_order();
        let matrix = index.matrix(&places, &places);
        for (a, row) in everyone.iter().zip(matrix.chunks(everyone.len())) {
            for (b, answer) in everyone.iter().zip(row) {
                let (at, below) = (places[*a as usize], places[*b as usize]);
                assert_eq!(index.is_ancestor(at, below), self.is_ancestor(*a, *b), "{a} above {b}");
                assert_eq!(
                    index.is_chain_ancestor(at, below),
                    self.is_chain_ancestor(*a, *b),
                    "{a} on the chain of {b}"
                );
                assert_eq!(*answer, self.is_ancestor(*a, *b), "{a} above {b} in the matrix");
            }
        }
    }
}

/// A DAG in which each block has up to `parents_max` parents among the `window` blocks before it, and any of them is selected.
fn dag(blocks: usize, window: u32, parents_max: usize) -> impl Strategy<Value = Plain> {
    let block = (prop::collection::vec(any::<u32>(), 1..=parents_max), any::<prop::sample::Index>());
    prop::collection::vec(block, 1..blocks).prop_map(move |recipe| {
        let mut plain = Plain::new();
        for (picks, selected) in recipe {
            let next = Place::try_from(plain.parents.len()).unwrap();
            let mut parents: Vec<Place> = picks.iter().map(|pick| next - 1 - pick % window.min(next)).collect();
            parents.sort_unstable();
            parents.dedup();
            plain.add(*selected.get(&parents), parents);
        }
        plain
    })
}

/// Other cases on every run. A test that fails says the seed by which it fails again, as `ADIT_SEED`.
fn seed() -> u64 {
    let named = std::env::var("ADIT_SEED").ok().map(|seed| seed.parse().unwrap());
    let seed = named.unwrap_or_else(|| RandomState::new().hash_one("a seed"));
    println!("ADIT_SEED={seed}");
    seed
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, rng_seed: RngSeed::Fixed(seed()), failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(64))]

    #[test]
    fn narrow_dags_are_answered_as_by_plain_sets(plain in dag(200, 4, 3)) {
        plain.check(&plain.in_order());
    }

    #[test]
    fn wide_dags_are_answered_as_by_plain_sets(plain in dag(250, 40, 8)) {
        plain.check(&plain.in_order());
    }

    #[test]
    fn dags_with_children_of_any_age_are_answered_as_by_plain_sets(plain in dag(200, 1000, 4)) {
        plain.check(&plain.in_order());
    }

    #[test]
    fn any_order_of_arrival_gives_the_same_answers(plain in dag(80, 12, 4), picks in prop::collection::vec(any::<u32>(), 80)) {
        plain.check(&plain.shuffled(&picks));
    }
}

/// Mixes a number (SplitMix64).
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Builds the tree in which block `n` stands on `parent(n)`, checks a sample of pairs by depth-first numbers, and that labels moved
/// no more often than `moved_max` times a block.
#[track_caller]
fn check_tree(blocks: u32, moved_max: u64, parent: impl Fn(u32) -> u32) {
    let mut index = Reachability::new();
    let parents: Vec<u32> = std::iter::once(0).chain((1..blocks).map(parent)).collect();
    for place in 1..blocks {
        index.insert(place, parents[place as usize], &[]);
    }
    // Children in reverse order of age: sizes of subtrees first, then where each begins.
    let mut sizes = vec![1_u32; blocks as usize];
    for place in (1..blocks as usize).rev() {
        sizes[parents[place] as usize] += sizes[place];
    }
    let mut starts = vec![0_u32; blocks as usize];
    let mut free: Vec<u32> = vec![1; blocks as usize];
    for place in 1..blocks as usize {
        let above = parents[place] as usize;
        starts[place] = starts[above] + free[above];
        free[above] += sizes[place];
    }
    for sample in 0..200_000 {
        let pick = |salt: u64| u32::try_from(mixed(sample * 2 + salt) % u64::from(blocks)).unwrap();
        let (a, b) = (pick(0), pick(1));
        let want = (starts[a as usize]..starts[a as usize] + sizes[a as usize]).contains(&starts[b as usize]);
        assert_eq!(index.is_ancestor(a, b), want, "{a} above {b}");
        assert!(index.is_ancestor(parents[b as usize], b));
    }
    assert!(index.moved() <= moved_max * u64::from(blocks), "{} labels moved", index.moved());
    assert_eq!(index.moved() == 0, moved_max == 0, "the shape is one that moves labels");
}

const MANY: u32 = 120_000;

#[test]
fn a_deep_chain_moves_no_label() {
    check_tree(MANY, 0, |place| place - 1);
}

#[test]
fn a_block_with_very_many_children_moves_few_labels() {
    check_tree(MANY, 40, |_| 0);
}

#[test]
fn a_long_side_chain_moves_few_labels() {
    check_tree(MANY, 40, |place| {
        if place < MANY / 2 {
            place - 1
        } else if place == MANY / 2 {
            100
        } else {
            place - 1
        }
    });
}

#[test]
fn two_chains_in_turn_move_few_labels() {
    check_tree(MANY, 40, |place| place.saturating_sub(2));
}

#[test]
fn children_of_old_blocks_move_few_labels() {
    check_tree(MANY, 40, |place| u32::try_from(mixed(u64::from(place)) % u64::from(place)).unwrap());
}

#[test]
fn a_fan_at_the_tip_of_a_deep_side_chain_moves_few_labels() {
    check_tree(MANY, 40, |place| match place {
        0..40_000 => place - 1,
        40_000 => 5,
        _ if place % 8 == 0 => place - 8,
        _ => place - place % 8,
    });
}

#[test]
fn a_fresh_branch_from_each_branch_moves_few_labels() {
    // Each 40th block leaves the newest chain 20 blocks back, as a later child.
    check_tree(MANY, 40, |place| if place % 40 == 39 { place - 20 } else { place - 1 });
}

#[test]
fn a_block_merged_very_often_is_still_found() {
    // Block 1 is merged by every third block, each on a branch of its own.
    let mut plain = Plain::new();
    plain.add(0, vec![0]);
    for _ in 0..300 {
        let branch = plain.add(0, vec![0]);
        let merging = plain.add(branch, vec![branch, 1]);
        plain.add(merging, vec![merging]);
    }
    plain.check(&plain.in_order());
    assert!(plain.index(&plain.in_order()).0.moved() > 0, "sets stay sorted while labels move");
}

#[test]
fn a_parent_in_another_parents_past_is_merged_once_or_not_at_all() {
    let mut plain = Plain::new();
    let side = plain.add(0, vec![0]);
    let above = plain.add(side, vec![side]);
    let main = plain.add(0, vec![0]);
    plain.add(main, vec![main, 0]);
    plain.add(main, vec![main, side, above]);
    plain.add(side, vec![side, above]);
    plain.check(&plain.in_order());
}
