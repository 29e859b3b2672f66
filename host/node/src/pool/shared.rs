//! The pool as one of many: work that says whom its shares pay, coinbases that pay miners themselves, shares that all nodes see.
//!
//! Nodes of a peer-to-peer pool keep one log of shares (`crate::sharelog`), and each computes by itself what a block has to pay. Nobody holds
//! anybody's money: nothing here keeps balances or makes payments.
//!
//! Reading order: [`SharedPool`] is what the rest of the pool uses, [`payouts`] computes coinbases, [`proof`] tells of a block whether it pays so.

pub mod payouts;
pub mod proof;

pub use payouts::{Payouts, PayoutsParts};

use crate::sharelog::{LocalShare, Refused, ShareLogHandle};
use adit_network::NodeId;
use adit_network::shares::record::{ACCOUNT_BYTES_MAX, EXTRANONCE_BYTES, WORKER_BYTES_MAX, commitment};
use adit_network::shares::{self, Entry, Payee, PoolId, ShareId};
use adit_pool::work::job::Job;
use adit_pool::work::share::Submission;
use adit_pool::work::template::{Base, BlockTemplate, Commitment, HEADER_BYTES, JOB_BYTES};
use adit_primitives::contract::shares::ShareDifficulty;
use std::sync::Arc;

/// The bytes that a miner has for itself: the log's shares have less room than Stratum.
pub const EXTRANONCE2_BYTES: u8 = 4;

/// The bytes of both parts of the extranonce.
pub const BOTH_EXTRANONCES_BYTES: usize = EXTRANONCE_BYTES - JOB_BYTES;

/// What the pool has of the others.
#[derive(Clone)]
pub struct SharedPool {
    pub log: ShareLogHandle,
    pub payouts: Arc<Payouts>,
    /// The easiest share that nodes tell each other.
    pub difficulty_least: ShareDifficulty,
}

/// Whom a connection's work pays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MinerName {
    /// The address, in the one form that the chain writes it in.
    pub account: String,
    pub worker: String,
}

impl MinerName {
    /// Tells whether shares can carry the name.
    pub fn fits(&self) -> bool {
        self.account.len() <= ACCOUNT_BYTES_MAX && self.worker.len() <= WORKER_BYTES_MAX
    }

    fn payee(&self, difficulty: ShareDifficulty) -> Payee {
        Payee { account: self.account.clone(), worker: self.worker.clone(), difficulty }
    }
}

impl SharedPool {
    /// Returns the bytes by which a job's coinbase says whose work it is. `None` for a job that is not the pool's.
    pub fn commitment(&self, job: &Job, name: &MinerName, difficulty: ShareDifficulty) -> Option<Commitment> {
        let base = job.template.coinbase.base?;
        Some(commitment(self.pool(), base_of(base), self.node(), &name.payee(difficulty)))
    }

    /// Puts a share of one of this node's miners before all nodes; where it is a block too, the open round is closed with it.
    ///
    /// # Errors
    /// Where it would be credited to nobody: the log has no room, or has stopped for good.
    pub fn share(&self, job: &Job, name: &MinerName, submission: &Submission, is_block: bool) -> Result<(), Refused> {
        if self.log.standing().borrow().view.halted.is_some() {
            return Err(Refused::Stopped);
        }
        let Some(shared_job) = job_of(&job.template) else { return Ok(()) };
        let extranonce = extranonce(job, submission);
        let entry = Entry {
            job: 0,
            payee: 0,
            version: job.version_of(submission),
            extranonce,
            time: submission.time,
            nonce: submission.nonce,
        };
        self.log.share(LocalShare { job: shared_job, payee: name.payee(submission.difficulty), entry })?;
        if is_block && let Err(error) = self.log.block_found(ShareId::of(&header(job, submission))) {
            tracing::warn!(%error, "the open round is not closed with the block that was found");
        }
        Ok(())
    }

    fn pool(&self) -> PoolId {
        self.log.rounds().pool()
    }

    fn node(&self) -> NodeId {
        self.log.node()
    }
}

/// Returns a template's job as the share log has it. `None` for one that is not the pool's.
pub fn job_of(template: &BlockTemplate) -> Option<shares::Job> {
    Some(shares::Job {
        base: base_of(template.coinbase.base?),
        height: template.height,
        reward: template.reward,
        previous: template.previous,
        bits: template.bits,
        branch: template.branch.clone(),
        tail: template.coinbase.after.clone(),
    })
}

fn base_of(base: Base) -> shares::Base {
    shares::Base { round: base.round, root: base.root }
}

/// The header that a share's miner hashed.
fn header(job: &Job, submission: &Submission) -> [u8; HEADER_BYTES] {
    let Submission { commitment, extranonce1, extranonce2, time, nonce, .. } = submission;
    let (template, parts) = (&job.template, (extranonce1.as_bytes(), extranonce2.as_bytes()));
    let coinbase = template.coinbase.with(commitment.as_ref(), parts.0, parts.1);
    template.header(template.root(&coinbase), job.version_of(submission), *time, *nonce)
}

/// The number of the job and both extranonces, as they stand in the coinbase.
fn extranonce(job: &Job, submission: &Submission) -> [u8; EXTRANONCE_BYTES] {
    let parts = [&job.id.0.to_be_bytes()[..], submission.extranonce1.as_bytes(), submission.extranonce2.as_bytes()];
    let mut bytes = [0; EXTRANONCE_BYTES];
    bytes.iter_mut().zip(parts.concat()).for_each(|(byte, part)| *byte = part);
    bytes
}
