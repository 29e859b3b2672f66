use super::*;
use crate::money::audit::audit;
use crate::money::split::SplitError;
use crate::money::testing::{ALICE, BOB, NOW, Pool, Scheme, fault};
use adit_primitives::contract::payout::{Credit, Pays, Window};
use adit_primitives::{U256, Work};

/// A block takes 1,024 hashes and brings 1,000 atoms and 24 of fees.
const ECONOMICS: Economics =
    Economics { subsidy: 1_000, mean_fees: 24, work: Work(U256::from_limbs([1_024, 0, 0, 0])) };

fn pps() -> Scheme {
    Scheme::new(Pays::Shares, Window::None)
}

#[test]
fn shares_are_paid_for_once_by_the_operator() {
    let mut pool = Pool::new();
    pool.adopt("pps", pps(), None);
    let end = pool.history.log(&[(ALICE, 9), (BOB, 8), (ALICE, 1)]);
    assert!(owe(&pool.books, end, ECONOMICS).unwrap());
    assert!(!owe(&pool.books, end, ECONOMICS).unwrap());
    let settled = settle_due(&pool.books, &pool.history, &mut pool.schemes, NOW).unwrap();
    let want = Settled::Paid { from: ShareSequence(0), to: end, sum: Amount::from_atoms(501 + 250) };
    assert_eq!(settled, [want]);
    assert_eq!(pool.owed(), [501, 250, 0, -751, 0, 0]);
    assert_eq!(settle_due(&pool.books, &pool.history, &mut pool.schemes, NOW).unwrap(), []);
    let end = pool.history.log(&[(BOB, 9)]);
    owe(&pool.books, end, ECONOMICS).unwrap();
    settle_due(&pool.books, &pool.history, &mut pool.schemes, NOW).unwrap();
    assert_eq!(pool.owed(), [501, 750, 0, -1_251, 0, 0]);
    assert_eq!(audit(&pool.books).unwrap().difference, None);
}

#[test]
fn what_is_postponed_is_paid_at_the_economics_of_its_time() {
    let mut pool = Pool::new();
    pool.adopt("pps", Scheme { answer: Some(Err(fault())), ..pps() }, None);
    let end = pool.history.log(&[(ALICE, 9)]);
    owe(&pool.books, end, ECONOMICS).unwrap();
    let why = Postponed::Fault(fault());
    let want = Settled::Postponed { from: ShareSequence(0), to: end, why };
    assert_eq!(settle_due(&pool.books, &pool.history, &mut pool.schemes, NOW).unwrap(), [want]);
    assert_eq!(pool.owed(), [0; 6]);
    // Blocks are worth nothing now. What was owed before is not.
    let end = pool.history.log(&[(BOB, 9)]);
    owe(&pool.books, end, Economics { subsidy: 0, mean_fees: 0, ..ECONOMICS }).unwrap();
    pool.schemes.insert("pps".to_owned(), Box::new(pps()));
    settle_due(&pool.books, &pool.history, &mut pool.schemes, NOW).unwrap();
    assert_eq!(pool.owed(), [500, 0, 0, -500, 0, 0]);
}

#[test]
fn a_scheme_that_pays_more_than_shares_are_worth_pays_nothing() {
    let mut pool = Pool::new();
    let greedy = Scheme { answer: Some(Ok(vec![Credit { account: ALICE, atoms: 513 }])), ..pps() };
    pool.adopt("pps", greedy, None);
    let end = pool.history.log(&[(ALICE, 9)]);
    owe(&pool.books, end, ECONOMICS).unwrap();
    let why = Postponed::Refused(SplitError::Overpaid { available: 512 });
    let want = Settled::Postponed { from: ShareSequence(0), to: end, why };
    assert_eq!(settle_due(&pool.books, &pool.history, &mut pool.schemes, NOW).unwrap(), [want]);
    assert_eq!(pool.owed(), [0; 6]);
}

#[test]
fn a_scheme_that_splits_blocks_owes_nothing_for_shares() {
    let mut pool = Pool::new();
    pool.adopt("prop", Scheme::new(Pays::Blocks, Window::SinceBlock), None);
    let end = pool.history.log(&[(ALICE, 9)]);
    assert!(!owe(&pool.books, end, ECONOMICS).unwrap());
}

#[test]
fn who_pays_for_shares_gets_the_blocks() {
    let mut pool = Pool::new();
    pool.adopt("pps", pps(), None);
    pool.history.log(&[(ALICE, 9)]);
    pool.mine(1);
    pool.split_due().unwrap();
    assert_eq!(pool.owed(), [0, 0, 0, 990_000, 10_000, 0]);
}
