use super::*;
use crate::money::fees::BasisPoints;
use crate::money::testing::{Scheme, fault};
use adit_primitives::contract::payout::Credit;
use proptest::prelude::*;

fn key(byte: u8) -> PayeeKey {
    PayeeKey([byte; 32])
}

fn round(number: u64, work: &[(u8, u64)]) -> CreditedRound {
    let work = work.iter().map(|(owner, work)| (key(*owner), U256::from(*work))).collect();
    CreditedRound { number, root: Hash256([u8::try_from(number % 251).unwrap(); 32]), work }
}

fn rounds(all: &[&[(u8, u64)]]) -> CreditedRounds {
    let mut rounds = CreditedRounds::default();
    (1..).zip(all).for_each(|(number, work)| rounds.add(round(number, work)).unwrap());
    rounds
}

fn weights(of: &[(u8, u64)]) -> BTreeMap<PayeeKey, U256> {
    of.iter().map(|(owner, weight)| (key(*owner), U256::from(*weight))).collect()
}

fn pplns() -> Scheme {
    Scheme::new(Pays::Blocks, Window::LastWork { thousandths: 2_000 })
}

const RULES: OutputRules = OutputRules { least: Amount::from_atoms(1), outputs_max: 100, foundation: None };

fn block(reward: u64) -> BlockToPay {
    BlockToPay { height: Height(7), reward: Amount::from_atoms(reward), work: Work(U256::from(1_000)) }
}

#[track_caller]
fn check(reward: u64, of: &[(u8, u64)], rules: &OutputRules, want: &[(u8, u64)]) {
    let outputs = outputs(&mut pplns(), block(reward), &weights(of), rules).unwrap();
    let got: Vec<(u8, u64)> = outputs.iter().map(|output| (output.key.0[0], output.amount.to_atoms())).collect();
    assert_eq!(got, want);
}

#[track_caller]
fn check_window(rounds: &CreditedRounds, base: u64, window: u64, want: &[(u8, u64)]) {
    assert_eq!(rounds.weights(base, U256::from(window)), Some(weights(want)));
}

#[test]
fn a_window_is_of_whole_rounds_and_ends_with_its_base() {
    let rounds = rounds(&[&[(1, 10)], &[(1, 5), (2, 5)], &[(3, 10)], &[(4, 100)]]);
    check_window(&rounds, 3, 10, &[(3, 10)]);
    check_window(&rounds, 3, 11, &[(1, 5), (2, 5), (3, 10)]);
    check_window(&rounds, 3, 1_000, &[(1, 15), (2, 5), (3, 10)]);
    assert_eq!(rounds.weights(5, U256::from(1)), None, "a round that is not here");
}

#[test]
fn a_window_reaches_back_no_further_than_nodes_that_began_later_can_see() {
    let mut of_all = CreditedRounds::default();
    let mut of_newest = CreditedRounds::default();
    let last = (WINDOW_ROUNDS_MAX + BASES_MAX) as u64 + 500;
    for number in 1..=last {
        let owner = u8::try_from(number * 200 / (last + 1)).unwrap();
        of_all.add(round(number, &[(owner, 1)])).unwrap();
        if number > 500 {
            of_newest.add(round(number, &[(owner, 1)])).unwrap();
        }
    }
    for base in [last, last - 64] {
        let all = of_all.weights(base, U256::MAX).unwrap();
        assert_eq!(all.values().fold(U256::ZERO, |sum, weight| sum + *weight), U256::from(WINDOW_ROUNDS_MAX));
        assert_eq!(of_newest.weights(base, U256::MAX), Some(all));
    }
    assert_eq!(of_newest.weights(1_000, U256::MAX), None, "its window is not remembered");
}

#[test]
fn rounds_come_one_after_another() {
    let mut rounds = rounds(&[&[(1, 10)]]);
    assert_eq!(rounds.add(round(3, &[])), Err(RoundOrder { found: 3, expected_after: 1 }));
    assert_eq!(rounds.add(round(1, &[])), Err(RoundOrder { found: 1, expected_after: 1 }));
    assert_eq!(rounds.newest().map(|round| round.number), Some(1));
}

#[test]
fn what_rounding_leaves_is_the_first_outputs() {
    check(10, &[(1, 1), (2, 1), (3, 1)], &RULES, &[(1, 4), (2, 3), (3, 3)]);
    check(10, &[(1, 0), (2, 1), (3, 1)], &RULES, &[(2, 5), (3, 5)]);
    check(10, &[], &RULES, &[]);
}

#[test]
fn what_is_too_little_for_an_output_is_divided_among_the_others() {
    let least = OutputRules { least: Amount::from_atoms(20), ..RULES };
    check(100, &[(1, 60), (2, 30), (3, 10)], &least, &[(1, 67), (2, 33)]);
    let two = OutputRules { outputs_max: 2, ..RULES };
    check(100, &[(1, 30), (2, 40), (3, 30)], &two, &[(1, 43), (2, 57)]);
    let much = OutputRules { least: Amount::from_atoms(1_000), ..RULES };
    check(100, &[(1, 30), (2, 40), (3, 30)], &much, &[(2, 100)]);
}

#[test]
fn the_foundation_is_paid_before_the_miners_and_behind_them() {
    let fees = Fees::new(BasisPoints(100), BasisPoints(0)).unwrap();
    let rules = OutputRules { foundation: Some((fees, key(9))), ..RULES };
    check(1_000, &[(1, 1), (2, 1)], &rules, &[(1, 495), (2, 495), (9, 10)]);
    check(99, &[(1, 1)], &rules, &[(1, 99)]);
    check(1_000, &[], &rules, &[]);
}

#[test]
fn a_scheme_that_pays_the_finder_or_too_much_is_refused() {
    let answer = |credits: Vec<(u32, u64)>| {
        let credits = credits.into_iter().map(|(account, atoms)| Credit { account: AccountId(account), atoms });
        let mut scheme = Scheme { answer: Some(Ok(credits.collect())), ..pplns() };
        outputs(&mut scheme, block(10), &weights(&[(1, 1), (2, 1)]), &RULES)
    };
    assert_eq!(answer(vec![(0, 5), (NOBODY.0, 5)]), Err(SplitError::Stranger { account: NOBODY }.into()));
    assert_eq!(answer(vec![(0, 5), (1, 6)]), Err(SplitError::Overpaid { available: 10 }.into()));
    assert!(answer(vec![(0, 5), (1, 5)]).is_ok());
    let mut silent = Scheme { answer: Some(Err(fault())), ..pplns() };
    assert!(matches!(outputs(&mut silent, block(10), &weights(&[(1, 1)]), &RULES), Err(OutputsError::Fault(_))));
}

#[test]
fn schemes_that_need_what_nodes_do_not_agree_on_are_refused() {
    let plan = |pays, window, weighs| window_of(&PayoutPlan { pays, window, weighs });
    let by_work = Window::LastWork { thousandths: 2_000 };
    assert_eq!(plan(Pays::Blocks, by_work, false), Ok(2_000));
    assert_eq!(plan(Pays::Blocks, by_work, true), Err(SchemeError::Weighs));
    assert_eq!(plan(Pays::Blocks, Window::SinceBlock, false), Err(SchemeError::Window));
    assert_eq!(plan(Pays::Blocks, Window::None, false), Err(SchemeError::Window));
    assert_eq!(plan(Pays::Shares, Window::None, false), Err(SchemeError::PaysShares));
}

proptest! {
    #[test]
    fn outputs_add_up_to_the_reward_and_are_worth_it(
        reward in 1u64..1 << 50,
        of in prop::collection::btree_map(any::<u8>(), any::<u32>(), 1..40),
        least in 1u64..1_000_000,
        outputs_max in 1usize..20,
        fee in 0u16..=1_000,
    ) {
        let of: Vec<(u8, u64)> = of.into_iter().map(|(owner, weight)| (owner, u64::from(weight))).collect();
        prop_assume!(of.iter().any(|(_, weight)| *weight > 0));
        let fees = Fees::new(BasisPoints(fee), BasisPoints(0)).unwrap();
        let foundation = Some((fees, PayeeKey([7; 32])));
        let rules = OutputRules { least: Amount::from_atoms(least), outputs_max, foundation };
        let outputs = outputs(&mut pplns(), block(reward), &weights(&of), &rules).unwrap();
        let sum = Amount::checked_sum(outputs.iter().map(|output| output.amount));
        prop_assert_eq!(sum, Some(Amount::from_atoms(reward)));
        let fee = fees.divide(Amount::from_atoms(reward)).foundation;
        let miners = outputs.len() - usize::from(fee > Amount::ZERO);
        prop_assert!((1..=outputs_max).contains(&miners));
        prop_assert!(miners == 1 || outputs[..miners].iter().all(|output| output.amount.to_atoms() >= least));
    }
}
