//! A payout scheme in the sandbox.
//!
//! Whatever it answers, no credit leaves this module for an account that the question did not name, twice for one account, or beyond
//! what there was to give. The pool checks the sums again before it books them.

use crate::abi::{PayoutContract, v0_1};
use crate::breaker::Breaker;
use crate::load::{ConfigureError, Loaded};
use crate::warm::Warm;
use adit_primitives::U256;
use adit_primitives::contract::payout::{
    AccountId, Credit, Economics, FoundBlock, PayoutPlan, ShareToWeigh, Weight, Window,
};
use adit_primitives::contract::{read_rows, rows};
use adit_primitives::engine::{Fault, PayoutEngine};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The longest window that a plan may ask for, in thousandths of a block's work: a thousand blocks.
const WINDOW_THOUSANDTHS_MAX: u64 = 1_000_000;
const WEIGHT_BYTES: usize = size_of::<u64>();

/// A payout plugin at work.
#[derive(Debug)]
pub struct SandboxedPayout {
    warm: Warm<v0_1::Payout>,
}

impl SandboxedPayout {
    pub(crate) fn start(plugin: Arc<Loaded>, config: &str) -> Result<Self, ConfigureError> {
        Ok(Self { warm: Warm::start(plugin, config, Loaded::start_payout)? })
    }

    /// What the failures so far have led to.
    pub fn breaker(&self) -> &Breaker {
        self.warm.breaker()
    }
}

impl PayoutEngine for SandboxedPayout {
    fn plan(&mut self) -> Result<PayoutPlan, Fault> {
        self.warm.ask("get-plan", 0, |contract, store| contract.plan(store), check_plan)
    }

    fn weigh(&mut self, shares: &[ShareToWeigh]) -> Result<Vec<u64>, Fault> {
        let mut weights = Vec::with_capacity(shares.len());
        for batch in shares.chunks(self.warm.rows_max()) {
            let packed = rows(batch);
            weights.extend(self.warm.ask(
                "weigh",
                batch.len(),
                |contract, store| contract.weigh(store, &packed),
                |answer| read_weights(&answer, batch.len()),
            )?);
        }
        Ok(weights)
    }

    fn split(&mut self, block: &FoundBlock, weights: &[Weight]) -> Result<Vec<Credit>, Fault> {
        let packed = rows(weights);
        let mut accounts: BTreeSet<AccountId> = weights.iter().map(|weight| weight.account).collect();
        accounts.insert(block.finder);
        self.warm.ask(
            "split",
            weights.len(),
            |contract, store| contract.split(store, block, &packed),
            |answer| read_credits(&answer, accounts, block.distributable),
        )
    }

    fn settle(&mut self, shares: &[Weight], economics: &Economics) -> Result<Vec<Credit>, Fault> {
        let packed = rows(shares);
        let accounts = shares.iter().map(|share| share.account).collect();
        let most = expected(shares, economics);
        self.warm.ask(
            "settle",
            shares.len(),
            |contract, store| contract.settle(store, &packed, economics),
            |answer| read_credits(&answer, accounts, most),
        )
    }
}

fn check_plan(plan: PayoutPlan) -> Result<PayoutPlan, String> {
    match plan.window {
        Window::LastWork { thousandths } if !(1..=WINDOW_THOUSANDTHS_MAX).contains(&thousandths) => {
            Err(format!("a window of {thousandths} thousandths of a block, 1 to {WINDOW_THOUSANDTHS_MAX} are allowed"))
        }
        _ => Ok(plan),
    }
}

fn read_weights(answer: &[u8], shares: usize) -> Result<Vec<u64>, String> {
    let (weights, left) = answer.as_chunks::<WEIGHT_BYTES>();
    if weights.len() != shares || !left.is_empty() {
        return Err(format!("{} bytes of weights for {shares} shares", answer.len()));
    }
    Ok(weights.iter().copied().map(u64::from_le_bytes).collect())
}

/// Reads credits, each for another one of `accounts`, and all together at most `most` atoms.
fn read_credits(answer: &[u8], mut accounts: BTreeSet<AccountId>, most: u64) -> Result<Vec<Credit>, String> {
    let credits: Vec<Credit> = read_rows(answer).map_err(|error| error.to_string())?;
    let mut left = most;
    for Credit { account, atoms } in &credits {
        if !accounts.remove(account) {
            return Err(format!("account {} is credited twice, or was not asked about", account.0));
        }
        left = left.checked_sub(*atoms).ok_or_else(|| format!("more than the {most} atoms that there are to give"))?;
    }
    Ok(credits)
}

/// Returns what shares are expected to earn, subsidy and fees together: no scheme may pay more.
fn expected(shares: &[Weight], economics: &Economics) -> u64 {
    let block = u128::from(economics.subsidy) + u128::from(economics.mean_fees);
    let work = shares.iter().fold(U256::ZERO, |sum, share| sum.saturating_add(share.weight));
    let atoms = U256::from(block).saturating_mul(work) / economics.work.0.max(U256::ONE);
    u64::try_from(atoms).unwrap_or(u64::MAX)
}
