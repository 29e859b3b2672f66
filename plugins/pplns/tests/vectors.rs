//! Known answers, and laws for arbitrary shares.

use adit_plugin_pplns::Pplns;
use adit_plugin_sdk::testing::check_payout_vectors;
use adit_plugin_sdk::{AccountId, Credit, FoundBlock, Height, PayoutScheme, U256, Weight, Work, config};
use proptest::collection::vec;
use proptest::prelude::*;

#[test]
fn the_known_answers_come_out() {
    check_payout_vectors::<Pplns>(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors.json")).unwrap();
}

fn scheme() -> Pplns {
    config::parse("{}").and_then(Pplns::new).expect("every setting has a default")
}

fn block(distributable: u64) -> FoundBlock {
    FoundBlock { height: Height(1), finder: AccountId(0), distributable, work: Work(U256::from(1u64 << 40)) }
}

fn row(account: u32, weight: u64) -> Weight {
    Weight { account: AccountId(account), weight: U256::from(weight) }
}

proptest! {
    #[test]
    fn a_block_is_split_to_the_last_atom(distributable: u64, weights in vec(any::<u64>(), 1..100)) {
        let rows: Vec<Weight> = (0..).zip(&weights).map(|(account, weight)| row(account, *weight)).collect();
        let sum: u128 = scheme().split(&block(distributable), &rows).iter().map(|credit| u128::from(credit.atoms)).sum();
        let wanted = if weights.iter().all(|weight| *weight == 0) { 0 } else { u128::from(distributable) };
        prop_assert_eq!(sum, wanted);
    }

    #[test]
    fn no_account_gains_by_being_two(distributable in 0..1u64 << 50, mine in 2..1u64 << 40, others in 1..1u64 << 40) {
        let whole = scheme().split(&block(distributable), &[row(1, mine), row(9, others)]);
        let parts = scheme().split(&block(distributable), &[row(1, mine / 2), row(2, mine - mine / 2), row(9, others)]);
        let of = |credits: &[Credit], account: u32| credits.iter().find(|credit| credit.account.0 == account).map_or(0, |credit| credit.atoms);
        prop_assert!((of(&parts, 1) + of(&parts, 2)).abs_diff(of(&whole, 1)) <= 2);
    }
}

#[test]
fn a_window_of_nothing_is_refused() {
    let refused = |thousandths| Pplns::new(adit_plugin_pplns::Config { multiplier_thousandths: thousandths }).is_err();
    assert_eq!([0, 1, 100_000, 100_001].map(refused), [true, false, false, true]);
}
