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
            evidence,
        }
    }

    /// Adds a genuine proposal of whose turn it is.
    pub fn propose(&mut self, proposal: Proposal) -> Added {
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

    /// Adds a genuine vote of a validator.
    pub fn vote(&mut self, signed: Signed) -> Added {
        let of_node = self.votes.entry(signed.node).or_default();
        let place = (signed.statement.view, signed.statement.kind);
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
