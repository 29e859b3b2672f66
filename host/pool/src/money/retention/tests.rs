use super::*;
use crate::money::rounds::Standing;
use crate::money::testing::{ALICE, BOB, CONFIRMATIONS, NOW, Pool, Scheme};
use adit_primitives::contract::payout::{AccountId, Economics, Pays};
use adit_primitives::{BlockId, U256};
use proptest::prelude::*;

/// The work of a block, as the tests' blocks have it.
const WORK: Work = Work(U256::from_limbs([1 << 20, 0, 0, 0]));

#[track_caller]
fn check(pool: &Pool, want: u64) {
    let next = pool.history.log(&[]);
    assert_eq!(needed_from(&pool.books, &pool.history, next, WORK).unwrap(), ShareSequence(want));
}

fn confirm(pool: &Pool, number: u8) {
    let deep = Standing::OnChain { confirmations: CONFIRMATIONS };
    pool.rounds().follow(BlockId([number; 32]), deep, NOW).unwrap();
}

#[test]
fn a_round_is_kept_until_no_orphan_can_open_it_again() {
    let mut pool = Pool::new();
    check(&pool, 0);
    pool.adopt("prop", Scheme::new(Pays::Blocks, Window::SinceBlock), None);
    pool.history.log(&[(ALICE, 4), (BOB, 4)]);
    pool.mine(1);
    pool.history.log(&[(ALICE, 4)]);
    check(&pool, 0);
    pool.split_due().unwrap();
    check(&pool, 0);
    confirm(&pool, 1);
    check(&pool, 2);
}

#[test]
fn two_windows_of_work_are_kept() {
    let mut pool = Pool::new();
    pool.adopt("pplns", Scheme::new(Pays::Blocks, Window::LastWork { thousandths: 500 }), None);
    pool.history.log(&[(ALICE, 19); 6]);
    check(&pool, 4);
}

#[test]
fn what_is_owed_for_is_kept() {
    let mut pool = Pool::new();
    pool.adopt("pps", Scheme::new(Pays::Shares, Window::None), None);
    let end = pool.history.log(&[(ALICE, 4), (BOB, 4)]);
    check(&pool, 0);
    let economics = Economics { subsidy: 1, mean_fees: 0, work: WORK };
    crate::money::settlement::owe(&pool.books, end, economics).unwrap();
    check(&pool, 0);
    crate::money::settlement::settle_due(&pool.books, &pool.history, &mut pool.schemes, NOW).unwrap();
    check(&pool, 2);
}

#[test]
fn a_scheme_that_was_left_keeps_its_shares_while_they_can_count() {
    let mut pool = Pool::new();
    pool.adopt("prop", Scheme::new(Pays::Blocks, Window::SinceBlock), None);
    pool.history.log(&[(ALICE, 4)]);
    pool.adopt("solo", Scheme::new(Pays::Blocks, Window::None), None);
    pool.history.log(&[(ALICE, 4)]);
    check(&pool, 0);
    pool.mine(1);
    pool.split_due().unwrap();
    confirm(&pool, 1);
    pool.history.log(&[(ALICE, 4)]);
    check(&pool, 3);
}

proptest! {
    #[test]
    fn no_later_split_misses_what_was_forgotten(
        before in prop::collection::vec((16u32..19, 17u8..20), 1..20), after in prop::collection::vec((16u32..19, 17u8..20), 1..8),
        thousandths in 1u64..4_000, by_work: bool, state in 0u8..3,
    ) {
        let window = if by_work { Window::LastWork { thousandths } } else { Window::SinceBlock };
        let shares = |of: &[(u32, u8)]| of.iter().map(|(account, log2)| (AccountId(*account), *log2)).collect::<Vec<_>>();
        let run = |forget: bool| {
            let mut pool = Pool::new();
            pool.adopt("scheme", Scheme::new(Pays::Blocks, window), None);
            pool.history.log(&shares(&before));
            pool.mine(1);
            if state > 0 {
                pool.split_due().unwrap();
            }
            if state > 1 {
                confirm(&pool, 1);
            }
            if forget {
                let next = pool.history.log(&[]);
                let needed = needed_from(&pool.books, &pool.history, next, WORK).unwrap();
                pool.history.forget(needed);
            }
            pool.history.log(&shares(&after));
            pool.mine(2);
            pool.split_due().unwrap();
            pool.owed()
        };
        prop_assert_eq!(run(false), run(true));
    }
}
