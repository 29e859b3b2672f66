//! Payout plugins that trap, never end, or give away what is not theirs.

use crate::guest::sandbox;
use crate::service::{DATA, ServiceGuest};
use adit_plugin_host::Kind;
use adit_primitives::contract::payout::{
    AccountId, Credit, Economics, FoundBlock, PayoutPlan, Pays, ShareToWeigh, Weight, Window,
};
use adit_primitives::contract::rows;
use adit_primitives::engine::{Fault, FaultClass, PayoutEngine};
use adit_primitives::{Height, U256, Work};

fn weight(account: u32, weight: u64) -> Weight {
    Weight { account: AccountId(account), weight: U256::from(weight) }
}

fn credit(account: u32, atoms: u64) -> Credit {
    Credit { account: AccountId(account), atoms }
}

/// A block of 100 atoms, found by account 9 and mined by 1 and 2.
fn split(guest: &ServiceGuest) -> Result<Vec<Credit>, Fault> {
    let block =
        FoundBlock { height: Height(7), finder: AccountId(9), distributable: 100, work: Work(U256::from(1_000u64)) };
    guest.payout().payout("{}").unwrap().split(&block, &[weight(1, 3), weight(2, 1)])
}

/// Half a block's work, where a block brings 100 atoms and 10 of fees: 55 atoms are expected.
fn settle(guest: &ServiceGuest) -> Result<Vec<Credit>, Fault> {
    let economics = Economics { subsidy: 100, mean_fees: 10, work: Work(U256::from(1_000u64)) };
    guest.payout().payout("{}").unwrap().settle(&[weight(1, 300), weight(2, 200)], &economics)
}

fn splitting(credits: &[Credit]) -> ServiceGuest {
    ServiceGuest { split: Some(DATA), settle: Some(DATA), data: rows(credits), ..ServiceGuest::default() }
}

#[track_caller]
fn refused(answer: Result<Vec<Credit>, Fault>, want: &str) {
    let fault = answer.expect_err("a hostile answer pays nobody");
    assert_eq!(fault.class, FaultClass::Plugin, "{fault}");
    assert!(fault.detail.contains(want), "{:?} does not say {want:?}", fault.detail);
    assert!(fault.plugin.starts_with("guest 0.0.1 (blake3:"), "{}", fault.plugin);
}

#[test]
fn what_adds_up_is_taken() {
    assert_eq!(splitting(&[]).payout().info().kind, Kind::Payout);
    let all = [credit(2, 25), credit(1, 70), credit(9, 5)];
    assert_eq!(split(&splitting(&all)), Ok(all.to_vec()));
    let expected = [credit(1, 33), credit(2, 22)];
    assert_eq!(settle(&splitting(&expected)), Ok(expected.to_vec()));
    assert_eq!(split(&splitting(&[])), Ok(Vec::new()));
}

#[test]
fn more_than_there_is_is_refused() {
    refused(split(&splitting(&[credit(1, 100), credit(2, 1)])), "more than the 100 atoms");
    refused(split(&splitting(&[credit(1, u64::MAX), credit(2, u64::MAX)])), "more than the 100 atoms");
    refused(settle(&splitting(&[credit(1, 33), credit(2, 23)])), "more than the 55 atoms");
}

#[test]
fn an_account_that_was_not_asked_about_is_refused() {
    refused(split(&splitting(&[credit(3, 1)])), "account 3");
    refused(settle(&splitting(&[credit(9, 1)])), "account 9");
}

#[test]
fn an_account_paid_twice_is_refused() {
    refused(split(&splitting(&[credit(1, 1), credit(1, 1)])), "account 1 is credited twice");
}

#[test]
fn bytes_that_are_no_credits_are_refused() {
    let data = [rows(&[credit(1, 1)]), vec![0]].concat();
    refused(split(&ServiceGuest { split: Some(DATA), data, ..ServiceGuest::default() }), "");
    let data = u32::MAX.to_le_bytes().to_vec();
    refused(split(&ServiceGuest { split: Some(DATA), data, ..ServiceGuest::default() }), "");
}

#[test]
fn weights_that_are_too_many_or_too_few_are_refused() {
    let share = ShareToWeigh { account: AccountId(1), work: 8, age_ms: 0 };
    let weigh = |bytes: usize| {
        let guest = ServiceGuest { weigh: Some(DATA), data: vec![1; bytes], ..ServiceGuest::default() };
        guest.payout().payout("{}").unwrap().weigh(&[share, share])
    };
    assert_eq!(weigh(16), Ok(vec![0x0101_0101_0101_0101; 2]));
    for bytes in [0, 8, 15, 17, 24] {
        let fault = weigh(bytes).expect_err("two shares have two weights");
        assert!(fault.detail.contains("bytes of weights for 2 shares"), "{fault}");
    }
}

/// A plan as the contract lays it out: what is paid for, the window's case and its number, whether shares are weighed.
fn plan(pays: u8, window: u8, thousandths: u64, weighs: u8) -> Result<PayoutPlan, Fault> {
    let mut data = vec![0; 32];
    (data[0], data[8], data[24]) = (pays, window, weighs);
    data[16..24].copy_from_slice(&thousandths.to_le_bytes());
    let guest = ServiceGuest { plan: Some("(i32.const 4096)"), data, ..ServiceGuest::default() };
    guest.payout().payout("{}").unwrap().plan()
}

#[test]
fn a_plan_is_read_and_a_window_without_bounds_is_refused() {
    let since = PayoutPlan { pays: Pays::Blocks, window: Window::SinceBlock, weighs: true };
    assert_eq!(plan(0, 1, 0, 1), Ok(since));
    let last = |thousandths| Window::LastWork { thousandths };
    assert_eq!(plan(1, 2, 1_000_000, 0).map(|plan| plan.window), Ok(last(1_000_000)));
    for thousandths in [0, 1_000_001, u64::MAX] {
        assert!(plan(0, 2, thousandths, 0).unwrap_err().detail.contains("1 to 1000000 are allowed"));
    }
    assert!(plan(0, 3, 0, 0).is_err(), "there is no fourth window");
}

#[test]
fn a_trap_is_a_fault_and_the_next_call_finds_a_new_instance() {
    let guest = ServiceGuest { weigh: Some(DATA), data: vec![0; 8], ..ServiceGuest::default() };
    let mut engine = guest.payout().payout("{}").unwrap();
    let share = ShareToWeigh { account: AccountId(1), work: 8, age_ms: 0 };
    assert!(engine.plan().unwrap_err().detail.contains("unreachable"));
    assert_eq!(engine.weigh(&[share]), Ok(vec![0]));
    assert_eq!((engine.breaker().failures(), engine.breaker().failures_in_row()), (1, 0));
}

#[test]
fn a_scheme_that_never_ends_is_stopped_and_the_sandbox_serves_another() {
    let sandbox = sandbox();
    let endless = ServiceGuest { plan: Some("(loop $again (br $again)) unreachable"), ..ServiceGuest::default() };
    let fault = endless.payout_in(&sandbox).payout("{}").unwrap().plan().expect_err("an endless loop has no plan");
    assert_eq!(fault.class, FaultClass::Environment, "{fault}");
    let tame = ServiceGuest { weigh: Some(DATA), ..ServiceGuest::default() };
    assert_eq!(tame.payout_in(&sandbox).payout("{}").unwrap().weigh(&[]), Ok(Vec::new()));
}

#[test]
fn a_scheme_that_fails_again_and_again_is_given_a_rest() {
    let mut engine = ServiceGuest::default().payout().payout("{}").unwrap();
    (0..3).for_each(|_| drop(engine.plan()));
    assert!(engine.plan().unwrap_err().detail.starts_with("not called after 3 failures in a row"));
}

#[test]
fn a_payout_plugin_is_no_other_kind() {
    let plugin = ServiceGuest::default().payout();
    assert!(plugin.shares("{}").unwrap_err().to_string().contains("is a payout plugin, not a shares plugin"));
    assert!(plugin.hash("{}").is_err() && plugin.rules("{}").is_err());
}
