//! What is certified: the newest round, the work that weighs, who was punished, and which shares were counted.
//!
//! Keeps a window, never the whole log: the host's archive does that.

use crate::id::NodeId;
use crate::shares::archive::BASES_MAX;
use crate::shares::filter::{Novelty, Seen};
use crate::shares::record::{Base, PoolId, ShareId};
use crate::shares::votes::{Certificate, Credit};
use crate::shares::weights::{Terms, Validators};
use adit_primitives::{Hash256, canonical_struct};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// For how many rounds back a second certificate is recognized.
pub(super) const RECENT_ROUNDS: u64 = 64;
/// Shares that the filter remembers at least: some rounds of the fullest.
const FILTER_SHARES: usize = 1 << 17;

/// What of a certified round enters into later ones: enough for a node to go on from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    pub base: Base,
    /// In the order of the round: what payouts follow from.
    pub credits: Vec<Credit>,
    /// Everybody who was caught lying up to this round, ascending.
    pub punished: Vec<NodeId>,
}

canonical_struct!(Past { base, credits, punished });

#[derive(Debug)]
pub(super) struct History {
    pub newest: Base,
    window: VecDeque<BTreeMap<NodeId, u128>>,
    sums: BTreeMap<NodeId, u128>,
    pub punished: BTreeSet<NodeId>,
    recent: VecDeque<Recent>,
    seen: Seen,
}

/// A round that a second certificate may be for.
#[derive(Debug)]
pub(super) struct Recent {
    pub base: Base,
    /// Who voted in it.
    pub validators: Validators,
    /// None for a round from before this start.
    pub certificate: Option<Certificate>,
}

impl History {
    /// Begins before the first round.
    pub fn new(pool: PoolId) -> Self {
        // The seed only has to be unknown to who makes shares; filters of nodes may be alike, since exact sets decide.
        let seed = u64::from_le_bytes(*pool.0.first_chunk().expect("an id has 32 bytes"));
        Self {
            newest: Base { round: 0, root: Hash256(pool.0) },
            window: VecDeque::new(),
            sums: BTreeMap::new(),
            punished: BTreeSet::new(),
            recent: VecDeque::new(),
            seen: Seen::new(FILTER_SHARES, seed),
        }
    }

    /// Adds the next round, which `validators` certified.
    pub fn add(&mut self, past: &Past, terms: &Terms, validators: Validators, certificate: Option<Certificate>) {
        let mut work = BTreeMap::<NodeId, u128>::new();
        for credit in &past.credits {
            *work.entry(credit.node).or_default() += u128::from(credit.difficulty.work());
            self.seen.note(credit.share, credit.base);
        }
        for (node, work) in &work {
            *self.sums.entry(*node).or_default() += work;
        }
        self.window.push_back(work);
        while self.window.len() as u64 > terms.window_rounds {
            for (node, work) in self.window.pop_front().into_iter().flatten() {
                let sum = self.sums.entry(node).or_default();
                *sum = sum.saturating_sub(work);
            }
        }
        self.sums.retain(|_, work| *work > 0);
        self.punished = past.punished.iter().copied().collect();
        self.newest = past.base;
        self.seen.close_before((past.base.round + 1).saturating_sub(terms.base_rounds));
        self.recent.push_back(Recent { base: past.base, validators, certificate });
        if self.recent.len() as u64 > RECENT_ROUNDS {
            self.recent.pop_front();
        }
    }

    /// Returns who votes in the round after the newest.
    pub fn validators(&self, terms: &Terms) -> Validators {
        terms.validators(&self.sums, &self.punished)
    }

    /// Tells whether a share was credited in a round in which its base still counts.
    pub fn has_credited(&mut self, share: &ShareId) -> bool {
        self.seen.look(share) == Novelty::Double
    }

    /// Returns a recent round.
    pub fn recent(&self, round: u64) -> Option<&Recent> {
        self.recent.iter().rev().find(|recent| recent.base.round == round)
    }

    /// Returns the newest round, then older ones by doubling steps, as far as they are remembered.
    pub fn bases(&self) -> Vec<Base> {
        let newest = self.newest.round;
        let back = (0..BASES_MAX).map(|step| (1 << step) - 1).map_while(|back: u64| newest.checked_sub(back));
        let known = back.filter_map(|round| self.recent(round)).map(|recent| recent.base);
        let known: Vec<Base> = known.collect();
        if known.is_empty() { vec![self.newest] } else { known }
    }

    /// Tells whether a round is one of ours, among those that are remembered.
    pub fn has(&self, base: Base, pool: PoolId) -> bool {
        self.root_of(base.round, pool) == Some(base.root)
    }

    /// Tells whether work on `base` counts in the round after the newest. `None` where the base is newer than what is known.
    pub fn takes(&self, base: Base, terms: &Terms, pool: PoolId) -> Option<bool> {
        if base.round > self.newest.round {
            return None;
        }
        let fresh = base.round + terms.base_rounds > self.newest.round;
        Some(fresh && self.has(base, pool))
    }

    fn root_of(&self, round: u64, pool: PoolId) -> Option<Hash256> {
        match round {
            0 => Some(Hash256(pool.0)),
            round if round == self.newest.round => Some(self.newest.root),
            round => self.recent(round).map(|recent| recent.base.root),
        }
    }
}
