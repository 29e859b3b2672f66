//! Known answers, and laws for arbitrary shares.

use adit_plugin_score::Score;
use adit_plugin_sdk::testing::check_payout_vectors;
use adit_plugin_sdk::{AccountId, Credit, FoundBlock, Height, PayoutScheme, ShareToWeigh, U256, Weight, Work, config};
use proptest::collection::vec;
use proptest::prelude::*;

#[test]
fn the_known_answers_come_out() {
    check_payout_vectors::<Score>(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors.json")).unwrap();
}

fn scheme() -> Score {
    config::parse("{}").and_then(Score::new).expect("every setting has a default")
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

fn weigh(work: u64, age_ms: u64) -> u64 {
    scheme().weigh(&ShareToWeigh { account: AccountId(1), work, age_ms })
}

proptest! {
    #[test]
    fn a_share_never_weighs_more_than_its_work_nor_more_with_age(work in 0..1u64 << 62, age in 0..1u64 << 40, more in 0..1u64 << 40) {
        prop_assert!(weigh(work, age) <= work);
        prop_assert!(weigh(work, age + more) <= weigh(work, age));
    }

    #[test]
    fn waiting_changes_no_ratio(young in 0..1_000_000u64, old in 0..1_000_000u64, wait in 0..5_000_000u64) {
        // w(a + wait) / w(b + wait) = w(a) / w(b): a share's part does not depend on when the round began.
        const WORK: u64 = 1 << 60;
        let before = U256::from(weigh(WORK, young)) * U256::from(weigh(WORK, old + wait));
        let after = U256::from(weigh(WORK, old)) * U256::from(weigh(WORK, young + wait));
        prop_assert!(before.abs_diff(after) <= (before >> 28) + U256::from(1u64 << 60));
    }
}

#[test]
fn a_decay_of_no_time_is_refused() {
    let refused = |decay_seconds| Score::new(adit_plugin_score::Config { decay_seconds }).is_err();
    assert_eq!([0, 1, 31_536_000, 31_536_001].map(refused), [true, false, false, true]);
}
