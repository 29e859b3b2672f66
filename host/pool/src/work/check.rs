//! Whether a share counts: headers built and hashed here, facts put before the share validator, and a floor under what it may allow.
//!
//! A share is never believed and a block never held back: a header that meets the chain's target is given on before anything else is
//! asked of it, be it late, too easy for its difficulty, or refused for whatever reason. Native digests are proposals: each block's is
//! computed again in the sandbox first, and those that the validator wants audited; at the first difference the native engine is
//! dropped, and the batch is judged anew.
//!
//! Reading order: [`Checker::check`] is the order of the questions, `headers` builds what is hashed.

mod headers;
#[cfg(test)]
mod tests;

use crate::work::job::JobBook;
use crate::work::share::{Outcome, Refusal, SolvedBlock, Submission, target_of};
use crate::work::template::HEADER_BYTES;
use crate::work::workers::Workers;
use adit_primitives::contract::shares::{Claim, Judgement};
use adit_primitives::engine::{Fault, FaultClass, HashEngine, ShareEngine};
use adit_primitives::{BlockId, Hash256, Timestamp, sha256d};
use headers::{Prepared, Preparing};
use std::sync::Arc;

/// How many headers are hashed before those found are given on: a block does not wait for the hashes of a large batch.
const HASHED_AT_ONCE: usize = 64;

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
}

/// Why a batch has to be judged anew.
struct NativeDropped;

/// A share on its way through the questions.
struct Found {
    digest: Hash256,
    meets: bool,
    is_block: bool,
    /// What remembering it said; `None` for one that was not to be remembered.
    seen: Option<Result<(), Refusal>>,
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

    /// Checks a batch. Blocks are given to `on_block` as soon as they are hashed, each once for each job; one that comes twice is a duplicate.
    pub fn check(&mut self, batch: &[Submission], now: Timestamp, on_block: &mut dyn FnMut(SolvedBlock)) -> Checked {
        let mut troubles = Vec::new();
        let prepared = self.prepare(batch, &mut troubles);
        let mut reported = vec![false; prepared.shares.len()];
        let judged = loop {
            match self.judge(batch, &prepared, now, &mut reported, on_block, &mut troubles) {
                Ok(judged) => break judged,
                Err(NativeDropped) => self.parts.native = None,
            }
        };
        let mut outcomes: Vec<_> =
            prepared.refused.iter().map(|refused| refused.map_or(UNJUDGED, Outcome::Refused)).collect();
        for (share, outcome) in prepared.shares.iter().zip(judged) {
            outcomes[share.index] = outcome;
        }
        self.parts.workers.note(batch, &outcomes, now);
        Checked { outcomes, troubles }
    }

    fn prepare(&mut self, batch: &[Submission], troubles: &mut Vec<Trouble>) -> Prepared {
        let preparing = Preparing::new(&self.parts.jobs, batch);
        let Some(tree) = &mut self.parts.tree else { return preparing.one_by_one() };
        match preparing.in_lanes(tree.as_mut()) {
            Ok(prepared) => prepared,
            Err((fault, preparing)) => {
                self.parts.tree = None;
                troubles.push(Trouble::TreeFault(fault));
                preparing.one_by_one()
            }
        }
    }

    /// Asks all questions. Where the native engine turns out to be wrong, what was remembered is forgotten again.
    fn judge(
        &mut self,
        batch: &[Submission],
        prepared: &Prepared,
        now: Timestamp,
        reported: &mut [bool],
        on_block: &mut dyn FnMut(SolvedBlock),
        troubles: &mut Vec<Trouble>,
    ) -> Result<Vec<Outcome>, NativeDropped> {
        let mut found = Vec::with_capacity(prepared.shares.len());
        let searched = self.find(batch, prepared, reported, on_block, &mut found, troubles);
        let dropped = match searched {
            Ok(()) => {
                let claims = self.claims(batch, prepared, &found, now);
                let judgements = self.judgements(&claims, troubles);
                match self.audit(prepared, &found, judgements.as_deref().unwrap_or_default(), troubles) {
                    Ok(()) => return Ok(settle(prepared, &found, &claims, judgements.as_deref())),
                    Err(dropped) => Some(dropped),
                }
            }
            Err(dropped) => dropped,
        };
        found.iter().zip(&prepared.shares).for_each(|(found, share)| forget(prepared, share, found));
        match dropped {
            Some(dropped) => Err(dropped),
            None => Ok(vec![UNJUDGED; prepared.shares.len()]),
        }
    }

    /// Hashes the headers, gives blocks on, and remembers what meets a target. `Err(None)`: nothing could be hashed.
    fn find(
        &mut self,
        batch: &[Submission],
        prepared: &Prepared,
        reported: &mut [bool],
        on_block: &mut dyn FnMut(SolvedBlock),
        found: &mut Vec<Found>,
        troubles: &mut Vec<Trouble>,
    ) -> Result<(), Option<NativeDropped>> {
        let mut digests = Vec::with_capacity(HASHED_AT_ONCE);
        for headers in prepared.headers.chunks(HASHED_AT_ONCE) {
            digests.clear();
            self.hash(headers, &mut digests, troubles)?;
            for (digest, header) in digests.iter().zip(headers) {
                let place = found.len();
                let share = &prepared.shares[place];
                let (submission, job) = (&batch[share.index], &prepared.jobs[share.job]);
                let is_block = job.template.target.is_met_by(&digest.0);
                let meets = target_of(submission.difficulty).is_met_by(&digest.0);
                if is_block && !reported[place] {
                    self.confirm(header, *digest, troubles).map_err(Some)?;
                }
                let seen = (meets || is_block).then(|| job.seen().insert(share.key));
                if is_block && !reported[place] && seen != Some(Err(Refusal::Duplicate)) {
                    reported[place] = true;
                    on_block(SolvedBlock {
                        job: job.clone(),
                        submission: *submission,
                        header: *header,
                        id: BlockId(sha256d(header)),
                        digest: *digest,
                        block: job.template.block(header, &prepared.coinbase(batch, share)),
                    });
                }
                found.push(Found { digest: *digest, meets, is_block, seen });
            }
        }
        Ok(())
    }

    /// Hashes headers: natively where that works, in the sandbox otherwise.
    fn hash(
        &mut self,
        headers: &[[u8; HEADER_BYTES]],
        digests: &mut Vec<Hash256>,
        troubles: &mut Vec<Trouble>,
    ) -> Result<(), Option<NativeDropped>> {
        if let Some(native) = &mut self.parts.native {
            match digest_all(native.as_mut(), headers, digests) {
                Ok(()) => return Ok(()),
                Err(fault) => troubles.push(Trouble::NativeFault(fault)),
            }
            return Err(Some(NativeDropped));
        }
        digest_all(self.parts.sandbox.as_mut(), headers, digests).map_err(|fault| {
            troubles.push(Trouble::SandboxFault(fault));
            None
        })
    }

    /// Computes a native digest again. Where the sandbox gives no answer, the upstream decides.
    fn confirm(
        &mut self,
        header: &[u8; HEADER_BYTES],
        digest: Hash256,
        troubles: &mut Vec<Trouble>,
    ) -> Result<(), NativeDropped> {
        if self.parts.native.is_none() {
            return Ok(());
        }
        match self.parts.sandbox.digest(header) {
            Ok(sandbox) if sandbox == digest => Ok(()),
            Ok(sandbox) => {
                troubles.push(Trouble::NativeDiffers { header: *header, native: digest, sandbox });
                Err(NativeDropped)
            }
            Err(fault) => {
                troubles.push(Trouble::SandboxFault(fault));
                Ok(())
            }
        }
    }

    /// Computes again what the validator wants audited.
    fn audit(
        &mut self,
        prepared: &Prepared,
        found: &[Found],
        judgements: &[Judgement],
        troubles: &mut Vec<Trouble>,
    ) -> Result<(), NativeDropped> {
        let audited = prepared.headers.iter().zip(found).zip(judgements).filter(|(_, judgement)| judgement.audit);
        for ((header, found), _) in audited {
            self.confirm(header, found.digest, troubles)?;
        }
        Ok(())
    }

    fn claims(&self, batch: &[Submission], prepared: &Prepared, found: &[Found], now: Timestamp) -> Vec<Claim> {
        let workers = prepared.shares.iter().map(|share| batch[share.index].worker);
        let records = self.parts.workers.records(workers, now);
        let shares = prepared.shares.iter().zip(found).zip(records);
        let claim = |((share, found), record): ((&headers::Share, &Found), _)| {
            let (submission, job) = (&batch[share.index], &prepared.jobs[share.job]);
            Claim {
                difficulty: submission.difficulty,
                meets: found.meets,
                duplicate: found.seen == Some(Err(Refusal::Duplicate)),
                version_outside: share.version_outside,
                time_offset_s: i64::from(submission.time) - i64::from(job.template.time),
                stale_ms: job.stale_ms(now),
                record,
            }
        };
        shares.map(claim).collect()
    }

    /// Asks the validator. `None` where it gave no answer.
    fn judgements(&mut self, claims: &[Claim], troubles: &mut Vec<Trouble>) -> Option<Vec<Judgement>> {
        if claims.is_empty() {
            return Some(Vec::new());
        }
        let fault = match self.parts.validator.judge(claims) {
            Ok(judgements) if judgements.len() == claims.len() => return Some(judgements),
            Ok(judgements) => short("judge-many", judgements.len(), claims.len()),
            Err(fault) => fault,
        };
        troubles.push(Trouble::ValidatorFault(fault));
        None
    }
}

const UNJUDGED: Outcome = Outcome::Refused(Refusal::Unjudged);

/// Draws the conclusion for each share: the validator's refusal, or the host's own, or none.
fn settle(prepared: &Prepared, found: &[Found], claims: &[Claim], judgements: Option<&[Judgement]>) -> Vec<Outcome> {
    let shares = prepared.shares.iter().zip(found).zip(claims).enumerate();
    let outcome = |(place, ((share, found), claim)): (usize, ((&headers::Share, &Found), &Claim))| {
        let Some(judgements) = judgements else {
            forget(prepared, share, found);
            return UNJUDGED;
        };
        let refusal = Refusal::of(judgements[place].verdict).or_else(|| floor(share, found, claim));
        refusal.map_or(Outcome::Accepted { is_block: found.is_block }, Outcome::Refused)
    };
    shares.map(outcome).collect()
}

/// What no validator can allow.
fn floor(share: &headers::Share, found: &Found, claim: &Claim) -> Option<Refusal> {
    if share.too_early {
        return Some(Refusal::Time);
    }
    if claim.version_outside {
        return Some(Refusal::Version);
    }
    match found.seen {
        Some(Err(refusal)) => Some(refusal),
        _ if !claim.meets => Some(Refusal::LowDifficulty),
        _ => None,
    }
}

/// Takes out of the job's memory what was put there and could not be judged.
fn forget(prepared: &Prepared, share: &headers::Share, found: &Found) {
    if found.seen == Some(Ok(())) {
        prepared.jobs[share.job].seen().remove(&share.key);
    }
}

/// Hashes headers and checks that there is one digest for each.
fn digest_all(
    engine: &mut dyn HashEngine,
    headers: &[[u8; HEADER_BYTES]],
    digests: &mut Vec<Hash256>,
) -> Result<(), Fault> {
    engine.digest_many(headers.as_flattened(), HEADER_BYTES, digests)?;
    if digests.len() == headers.len() { Ok(()) } else { Err(short("digest-many", digests.len(), headers.len())) }
}

fn short(function: &str, answers: usize, questions: usize) -> Fault {
    Fault {
        class: FaultClass::Plugin,
        plugin: String::new(),
        function: function.to_owned(),
        detail: format!("{answers} answers to {questions} questions"),
    }
}
