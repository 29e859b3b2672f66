use super::*;
use crate::money::testing::{ALICE, BOB, CAROL};
use adit_primitives::Work;
use proptest::prelude::*;

fn credits(of: &[(AccountId, u64)]) -> Vec<Credit> {
    of.iter().map(|(account, atoms)| Credit { account: *account, atoms: *atoms }).collect()
}

#[track_caller]
fn check(proposed: &[(AccountId, u64)], want: Result<u64, SplitError>) {
    let got = check_split(&credits(proposed), Amount::from_atoms(10), &[ALICE, BOB]);
    assert_eq!(got.map(|checked| checked.left().to_atoms()), want);
}

#[test]
fn a_split_of_everything_is_taken() {
    check(&[(ALICE, 4), (BOB, 6)], Ok(0));
    check(&[(BOB, 10)], Ok(0));
    check(&[(BOB, 10), (ALICE, 0)], Ok(0));
}

#[test]
fn one_atom_too_much_is_refused() {
    check(&[(ALICE, 5), (BOB, 6)], Err(SplitError::Overpaid { available: 10 }));
    check(&[(ALICE, u64::MAX), (BOB, 11)], Err(SplitError::Overpaid { available: 10 }));
}

#[test]
fn an_account_paid_twice_is_refused() {
    check(&[(ALICE, 5), (ALICE, 5)], Err(SplitError::PaidTwice { account: ALICE }));
    check(&[(ALICE, 0), (ALICE, 10)], Err(SplitError::PaidTwice { account: ALICE }));
}

#[test]
fn who_has_no_part_in_the_window_is_refused() {
    check(&[(ALICE, 9), (CAROL, 1)], Err(SplitError::Stranger { account: CAROL }));
    check(&[(ALICE, 9), (Reserved::Operator.id(), 1)], Err(SplitError::Stranger { account: Reserved::Operator.id() }));
}

#[test]
fn rounding_leaves_the_foundation_an_atom_for_each_payee_and_no_more() {
    check(&[(ALICE, 4), (BOB, 4)], Ok(2));
    check(&[(ALICE, 4), (BOB, 3)], Err(SplitError::Underpaid { left: 3, rounding_max: 2 }));
    check(&[], Err(SplitError::Underpaid { left: 10, rounding_max: 2 }));
}

#[test]
fn the_foundation_gets_what_is_left_and_the_payer_gives_all() {
    let checked = check_split(&credits(&[(ALICE, 4), (BOB, 5)]), Amount::from_atoms(10), &[ALICE, BOB]).unwrap();
    let want = [(Reserved::Income.id(), -10), (Reserved::Foundation.id(), 1), (ALICE, 4), (BOB, 5)];
    let want = want.map(|(account, atoms)| Entry { account, atoms });
    assert_eq!(checked.entries(Reserved::Income).unwrap(), want);
}

#[test]
fn who_pays_himself_moves_nothing() {
    let checked = Checked::all_to(Reserved::Operator.id(), Amount::from_atoms(10));
    assert_eq!(checked.entries(Reserved::Operator), Some(Vec::new()));
}

#[track_caller]
fn check_shares(atoms: u64, want: Result<u64, SplitError>) {
    // A third of a block's work, at 100 atoms and 1 of fees a block: 33 atoms and two thirds.
    let shares = [Weight { account: ALICE, weight: U256::from(1_000) }];
    let economics = Economics { subsidy: 100, mean_fees: 1, work: Work(U256::from(3_000)) };
    let got = check_settlement(&credits(&[(ALICE, atoms)]), &shares, &economics);
    assert_eq!(got.map(|checked| checked.sum().to_atoms()), want);
}

#[test]
fn shares_are_worth_what_they_are_expected_to_earn_and_no_atom_more() {
    check_shares(33, Ok(33));
    check_shares(34, Err(SplitError::Overpaid { available: 33 }));
    check_shares(0, Ok(0));
}

#[test]
fn shares_are_worth_nothing_where_a_block_takes_no_work() {
    let economics = Economics { subsidy: u64::MAX, mean_fees: u64::MAX, work: Work::ZERO };
    let shares = [Weight { account: ALICE, weight: U256::MAX }];
    assert!(check_settlement(&credits(&[(ALICE, 1)]), &shares, &economics).is_err());
}

fn account() -> impl Strategy<Value = AccountId> {
    (0u32..24).prop_map(AccountId)
}

fn hostile() -> impl Strategy<Value = Vec<Credit>> {
    let atoms = prop_oneof![any::<u64>(), 0u64..2_000, Just(u64::MAX), Just(0)];
    let credit = (account(), atoms).prop_map(|(account, atoms)| Credit { account, atoms });
    prop::collection::vec(credit, 0..12)
}

fn payees() -> impl Strategy<Value = Vec<AccountId>> {
    prop::collection::btree_set(account(), 0..12).prop_map(|accounts| accounts.into_iter().collect())
}

proptest! {
    #[test]
    fn whatever_a_scheme_returns_no_atom_is_made_or_lost(
        proposed in hostile(), payees in payees(), available in 0u64..=i64::MAX.cast_unsigned(),
    ) {
        if let Ok(checked) = check_split(&proposed, Amount::from_atoms(available), &payees) {
            let sum: u128 = checked.credits().map(|credit| u128::from(credit.atoms)).sum();
            prop_assert_eq!(sum + u128::from(checked.left().to_atoms()), u128::from(available));
            prop_assert!(checked.credits().all(|credit| payees.contains(&credit.account)));
            let entries = checked.entries(Reserved::Income).expect("sums of what fits 63 bits");
            prop_assert_eq!(entries.iter().map(|entry| i128::from(entry.atoms)).sum::<i128>(), 0);
        }
    }

    #[test]
    fn an_honest_split_is_never_refused(works in prop::collection::btree_map(account(), 1u64.., 1..24), available: u64) {
        let weights: Vec<_> = works.iter().map(|(account, work)| Weight { account: *account, weight: U256::from(*work) }).collect();
        let payees: Vec<_> = works.keys().copied().collect();
        let proposed = crate::money::testing::proportional(&weights, available);
        let checked = check_split(&proposed, Amount::from_atoms(available), &payees);
        prop_assert_eq!(checked.map(|checked| checked.sum().checked_add(checked.left())), Ok(Some(Amount::from_atoms(available))));
    }

    #[test]
    fn whatever_a_scheme_pays_for_shares_is_no_more_than_they_earn(
        proposed in hostile(), works in prop::collection::btree_map(account(), any::<u64>(), 0..12),
        subsidy: u64, mean_fees: u64, block in 1u64..,
    ) {
        let shares: Vec<_> = works.iter().map(|(account, work)| Weight { account: *account, weight: U256::from(*work) }).collect();
        let economics = Economics { subsidy, mean_fees, work: Work(U256::from(block)) };
        if let Ok(checked) = check_settlement(&proposed, &shares, &economics) {
            let sum: U256 = checked.credits().fold(U256::ZERO, |sum, credit| sum + U256::from(credit.atoms));
            let work = works.values().fold(U256::ZERO, |sum, work| sum + U256::from(*work));
            let earned = work * (U256::from(subsidy) + U256::from(mean_fees)) / U256::from(block);
            prop_assert!(sum <= earned);
        }
    }
}
