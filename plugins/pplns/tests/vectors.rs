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

/// A pool of a steady miner and of one who is there only while a round is young: what a share of each earns, in thousandths of a share's fair
/// worth, over 20,000 blocks. `window` is how many of the newest shares a block is divided over: all since the block before where it is `None`.
fn hop(window: Option<usize>) -> (u64, u64) {
    const DIFFICULTY: u64 = 100;
    let mut state = 7u64;
    let mut chance = |one_in: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33).is_multiple_of(one_in)
    };
    let (mut shares, mut begin, mut sent, mut paid) = (Vec::new(), 0, [0u64; 2], [0u64; 2]);
    let mut blocks = 0;
    while blocks < 20_000 {
        let is_young = shares.len() - begin < 40;
        let miner = usize::from(is_young && chance(2));
        shares.push(miner);
        sent[miner] += 1;
        if chance(DIFFICULTY) {
            blocks += 1;
            let first = window.map_or(begin, |window| shares.len().saturating_sub(window));
            let rows: Vec<Weight> = (0..)
                .zip([0, 1].map(|miner| shares[first..].iter().filter(|share| **share == miner).count()))
                .map(|(account, count)| row(account, count as u64))
                .collect();
            scheme()
                .split(&block(1_000_000), &rows)
                .iter()
                .for_each(|credit| paid[credit.account.0 as usize] += credit.atoms);
            begin = shares.len();
        }
    }
    let worth = |miner: usize| paid[miner] * DIFFICULTY / sent[miner] / 1_000;
    (worth(0), worth(1))
}

#[test]
fn leaving_old_rounds_gains_where_rounds_are_split_and_nothing_over_the_newest_shares() {
    let (steady, hopping) = hop(None);
    assert!(steady < 950 && hopping > 1_100, "{steady} and {hopping}");
    let (steady, hopping) = hop(Some(200));
    assert!(steady.abs_diff(1_000) < 30 && hopping.abs_diff(1_000) < 30, "{steady} and {hopping}");
}
