//! Which blocks lie in the past of which: answered without a walk, for every DAG.
//!
//! Pure and in memory, over places in the arena of [`crate::index`]; it never sees an id, a header or a rule. Intervals belong to this node alone:
//! two nodes that know the same blocks may label them differently, and answer alike. Nothing recurses, so depth costs no stack.
//!
//! A block `a` lies in the past of `b` in one of two ways. Either `b` stands on `a` along selected parents: then the interval of `a` holds that
//! of `b`. Or some block `c` on the selected chain of `b` is the first whose past holds `a`: then `a` is in the merge set of `c`, and `c` among
//! those that cover `a`. No two blocks that cover `a` stand on one another along selected parents, as only the first of a chain merges it: their
//! intervals are apart, and a binary search finds the one that could hold `b`. (The scheme is Kaspa's; labels are kept as in [`tour`].)
//!
//! Costs: a question O(log c), where c blocks cover the ancestor; an insertion O(log n) moved labels in the mean, plus a binary search and a
//! short copy for each merged block; 48 bytes a block and 4 more for each time beyond the third that a block is merged, at most twice that
//! while vectors grow.
//!
//! Reading order: [`tour`] the intervals, [`cover`] the blocks that merged a block, then here.

mod cover;
#[cfg(test)]
mod tests;
mod tour;

use cover::Covers;
use std::collections::BinaryHeap;
use tour::Tour;

/// A block's place in the arena, in the order in which blocks were first seen: parents before children.
pub type Place = u32;

/// The index. Place 0 is the root, which all others stand on.
#[derive(Debug)]
pub struct Reachability {
    tour: Tour,
    covers: Covers,
}

impl Default for Reachability {
    fn default() -> Self {
        Self::new()
    }
}

impl Reachability {
    /// Starts with the root at place 0.
    pub fn new() -> Self {
        let mut covers = Covers::default();
        covers.push();
        Self { tour: Tour::new(), covers }
    }

    /// Returns the number of blocks, which is the next place.
    #[allow(clippy::len_without_is_empty, reason = "the root is always there")]
    pub fn len(&self) -> usize {
        self.tour.len()
    }

    /// Returns the bytes held.
    pub fn bytes(&self) -> usize {
        self.tour.bytes() + self.covers.bytes()
    }

    /// Returns how often a label was moved to make room, since the start.
    pub fn moved(&self) -> u64 {
        self.tour.moved()
    }

    /// Adds a block. `merge_set` must be exactly what [`Self::merge_set`] returns for its parents, in any order: with less, questions
    /// about its future are answered wrongly.
    ///
    /// # Panics
    /// Unless `place` is the next one, and all others named are known.
    pub fn insert(&mut self, place: Place, selected_parent: Place, merge_set: &[Place]) {
        assert_eq!(place as usize, self.len(), "places are given in order");
        self.tour.push(selected_parent);
        self.covers.push();
        let enter = self.tour.interval(place).enter;
        for &merged in merge_set {
            let at = self.covers.of(merged).partition_point(|other| self.tour.interval(*other).enter < enter);
            self.covers.insert(merged, at, place);
        }
    }

    /// Tells whether `ancestor` is `descendant`, or on its selected chain.
    pub fn is_chain_ancestor(&self, ancestor: Place, descendant: Place) -> bool {
        self.tour.interval(ancestor).holds(self.tour.interval(descendant))
    }

    /// Tells whether `ancestor` is `descendant` or in its past.
    pub fn is_ancestor(&self, ancestor: Place, descendant: Place) -> bool {
        if self.is_chain_ancestor(ancestor, descendant) {
            return true;
        }
        // No block is older than one of its past.
        ancestor < descendant && self.is_covered(ancestor, descendant)
    }

    fn is_covered(&self, ancestor: Place, descendant: Place) -> bool {
        let covers = self.covers.of(ancestor);
        let enter = self.tour.interval(descendant).enter;
        let entered = covers.partition_point(|place| self.tour.interval(*place).enter <= enter);
        entered > 0 && self.is_chain_ancestor(covers[entered - 1], descendant)
    }

    /// Returns the blocks that a block with these parents would merge: those of `parents` and their pasts that are neither `selected`
    /// nor in its past, oldest first. `None` where they are more than `max`. `parents_of` gives the parents of any place.
    pub fn merge_set<'a>(
        &self,
        selected: Place,
        parents: &[Place],
        max: usize,
        parents_of: impl Fn(Place) -> &'a [Place],
    ) -> Option<Vec<Place>> {
        let mut merged = Vec::new();
        // The newest first: when a block's turn comes, all that lead to it have had theirs, so its doubles are beside it.
        let mut open: BinaryHeap<Place> = parents.iter().copied().filter(|place| *place != selected).collect();
        let mut last = None;
        while let Some(place) = open.pop() {
            if last.replace(place) == Some(place) || self.is_ancestor(place, selected) {
                continue;
            }
            if merged.len() == max {
                return None;
            }
            merged.push(place);
            open.extend(parents_of(place));
        }
        merged.reverse();
        Some(merged)
    }

    /// Asks [`Self::is_ancestor`] of each of `ancestors` with each of `descendants`: a row of answers for each ancestor.
    ///
    /// Descendants are sorted by where they are entered; those of one ancestor are then few runs, one for each block that covers it.
    pub fn matrix(&self, ancestors: &[Place], descendants: &[Place]) -> Vec<bool> {
        let width = descendants.len();
        let mut answers = vec![false; ancestors.len() * width];
        if width == 0 {
            return answers;
        }
        let mut entered: Vec<(u64, usize)> =
            descendants.iter().enumerate().map(|(column, place)| (self.tour.interval(*place).enter, column)).collect();
        entered.sort_unstable();
        for (row, &ancestor) in answers.chunks_exact_mut(width).zip(ancestors) {
            let covers = self.covers.of(ancestor);
            if covers.len() > width {
                row.iter_mut()
                    .zip(descendants)
                    .for_each(|(answer, place)| *answer = self.is_ancestor(ancestor, *place));
                continue;
            }
            for place in std::iter::once(&ancestor).chain(covers) {
                let interval = self.tour.interval(*place);
                let first = entered.partition_point(|(enter, _)| *enter < interval.enter);
                let held = entered[first..].iter().take_while(|(enter, _)| *enter <= interval.leave);
                held.for_each(|(_, column)| row[*column] = true);
            }
        }
        answers
    }
}
