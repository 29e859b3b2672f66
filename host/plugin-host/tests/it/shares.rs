//! Share plugins that trap, or wave through what the host has found wrong.

use crate::service::{DATA, ServiceGuest};
use adit_plugin_host::Kind;
use adit_primitives::contract::rows;
use adit_primitives::contract::shares::{
    Claim, Judgement, ShareDifficulty, ShareVerdict, WorkHistory, WorkSlice, WorkerRecord,
};
use adit_primitives::engine::{Fault, FaultClass, ShareEngine};

fn good() -> Claim {
    Claim {
        difficulty: ShareDifficulty::from_log2_hashes(32),
        meets: true,
        duplicate: false,
        version_outside: false,
        time_offset_s: 0,
        stale_ms: 0,
        record: WorkerRecord::default(),
    }
}

fn judgement(verdict: ShareVerdict) -> Judgement {
    Judgement { verdict, audit: true }
}

fn judge(answer: &[Judgement], claims: &[Claim]) -> Result<Vec<Judgement>, Fault> {
    let guest = ServiceGuest { judge: Some(DATA), data: rows(answer), ..ServiceGuest::default() };
    guest.shares().shares("{}").unwrap().judge(claims)
}

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, Fault>, want: &str) {
    let fault = answer.expect_err("a hostile answer judges nothing");
    assert_eq!(fault.class, FaultClass::Plugin, "{fault}");
    assert!(fault.detail.contains(want), "{:?} does not say {want:?}", fault.detail);
}

#[test]
fn one_judgement_for_each_share_is_taken() {
    let answers = [judgement(ShareVerdict::Accept), judgement(ShareVerdict::Policy)];
    assert_eq!(judge(&answers, &[good(), good()]), Ok(answers.to_vec()));
}

#[test]
fn judgements_that_are_too_many_or_too_few_are_refused() {
    let accept = judgement(ShareVerdict::Accept);
    refused(judge(&[], &[good()]), "0 judgements for 1 shares");
    refused(judge(&[accept, accept], &[good()]), "2 judgements for 1 shares");
}

#[test]
fn a_share_accepted_against_the_hosts_facts_is_the_plugins_fault() {
    let accept = judgement(ShareVerdict::Accept);
    refused(
        judge(&[accept, accept], &[good(), Claim { meets: false, ..good() }]),
        "share 1 misses its target and is accepted",
    );
    refused(judge(&[accept], &[Claim { duplicate: true, ..good() }]), "share 0 was submitted before and is accepted");
    let strict = judgement(ShareVerdict::LowDifficulty);
    assert!(judge(&[strict], &[Claim { meets: false, ..good() }]).is_ok());
}

#[test]
fn a_verdict_that_means_nothing_is_refused() {
    let guest = ServiceGuest { judge: Some(DATA), data: vec![1, 0, 0, 0, 7, 0], ..ServiceGuest::default() };
    assert_eq!(guest.shares().info().kind, Kind::Shares);
    refused(guest.shares().shares("{}").unwrap().judge(&[good()]), "verdict");
}

fn retarget(answer: &[u8], bounds: &[(u8, u8)]) -> Result<Vec<u8>, Fault> {
    let difficulty = ShareDifficulty::from_log2_hashes;
    let history = |(least, greatest): &(u8, u8)| WorkHistory {
        difficulty: difficulty(32),
        least: difficulty(*least),
        greatest: difficulty(*greatest),
        slices: vec![WorkSlice { length_ms: 5_000, shares: 1, work: 1 << 32 }],
    };
    let histories: Vec<WorkHistory> = bounds.iter().map(history).collect();
    let guest = ServiceGuest { retarget: Some(DATA), data: answer.to_vec(), ..ServiceGuest::default() };
    let answer = guest.shares().shares("{}").unwrap().retarget(&histories);
    answer.map(|difficulties| difficulties.iter().map(|difficulty| difficulty.to_log2_hashes()).collect())
}

#[test]
fn a_difficulty_is_cut_to_its_bounds_and_a_blocks_comes_first() {
    assert_eq!(retarget(&[40, 0, 62], &[(10, 50), (10, 50), (10, 50)]), Ok(vec![40, 10, 50]));
    assert_eq!(retarget(&[30], &[(20, 5)]), Ok(vec![5]));
}

#[test]
fn difficulties_that_are_too_many_too_few_or_too_great_are_refused() {
    refused(retarget(&[], &[(0, 62)]), "0 bytes of difficulty for 1 connections");
    refused(retarget(&[1, 2], &[(0, 62)]), "2 bytes of difficulty for 1 connections");
    refused(retarget(&[63], &[(0, 62)]), "2^63");
}

#[test]
fn a_validator_that_traps_is_a_fault_and_starts_again() {
    let guest = ServiceGuest { retarget: Some(DATA), ..ServiceGuest::default() };
    let mut engine = guest.shares().shares("{}").unwrap();
    refused(engine.judge(&[good()]), "unreachable");
    assert_eq!(engine.retarget(&[]), Ok(Vec::new()));
    assert_eq!(engine.breaker().failures(), 1);
}
