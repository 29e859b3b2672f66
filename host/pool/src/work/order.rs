//! In which order shares are checked where more wait than are checked at once.
//!
//! Who has sent good shares comes before newcomers, and these before whoever sends what is invalid: a flood under new names holds nobody up who is known.
//! Order says when a share is looked at, never whether it counts, and it is bounded: what was passed over a few times comes next, whoever sent it.

use crate::work::retarget::ConnectionId;
use adit_primitives::contract::shares::WorkerRecord;
use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};

/// How often others may be taken before one that came earlier.
pub const PASSED_MAX: u8 = 3;

/// How good a worker's record is; greater is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Standing(u8);

impl Standing {
    /// The best: of 62 shares without a bad one on. Who sends more is not better.
    pub const BEST: Self = Self(6);

    /// Weighs a record. Of n shares i were invalid: with every rate of invalid shares alike before the first, (i + 1) / (n + 2) is the mean of the Beta
    /// posterior, and each halving of it a better standing. A newcomer's is 1.
    pub fn of(record: &WorkerRecord) -> Self {
        let all = record.valid.saturating_add(record.invalid).saturating_add(2);
        let one_in = all / record.invalid.saturating_add(1);
        let log2 = u8::try_from(one_in.max(1).ilog2()).unwrap_or(u8::MAX);
        Self(log2).min(Self::BEST)
    }
}

/// What waits to be checked, in the order in which it came. How much waits is its owner's matter.
#[derive(Debug)]
pub struct Order<T> {
    waiting: VecDeque<Waiting<T>>,
    shares: usize,
}

#[derive(Debug)]
struct Waiting<T> {
    connection: ConnectionId,
    shares: usize,
    passed: u8,
    parcel: T,
}

impl<T> Default for Order<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), shares: 0 }
    }
}

impl<T> Order<T> {
    /// Adds what a connection sent at once: so many shares.
    pub fn push(&mut self, connection: ConnectionId, shares: usize, parcel: T) {
        self.shares = self.shares.saturating_add(shares);
        self.waiting.push_back(Waiting { connection, shares, passed: 0, parcel });
    }

    /// Returns how many parcels wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Tells whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes parcels until `shares_max` shares are reached, one at least. All are taken in the order in which they came where they are no more than that;
    /// otherwise what was passed over [`PASSED_MAX`] times comes first, then who stands best. A connection stands as its worst parcel does: its
    /// parcels keep their order.
    pub fn take(&mut self, shares_max: usize, standing: impl Fn(&T) -> Standing) -> Vec<T> {
        if self.shares <= shares_max {
            self.shares = 0;
            return self.waiting.drain(..).map(|waiting| waiting.parcel).collect();
        }
        let is_taken = self.choose(shares_max, standing);
        let mut taken = Vec::new();
        for (mut waiting, place) in std::mem::take(&mut self.waiting).into_iter().zip(is_taken) {
            match place {
                Some(place) => {
                    self.shares -= waiting.shares;
                    taken.push((place, waiting.parcel));
                }
                None => {
                    waiting.passed = waiting.passed.saturating_add(1);
                    self.waiting.push_back(waiting);
                }
            }
        }
        taken.sort_unstable_by_key(|(place, _)| *place);
        taken.into_iter().map(|(_, parcel)| parcel).collect()
    }

    /// Returns for each parcel its place among those that are taken next.
    fn choose(&self, shares_max: usize, standing: impl Fn(&T) -> Standing) -> Vec<Option<usize>> {
        let mut standings: HashMap<ConnectionId, Standing> = HashMap::new();
        for waiting in &self.waiting {
            let own = standing(&waiting.parcel);
            standings.entry(waiting.connection).and_modify(|known| *known = own.min(*known)).or_insert(own);
        }
        let rank = |at: usize| {
            let waiting = &self.waiting[at];
            let due = waiting.passed >= PASSED_MAX;
            (!due, (!due).then_some(Reverse(standings[&waiting.connection])), at)
        };
        let mut order: Vec<usize> = (0..self.waiting.len()).collect();
        order.sort_by_cached_key(|at| rank(*at));
        let mut places = vec![None; order.len()];
        let mut shares = 0;
        for (place, at) in order.into_iter().enumerate() {
            if shares >= shares_max && place > 0 {
                break;
            }
            shares += self.waiting[at].shares;
            places[at] = Some(place);
        }
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[track_caller]
    fn check_standing(valid: u64, invalid: u64, want: u8) {
        assert_eq!(Standing::of(&WorkerRecord { valid, invalid, known_ms: 0 }), Standing(want));
    }

    #[test]
    fn each_halving_of_the_rate_that_is_expected_is_a_better_standing() {
        check_standing(0, 0, 1);
        check_standing(0, 1, 0);
        check_standing(2, 0, 2);
        check_standing(61, 0, 5);
        check_standing(62, 0, 6);
        check_standing(u64::MAX, 0, 6);
        check_standing(1_000, 99, 3);
        check_standing(0, u64::MAX, 0);
        check_standing(u64::MAX, u64::MAX, 0);
    }

    /// A parcel: who sent it, how good it is, how many parcels were sent before.
    type Parcel = (u64, Standing, usize);

    fn push(order: &mut Order<Parcel>, connection: u64, standing: u8, shares: usize, number: usize) {
        order.push(ConnectionId(connection), shares, (connection, Standing(standing), number));
    }

    fn taken(order: &mut Order<Parcel>, shares_max: usize) -> Vec<u64> {
        order.take(shares_max, |parcel| parcel.1).into_iter().map(|parcel| parcel.0).collect()
    }

    #[test]
    fn what_fits_is_taken_as_it_came() {
        let mut order = Order::default();
        [(1, 0), (2, 6), (3, 1)].into_iter().for_each(|(id, standing)| push(&mut order, id, standing, 10, 0));
        assert_eq!(taken(&mut order, 30), [1, 2, 3]);
        assert!(order.is_empty());
    }

    #[test]
    fn under_load_a_good_record_goes_before_a_flood_of_new_names() {
        let mut order = Order::default();
        (0..100).for_each(|id| push(&mut order, id, 1, 10, 0));
        push(&mut order, 500, 6, 10, 0);
        push(&mut order, 501, 0, 10, 0);
        assert_eq!(taken(&mut order, 20), [500, 0]);
    }

    #[test]
    fn what_was_passed_over_three_times_is_next_however_bad() {
        let mut order = Order::default();
        push(&mut order, 7, 0, 10, 0);
        for round in 0..u64::from(PASSED_MAX) {
            (0..5).for_each(|id| push(&mut order, 100 + 10 * round + id, 6, 10, 0));
            assert!(!taken(&mut order, 20).contains(&7));
        }
        (0..5).for_each(|id| push(&mut order, 200 + id, 6, 10, 0));
        assert_eq!(taken(&mut order, 10), [7]);
    }

    #[test]
    fn a_parcel_of_more_shares_than_are_taken_at_once_is_taken() {
        let mut order = Order::default();
        push(&mut order, 1, 6, 5_000, 0);
        push(&mut order, 2, 6, 5_000, 0);
        assert_eq!(taken(&mut order, 100), [1]);
        assert_eq!(taken(&mut order, 100), [2]);
        assert!(taken(&mut order, 100).is_empty());
    }

    proptest! {
        #[test]
        fn every_parcel_comes_once_and_in_its_connections_order_and_none_starves(
            rounds in proptest::collection::vec(proptest::collection::vec((0u64..6, 0u8..7, 1usize..40), 0..8), 1..40),
        ) {
            let mut order = Order::default();
            let (mut number, mut round) = (0, 0);
            // By number: when it came, and how many waited then.
            let mut came = BTreeMap::new();
            let mut last: BTreeMap<u64, usize> = BTreeMap::new();
            let mut rounds = rounds.into_iter();
            loop {
                let more = rounds.next();
                for (connection, standing, shares) in more.iter().flatten() {
                    came.insert(number, (round, order.len()));
                    push(&mut order, *connection, *standing, *shares, number);
                    number += 1;
                }
                for (connection, _, taken) in order.take(20, |parcel| parcel.1) {
                    let (since, before) = came.remove(&taken).expect("it comes once");
                    prop_assert!(round - since <= usize::from(PASSED_MAX) + before, "{} {} {}", round, since, before);
                    prop_assert!(last.insert(connection, taken).is_none_or(|before| before < taken));
                }
                round += 1;
                if more.is_none() && order.is_empty() {
                    break;
                }
            }
            prop_assert!(came.is_empty());
        }
    }
}
