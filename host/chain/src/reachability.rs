//! Which blocks lie in the past of which.
//!
//! Where no block has more than one parent, a past is a selected chain and one ancestor look-up answers. Otherwise the past is searched,
//! cut off at the ancestor's height: exact for every DAG, as heights grow from parent to child, and slow for deep questions.

use crate::index::{Dag, Place};
use std::collections::BTreeSet;

/// Tells whether `ancestor` is `descendant` or in its past.
pub(crate) fn is_ancestor(dag: &Dag, ancestor: Place, descendant: Place) -> bool {
    let height = dag.node(ancestor).known.height;
    if dag.selected_ancestor(descendant, height) == Some(ancestor) {
        return true;
    }
    dag.has_merges() && is_in_past(dag, ancestor, descendant)
}

fn is_in_past(dag: &Dag, ancestor: Place, descendant: Place) -> bool {
    let height = dag.node(ancestor).known.height;
    let mut seen = BTreeSet::new();
    let mut open = vec![descendant];
    while let Some(place) = open.pop() {
        if place == ancestor {
            return true;
        }
        let above = dag.node(place).parents.iter().filter(|at| dag.node(**at).known.height >= height);
        open.extend(above.copied().filter(|at| seen.insert(*at)));
    }
    false
}
