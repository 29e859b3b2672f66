//! How far others are ahead of this node, by what they sign: what its miners work on is old, and will be credited to nobody.
//!
//! Believes no less than a third of the weight: somebody honest has to be there. Says nothing of a moment's lag.

use crate::id::{Moment, NodeId};
use crate::shares::weights::Validators;
use std::collections::BTreeMap;
use std::time::Duration;

/// How far this node is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// Rounds that others have certified and this node has not: so many at the least.
    pub rounds: u64,
    /// Since when others are ahead without a break.
    pub since: Moment,
}

/// What is known of those who are ahead.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// The last round that each of them was seen to vote in, where that is later than the open one.
    voting: BTreeMap<NodeId, u64>,
    lag: Option<Lag>,
    is_said: bool,
}

/// What changed for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Behind(Lag),
    Level,
}

impl Ahead {
    /// Notes that a validator votes in a round that is not open here yet.
    pub fn note(&mut self, node: NodeId, round: u64) {
        let last = self.voting.entry(node).or_default();
        *last = round.max(*last);
    }

    /// Looks at who is ahead after anything may have changed: `newest` is the newest round here, and what lasts longer than `patience`
    /// is told, once.
    pub fn look(&mut self, now: Moment, newest: u64, validators: &Validators, patience: Duration) -> Option<Change> {
        self.voting.retain(|node, round| *round > newest + 1 && validators.weight(*node) > 0);
        let voting = self.voting.iter().map(|(node, round)| (*node, *round));
        // Who votes in a round has certified the one before.
        self.lag = validators
            .reached(voting)
            .map(|round| Lag { rounds: round - 1 - newest, since: self.lag.map_or(now, |lag| lag.since) });
        match self.lag {
            Some(lag) if !self.is_said && lag.since.after(patience) <= now => {
                self.is_said = true;
                Some(Change::Behind(lag))
            }
            None if std::mem::take(&mut self.is_said) => Some(Change::Level),
            _ => None,
        }
    }

    /// Tells whether others are ahead, if only for a moment.
    pub const fn is_any(&self) -> bool {
        self.lag.is_some()
    }

    /// Returns how far this node is behind, where that was told.
    pub fn said(&self) -> Option<Lag> {
        self.lag.filter(|_| self.is_said)
    }

    /// Returns when it is to be told that this node is behind.
    pub fn due(&self, patience: Duration) -> Option<Moment> {
        self.lag.filter(|_| !self.is_said).map(|lag| lag.since.after(patience))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(100);

    fn node(number: u8) -> NodeId {
        NodeId([number; 32])
    }

    fn validators() -> Validators {
        Validators::new((1..=4).map(|number| (node(number), 1)).collect(), 0)
    }

    fn at(millis: u64) -> Moment {
        Moment::from_millis(millis)
    }

    #[test]
    fn less_than_a_third_of_the_weight_is_not_believed_whatever_it_claims() {
        let mut ahead = Ahead::default();
        ahead.note(node(1), u64::MAX);
        (10..200).for_each(|stranger| ahead.note(node(stranger), 50));
        assert_eq!((ahead.look(at(0), 4, &validators(), PATIENCE), ahead.is_any()), (None, false));
        assert_eq!(ahead.voting.len(), 1, "who has no weight takes no room");
        ahead.note(node(2), 9);
        ahead.look(at(0), 4, &validators(), PATIENCE);
        assert_eq!(ahead.lag, Some(Lag { rounds: 4, since: at(0) }));
    }

    #[test]
    fn what_lasts_is_said_once_and_its_end_too() {
        let mut ahead = Ahead::default();
        let mut look = |millis, newest, voting| {
            ahead.note(node(1), voting);
            ahead.note(node(2), voting);
            (ahead.look(at(millis), newest, &validators(), PATIENCE), ahead.said())
        };
        assert_eq!(look(0, 1, 3), (None, None));
        assert_eq!(look(50, 2, 3), (None, None), "a certificate was on its way");
        assert_eq!(look(60, 2, 4), (None, None));
        assert_eq!(look(159, 3, 5), (None, None));
        let lag = Lag { rounds: 1, since: at(60) };
        assert_eq!(look(160, 3, 5), (Some(Change::Behind(lag)), Some(lag)));
        assert_eq!(look(170, 3, 9), (None, Some(Lag { rounds: 5, ..lag })));
        assert_eq!(look(180, 8, 9), (Some(Change::Level), None));
        assert_eq!(look(900, 8, 9), (None, None));
    }
}
