use super::*;
use crate::money::audit::audit;
use crate::money::settlement::settle_due;
use crate::money::testing::{ALICE, BOB, NOW, Pool, Scheme};
use adit_primitives::{U256, Work};

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
