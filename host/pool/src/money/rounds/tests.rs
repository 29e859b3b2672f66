use super::*;
use crate::money::audit::audit;
use crate::money::testing::{ALICE, BOB, CAROL, CONFIRMATIONS, NOW, Pool, REWARD, Scheme, fault};
use adit_primitives::accounts::Balance;
use adit_primitives::contract::payout::{AccountId, Credit, Pays};
use proptest::prelude::*;

/// What there is for miners of a block: 1,000,000 less 1 %, less 2 % of the rest.
const DISTRIBUTABLE: i64 = 970_200;
const POOL_FEE: i64 = 19_800;
const FOUNDATION_FEE: i64 = 10_000;

fn proportional() -> Pool {
    let mut pool = Pool::new();
    pool.adopt("prop", Scheme::new(Pays::Blocks, Window::SinceBlock), None);
    pool
}

fn answering(answer: Result<Vec<Credit>, Fault>) -> Scheme {
    Scheme { answer: Some(answer), ..Scheme::new(Pays::Blocks, Window::SinceBlock) }
}

#[track_caller]
fn check_books(pool: &Pool) {
    assert_eq!(audit(&pool.books).unwrap().difference, None);
}

#[test]
fn a_block_pays_fees_then_miners_then_dust_to_the_foundation() {
    let mut pool = proportional();
    pool.history.log(&[(ALICE, 4), (BOB, 4), (CAROL, 4), (ALICE, 5), (BOB, 5)]);
    let block = pool.mine(1);
    assert_eq!(pool.owed(), [0, 0, 0, POOL_FEE, FOUNDATION_FEE, DISTRIBUTABLE]);
    let outcomes = pool.split_due();
    let outcomes = outcomes.unwrap();
    // 112 hashes: 48, 48 and 16 of them.
    assert_eq!(outcomes, [SplitOutcome::Split { block, distributed: Amount::from_atoms(970_200) }]);
    assert_eq!(pool.owed(), [415_800, 415_800, 138_600, POOL_FEE, FOUNDATION_FEE, 0]);
    pool.history.log(&[(ALICE, 0), (BOB, 0), (CAROL, 0), (CAROL, 2)]);
    pool.mine(2);
    pool.split_due().unwrap();
    // Seven hashes: 138,600 for each. Nothing is left over, and the first block's shares are not paid again.
    assert_eq!(pool.owed()[..3], [415_800 + 138_600, 415_800 + 138_600, 138_600 + 5 * 138_600]);
    check_books(&pool);
}

#[test]
fn dust_goes_to_the_foundation() {
    let mut pool = proportional();
    pool.history.log(&[(ALICE, 0), (BOB, 0), (CAROL, 0), (CAROL, 3)]);
    pool.mine(1);
    pool.split_due().unwrap();
    // Elevenths of 970,200 are whole, so count what is left of elevenths of one atom more.
    let owed = pool.owed();
    assert_eq!(owed, [88_200, 88_200, 793_800, POOL_FEE, FOUNDATION_FEE, 0]);
    pool.history.log(&[(ALICE, 0), (BOB, 0), (CAROL, 0), (CAROL, 4)]);
    pool.mine(2);
    pool.split_due().unwrap();
    // 970,200 / 19 is 51,063 and 3 / 19: each of three loses a part of an atom, two atoms together.
    let left = 970_200 - 2 * (970_200 / 19) - 17 * 970_200 / 19;
    assert_eq!(pool.owed()[4], 2 * FOUNDATION_FEE + left);
    assert!(left > 0);
    check_books(&pool);
}

#[test]
fn what_is_done_twice_is_done_once() {
    let mut pool = proportional();
    pool.history.log(&[(ALICE, 4)]);
    let block = pool.mine(1);
    pool.rounds().accepted(block, NOW).unwrap();
    pool.split_due().unwrap();
    assert_eq!(pool.split_due().unwrap(), []);
    let again = pool.books.block(block).unwrap().unwrap();
    assert!(!pool.rounds().found(&again).unwrap());
    assert_eq!(pool.owed(), [DISTRIBUTABLE, 0, 0, POOL_FEE, FOUNDATION_FEE, 0]);
}

#[test]
fn a_scheme_that_faults_delays_the_split_and_loses_nothing() {
    let mut pool = Pool::new();
    pool.adopt("bad", answering(Err(fault())), None);
    pool.history.log(&[(ALICE, 4), (BOB, 4)]);
    let block = pool.mine(1);
    for _ in 0..2 {
        let outcomes = pool.split_due().unwrap();
        assert_eq!(outcomes, [SplitOutcome::Postponed { block, why: Postponed::Fault(fault()) }]);
        assert_eq!(pool.owed()[5], DISTRIBUTABLE);
    }
    // Confirmed meanwhile: the income waits still.
    let standing = Standing::OnChain { confirmations: CONFIRMATIONS };
    assert_eq!(pool.rounds().follow(block, standing, NOW).unwrap(), BlockState::Confirmed);
    pool.schemes.insert("bad".to_owned(), Box::new(Scheme::new(Pays::Blocks, Window::SinceBlock)));
    pool.split_due().unwrap();
    assert_eq!(pool.owed(), [DISTRIBUTABLE / 2, DISTRIBUTABLE / 2, 0, POOL_FEE, FOUNDATION_FEE, 0]);
    check_books(&pool);
}

#[test]
fn a_hostile_split_moves_nothing() {
    let too_much = vec![Credit { account: ALICE, atoms: 970_201 }];
    let stranger = vec![Credit { account: CAROL, atoms: 1 }];
    let twice = vec![Credit { account: ALICE, atoms: 1 }; 2];
    let nobody = Vec::new();
    for (answer, want) in [
        (too_much, SplitError::Overpaid { available: 970_200 }),
        (stranger, SplitError::Stranger { account: CAROL }),
        (twice, SplitError::PaidTwice { account: ALICE }),
        (nobody, SplitError::Underpaid { left: 970_200, rounding_max: 2 }),
    ] {
        let mut pool = Pool::new();
        pool.adopt("hostile", answering(Ok(answer)), None);
        pool.history.log(&[(ALICE, 4), (BOB, 4)]);
        let block = pool.mine(1);
        let outcomes = pool.split_due().unwrap();
        assert_eq!(outcomes, [SplitOutcome::Postponed { block, why: Postponed::Refused(want) }]);
        assert_eq!(pool.owed(), [0, 0, 0, POOL_FEE, FOUNDATION_FEE, DISTRIBUTABLE]);
        check_books(&pool);
    }
}

#[test]
fn solo_pays_the_finder_and_nobody_else() {
    let mut pool = Pool::new();
    pool.adopt("solo", Scheme::new(Pays::Blocks, Window::None), None);
    pool.history.log(&[(BOB, 9), (ALICE, 1)]);
    pool.mine(1);
    pool.split_due().unwrap();
    assert_eq!(pool.owed()[..3], [DISTRIBUTABLE, 0, 0]);
}

#[test]
fn a_window_without_shares_is_its_finders() {
    let mut pool = proportional();
    pool.mine(1);
    pool.split_due().unwrap();
    assert_eq!(pool.owed()[..3], [DISTRIBUTABLE, 0, 0]);
}

#[test]
fn an_orphan_gives_every_atom_back() {
    for split in [false, true] {
        let mut pool = proportional();
        pool.history.log(&[(ALICE, 4), (BOB, 4), (CAROL, 0)]);
        let block = pool.mine(1);
        if split {
            pool.split_due().unwrap();
        }
        let off = |blocks_from_its_height| Standing::OffChain { blocks_from_its_height };
        let before = pool.owed();
        // It may come back until others are as deep as a confirmation takes.
        assert_eq!(pool.rounds().follow(block, off(CONFIRMATIONS - 1), NOW).unwrap(), BlockState::Immature);
        assert_eq!(pool.owed(), before);
        for _ in 0..2 {
            assert_eq!(pool.rounds().follow(block, off(CONFIRMATIONS), NOW).unwrap(), BlockState::Orphaned);
            assert_eq!(pool.owed(), [0; 6]);
        }
        assert_eq!(pool.books.account(ALICE).unwrap().unwrap().balance, Balance::default());
        assert_eq!(pool.split_due().unwrap(), []);
        check_books(&pool);
    }
}

#[test]
fn a_round_goes_on_over_an_orphan() {
    let mut pool = proportional();
    pool.history.log(&[(BOB, 4)]);
    let orphan = pool.mine(1);
    let standing = Standing::OffChain { blocks_from_its_height: CONFIRMATIONS };
    pool.rounds().follow(orphan, standing, NOW).unwrap();
    pool.history.log(&[(ALICE, 4)]);
    pool.mine(2);
    pool.split_due().unwrap();
    assert_eq!(pool.owed()[..2], [DISTRIBUTABLE / 2, DISTRIBUTABLE / 2]);
}

#[test]
fn credits_are_mature_when_their_block_is_confirmed() {
    let mut pool = proportional();
    pool.history.log(&[(ALICE, 4)]);
    let block = pool.mine(1);
    pool.split_due().unwrap();
    let mature = || pool.books.account(ALICE).unwrap().unwrap().balance.mature();
    assert_eq!(mature(), 0);
    let deep = |confirmations| Standing::OnChain { confirmations };
    assert_eq!(pool.rounds().follow(block, deep(CONFIRMATIONS - 1), NOW).unwrap(), BlockState::Immature);
    assert!(!pool.books.block(block).unwrap().unwrap().bytes.is_empty());
    assert_eq!(pool.rounds().follow(block, deep(CONFIRMATIONS), NOW).unwrap(), BlockState::Confirmed);
    assert_eq!(mature(), DISTRIBUTABLE);
    assert!(pool.books.block(block).unwrap().unwrap().bytes.is_empty());
    // What is final stays so.
    let off = Standing::OffChain { blocks_from_its_height: 99 };
    assert_eq!(pool.rounds().follow(block, off, NOW).unwrap(), BlockState::Confirmed);
    check_books(&pool);
}

#[test]
fn a_find_whose_answer_was_lost_is_booked_by_what_the_chain_says() {
    let pool = proportional();
    pool.history.log(&[(ALICE, 4)]);
    let (taken, lost, open) = (pool.find(1), pool.find(2), pool.find(3));
    let rounds = pool.rounds();
    assert_eq!(rounds.follow(taken, Standing::OnChain { confirmations: 3 }, NOW).unwrap(), BlockState::Immature);
    let off = |blocks_from_its_height| Standing::OffChain { blocks_from_its_height };
    assert_eq!(rounds.follow(lost, off(CONFIRMATIONS), NOW).unwrap(), BlockState::Refused);
    assert_eq!(rounds.follow(open, off(1), NOW).unwrap(), BlockState::Found);
    assert_eq!(pool.owed()[5], DISTRIBUTABLE);
}

#[test]
fn a_round_is_not_split_before_it_is_known_where_it_begins() {
    let mut pool = proportional();
    pool.history.log(&[(BOB, 4)]);
    let earlier = pool.find(1);
    pool.history.log(&[(ALICE, 4)]);
    let block = pool.mine(2);
    let outcomes = pool.split_due().unwrap();
    assert_eq!(outcomes, [SplitOutcome::Postponed { block, why: Postponed::EarlierBlock }]);
    pool.rounds().refused(earlier).unwrap();
    pool.split_due().unwrap();
    assert_eq!(pool.owed()[..2], [DISTRIBUTABLE / 2, DISTRIBUTABLE / 2]);
}

#[test]
fn a_block_that_is_split_while_it_is_orphaned_is_taken_back_whole() {
    let mut pool = proportional();
    pool.history.log(&[(ALICE, 4), (BOB, 4)]);
    let block = pool.mine(1);
    let late = pool.rounds().reversals(block, NOW).unwrap();
    pool.split_due().unwrap();
    assert_eq!(pool.books.commit(&late), Err(AccountsError::SplitStands { id: block }));
    pool.rounds().orphan(block, NOW).unwrap();
    assert_eq!(pool.owed(), [0; 6]);
    check_books(&pool);
}

#[test]
fn a_block_that_is_orphaned_while_it_is_split_pays_nobody() {
    let mut pool = proportional();
    pool.history.log(&[(ALICE, 4), (BOB, 4)]);
    let read = pool.books.block(pool.mine(1)).unwrap().unwrap();
    pool.rounds().orphan(read.id, NOW).unwrap();
    let (mut schemes, eras) = (std::mem::take(&mut pool.schemes), Eras::read(&pool.books).unwrap());
    let split = pool.rounds().split(&read, &eras, &mut schemes, NOW).unwrap();
    assert!(matches!(split, Err(Postponed::Orphaned)), "{split:?}");
    assert_eq!(pool.owed(), [0; 6]);
    check_books(&pool);
}

#[test]
fn a_block_whose_coinbase_pays_the_miners_leaves_nothing_owed_and_nothing_waiting() {
    let mut pool = proportional();
    pool.history.log(&[(ALICE, 4), (BOB, 4)]);
    let block = pool.find(1);
    let settings = RoundSettings { pays_miners: true, ..pool.rounds().settings };
    let mut schemes = std::mem::take(&mut pool.schemes);
    let rounds = Rounds { settings, ..pool.rounds() };
    rounds.accepted(block, NOW).unwrap();
    let split = rounds.split_due(&mut schemes, NOW).unwrap();
    assert_eq!(split, [SplitOutcome::Split { block, distributed: REWARD }]);
    assert_eq!(pool.owed(), [0; 6]);
    let paid = audit(&pool.books).unwrap();
    assert_eq!((paid.difference, paid.totals.paid), (None, i128::from(REWARD.to_atoms())));
    rounds.follow(block, Standing::OffChain { blocks_from_its_height: CONFIRMATIONS }, NOW).unwrap();
    let orphaned = audit(&pool.books).unwrap();
    assert_eq!((orphaned.difference, orphaned.totals.paid), (None, 0));
}

proptest! {
    #[test]
    fn whatever_a_scheme_answers_the_books_add_up_and_orphans_undo_them(
        credits in prop::collection::vec((14u32..21, prop_oneof![any::<u64>(), 0u64..1_000_000]), 0..6),
        shares in prop::collection::vec((16u32..19, 0u8..12), 0..20),
        orphaned: bool,
    ) {
        let credit = |(account, atoms)| Credit { account: AccountId(account), atoms };
        let mut pool = Pool::new();
        pool.adopt("any", answering(Ok(credits.into_iter().map(credit).collect())), None);
        let shares: Vec<_> = shares.into_iter().map(|(account, log2)| (AccountId(account), log2)).collect();
        pool.history.log(&shares);
        let block = pool.mine(1);
        pool.split_due().unwrap();
        let sum: i64 = pool.owed().iter().sum();
        prop_assert_eq!(sum, i64::try_from(REWARD.to_atoms()).unwrap());
        prop_assert!(pool.owed().iter().all(|atoms| *atoms >= 0));
        if orphaned {
            pool.rounds().follow(block, Standing::OffChain { blocks_from_its_height: CONFIRMATIONS }, NOW).unwrap();
            prop_assert_eq!(pool.owed(), [0; 6]);
        }
        prop_assert_eq!(audit(&pool.books).unwrap().difference, None);
    }
}
