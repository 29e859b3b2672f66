//! GHOSTDAG: which of the blocks that a block merges are blue.
//!
//! Algorithm 1 of "PHANTOM and GHOSTDAG" (Sompolinsky, Wyborski, Zohar 2021), in the order in which Kaspa's nodes try candidates: by blue work,
//! then by id as bytes. A candidate is blue where the blues that it did not see (its anticone) are at most k, and none of them would come to
//! have more than k blues in its own.
//!
//! A candidate is compared with the blues along the selected chain, newest first, until a chain block lies in its past: all blues below that
//! lie there too. Each chain block not in its past adds at least one blue to its anticone, so the walk ends after k + 1 of them.

use crate::notes::Grown;
use crate::past::{Block, Past};
use crate::violation::Rule;
use adit_plugin_sdk::{BlockId, Stamp, Target, Violation, Work};
use std::sync::Arc;

/// Answers asked for at once among the candidates themselves.
const ANSWERS: usize = 4096;

/// Blues of the chain asked about at once, where candidates are still open.
const BLUES: usize = 12;

/// What a block merges, coloured.
#[derive(Debug, Clone)]
pub struct Coloured {
    pub selected: Arc<Block>,
    /// The merge set without the selected parent, in ascending order.
    pub merged: Vec<Candidate>,
    /// The sizes of the blues' anticones among the blues, the selected parent's first.
    pub anticones: Vec<u16>,
    /// Blues of earlier merge sets whose anticones grew, in the order of their ids.
    pub grown: Vec<Grown>,
}

/// A block that is merged.
#[derive(Debug, Clone, Copy)]
pub struct Candidate {
    pub stamp: Stamp,
    pub blue: bool,
}

/// A blue block of the selected chain's merge sets: of the chain block so far down, the blue of this number.
type Place = (usize, usize);

/// What bounds a merge.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub k: u16,
    /// The most blocks merged, the selected parent not counted.
    pub merged_max: u32,
}

impl Coloured {
    /// Returns the stamps of the blues, the selected parent first.
    pub fn blues(&self) -> impl Iterator<Item = &Stamp> {
        let merged = self.merged.iter().filter(|merged| merged.blue).map(|merged| &merged.stamp);
        std::iter::once(&self.selected.stamp).chain(merged)
    }

    /// Returns the ids of the reds, in ascending order.
    pub fn reds(&self) -> Vec<BlockId> {
        self.merged.iter().filter(|merged| !merged.blue).map(|merged| merged.stamp.id).collect()
    }

    /// Returns the blue score of the block: how many blue blocks its past has.
    pub fn blue_score(&self) -> u64 {
        self.selected.stamp.height.0 + self.anticones.len() as u64
    }

    /// Returns the blue work of the block: the work of the blue blocks of its past.
    pub fn blue_work(&self) -> Work {
        let mut last = (0, Work::ZERO);
        self.blues().fold(self.selected.stamp.work, |sum, blue| {
            if blue.bits != last.0 {
                last = (blue.bits, Target::from_compact(blue.bits).map_or(Work::ZERO, Target::work));
            }
            sum.saturating_add(last.1)
        })
    }
}

/// Colours what a block with these parents merges.
pub fn colour(past: &mut Past<'_>, limits: Limits, parents: &[BlockId]) -> Result<Coloured, Violation> {
    let stamps = past.stamps(parents)?;
    let Some(selected) = stamps.into_iter().max_by_key(rank) else {
        return Err(Rule::Genesis.broken("a block without parents is not the genesis"));
    };
    let selected = past.block(selected.id)?;
    if parents.len() == 1 {
        return Ok(Coloured { selected, merged: Vec::new(), anticones: vec![0], grown: Vec::new() });
    }
    let Some(mut merged) = past.view.merge_set(selected.stamp.id, parents, limits.merged_max) else {
        return Err(Rule::MergeSetMax.broken(format!("more than {} blocks are merged", limits.merged_max)));
    };
    merged.sort_unstable_by_key(rank);
    let mut among = Among::new(&merged);
    check_parents(past, selected.stamp.id, parents, &mut among)?;
    let chain = Chain::compare(past, limits.k, selected.stamp.id, &among.ids)?;
    Ok(chain.colour(past, limits.k, selected, merged, among))
}

/// The order in which blocks are preferred: blue work, then the id as bytes.
pub fn rank(stamp: &Stamp) -> (Work, BlockId) {
    (stamp.work, stamp.id)
}

/// Refuses a parent that another parent has in its past.
fn check_parents(past: &Past<'_>, selected: BlockId, parents: &[BlockId], among: &mut Among) -> Result<(), Violation> {
    let related = |parent: BlockId| Rule::ParentsRelated.broken(format!("parent {parent} is in the past of another"));
    let mut others = Vec::with_capacity(parents.len() - 1);
    for parent in parents.iter().filter(|parent| **parent != selected) {
        others.push(among.ids.iter().position(|id| id == parent).ok_or_else(|| related(*parent))?);
    }
    others.sort_unstable();
    for (number, above) in others.iter().enumerate() {
        if others[number + 1..].iter().any(|below| among.is_ancestor(past, *above, *below)) {
            return Err(related(among.ids[*above]));
        }
    }
    Ok(())
}

/// Which candidates have which in their past, asked of the host in groups of rows when one is needed.
struct Among {
    ids: Vec<BlockId>,
    /// For each candidate, where its row of answers begins.
    rows: Vec<Option<usize>>,
    answers: Vec<bool>,
}

impl Among {
    fn new(merged: &[Stamp]) -> Self {
        let ids: Vec<BlockId> = merged.iter().map(|stamp| stamp.id).collect();
        Self { rows: vec![None; ids.len()], ids, answers: Vec::new() }
    }

    /// Tells whether a candidate is in the past of another.
    fn is_ancestor(&mut self, past: &Past<'_>, above: usize, below: usize) -> bool {
        let count = self.ids.len();
        let row = match self.rows[above] {
            Some(row) => row,
            None => {
                let group = (ANSWERS / count).clamp(1, count - above);
                let asked = &self.ids[above..above + group];
                let first = self.answers.len();
                self.answers.extend(past.view.ancestry(asked, &self.ids));
                for (number, row) in self.rows[above..above + group].iter_mut().enumerate() {
                    *row = Some(first + number * count);
                }
                first
            }
        };
        self.answers[row + below]
    }
}

/// The candidates against the blues of the selected chain.
struct Chain {
    /// The selected parent, and the chain below it as far as some candidate did not see it.
    blocks: Vec<Arc<Block>>,
    /// The blues of the chain in a candidate's anticone, candidate by candidate. What a candidate that has too many to be blue does not see is not
    /// listed to its end.
    outside: Vec<(usize, Place)>,
}

impl Chain {
    /// Asks the host which blues of the chain each candidate has in its past.
    fn compare(past: &mut Past<'_>, k: u16, selected: BlockId, candidates: &[BlockId]) -> Result<Self, Violation> {
        let mut chain = Self { blocks: Vec::new(), outside: Vec::new() };
        // The selected parent of the block that is judged is in every candidate's anticone.
        let mut open: Vec<(usize, u16)> = (0..candidates.len()).map(|candidate| (candidate, 1)).collect();
        let (mut blues, mut descendants) = (Vec::new(), Vec::new());
        let mut next = Some(selected);
        while next.is_some() && !open.is_empty() {
            let first = chain.blocks.len();
            blues.clear();
            while let Some(id) = next.take_if(|_| blues.len() < BLUES) {
                let block = past.block(id)?;
                blues.extend(&block.blues);
                next = block.selected_parent;
                chain.blocks.push(block);
            }
            descendants.clear();
            descendants.extend(open.iter().map(|(candidate, _)| candidates[*candidate]));
            let answers = past.view.ancestry(&blues, &descendants);
            let mut column = 0..descendants.len();
            open.retain_mut(|(candidate, anticone)| {
                let seen = answers.iter().skip(column.next().unwrap_or(0)).step_by(descendants.len());
                chain.walk(first, k, *candidate, anticone, seen)
            });
        }
        chain.outside.sort_unstable();
        Ok(chain)
    }

    /// Notes the blues that a candidate did not see, of the chain blocks from `first` on. Tells whether the chain goes on for it.
    fn walk<'a>(
        &mut self,
        first: usize,
        k: u16,
        candidate: usize,
        anticone: &mut u16,
        mut seen: impl Iterator<Item = &'a bool>,
    ) -> bool {
        for (level, block) in self.blocks.iter().enumerate().skip(first) {
            let mut sees_chain = false;
            for (number, seen) in (0..block.blues.len()).zip(&mut seen) {
                if *seen {
                    sees_chain |= number == 0;
                } else {
                    *anticone = anticone.saturating_add(1);
                    self.outside.push((candidate, (level, number)));
                }
            }
            if sees_chain || *anticone > k {
                return false;
            }
        }
        true
    }

    /// Colours the candidates in order.
    fn colour(&self, past: &Past<'_>, k: u16, selected: Arc<Block>, merged: Vec<Stamp>, mut among: Among) -> Coloured {
        let mut colours = Colours { k, blues: Vec::new(), anticones: vec![0], grown: Vec::new(), own: Vec::new() };
        let mut outside = self.outside.as_slice();
        let coloured = merged.into_iter().enumerate().map(|(number, stamp)| {
            let (unseen, rest) = outside.split_at(outside.partition_point(|(candidate, _)| *candidate <= number));
            outside = rest;
            Candidate { stamp, blue: colours.take(number, unseen, self, |blue| among.is_ancestor(past, blue, number)) }
        });
        let merged = coloured.collect();
        let blue = |(level, number): Place| self.blocks[level].blues[number];
        let mut grown: Vec<Grown> =
            colours.grown.into_iter().map(|(place, anticone)| Grown { id: blue(place), anticone }).collect();
        grown.sort_unstable_by_key(|grown| grown.id);
        Coloured { selected, merged, anticones: colours.anticones, grown }
    }

    /// Returns the size of a blue's anticone among the blues: the newest that a chain block noted.
    fn size(&self, (level, number): Place) -> u16 {
        let id = self.blocks[level].blues[number];
        let later = self.blocks[..level].iter().find_map(|block| {
            let grown = &block.notes.grown;
            grown.binary_search_by_key(&id, |grown| grown.id).ok().map(|at| grown[at].anticone)
        });
        later.or_else(|| self.blocks[level].notes.anticones.get(number).copied()).unwrap_or(0)
    }
}

/// The colours so far.
struct Colours {
    k: u16,
    /// The blue candidates.
    blues: Vec<usize>,
    /// The sizes of the new block's blues' anticones, its selected parent's first.
    anticones: Vec<u16>,
    /// Those of older blues that grew, by their places.
    grown: Vec<(Place, u16)>,
    /// Which of the new block's blues are in the anticone of the candidate at hand.
    own: Vec<usize>,
}

impl Colours {
    /// Makes a candidate blue where it can be. `unseen` are the blues of the chain in its anticone; `sees` tells of a blue candidate whether it is in
    /// its past.
    fn take(
        &mut self,
        candidate: usize,
        unseen: &[(usize, Place)],
        chain: &Chain,
        mut sees: impl FnMut(usize) -> bool,
    ) -> bool {
        if self.blues.len() >= usize::from(self.k) {
            return false;
        }
        self.own.clear();
        self.own.push(0);
        self.own.extend((1..).zip(&self.blues).filter(|(_, blue)| !sees(**blue)).map(|(at, _)| at));
        let anticone = self.own.len() + unseen.len();
        let is_full = |size: u16| size >= self.k;
        if anticone > usize::from(self.k)
            || self.own.iter().any(|at| is_full(self.anticones[*at]))
            || unseen.iter().any(|(_, place)| is_full(self.size(*place, chain)))
        {
            return false;
        }
        for at in &self.own {
            self.anticones[*at] += 1;
        }
        for (_, place) in unseen {
            let size = self.size(*place, chain) + 1;
            match self.grown.binary_search_by_key(place, |(place, _)| *place) {
                Ok(at) => self.grown[at].1 = size,
                Err(at) => self.grown.insert(at, (*place, size)),
            }
        }
        self.blues.push(candidate);
        self.anticones.push(u16::try_from(anticone).unwrap_or(u16::MAX));
        true
    }

    /// Returns the size of an older blue's anticone.
    fn size(&self, place: Place, chain: &Chain) -> u16 {
        let grown = self.grown.binary_search_by_key(&place, |(place, _)| *place);
        grown.map_or_else(|_| chain.size(place), |at| self.grown[at].1)
    }
}
