//! Adit's reachability index over a DAG whose selected parents are known.

use crate::dag::Dag;
use crate::kaspa::{self, Placed};
use adit_chain::reachability::{Place, Reachability};

/// How far behind a block those lie with which it is compared.
const NEAR: u32 = 60;

pub fn reachability(_: &Dag, placed: &[Placed]) -> Reachability {
    let mut index = Reachability::new();
    for (place, block) in (0_u32..).zip(placed).skip(1) {
        index.insert(place, block.selected, &block.merged);
    }
    index
}

/// Compares merge sets, and answers about blocks near one another, with rusty-kaspa's.
pub fn check(dag: &Dag, placed: &[Placed]) {
    let index = reachability(dag, placed);
    let theirs = kaspa::reachability(dag, placed);
    for (place, block) in (0_u32..).zip(placed).skip(1) {
        let parents = &dag.parents[place as usize];
        let merged =
            index.merge_set(block.selected, parents, block.merged.len(), |at: Place| &dag.parents[at as usize]);
        let mut want = block.merged.clone();
        want.sort_unstable();
        assert_eq!(merged, Some(want), "{}: the merge set of block {place}", dag.name);
        for near in place.saturating_sub(NEAR)..place {
            let want = kaspa::is_ancestor(&theirs, near, place);
            assert_eq!(index.is_ancestor(near, place), want, "{}: {near} above {place}", dag.name);
        }
    }
}
