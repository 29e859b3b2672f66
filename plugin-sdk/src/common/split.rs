//! Money divided by weight, to the last atom.

use crate::{U256, Work};
use adit_primitives::contract::payout::{Credit, Weight};
use ruint::Uint;

/// Wide enough for a weight times an amount, and for the sum of all weights.
type Wide = Uint<384, 6>;

/// Divides `atoms` in proportion to weights, by largest remainders: each account gets its share rounded down, and the atoms that are
/// left over go one each to the accounts that rounding cost the most, the lower number first where it cost the same.
///
/// The credits add up to exactly `atoms`, and none is an atom or more from its exact share. Where nothing has weight, there are none. Accounts
/// that get nothing are left out.
pub fn proportional(atoms: u64, weights: &[Weight]) -> Vec<Credit> {
    let total = weights.iter().fold(Wide::ZERO, |sum, row| sum + Wide::from(row.weight));
    if total.is_zero() {
        return Vec::new();
    }
    let mut left = atoms;
    let mut shares: Vec<(Wide, Credit)> = Vec::with_capacity(weights.len());
    for row in weights {
        let (share, rest) = (Wide::from(row.weight) * Wide::from(atoms)).div_rem(total);
        let share = u64::try_from(share).expect("a part of the atoms is no more than all of them");
        left -= share;
        shares.push((rest, Credit { account: row.account, atoms: share }));
    }
    // What is left is the sum of the remainders over the total: fewer atoms than there are remainders above 0.
    shares.sort_unstable_by(|(rest, one), (other_rest, other)| {
        other_rest.cmp(rest).then(one.account.cmp(&other.account))
    });
    let extra = usize::try_from(left).expect("fewer atoms than accounts are left");
    shares.iter_mut().take(extra).for_each(|(_, credit)| credit.atoms += 1);
    let mut credits: Vec<Credit> =
        shares.into_iter().map(|(_, credit)| credit).filter(|credit| credit.atoms > 0).collect();
    credits.sort_unstable_by_key(|credit| credit.account);
    credits
}

/// Pays each account what its work is expected to earn where `block_work` earns `atoms`: work · atoms / block work, rounded down.
///
/// What an account earns in one settlement is rounded down once, by less than an atom.
pub fn expected(atoms: u64, shares: &[Weight], block_work: Work) -> Vec<Credit> {
    let block_work = Wide::from(block_work.0.max(U256::ONE));
    let earned = |row: &Weight| {
        let atoms = Wide::from(row.weight) * Wide::from(atoms) / block_work;
        Credit { account: row.account, atoms: u64::try_from(atoms).unwrap_or(u64::MAX) }
    };
    shares.iter().map(earned).filter(|credit| credit.atoms > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use adit_primitives::contract::payout::AccountId;
    use proptest::prelude::*;

    fn rows(weights: &[u64]) -> Vec<Weight> {
        (0..)
            .zip(weights)
            .map(|(account, weight)| Weight { account: AccountId(account), weight: U256::from(*weight) })
            .collect()
    }

    #[track_caller]
    fn check(atoms: u64, weights: &[u64], want: &[(u32, u64)]) {
        let credits: Vec<(u32, u64)> =
            proportional(atoms, &rows(weights)).iter().map(|credit| (credit.account.0, credit.atoms)).collect();
        assert_eq!(credits, want);
    }

    #[test]
    fn atoms_left_over_go_where_rounding_cost_the_most() {
        check(10, &[1, 1, 1], &[(0, 4), (1, 3), (2, 3)]);
        check(10, &[3, 3, 1], &[(0, 4), (1, 4), (2, 2)]);
        check(1, &[1, 2], &[(1, 1)]);
        check(0, &[1, 2], &[]);
        check(5, &[0, 7, 0], &[(1, 5)]);
    }

    #[test]
    fn where_nothing_has_weight_nobody_is_paid() {
        check(10, &[], &[]);
        check(10, &[0, 0], &[]);
    }

    #[test]
    fn the_greatest_weights_and_the_greatest_amount_fit() {
        let greatest = |account| Weight { account: AccountId(account), weight: U256::MAX };
        let credits = proportional(u64::MAX, &[greatest(0), greatest(1)]);
        assert_eq!(credits.iter().map(|credit| credit.atoms).collect::<Vec<_>>(), [u64::MAX / 2 + 1, u64::MAX / 2]);
    }

    #[test]
    fn work_that_outgrows_the_block_is_paid_no_more_than_atoms_can_count() {
        let credits = expected(u64::MAX, &[Weight { account: AccountId(1), weight: U256::MAX }], Work(U256::ZERO));
        assert_eq!(credits[0].atoms, u64::MAX);
    }

    proptest! {
        #[test]
        fn the_credits_are_all_there_is_and_each_is_within_an_atom_of_its_share(atoms: u64, weights in prop::collection::vec(any::<u64>(), 1..50)) {
            let rows = rows(&weights);
            let total: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
            prop_assume!(total > 0);
            let credits = proportional(atoms, &rows);
            prop_assert_eq!(credits.iter().map(|credit| u128::from(credit.atoms)).sum::<u128>(), u128::from(atoms));
            for credit in credits {
                let weight = U256::from(weights[credit.account.0 as usize]);
                let paid = U256::from(credit.atoms) * U256::from(total);
                let exact = U256::from(atoms) * weight;
                prop_assert!(paid.abs_diff(exact) < U256::from(total));
            }
        }
    }
}
