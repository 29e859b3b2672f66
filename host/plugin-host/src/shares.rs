//! A share validator in the sandbox.
//!
//! It can only be stricter than the host: a share that misses its target, or was submitted before, and is accepted all the same is the
//! plugin's fault. A difficulty is cut to the bounds that the host gave with the question.

use crate::abi::{ShareContract, v0_1};
use crate::breaker::Breaker;
use crate::load::{ConfigureError, Loaded};
use crate::warm::Warm;
use adit_primitives::contract::shares::{Claim, Judgement, ShareDifficulty, ShareVerdict, WorkHistory};
use adit_primitives::contract::{read_rows, rows};
use adit_primitives::engine::{Fault, ShareEngine};
use std::sync::Arc;

/// A share plugin at work.
#[derive(Debug)]
pub struct SandboxedShares {
    warm: Warm<v0_1::Shares>,
}

impl SandboxedShares {
    pub(crate) fn start(plugin: Arc<Loaded>, config: &str) -> Result<Self, ConfigureError> {
        Ok(Self { warm: Warm::start(plugin, config, Loaded::start_shares)? })
    }

    /// What the failures so far have led to.
    pub fn breaker(&self) -> &Breaker {
        self.warm.breaker()
    }
}

impl ShareEngine for SandboxedShares {
    fn judge(&mut self, claims: &[Claim]) -> Result<Vec<Judgement>, Fault> {
        let mut judgements = Vec::with_capacity(claims.len());
        for batch in claims.chunks(self.warm.rows_max()) {
            let packed = rows(batch);
            judgements.extend(self.warm.ask(
                "judge-many",
                batch.len(),
                |contract, store| contract.judge_many(store, &packed),
                |answer| read_judgements(&answer, batch),
            )?);
        }
        Ok(judgements)
    }

    fn retarget(&mut self, histories: &[WorkHistory]) -> Result<Vec<ShareDifficulty>, Fault> {
        let mut difficulties = Vec::with_capacity(histories.len());
        for batch in histories.chunks(self.warm.rows_max()) {
            let packed = rows(batch);
            difficulties.extend(self.warm.ask(
                "retarget-many",
                batch.len(),
                |contract, store| contract.retarget_many(store, &packed),
                |answer| read_difficulties(&answer, batch),
            )?);
        }
        Ok(difficulties)
    }
}

fn read_judgements(answer: &[u8], claims: &[Claim]) -> Result<Vec<Judgement>, String> {
    let judgements: Vec<Judgement> = read_rows(answer).map_err(|error| error.to_string())?;
    if judgements.len() != claims.len() {
        return Err(format!("{} judgements for {} shares", judgements.len(), claims.len()));
    }
    for (number, (judgement, claim)) in judgements.iter().zip(claims).enumerate() {
        let refused = if claim.duplicate {
            "was submitted before"
        } else if !claim.meets {
            "misses its target"
        } else {
            continue;
        };
        if judgement.verdict == ShareVerdict::Accept {
            return Err(format!("share {number} {refused} and is accepted"));
        }
    }
    Ok(judgements)
}

/// Reads one byte for each connection. Where a block is easier than the server's least difficulty, a block's is the bound: a share
/// harder than a block would hide blocks from the pool.
fn read_difficulties(answer: &[u8], histories: &[WorkHistory]) -> Result<Vec<ShareDifficulty>, String> {
    if answer.len() != histories.len() {
        return Err(format!("{} bytes of difficulty for {} connections", answer.len(), histories.len()));
    }
    let read = |(log2, history): (&u8, &WorkHistory)| {
        let difficulty = ShareDifficulty::from_log2_hashes(*log2);
        match difficulty.to_log2_hashes() == *log2 {
            true => Ok(difficulty.max(history.least).min(history.greatest)),
            false => {
                Err(format!("difficulty 2^{log2}, at most 2^{} is allowed", ShareDifficulty::MAX.to_log2_hashes()))
            }
        }
    };
    answer.iter().zip(histories).map(read).collect()
}
