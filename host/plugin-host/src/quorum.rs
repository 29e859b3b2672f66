//! How the nodes of a peer-to-peer pool agree, as a share validator in the sandbox says it.
//!
//! Terms out of the contract's bounds and answers that do not fit their questions are the plugin's fault. What a plan comes to is cut again
//! where votes are counted: some honest nodes hash every share whatever is said here.

use crate::abi::{QuorumContract, v0_1};
use crate::breaker::Breaker;
use crate::load::{ConfigureError, Loaded};
use crate::warm::Warm;
use adit_primitives::contract::quorum::{CheckPlan, CheckQuestion, QuorumTerms};
use adit_primitives::contract::{read_rows, rows};
use adit_primitives::engine::{Fault, QuorumEngine};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Bounds of the terms.
const PERCENT: RangeInclusive<u32> = 1..=100;
const WINDOW_ROUNDS: RangeInclusive<u64> = 1..=10_000;
const BASE_ROUNDS: RangeInclusive<u64> = 1..=64;
const ROUND_MS: RangeInclusive<u64> = 100..=600_000;
const ROUND_SHARES: RangeInclusive<u64> = 1..=100_000;

/// A quorum policy at work.
#[derive(Debug)]
pub struct SandboxedQuorum {
    warm: Warm<v0_1::Quorum>,
}

impl SandboxedQuorum {
    pub(crate) fn start(plugin: Arc<Loaded>, config: &str) -> Result<Self, ConfigureError> {
        Ok(Self { warm: Warm::start(plugin, config, Loaded::start_quorum)? })
    }

    /// What the failures so far have led to.
    pub fn breaker(&self) -> &Breaker {
        self.warm.breaker()
    }
}

impl QuorumEngine for SandboxedQuorum {
    fn terms(&mut self) -> Result<QuorumTerms, Fault> {
        self.warm.ask("terms", 1, |contract, store| contract.terms(store), |answer| read_terms(&answer))
    }

    fn plan(&mut self, questions: &[CheckQuestion]) -> Result<Vec<CheckPlan>, Fault> {
        let mut plans = Vec::with_capacity(questions.len());
        for batch in questions.chunks(self.warm.rows_max()) {
            let packed = rows(batch);
            plans.extend(self.warm.ask(
                "plan-many",
                batch.len(),
                |contract, store| contract.plan_many(store, &packed),
                |answer| read_plans(&answer, batch.len()),
            )?);
        }
        Ok(plans)
    }
}

fn read_terms(answer: &[u8]) -> Result<QuorumTerms, String> {
    let read: Vec<QuorumTerms> = read_rows(answer).map_err(|error| error.to_string())?;
    let [terms] = read[..] else { return Err(format!("{} rows of terms, one is wanted", read.len())) };
    within("quorum percent", terms.quorum_percent, PERCENT)?;
    within("cap percent", terms.cap_percent, PERCENT)?;
    within("window rounds", terms.window_rounds, WINDOW_ROUNDS)?;
    within("base rounds", terms.base_rounds, BASE_ROUNDS)?;
    within("round milliseconds", terms.round_ms, ROUND_MS)?;
    within("shares of a round", terms.round_shares, ROUND_SHARES)?;
    Ok(terms)
}

fn within<N: PartialOrd + Display>(what: &str, value: N, bounds: RangeInclusive<N>) -> Result<(), String> {
    match bounds.contains(&value) {
        true => Ok(()),
        false => Err(format!("{value} {what}, {} to {} are allowed", bounds.start(), bounds.end())),
    }
}

fn read_plans(answer: &[u8], questions: usize) -> Result<Vec<CheckPlan>, String> {
    let plans: Vec<CheckPlan> = read_rows(answer).map_err(|error| error.to_string())?;
    match plans.len() == questions {
        true => Ok(plans),
        false => Err(format!("{} plans for {questions} batches", plans.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use adit_primitives::contract::shares::ShareDifficulty;

    const TERMS: QuorumTerms = QuorumTerms {
        quorum_percent: 67,
        cap_percent: 30,
        window_rounds: 100,
        base_rounds: 8,
        founding_work: 0,
        difficulty_least: ShareDifficulty::MIN,
        round_ms: 10_000,
        round_shares: 5_000,
    };

    #[track_caller]
    fn check(terms: &[QuorumTerms], want: Result<QuorumTerms, &str>) {
        assert_eq!(read_terms(&rows(terms)), want.map_err(str::to_owned));
    }

    #[test]
    fn terms_out_of_bounds_are_refused() {
        check(&[TERMS], Ok(TERMS));
        check(&[], Err("0 rows of terms, one is wanted"));
        check(&[TERMS, TERMS], Err("2 rows of terms, one is wanted"));
        check(&[QuorumTerms { cap_percent: 0, ..TERMS }], Err("0 cap percent, 1 to 100 are allowed"));
        check(&[QuorumTerms { base_rounds: 65, ..TERMS }], Err("65 base rounds, 1 to 64 are allowed"));
        check(&[QuorumTerms { round_ms: 99, ..TERMS }], Err("99 round milliseconds, 100 to 600000 are allowed"));
    }

    #[test]
    fn each_question_gets_one_plan() {
        let plans = [CheckPlan::Local, CheckPlan::Sample { one_in: 3 }];
        assert_eq!(read_plans(&rows(&plans), 2), Ok(plans.to_vec()));
        assert_eq!(read_plans(&rows(&plans), 3), Err("2 plans for 3 batches".to_owned()));
        assert!(read_plans(&rows(&plans)[1..], 2).is_err());
    }
}
