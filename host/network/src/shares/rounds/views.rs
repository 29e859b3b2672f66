//! What was said in the open round: proposals, votes, and where this node stands.
//!
//! Counts weight, and finds who contradicts himself. Decides nothing.

use crate::id::{Moment, NodeId};
use crate::shares::votes::{Backing, Content, Evidence, Kind, Proposal, Signed, Statement};
use crate::shares::weights::Validators;
use adit_primitives::Hash256;
use std::collections::BTreeMap;

/// The most statements of one node that are remembered.
const STATEMENTS_MAX: usize = 64;
/// The most proposals of a view: a second one proves a lie, and may be what others saw first.
const PROPOSALS_MAX: usize = 2;
/// The most views for which proposals are remembered.
const VIEWS_MAX: usize = 32;
/// How many views beyond this node's own are looked at as that one is. Of what a node says beyond those, its newest view is kept: enough
/// to see that a third of the weight is there, and to follow. What else was said there is asked for then.
const VIEWS_AHEAD: u32 = 8;
/// How often one node is seen to leap to a newer view beyond those, while this one stays in its own: each is passed on to others.
const LEAPS_MAX: u32 = 32;

/// How far this node is in its view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Propose,
    Prevote,
    Precommit,
}

#[derive(Debug)]
pub(super) struct Views {
    pub view: u32,
    pub step: Step,
    /// When the current step ends by itself.
    pub timer: Option<Moment>,
    /// The view and root on which this node locked.
    pub locked: Option<(u32, Hash256)>,
    /// The newest content that more than two thirds prevoted.
    pub valid: Option<(Backing, Content)>,
    /// What this node said in this round.
    pub said: BTreeMap<(u32, Kind), Statement>,
    proposals: BTreeMap<u32, Vec<Proposal>>,
    votes: BTreeMap<NodeId, BTreeMap<(u32, Kind), Vec<Signed>>>,
    /// How often each node leapt far ahead while this one was in its view.
    leaps: BTreeMap<NodeId, u32>,
    /// Proofs that are in no certified round yet.
    pub evidence: BTreeMap<NodeId, Evidence>,
}

/// What a statement added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Added {
    New,
    Known,
    /// It contradicts an earlier one.
    Fraud(Box<Evidence>),
}

impl Views {
    /// Begins a round; proofs that were found before are kept.
    pub fn new(evidence: BTreeMap<NodeId, Evidence>) -> Self {
        Self {
            view: 0,
            step: Step::Propose,
            timer: None,
            locked: None,
            valid: None,
            said: BTreeMap::new(),
            proposals: BTreeMap::new(),
            votes: BTreeMap::new(),
            leaps: BTreeMap::new(),
            evidence,
        }
    }

    /// Begins a view.
    pub fn begin(&mut self, view: u32) {
        (self.view, self.step, self.timer) = (view, Step::Propose, None);
        self.leaps.clear();
    }

    /// Adds a genuine proposal of whose turn it is. One far ahead is asked for by who gets there.
    pub fn propose(&mut self, proposal: Proposal) -> Added {
        if self.is_far(proposal.view) {
            return Added::Known;
        }
        let signed = proposal.signed();
        let of_view = self.proposals.entry(proposal.view).or_default();
        let known = of_view.iter().map(Proposal::signed).find(|known| known.statement != signed.statement);
        if of_view.iter().any(|known| known.signed().statement == signed.statement) {
            return Added::Known;
        }
        if of_view.len() < PROPOSALS_MAX {
            of_view.push(proposal);
        }
        while self.proposals.len() > VIEWS_MAX {
            // The farthest from here goes: the earliest, unless others ran far ahead.
            let first = self.proposals.keys().next().copied().filter(|first| *first < self.view);
            let gone = first.or_else(|| self.proposals.keys().next_back().copied());
            gone.map(|view| self.proposals.remove(&view));
        }
        match known {
            Some(one) => self.convict(Evidence { one, other: signed }),
            None => Added::New,
        }
    }

    const fn is_far(&self, view: u32) -> bool {
        view > self.view.saturating_add(VIEWS_AHEAD)
    }

    /// Adds a genuine vote of a validator.
    pub fn vote(&mut self, signed: Signed) -> Added {
        let place = (signed.statement.view, signed.statement.kind);
        if self.is_far(place.0) && !self.leap(signed.node, place.0) {
            return Added::Known;
        }
        let of_node = self.votes.entry(signed.node).or_default();
        if !of_node.contains_key(&place) && of_node.len() >= STATEMENTS_MAX {
            let first = *of_node.keys().next().expect("it is not empty");
            if place < first {
                return Added::Known;
            }
            of_node.remove(&first);
        }
        let at = of_node.entry(place).or_default();
        if at.iter().any(|known| known.statement == signed.statement) {
            return Added::Known;
        }
        match at.first().copied() {
            None => {
                at.push(signed);
                Added::New
            }
            // Both are counted: others may have seen this one first. More than two prove nothing new.
            Some(one) => {
                if at.len() == 1 {
                    at.push(signed);
                }
                self.convict(Evidence { one, other: signed })
            }
        }
    }

    /// Follows a node to a view far ahead, where that is its newest, and forgets what it said between here and there.
    fn leap(&mut self, node: NodeId, view: u32) -> bool {
        let of_node = self.votes.entry(node).or_default();
        let newest = of_node.keys().next_back().map(|(newest, _)| *newest);
        if newest >= Some(view) {
            return newest == Some(view);
        }
        let leaps = self.leaps.entry(node).or_default();
        *leaps += 1;
        let may = *leaps <= LEAPS_MAX;
        if may {
            let near = self.view.saturating_add(VIEWS_AHEAD);
            of_node.retain(|(view, _), _| *view <= near);
        }
        may
    }

    fn convict(&mut self, evidence: Evidence) -> Added {
        if self.evidence.contains_key(&evidence.node()) {
            return Added::Known;
        }
        self.evidence.insert(evidence.node(), evidence);
        Added::Fraud(Box::new(evidence))
    }

    /// Returns the first proposal of the current view.
    pub fn proposal(&self) -> Option<&Proposal> {
        self.proposals.get(&self.view).and_then(|of_view| of_view.first())
    }

    /// Returns the proposals of a view: two of them where its proposer lies.
    pub fn at(&self, view: u32) -> impl Iterator<Item = &Proposal> {
        self.proposals.get(&view).into_iter().flatten()
    }

    /// Returns the contents proposed in any view that state this root.
    pub fn contents(&self, root: Hash256) -> impl Iterator<Item = &Content> {
        let proposed = self.proposals.values().flatten().map(|proposal| &proposal.content);
        proposed.chain(self.valid.iter().map(|(_, content)| content)).filter(move |content| content.root == root)
    }

    /// Returns every content proposed in the round.
    pub fn all_contents(&self) -> impl Iterator<Item = &Content> {
        self.proposals.values().flatten().map(|proposal| &proposal.content)
    }

    /// Returns the weight of statements at a place with that value.
    pub fn weight_for(&self, validators: &Validators, view: u32, kind: Kind, value: Option<Hash256>) -> u128 {
        self.weight(validators, view, kind, |signed| signed.statement.value == value)
    }

    /// Returns the weight of all statements at a place.
    pub fn weight_any(&self, validators: &Validators, view: u32, kind: Kind) -> u128 {
        self.weight(validators, view, kind, |_| true)
    }

    fn weight(&self, validators: &Validators, view: u32, kind: Kind, is: impl Fn(&Signed) -> bool) -> u128 {
        let says = |of_node: &BTreeMap<(u32, Kind), Vec<Signed>>| {
            of_node.get(&(view, kind)).is_some_and(|signed| signed.iter().any(&is))
        };
        validators.sum(self.votes.iter().filter(|(_, of_node)| says(of_node)).map(|(node, _)| *node))
    }

    /// Returns the votes for a root at a place, by node.
    pub fn votes_for(&self, view: u32, kind: Kind, root: Hash256) -> Vec<Signed> {
        let at = |of_node: &BTreeMap<(u32, Kind), Vec<Signed>>| {
            let said = of_node.get(&(view, kind))?;
            said.iter().copied().find(|signed| signed.statement.value == Some(root))
        };
        self.votes.values().filter_map(at).collect()
    }

    /// Returns the roots that a quorum precommitted, with their views.
    pub fn decided(&self, validators: &Validators) -> Option<(u32, Hash256)> {
        let mut weights = BTreeMap::<(u32, Hash256), u128>::new();
        for (node, of_node) in &self.votes {
            for signed in of_node.iter().filter(|((_, kind), _)| *kind == Kind::Precommit).flat_map(|(_, said)| said) {
                if let Some(root) = signed.statement.value {
                    *weights.entry((signed.statement.view, root)).or_default() += validators.weight(*node);
                }
            }
        }
        weights.into_iter().find(|(_, weight)| validators.is_quorum(*weight)).map(|(place, _)| place)
    }

    /// Returns the highest view that somebody honest has reached, as far as weight shows.
    pub fn reached(&self, validators: &Validators) -> Option<u32> {
        let newest = |of_node: &BTreeMap<(u32, Kind), Vec<Signed>>| of_node.keys().next_back().map(|(view, _)| *view);
        validators.reached(self.votes.iter().filter_map(|(node, of_node)| Some((*node, newest(of_node)?))))
    }

    /// Returns the weight of everybody who said something in this round.
    pub fn heard(&self, validators: &Validators) -> u128 {
        validators.sum(self.votes.keys().copied())
    }

    /// Returns what was said last, and everything that `node` said: for who missed it.
    pub fn newest(&self, node: NodeId) -> (Vec<&Proposal>, Vec<Signed>) {
        let from = self.view.saturating_sub(1);
        let valid = self.valid.as_ref().map(|(backing, _)| backing.view);
        let matters = |view: u32| view >= from || Some(view) == valid;
        let proposals = self.proposals.iter().filter(|(view, _)| matters(**view)).flat_map(|(_, of_view)| of_view);
        let all =
            self.votes.iter().flat_map(|(by, of_node)| of_node.iter().map(move |(place, said)| (by, place, said)));
        let votes = all.filter(|(by, (view, _), _)| **by == node || matters(*view)).flat_map(|(_, _, said)| said);
        (proposals.collect(), votes.copied().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shares::keys::Identity;
    use crate::shares::record::PoolId;

    fn vote(node: u8, view: u32, kind: Kind) -> Signed {
        let statement = Statement { round: 1, view, kind, previous: Hash256([0; 32]), value: None };
        statement.sign(PoolId([0; 32]), &Identity::from_secret(&[node; 32]))
    }

    fn node(number: u8) -> NodeId {
        Identity::from_secret(&[number; 32]).node()
    }

    fn kept(views: &Views, node: NodeId) -> Vec<u32> {
        views.votes[&node].keys().map(|(view, _)| *view).collect()
    }

    #[test]
    fn of_a_node_far_ahead_its_newest_view_alone_is_kept() {
        let mut views = Views::new(BTreeMap::new());
        views.begin(4);
        for view in [0, 4, 12, 13, 40, 1_000] {
            assert_eq!(views.vote(vote(1, view, Kind::Prevote)), Added::New, "view {view}");
        }
        assert_eq!(kept(&views, node(1)), [0, 4, 12, 1_000]);
        assert_eq!(views.vote(vote(1, 1_000, Kind::Precommit)), Added::New, "the same view");
        assert_eq!(views.vote(vote(1, 999, Kind::Prevote)), Added::Known, "left behind");
        assert_eq!(views.vote(vote(1, 11, Kind::Prevote)), Added::New, "near");
        assert_eq!(kept(&views, node(1)), [0, 4, 11, 12, 1_000, 1_000]);
    }

    #[test]
    fn votes_at_any_number_of_far_views_take_the_room_of_one_and_are_passed_on_a_few_times() {
        let mut views = Views::new(BTreeMap::new());
        let news = |views: &mut Views, far: u32| {
            (0..1_000).filter(|step| views.vote(vote(1, far + step, Kind::Prevote)) == Added::New).count()
        };
        assert_eq!(news(&mut views, 100), LEAPS_MAX as usize);
        assert_eq!(kept(&views, node(1)).len(), 1);
        views.begin(1);
        assert_eq!(news(&mut views, u32::MAX - 1_000), LEAPS_MAX as usize, "who moves looks again");
        assert_eq!(kept(&views, node(1)).len(), 1);
    }

    #[test]
    fn the_view_of_a_third_of_the_weight_is_seen_however_far_ahead() {
        let validators = Validators::new((1..=4).map(|number| (node(number), 1)).collect(), 0);
        let mut views = Views::new(BTreeMap::new());
        // A liar, at once everywhere.
        (0..100).for_each(|step| drop(views.vote(vote(1, u32::MAX - 100 + step, Kind::Precommit))));
        assert_eq!(views.reached(&validators), None);
        (0..3).for_each(|step| drop(views.vote(vote(2, 500 * step, Kind::Prevote))));
        assert_eq!(views.reached(&validators), Some(1_000));
    }
}
