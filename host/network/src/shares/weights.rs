//! Who votes, and with what weight: verified work of the last certified rounds, capped for each identity.
//!
//! Never uptime, never a count of identities: a thousand nodes without work weigh nothing, and splitting one's work over many
//! keys adds nothing to its sum. Every node computes the same weights, because all that enters is certified.

use super::record::{Base, PoolId};
use crate::id::NodeId;
use adit_primitives::contract::shares::ShareDifficulty;
use std::collections::{BTreeMap, BTreeSet};

/// The most validators: those with the most work vote.
pub const VALIDATORS_MAX: usize = 64;

/// The terms on which a pool's nodes agree: part of its [`PoolId`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Who votes while there is no work yet, with relative weights. At most [`VALIDATORS_MAX`].
    pub founders: BTreeMap<NodeId, u64>,
    /// Hashes: while the window holds less work, founders weigh what is missing, so that the first share of a stranger does
    /// not make it the pool.
    pub founding_work: u64,
    /// How many certified rounds weigh: 1 to 10,000.
    pub window_rounds: u64,
    /// The most that one identity weighs, in percent of all work in the window: 1 to 100. Below a third, none can stop the
    /// pool by going away.
    pub cap_percent: u32,
    /// What a certificate needs, in percent of the weight. More than two thirds are needed whatever stands here.
    pub quorum_percent: u32,
    /// How many rounds after its base a share is still credited: 1 to 64.
    pub base_rounds: u64,
    /// The easiest share: what keeps shares from costing more to check than to make.
    pub difficulty_least: ShareDifficulty,
}

/// Who votes in one round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validators {
    weights: BTreeMap<NodeId, u128>,
    total: u128,
    quorum_percent: u32,
}

impl Terms {
    /// Returns the validators of the round after those in `window`, given the work of each node in it; `punished` have no weight.
    pub fn validators(&self, window: &BTreeMap<NodeId, u128>, punished: &BTreeSet<NodeId>) -> Validators {
        let all: u128 = window.values().sum();
        let missing = u128::from(self.founding_work).max(1).saturating_sub(all);
        let founders: u128 = self.founders.values().map(|weight| u128::from(*weight)).sum::<u128>().max(1);
        let mut weights = window.clone();
        for (node, weight) in &self.founders {
            // Rounded up: a founder never weighs nothing while founders are needed.
            *weights.entry(*node).or_default() += (missing * u128::from(*weight)).div_ceil(founders);
        }
        weights.retain(|node, weight| *weight > 0 && !punished.contains(node));
        let heaviest = heaviest(weights);
        let sum: u128 = heaviest.values().sum();
        let cap = (sum * u128::from(self.cap_percent) / 100).max(1);
        Validators::new(
            heaviest.into_iter().map(|(node, weight)| (node, weight.min(cap))).collect(),
            self.quorum_percent,
        )
    }
}

/// Keeps the heaviest; of equals those with the smaller id.
fn heaviest(weights: BTreeMap<NodeId, u128>) -> BTreeMap<NodeId, u128> {
    if weights.len() <= VALIDATORS_MAX {
        return weights;
    }
    let mut order: Vec<(NodeId, u128)> = weights.into_iter().collect();
    order.sort_by_key(|(node, weight)| (std::cmp::Reverse(*weight), *node));
    order.into_iter().take(VALIDATORS_MAX).collect()
}

impl Validators {
    /// Takes weights; a certificate needs `quorum_percent` of their sum, and always more than two thirds.
    pub fn new(weights: BTreeMap<NodeId, u128>, quorum_percent: u32) -> Self {
        let total = weights.values().sum();
        Self { weights, total, quorum_percent: quorum_percent.min(100) }
    }

    /// Returns a node's weight: 0 for one that does not vote.
    pub fn weight(&self, node: NodeId) -> u128 {
        self.weights.get(&node).copied().unwrap_or(0)
    }

    /// Returns the sum of weights.
    pub const fn total(&self) -> u128 {
        self.total
    }

    /// Returns who votes, by id.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = (NodeId, u128)> + '_ {
        self.weights.iter().map(|(node, weight)| (*node, *weight))
    }

    /// Returns the weight of distinct nodes.
    pub fn sum(&self, nodes: impl IntoIterator<Item = NodeId>) -> u128 {
        nodes.into_iter().map(|node| self.weight(node)).sum()
    }

    /// Tells whether that much weight certifies: more than two thirds, and what the terms ask beyond.
    pub fn is_quorum(&self, weight: u128) -> bool {
        weight * 3 > self.total * 2 && weight * 100 >= self.total * u128::from(self.quorum_percent)
    }

    /// Tells whether that much weight has somebody honest in it, while less than a third lies.
    pub const fn has_honest(&self, weight: u128) -> bool {
        weight * 3 >= self.total && self.total > 0
    }

    /// Returns the highest place that somebody honest has reached, by the places of distinct nodes: `None` where those weigh too
    /// little to tell.
    pub fn reached<T: Ord + Copy>(&self, places: impl IntoIterator<Item = (NodeId, T)>) -> Option<T> {
        let mut places: Vec<(T, u128)> = places.into_iter().map(|(node, place)| (place, self.weight(node))).collect();
        places.sort_by_key(|(place, _)| std::cmp::Reverse(*place));
        let mut sum = 0;
        places.into_iter().find_map(|(place, weight)| {
            sum += weight;
            self.has_honest(sum).then_some(place)
        })
    }

    /// Returns whose turn it is: drawn by weight, from what nobody knows before the round above is certified.
    pub fn proposer(&self, pool: PoolId, base: Base, view: u32) -> Option<NodeId> {
        let mut hash = blake3::Hasher::new_derive_key("adit shares 1: turn");
        hash.update(&pool.0).update(&base.root.0).update(&base.round.to_le_bytes()).update(&view.to_le_bytes());
        let mut draw = [0; 16];
        hash.finalize_xof().fill(&mut draw);
        let mut left = u128::from_le_bytes(draw).checked_rem(self.total)?;
        self.weights.iter().find_map(|(node, weight)| match left.checked_sub(*weight) {
            Some(rest) => {
                left = rest;
                None
            }
            None => Some(*node),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use adit_primitives::Hash256;

    fn node(number: u8) -> NodeId {
        NodeId([number; 32])
    }

    fn terms() -> Terms {
        Terms {
            founders: [(node(1), 1), (node(2), 1)].into(),
            founding_work: 1_000,
            window_rounds: 10,
            cap_percent: 30,
            quorum_percent: 0,
            base_rounds: 4,
            difficulty_least: ShareDifficulty::MIN,
        }
    }

    #[track_caller]
    fn check(work: &[(u8, u128)], want: &[(u8, u128)]) {
        let window = work.iter().map(|(number, work)| (node(*number), *work)).collect();
        let validators = terms().validators(&window, &BTreeSet::new());
        assert_eq!(validators.weights, want.iter().map(|(number, weight)| (node(*number), *weight)).collect());
    }

    #[test]
    fn founders_weigh_what_work_does_not_yet() {
        check(&[], &[(1, 300), (2, 300)]);
        check(&[(3, 400)], &[(1, 300), (2, 300), (3, 300)]);
        check(&[(3, 2_000)], &[(3, 600)]);
        check(&[(1, 500), (3, 250), (4, 250)], &[(1, 300), (3, 250), (4, 250)]);
    }

    #[test]
    fn identities_without_work_weigh_nothing_and_split_work_weighs_no_more() {
        let mut window: BTreeMap<NodeId, u128> = (10..40).map(|number| (node(number), 0)).collect();
        window.extend([(node(1), 2_000), (node(2), 2_000), (node(3), 2_000), (node(4), 2_000)]);
        let whole = terms().validators(&window, &BTreeSet::new());
        assert_eq!(whole.nodes().len(), 4);
        window.insert(node(4), 1_000);
        window.insert(node(5), 1_000);
        let split = terms().validators(&window, &BTreeSet::new());
        assert_eq!(split.weight(node(4)) + split.weight(node(5)), whole.weight(node(4)));
    }

    #[test]
    fn two_thirds_are_never_enough_whatever_the_terms_say() {
        let of = |percent| Validators::new([(node(1), 200), (node(2), 100)].into(), percent);
        assert!(!of(0).is_quorum(200) && of(0).is_quorum(201));
        assert!(!of(90).is_quorum(269) && of(90).is_quorum(270));
        assert!(!of(0).has_honest(99) && of(0).has_honest(100));
        assert!(!Validators::new(BTreeMap::new(), 0).is_quorum(0));
    }

    #[test]
    fn who_was_caught_has_no_weight() {
        let window = [(node(1), 2_000), (node(2), 2_000)].into();
        let validators = terms().validators(&window, &[node(1)].into());
        assert_eq!((validators.weight(node(1)), validators.weight(node(2))), (0, 600));
    }

    #[test]
    fn turns_go_by_weight() {
        let validators = Validators::new([(node(1), 300), (node(2), 100), (node(3), 0)].into(), 0);
        let base = Base { round: 1, root: Hash256([1; 32]) };
        let turns: Vec<NodeId> =
            (0..4_000).filter_map(|view| validators.proposer(PoolId([0; 32]), base, view)).collect();
        let of_first = turns.iter().filter(|turn| **turn == node(1)).count();
        assert_eq!(turns.len(), 4_000);
        assert!((2_850..3_150).contains(&of_first), "{of_first} of 4,000 turns for three quarters of the weight");
        assert!(!turns.contains(&node(3)));
        assert_eq!(Validators::new(BTreeMap::new(), 0).proposer(PoolId([0; 32]), base, 0), None);
    }
}
