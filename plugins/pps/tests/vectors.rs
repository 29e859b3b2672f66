//! Known answers, and laws for arbitrary shares.

use adit_plugin_pps::Pps;
use adit_plugin_sdk::testing::check_payout_vectors;
use adit_plugin_sdk::{AccountId, Economics, PayoutScheme, U256, Weight, Work};
use proptest::prelude::*;

#[test]
fn the_known_answers_come_out() {
    check_payout_vectors::<Pps>(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors.json")).unwrap();
}

/// Pays for the work of accounts 0, 1, … and returns the credits by account.
fn settle(work: &[u64], subsidy: u64, mean_fees: u64, block: u64) -> Vec<u64> {
    let rows: Vec<Weight> = (0..)
        .zip(work)
        .map(|(account, work)| Weight { account: AccountId(account), weight: U256::from(*work) })
        .collect();
    let credits = Pps.settle(&rows, &Economics { subsidy, mean_fees, work: Work(U256::from(block)) });
    let mut atoms = vec![0; work.len()];
    credits.iter().for_each(|credit| atoms[credit.account.0 as usize] = credit.atoms);
    atoms
}

proptest! {
    #[test]
    fn no_more_is_paid_than_shares_are_expected_to_earn(
        work in prop::collection::vec(0..1u64 << 50, 0..50), subsidy in 0..1u64 << 50, fees in 0..1u64 << 40, block in 1..u64::MAX,
    ) {
        let paid: u128 = settle(&work, subsidy, fees, block).iter().map(|atoms| u128::from(*atoms)).sum();
        let total: u128 = work.iter().map(|work| u128::from(*work)).sum();
        let earned = U256::from(total) * (U256::from(subsidy));
        prop_assert!(U256::from(paid) * U256::from(block) <= earned);
        prop_assert!((U256::from(paid) + U256::from(work.len())) * U256::from(block) >= earned);
    }

    #[test]
    fn what_a_share_earns_hangs_on_no_other(mine in 1..1u64 << 50, others in prop::collection::vec(0..1u64 << 50, 0..20)) {
        let alone = settle(&[mine], 5_000_000_000, 1_000, 1 << 50);
        let among = settle(&[&[mine], others.as_slice()].concat(), 5_000_000_000, 1_000, 1 << 50);
        prop_assert_eq!(alone[0], among[0]);
    }
}
