//! Whether a share counts: headers built and hashed here, facts put before the share validator, and a floor under what it may allow.
//!
//! A share is never believed and a block never held back: a header that meets the chain's target is given on before anything else is
//! asked of it, be it late, too easy for its difficulty, or refused for whatever reason. Native digests are proposals: each block's is
//! computed again in the sandbox first, and those that the validator wants audited; at the first difference the native engine is
//! dropped, and the batch is judged anew.
//!
//! Reading order: [`Checker::check`] is the surface, `headers` builds what is hashed, `pass` asks the questions in their order.

mod headers;
mod pass;
#[cfg(test)]
mod tests;

use crate::work::job::JobBook;
use crate::work::share::{Outcome, Refusal, SolvedBlock, Submission};
use crate::work::template::HEADER_BYTES;
use crate::work::workers::Workers;
use adit_primitives::engine::{Fault, FaultClass, HashEngine, ShareEngine};
use adit_primitives::{Hash256, Timestamp};
use headers::{Prepared, Preparing};
use pass::Pass;
use std::sync::Arc;

/// What a checker works with. One for each core; the books of jobs and workers are shared.
pub struct CheckerParts {
    pub jobs: Arc<JobBook>,
    pub workers: Arc<Workers>,
    /// The chain's hash in native code, proven equal to the sandboxed plugin. Without it, the sandbox hashes everything.
    pub native: Option<Box<dyn HashEngine>>,
    /// The chain's hash plugin.
    pub sandbox: Box<dyn HashEngine>,
    /// A native double SHA-256, for coinbases and merkle branches of many shares at once. Without it, they are hashed one by one.
    pub tree: Option<Box<dyn HashEngine>>,
    pub validator: Box<dyn ShareEngine>,
}

/// Checks shares, batch by batch.
pub struct Checker {
    parts: CheckerParts,
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checked {
    /// One for each submission, in order.
    pub outcomes: Vec<Outcome>,
    /// What the operator has to be told.
    pub troubles: Vec<Trouble>,
}

/// Something of the pool's own that failed while shares were checked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The native engine hashed wrongly. It is dropped; the sandbox hashes from now on.
    #[error("the native engine's digest {native} of a header is not the sandbox's {sandbox}: it is dropped")]
    NativeDiffers { header: [u8; HEADER_BYTES], native: Hash256, sandbox: Hash256 },
    #[error("the native engine is dropped: {0}")]
    NativeFault(Fault),
    /// Shares could not be hashed.
    #[error("the hash plugin gave no digests: {0}")]
    SandboxFault(Fault),
    /// Shares could not be judged.
    #[error("the share validator gave no judgement: {0}")]
    ValidatorFault(Fault),
    #[error("the native engine for merkle trees is dropped: {0}")]
    TreeFault(Fault),
    /// Partial proofs could not be read.
    #[error("the rules gave no answer on partial proofs: {0}")]
    RulesFault(Fault),
}

impl Checker {
    /// Begins to check.
    pub fn new(parts: CheckerParts) -> Self {
        Self { parts }
    }

    /// Tells whether shares are hashed natively.
    pub fn is_native(&self) -> bool {
        self.parts.native.is_some()
    }

    /// Returns what is known of workers.
    pub fn workers(&self) -> &Workers {
        &self.parts.workers
    }

    /// Checks a batch. Blocks are given to `on_block` as soon as they are hashed, each once for each job; one that comes twice is a duplicate.
    pub fn check(&mut self, batch: &[Submission], now: Timestamp, on_block: &mut dyn FnMut(SolvedBlock)) -> Checked {
        let mut troubles = Vec::new();
        let prepared = self.prepare(batch, &mut troubles);
        let reported = vec![false; prepared.shares.len()];
        let parts = &mut self.parts;
        let judged = Pass { parts, prepared: &prepared, now, reported, on_block, troubles: &mut troubles }.outcomes();
        let refused = prepared.refused.iter().map(|refusal| refusal.map_or(UNJUDGED, Outcome::Refused));
        let mut outcomes: Vec<_> = refused.collect();
        prepared.shares.iter().zip(judged).for_each(|(share, outcome)| outcomes[share.index] = outcome);
        let seen = batch.iter().zip(&outcomes).map(|(share, outcome)| (share.worker, share.difficulty, *outcome));
        self.parts.workers.note(seen, now);
        Checked { outcomes, troubles }
    }

    fn prepare<'a>(&mut self, batch: &'a [Submission], troubles: &mut Vec<Trouble>) -> Prepared<'a> {
        let preparing = Preparing::new(&self.parts.jobs, batch);
        let in_lanes = self.parts.tree.as_mut().map(|tree| preparing.roots_in_lanes(tree.as_mut()));
        let roots = match in_lanes {
            Some(Ok(roots)) => roots,
            Some(Err(fault)) => {
                self.parts.tree = None;
                troubles.push(Trouble::TreeFault(fault));
                preparing.roots()
            }
            None => preparing.roots(),
        };
        preparing.finish(&roots)
    }
}

const UNJUDGED: Outcome = Outcome::Refused(Refusal::Unjudged);

pub(crate) fn short(function: &str, answers: usize, questions: usize) -> Fault {
    Fault {
        class: FaultClass::Plugin,
        plugin: String::new(),
        function: function.to_owned(),
        detail: format!("{answers} answers to {questions} questions"),
    }
}
