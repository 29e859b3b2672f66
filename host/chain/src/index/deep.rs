//! Which blocks leave the selected chain so far below its tip that they are of no use: made with the work of old days, they cost next to nothing.

use super::{BlockIndex, Dag, Place};
use adit_primitives::Height;
use adit_primitives::contract::HeaderView;

/// The most chains of headers, best first, of which one may lead through a block.
const HEADS_MAX: usize = 16;

impl BlockIndex {
    /// Tells whether a block has none of the selected chain's newest `depth_max` heights in its past, and none of the best chains of headers leads
    /// through it. One with a parent that is not known says nothing yet.
    pub(crate) fn is_deep(&self, view: &HeaderView, depth_max: u64) -> bool {
        let dag = self.read();
        let Some(parents) = view.parents.iter().map(|id| dag.place(*id)).collect::<Option<Vec<Place>>>() else {
            return false;
        };
        let tip = dag.node(dag.tip()).height.0;
        let root = tip.checked_sub(depth_max).and_then(|height| dag.selected_ancestor(dag.tip(), Height(height)));
        let Some(root) = root else { return false };
        let reaches = |ancestor, descendant| dag.reachability.is_ancestor(ancestor, descendant);
        !parents.iter().any(|parent| reaches(root, *parent))
            && !dag.place(view.id).is_some_and(|block| dag.leads(block))
    }
}

impl Dag {
    /// Tells whether one of the best chains of headers goes through a block.
    fn leads(&self, block: Place) -> bool {
        self.heads_ahead().take(HEADS_MAX).any(|head| self.reachability.is_ancestor(block, head))
    }
}
