use super::*;
use crate::money::testing::{ALICE, BOB, CAROL, History, NOW, Scheme, fault};
use adit_primitives::accounts::Reserved;
use adit_primitives::contract::payout::{Credit, Economics, FoundBlock, Pays};
use proptest::prelude::*;

const NOBODY: Ownership = Ownership { buyer: Reserved::Operator.id(), bought: Vec::new() };

/// The window that ends with the log, over a block of 1,000 hashes, after one that ended at `previous_end`.
fn window(window: Window, history: &History, previous_end: u64) -> WindowOf {
    let end = history.log(&[]);
    let found = Timestamp::from_secs(NOW.to_secs() + end.0);
    WindowOf::new(window, end, ShareSequence(previous_end), Work(U256::from(1_000)), found)
}

fn works(weights: &[Weight]) -> Vec<(AccountId, u64)> {
    weights.iter().map(|weight| (weight.account, weight.weight.to())).collect()
}

#[track_caller]
fn check(kind: Window, shares: &[(AccountId, u8)], previous_end: u64, want: &[(AccountId, u64)]) {
    let history = History::default();
    history.log(shares);
    let window = window(kind, &history, previous_end);
    assert_eq!(works(&window.work_by_owner(&history, &NOBODY).unwrap()), want);
}

#[test]
fn a_round_holds_the_shares_since_the_block_before() {
    let shares = [(ALICE, 9), (BOB, 1), (ALICE, 2), (BOB, 3)];
    check(Window::SinceBlock, &shares, 2, &[(ALICE, 4), (BOB, 8)]);
    check(Window::SinceBlock, &shares, 0, &[(ALICE, 516), (BOB, 10)]);
    check(Window::SinceBlock, &shares, 4, &[]);
    check(Window::None, &shares, 0, &[]);
}

#[test]
fn a_window_by_work_cuts_its_oldest_share_to_fit() {
    // Two blocks' work are 2,000: Bob's 1,024, Alice's 512, and 464 of Carol's 512.
    let shares = [(ALICE, 9), (CAROL, 9), (ALICE, 9), (BOB, 10)];
    check(Window::LastWork { thousandths: 2_000 }, &shares, 3, &[(ALICE, 512), (BOB, 1_024), (CAROL, 464)]);
    check(Window::LastWork { thousandths: 1_024 }, &shares, 3, &[(BOB, 1_024)]);
    check(Window::LastWork { thousandths: 0 }, &shares, 3, &[]);
}

#[test]
fn a_window_that_is_not_full_holds_what_there_is() {
    check(Window::LastWork { thousandths: u64::MAX }, &[(ALICE, 3), (BOB, 4)], 1, &[(ALICE, 8), (BOB, 16)]);
}

#[test]
fn shares_that_were_paid_for_are_their_buyers() {
    let history = History::default();
    history.log(&[(ALICE, 1), (BOB, 2), (ALICE, 3), (BOB, 4)]);
    let bought = vec![ShareSequence(1)..ShareSequence(3)];
    let ownership = Ownership { buyer: Reserved::Operator.id(), bought };
    let weights = window(Window::SinceBlock, &history, 0).work_by_owner(&history, &ownership).unwrap();
    assert_eq!(works(&weights), [(Reserved::Operator.id(), 12), (ALICE, 2), (BOB, 16)]);
}

#[test]
fn a_window_holds_a_share_only_as_far_as_it_reaches() {
    let history = History::default();
    history.log(&[(ALICE, 9), (BOB, 9), (ALICE, 9), (BOB, 9)]);
    let window = window(Window::LastWork { thousandths: 1_024 }, &history, 0);
    let holds = |from, to| window.holds(&history, ShareSequence(from)..ShareSequence(to)).unwrap();
    assert!(!holds(0, 2));
    assert!(holds(0, 3));
    assert!(holds(2, 3));
    assert!(!holds(4, 9));
}

/// Weighs a share by the seconds since it was made, and counts the rows that it was asked for.
struct ByAge {
    rows: usize,
    answers_left_out: usize,
}

impl PayoutEngine for ByAge {
    fn plan(&mut self) -> Result<PayoutPlan, Fault> {
        Ok(PayoutPlan { pays: Pays::Blocks, window: Window::SinceBlock, weighs: true })
    }

    fn weigh(&mut self, shares: &[ShareToWeigh]) -> Result<Vec<u64>, Fault> {
        self.rows += shares.len();
        Ok(shares.iter().map(|share| share.work * (share.age_ms / 1_000)).skip(self.answers_left_out).collect())
    }

    fn split(&mut self, _: &FoundBlock, _: &[Weight]) -> Result<Vec<Credit>, Fault> {
        Err(fault())
    }

    fn settle(&mut self, _: &[Weight], _: &Economics) -> Result<Vec<Credit>, Fault> {
        Err(fault())
    }
}

#[test]
fn shares_are_weighed_by_their_age_at_the_find() {
    let history = History::default();
    history.log(&[(ALICE, 4), (BOB, 4), (BOB, 4)]);
    let mut engine = ByAge { rows: 0, answers_left_out: 0 };
    let plan = engine.plan().unwrap();
    let weights = window(Window::SinceBlock, &history, 0).weights(&history, &NOBODY, &plan, &mut engine).unwrap();
    assert_eq!(works(&weights), [(ALICE, 16 * 3), (BOB, 16 * (2 + 1))]);
}

#[test]
fn a_scheme_that_weighs_too_few_rows_is_told() {
    let history = History::default();
    history.log(&[(ALICE, 4), (BOB, 4)]);
    let mut engine = ByAge { rows: 0, answers_left_out: 1 };
    let plan = engine.plan().unwrap();
    let weights = window(Window::SinceBlock, &history, 0).weights(&history, &NOBODY, &plan, &mut engine);
    assert_eq!(weights, Err(WeighError::Rows { asked: 2, found: 1 }));
}

#[test]
fn shares_of_one_account_and_second_are_weighed_as_one_row() {
    let mut engine = ByAge { rows: 0, answers_left_out: 0 };
    let mut scale = Scale { engine: &mut engine, weights: BTreeMap::new(), rows: Vec::new() };
    let mut second = Second { age_ms: 0, works: BTreeMap::new() };
    for (account, work, age_ms) in
        [(ALICE, 1, 5_900), (BOB, 1, 5_500), (ALICE, 1, 5_000), (ALICE, u64::MAX, 5_999), (ALICE, 1, 6_000)]
    {
        second.add(account, work, age_ms, &mut scale).unwrap();
    }
    second.close(&mut scale).unwrap();
    let rows: Vec<_> = scale.rows.iter().map(|row| (row.account, row.work, row.age_ms)).collect();
    assert_eq!(rows, [(ALICE, 2, 5_900), (ALICE, u64::MAX, 5_900), (BOB, 1, 5_900), (ALICE, 1, 6_000)]);
}

proptest! {
    #[test]
    fn a_window_never_holds_more_than_its_work_and_never_less_while_there_are_shares(
        shares in prop::collection::vec((16u32..19, 0u8..12), 0..60), thousandths in 0u64..20_000,
    ) {
        let history = History::default();
        let shares: Vec<_> = shares.into_iter().map(|(account, log2)| (AccountId(account), log2)).collect();
        history.log(&shares);
        let window = window(Window::LastWork { thousandths }, &history, 0);
        let sum: u64 = works(&window.work_by_owner(&history, &NOBODY).unwrap()).iter().map(|(_, work)| work).sum();
        let all: u64 = shares.iter().map(|(_, log2)| 1 << log2).sum();
        prop_assert_eq!(sum, all.min(thousandths));
    }

    #[test]
    fn weighing_by_work_is_summing_work(shares in prop::collection::vec((16u32..19, 0u8..12), 0..60)) {
        let history = History::default();
        let shares: Vec<_> = shares.into_iter().map(|(account, log2)| (AccountId(account), log2)).collect();
        history.log(&shares);
        let window = window(Window::LastWork { thousandths: 5_000 }, &history, 0);
        let mut engine = Scheme::new(Pays::Blocks, Window::LastWork { thousandths: 5_000 });
        engine.plan.weighs = true;
        let plan = engine.plan;
        let weighed = window.weights(&history, &NOBODY, &plan, &mut engine).unwrap();
        prop_assert_eq!(weighed, window.work_by_owner(&history, &NOBODY).unwrap());
    }
}
