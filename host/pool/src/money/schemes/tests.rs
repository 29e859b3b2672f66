use super::*;
use crate::money::audit::audit;
use crate::money::retention::needed_from;
use crate::money::rounds::SplitOutcome;
use crate::money::settlement::{Settled, settle_due};
use crate::money::testing::{ALICE, BOB, NOW, Pool, Scheme};
use adit_primitives::contract::payout::AccountId;
use adit_primitives::{U256, Work};
use proptest::prelude::*;

/// What there is for miners of a block.
const DISTRIBUTABLE: i64 = 970_200;
const POOL_FEE: i64 = 19_800;
const ECONOMICS: Economics = Economics { subsidy: 1_000, mean_fees: 0, work: Work(U256::from_limbs([1_000, 0, 0, 0])) };

fn by_blocks(window: Window) -> Scheme {
    Scheme::new(Pays::Blocks, window)
}

fn by_shares() -> Scheme {
    Scheme::new(Pays::Shares, Window::None)
}

impl Pool {
    fn split(&mut self, number: u8) -> [i64; 4] {
        let before = self.owed();
        self.mine(number);
        self.split_due().unwrap();
        let after = self.owed();
        [0, 1, 2, 3].map(|at: usize| after[at] - before[at])
    }
}

#[test]
fn shares_from_before_a_change_are_paid_by_their_own_rule() {
    let mut pool = Pool::new();
    pool.adopt("prop", by_blocks(Window::SinceBlock), None);
    pool.history.log(&[(BOB, 4)]);
    pool.adopt("solo", by_blocks(Window::None), None);
    pool.history.log(&[(ALICE, 4)]);
    // The round that was open at the change is split as a round; the next block by the new scheme.
    assert_eq!(pool.split(1), [DISTRIBUTABLE / 2, DISTRIBUTABLE / 2, 0, POOL_FEE]);
    pool.history.log(&[(BOB, 9)]);
    assert_eq!(pool.split(2), [DISTRIBUTABLE, 0, 0, POOL_FEE]);
}

#[test]
fn a_window_by_work_is_honoured_until_it_has_passed_the_change() {
    let mut pool = Pool::new();
    // The window of one block's work, 2^20 hashes.
    pool.adopt("pplns", by_blocks(Window::LastWork { thousandths: 1_000 }), None);
    pool.history.log(&[(BOB, 20)]);
    pool.adopt("solo", by_blocks(Window::None), None);
    pool.history.log(&[(ALICE, 19)]);
    assert_eq!(pool.split(1), [DISTRIBUTABLE / 2, DISTRIBUTABLE / 2, 0, POOL_FEE]);
    pool.history.log(&[(ALICE, 18)]);
    assert_eq!(pool.split(2), [DISTRIBUTABLE / 4 * 3, DISTRIBUTABLE / 4, 0, POOL_FEE]);
    pool.history.log(&[(ALICE, 18)]);
    assert_eq!(pool.split(3), [DISTRIBUTABLE, 0, 0, POOL_FEE]);
}

#[test]
fn shares_that_the_operator_bought_count_for_him() {
    let mut pool = Pool::new();
    pool.adopt("prop", by_blocks(Window::SinceBlock), None);
    pool.history.log(&[(BOB, 4)]);
    pool.adopt("pps", by_shares(), None);
    pool.history.log(&[(ALICE, 4)]);
    // Bob's share waited for this block; Alice's is the operator's, who pays for it.
    assert_eq!(pool.split(1), [0, DISTRIBUTABLE / 2, 0, DISTRIBUTABLE / 2 + POOL_FEE]);
    pool.history.log(&[(ALICE, 4)]);
    assert_eq!(pool.split(2), [0, 0, 0, DISTRIBUTABLE + POOL_FEE]);
}

#[test]
fn what_is_owed_for_shares_is_closed_with_the_change() {
    let mut pool = Pool::new();
    pool.adopt("pps", by_shares(), None);
    pool.history.log(&[(ALICE, 4)]);
    let from = pool.history.log(&[]);
    let prop = by_blocks(Window::SinceBlock);
    let era = Era { from, scheme: "prop".to_owned(), plan: prop.plan, began: NOW };
    let refused = switch(&pool.books, era, None, None);
    assert!(matches!(refused, Err(SwitchError::NoEconomics)));
    pool.adopt("prop", prop, Some(ECONOMICS));
    pool.history.log(&[(BOB, 4)]);
    // The window holds Alice's share too: it is the operator's.
    assert_eq!(pool.split(1), [0, DISTRIBUTABLE / 2, 0, DISTRIBUTABLE / 2 + POOL_FEE]);
    settle_due(&pool.books, &pool.history, &mut pool.schemes, NOW).unwrap();
    assert_eq!(pool.owed()[0], 16);
    assert_eq!(audit(&pool.books).unwrap().difference, None);
}

#[test]
fn choosing_the_scheme_in_force_changes_nothing() {
    let mut pool = Pool::new();
    pool.adopt("prop", by_blocks(Window::SinceBlock), None);
    pool.history.log(&[(BOB, 4)]);
    pool.adopt("prop", by_blocks(Window::SinceBlock), None);
    assert_eq!(pool.books.eras().unwrap().len(), 1);
}

#[test]
fn a_block_found_before_a_change_is_split_by_the_scheme_of_its_time() {
    let mut pool = Pool::new();
    pool.adopt("prop", by_blocks(Window::SinceBlock), None);
    pool.history.log(&[(BOB, 4)]);
    pool.find(1);
    pool.adopt("solo", by_blocks(Window::None), None);
    pool.rounds().accepted(adit_primitives::BlockId([1; 32]), NOW).unwrap();
    let rounds = pool.rounds();
    let mut schemes = Schemes::new();
    schemes.insert("prop".to_owned(), Box::new(by_blocks(Window::SinceBlock)));
    rounds.split_due(&mut schemes, NOW).unwrap();
    assert_eq!(pool.owed()[..2], [0, DISTRIBUTABLE]);
}

#[test]
fn a_scheme_that_was_left_is_asked_while_its_shares_are_kept() {
    let mut pool = Pool::new();
    pool.adopt("prop", by_blocks(Window::SinceBlock), None);
    pool.history.log(&[(BOB, 4)]);
    pool.adopt("solo", by_blocks(Window::None), None);
    let end = pool.history.log(&[(ALICE, 4)]);
    let may_split = Asked { may_split: true, ..Asked::default() };
    assert_eq!(pool.rounds().asked().unwrap(), [("prop".to_owned(), may_split)].into());
    pool.mine(1);
    assert_eq!(pool.rounds().asked().unwrap(), [("prop".to_owned(), Asked { blocks: 1, ..may_split })].into());
    pool.split_due().unwrap();
    pool.history.forget(end);
    pool.history.log(&[(BOB, 4)]);
    assert_eq!(pool.rounds().asked().unwrap(), BTreeMap::new());
    pool.mine(2);
    assert_eq!(pool.rounds().asked().unwrap(), [("solo".to_owned(), Asked { blocks: 1, ..Asked::default() })].into());
}

#[test]
fn a_scheme_that_was_left_is_asked_for_the_shares_that_it_owes_for() {
    let mut pool = Pool::new();
    pool.adopt("pps", by_shares(), None);
    pool.history.log(&[(ALICE, 4), (ALICE, 4), (BOB, 4)]);
    pool.adopt("fpps", by_shares(), Some(ECONOMICS));
    assert_eq!(pool.rounds().asked().unwrap(), [("pps".to_owned(), Asked { shares: 3, ..Asked::default() })].into());
    settle_due(&pool.books, &pool.history, &mut pool.schemes, NOW).unwrap();
    assert_eq!(pool.rounds().asked().unwrap(), BTreeMap::new());
}

proptest! {
    /// A restart loads what was asked for then, and the scheme that it puts in force.
    #[test]
    fn whatever_schemes_follow_each_other_those_asked_for_split_and_pay_all(
        eras in prop::collection::vec((0usize..5, prop::collection::vec((16u32..19, 17u8..21), 0..4), 0u8..3), 1..8),
        forgets: bool,
    ) {
        let plans = [
            (Pays::Blocks, Window::SinceBlock),
            (Pays::Blocks, Window::LastWork { thousandths: 1_500 }),
            (Pays::Blocks, Window::None),
            (Pays::Shares, Window::None),
            (Pays::Shares, Window::None),
        ];
        let scheme = |number: usize| Scheme::new(plans[number].0, plans[number].1);
        let mut pool = Pool::new();
        let mut found = 0;
        for (number, shares, blocks) in &eras {
            // What the run before had loaded is gone.
            pool.schemes.clear();
            pool.adopt(&number.to_string(), scheme(*number), Some(ECONOMICS));
            for name in pool.rounds().asked().unwrap().into_keys() {
                let again = scheme(name.parse().unwrap());
                pool.schemes.insert(name, Box::new(again));
            }
            let shares: Vec<_> = shares.iter().map(|(account, log2)| (AccountId(*account), *log2)).collect();
            let end = pool.history.log(&shares);
            for _ in 0..*blocks {
                found += 1;
                pool.mine(found);
            }
            for outcome in pool.split_due().unwrap() {
                prop_assert!(matches!(outcome, SplitOutcome::Split { .. }), "{:?}", outcome);
            }
            for outcome in settle_due(&pool.books, &pool.history, &mut pool.schemes, NOW).unwrap() {
                prop_assert!(matches!(outcome, Settled::Paid { .. }), "{:?}", outcome);
            }
            if forgets {
                let needed = needed_from(&pool.books, &pool.history, end, Work(U256::from(1u64 << 20))).unwrap();
                pool.history.forget(needed);
            }
            prop_assert_eq!(pool.owed()[5], 0, "nothing waits");
        }
        prop_assert_eq!(audit(&pool.books).unwrap().difference, None);
    }
}
