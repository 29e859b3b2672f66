//! A DAG of a hundred thousand blocks, several wide, with branches that are kept back and merged late: against walks over parents.

use super::{mixed, seed};
use crate::reachability::{Place, Reachability};

/// How many blocks there are.
const BLOCKS: u32 = 100_000;

/// Blocks that a miner may not have seen yet.
const UNSEEN_MAX: u32 = 6;

const PARENTS_MAX: usize = 8;

/// One block in so many begins a branch that is kept back.
const KEPT_BACK: u32 = 3_000;

/// The most blocks of such a branch.
const BRANCH_MAX: u32 = 2_000;

/// Descendants whose whole past is walked.
const WALKS: u32 = 60;

/// Numbers that look random.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(1);
        u32::try_from(mixed(self.0) % u64::from(bound)).unwrap()
    }
}

/// A DAG, and its index.
struct Deep {
    parents: Vec<Vec<Place>>,
    selected: Vec<Place>,
    merged: Vec<Vec<Place>>,
    index: Reachability,
}

/// A branch that nobody else sees before it ends.
struct Branch {
    tip: Place,
    left: u32,
}

impl Deep {
    fn add(&mut self, selected: Place, parents: Vec<Place>) -> Place {
        let place = Place::try_from(self.parents.len()).unwrap();
        let merged = self.index.merge_set(selected, &parents, usize::MAX, |at| &self.parents[at as usize]).unwrap();
        self.index.insert(place, selected, &merged);
        self.parents.push(parents);
        self.selected.push(selected);
        self.merged.push(merged);
        place
    }

    fn grow(random: &mut Random) -> Self {
        let index = Reachability::new();
        let mut deep = Self { parents: vec![Vec::new()], selected: vec![0], merged: vec![Vec::new()], index };
        // The tips as they were after each of the newest blocks, the newest last.
        let mut tips: Vec<Vec<Place>> = vec![vec![0]];
        let mut branch: Option<Branch> = None;
        while deep.index.len() < BLOCKS as usize {
            if branch.is_none() && random.below(KEPT_BACK) == 0 {
                branch = Some(Branch { tip: tips[tips.len() - 1][0], left: 1 + random.below(BRANCH_MAX) });
            }
            let mut new = Vec::new();
            if let Some(Branch { tip, left }) = &mut branch {
                *tip = deep.add(*tip, vec![*tip]);
                *left -= 1;
                if *left == 0 {
                    new.push(*tip);
                    branch = None;
                }
            }
            let unseen = random.below(UNSEEN_MAX.min(u32::try_from(tips.len()).unwrap())) as usize;
            let seen: Vec<Place> = tips[tips.len() - 1 - unseen].iter().rev().take(PARENTS_MAX).copied().collect();
            // Mostly the newest: any parent may be selected, whatever stands behind it.
            let picked = if random.below(8) == 0 { random.below(u32::try_from(seen.len()).unwrap()) } else { 0 };
            new.push(deep.add(seen[picked as usize], seen.clone()));
            let mut after = tips[tips.len() - 1].clone();
            after.retain(|tip| !seen.contains(tip));
            after.extend(new);
            tips.push(after);
            if tips.len() > UNSEEN_MAX as usize {
                tips.remove(0);
            }
        }
        deep
    }

    /// Returns which blocks are those from which `next` leads to `from`, itself among them.
    fn walk<'a>(&'a self, from: &[Place], next: impl Fn(Place) -> &'a [Place]) -> Vec<bool> {
        let mut found = vec![false; self.parents.len()];
        let mut open = from.to_vec();
        while let Some(place) = open.pop() {
            if !std::mem::replace(&mut found[place as usize], true) {
                open.extend(next(place));
            }
        }
        found
    }

    fn past(&self, from: &[Place]) -> Vec<bool> {
        self.walk(from, |place| &self.parents[place as usize])
    }

    /// Compares every answer about ancestors of one block, and its merge set, with walks.
    fn check(&self, block: Place) {
        let all: Vec<Place> = (0..BLOCKS).collect();
        let past = self.past(&[block]);
        let chain = self.walk(&[block], |place| match place {
            0 => &[],
            _ => std::slice::from_ref(&self.selected[place as usize]),
        });
        let matrix = self.index.matrix(&all, &[block]);
        for (place, answer) in all.iter().zip(matrix) {
            let at = *place as usize;
            assert_eq!(self.index.is_ancestor(*place, block), past[at], "{place} above {block}");
            assert_eq!(answer, past[at], "{place} above {block} in the matrix");
            assert_eq!(self.index.is_chain_ancestor(*place, block), chain[at], "{place} on the chain of {block}");
        }
        // Along its selected chain each block of its past is merged, once.
        let mut ordered: Vec<Place> = (0..=block).filter(|place| chain[*place as usize]).collect();
        let merged = ordered.iter().flat_map(|place| &self.merged[*place as usize]).copied();
        ordered.extend(merged.collect::<Vec<_>>());
        ordered.sort_unstable();
        let whole: Vec<Place> = (0..=block).filter(|place| past[*place as usize]).collect();
        assert!(ordered == whole, "{} blocks in the order of {block}, {} in its past", ordered.len(), whole.len());
        let below = self.past(&[self.selected[block as usize]]);
        let merged = (0..block).filter(|place| past[*place as usize] && !below[*place as usize]);
        assert_eq!(self.merged[block as usize], merged.collect::<Vec<_>>(), "merge set of {block}");
    }
}

#[test]
fn a_deep_and_wide_dag_is_answered_as_by_walks() {
    let mut random = Random(seed());
    let deep = Deep::grow(&mut random);
    let blocks = u32::try_from(deep.parents.len()).unwrap();
    let merges = deep.merged.iter().filter(|merged| !merged.is_empty()).count();
    let latest = deep.merged.iter().map(Vec::len).max().unwrap();
    assert!(merges > 20_000 && latest > 100, "{merges} blocks merge others, {latest} at most");
    // Those that merge most are looked at first, and the newest: nearly all blocks lie in its past.
    let mut descendants: Vec<Place> = (1..blocks).collect();
    descendants.sort_unstable_by_key(|place| std::cmp::Reverse(deep.merged[*place as usize].len()));
    descendants.truncate(WALKS as usize / 4);
    descendants.push(blocks - 1);
    descendants.extend((descendants.len()..WALKS as usize).map(|_| 1 + random.below(blocks - 1)));
    descendants.into_iter().for_each(|block| deep.check(block));
}
