//! Whether a partial proof counts: a block's proof in everything but that its score need only meet a share's target.
//!
//! A partial is believed as little as a block. It answers the job's own challenge, its plot is registered where it says, its owner's signature over
//! the pool's header and its path are checked by the chain's rules, and its score is computed by the chain's hash plugin. Facts go before the share
//! validator as those of hashed shares do, and under what the validator may allow is the same floor.
//!
//! What is dear comes last: no score is computed for a proof that does not hold otherwise.

use crate::work::check::{Checked, Trouble, short};
use crate::work::farm::SpaceJob;
use crate::work::share::{Outcome, Refusal, target_of};
use crate::work::workers::Workers;
use adit_primitives::accounts::WorkerId;
use adit_primitives::contract::HeaderView;
use adit_primitives::contract::payout::AccountId;
use adit_primitives::contract::shares::{Claim, Judgement, ShareDifficulty};
use adit_primitives::contract::space::{PlotKind, PlotPlace, Registration, SpaceClaim, SpaceProof};
use adit_primitives::engine::{Fault, HashEngine, RulesEngine, ShareEngine};
use adit_primitives::{BlockId, Hash256, Height, Timestamp};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::thread;

/// The fewest scores that are worth a thread of their own: the lanes of a sandboxed plugin are filled.
const SCORED_MIN: usize = 4;

/// How many scores each thread makes of a batch. A hard one takes some hundredths of a second, and a block among them waits for the batch.
const SCORED_EACH: usize = 16;

/// A partial proof, from somebody who was let in.
#[derive(Debug, Clone)]
pub struct Partial {
    pub account: AccountId,
    pub worker: WorkerId,
    /// The difficulty that its template was given out with.
    pub difficulty: ShareDifficulty,
    pub job: Arc<SpaceJob>,
    pub proof: SpaceProof,
    /// Where the chain has its plot registered first, where that is asked.
    pub registered: Option<Height>,
}

/// A partial proof that is a block.
#[derive(Debug, Clone)]
pub struct SolvedSpace {
    pub job: Arc<SpaceJob>,
    pub account: AccountId,
    pub worker: WorkerId,
    pub id: BlockId,
    /// The whole block.
    pub block: Vec<u8>,
}

/// What a checker of partial proofs works with.
pub struct PartialParts {
    pub workers: Arc<Workers>,
    /// The chain's rules. Without a face for plots nothing counts.
    pub rules: Arc<dyn RulesEngine>,
    /// Instances of the chain's hash plugin, which says the score: one for each thread that scores. At least one.
    pub hash: Vec<Box<dyn HashEngine>>,
    pub validator: Box<dyn ShareEngine>,
}

/// Checks partial proofs, batch by batch.
pub struct PartialChecker {
    parts: PartialParts,
}

/// A partial that holds, and what its score is.
struct Found<'a> {
    /// Its place in the batch.
    index: usize,
    partial: &'a Partial,
    header: Vec<u8>,
    view: HeaderView,
    /// Names what was scored.
    scored: Hash256,
    meets: bool,
    is_block: bool,
    /// What remembering it said; `None` for one that was not to be remembered.
    seen: Option<Result<(), Refusal>>,
}

impl Partial {
    /// Returns the plot whose registration the chain is asked for. `None` where none is needed.
    pub fn needs_registration(job: &SpaceJob, claim: &SpaceClaim) -> Option<Registration> {
        job.template.challenge.registered_by?;
        match claim.place {
            PlotPlace::Plain { seed, leaves, root, .. } => Some(Registration { key: claim.key, seed, leaves, root }),
            PlotPlace::Hard { .. } => None,
        }
    }

    /// Says what speaks against it before anything is computed.
    fn refusal(&self) -> Option<Refusal> {
        let (challenge, claim) = (&self.job.template.challenge, &self.proof.claim);
        let (kind, at) = match claim.place {
            PlotPlace::Plain { registered, .. } => (PlotKind::Plain, registered),
            PlotPlace::Hard { .. } => (PlotKind::Hard, Height(0)),
        };
        if claim.challenge != challenge.challenge || kind != challenge.plots {
            return Some(Refusal::Proof);
        }
        let limit = challenge.registered_by?;
        (at > limit || self.registered != Some(at)).then_some(Refusal::Unregistered)
    }
}

impl PartialChecker {
    /// Begins to check.
    pub fn new(parts: PartialParts) -> Self {
        Self { parts }
    }

    /// Returns how many partials are best checked together.
    pub fn batch(&self) -> usize {
        SCORED_EACH * self.parts.hash.len()
    }

    /// Checks a batch. What meets a block's target is given to `on_block` as soon as it is scored, once, which tells whether it goes out as one; where
    /// it does not, it is worth a share like others.
    pub fn check(
        &mut self,
        batch: &[Partial],
        now: Timestamp,
        on_block: &mut dyn FnMut(SolvedSpace) -> bool,
    ) -> Checked {
        let mut checked = Checked { outcomes: vec![UNJUDGED; batch.len()], troubles: Vec::new() };
        match self.found(batch, &mut checked.outcomes, on_block) {
            Ok(found) => {
                if let Err(trouble) = self.judge(&found, &mut checked.outcomes, now) {
                    checked.troubles.push(*trouble);
                    forget(&found);
                }
            }
            Err(trouble) => checked.troubles.push(*trouble),
        }
        let outcomes = batch.iter().zip(&checked.outcomes);
        let seen = outcomes.map(|(partial, outcome)| (partial.worker, partial.difficulty, *outcome));
        self.parts.workers.note(seen, now);
        checked
    }

    /// Scores what holds, gives blocks on, and remembers what meets a target.
    fn found<'b>(
        &mut self,
        batch: &'b [Partial],
        outcomes: &mut [Outcome],
        on_block: &mut dyn FnMut(SolvedSpace) -> bool,
    ) -> Result<Vec<Found<'b>>, Box<Trouble>> {
        let mut found = self.held(batch, outcomes)?;
        let scores = self.scores(&found).map_err(|fault| Box::new(Trouble::SandboxFault(fault)))?;
        for (found, score) in found.iter_mut().zip(scores) {
            let Partial { job, account, worker, difficulty, .. } = found.partial;
            found.is_block = job.template.challenge.target.is_met_by(&score.0);
            found.meets = target_of(*difficulty).is_met_by(&score.0);
            found.seen = (found.meets || found.is_block).then(|| job.see(found.scored));
            if found.is_block && found.seen != Some(Err(Refusal::Duplicate)) {
                let (job, id, block) = (Arc::clone(job), found.view.id, job.template.block(&found.header));
                found.is_block = on_block(SolvedSpace { job, account: *account, worker: *worker, id, block });
            }
        }
        Ok(found)
    }

    /// Leaves those whose proofs hold, but for their score.
    fn held<'b>(&self, batch: &'b [Partial], outcomes: &mut [Outcome]) -> Result<Vec<Found<'b>>, Box<Trouble>> {
        let rules = &self.parts.rules;
        let failed = |fault| Box::new(Trouble::RulesFault(fault));
        let space = rules.space().ok_or_else(|| failed(short("prove", 0, batch.len())))?;
        let (mut sealed, mut places) = (Vec::new(), Vec::new());
        for (index, partial) in batch.iter().enumerate() {
            let header = match partial.refusal() {
                Some(refusal) => Err(refusal),
                None => match space.prove(&partial.job.template.header, &partial.proof) {
                    Ok(header) => header.map_err(|_| Refusal::Proof),
                    Err(fault) => return Err(failed(fault)),
                },
            };
            match header {
                Ok(header) => {
                    sealed.push(header);
                    places.push((index, partial));
                }
                Err(refusal) => outcomes[index] = Outcome::Refused(refusal),
            }
        }
        let views = if sealed.is_empty() { Ok(Vec::new()) } else { rules.decode(&sealed) };
        let views = views.map_err(failed)?;
        if views.len() != sealed.len() {
            return Err(failed(short("decode", views.len(), sealed.len())));
        }
        let mut held = Vec::with_capacity(sealed.len());
        for (((index, partial), header), view) in places.into_iter().zip(sealed).zip(views) {
            match view {
                Ok(view) => {
                    let scored = Hash256(Sha256::digest(&view.pow.bytes).into());
                    held.push(Found {
                        index,
                        partial,
                        header,
                        view,
                        scored,
                        meets: false,
                        is_block: false,
                        seen: None,
                    });
                }
                Err(_) => outcomes[index] = Outcome::Refused(Refusal::Proof),
            }
        }
        Ok(held)
    }

    /// Scores, on as many threads as there is enough to do for.
    fn scores(&mut self, found: &[Found<'_>]) -> Result<Vec<Hash256>, Fault> {
        let threads = found.len().div_ceil(SCORED_MIN).clamp(1, self.parts.hash.len().max(1));
        let parts = found.chunks(found.len().div_ceil(threads).max(1));
        if threads == 1 {
            return parts
                .zip(&mut self.parts.hash)
                .try_fold(Vec::new(), |_, (part, hash)| scores_of(&mut **hash, part));
        }
        thread::scope(|scope| {
            let parts = parts.zip(&mut self.parts.hash);
            let started: Vec<_> = parts.map(|(part, hash)| scope.spawn(|| scores_of(&mut **hash, part))).collect();
            let mut scores = Vec::with_capacity(found.len());
            for part in started {
                scores.extend(part.join().unwrap_or_else(|_| Err(short("digest-many", 0, found.len())))?);
            }
            Ok(scores)
        })
    }

    /// Asks the validator, and draws the conclusion for each.
    fn judge(&mut self, found: &[Found<'_>], outcomes: &mut [Outcome], now: Timestamp) -> Result<(), Box<Trouble>> {
        let records = self.parts.workers.records(found.iter().map(|found| found.partial.worker), now);
        let claims: Vec<Claim> = found
            .iter()
            .zip(records)
            .map(|(found, record)| Claim {
                difficulty: found.partial.difficulty,
                meets: found.meets,
                duplicate: found.seen == Some(Err(Refusal::Duplicate)),
                version_outside: false,
                // The header's time is the pool's own.
                time_offset_s: 0,
                stale_ms: found.partial.job.stale_ms(now),
                record,
            })
            .collect();
        let judgements = self.judgements(&claims).map_err(|fault| Box::new(Trouble::ValidatorFault(fault)))?;
        for (found, judgement) in found.iter().zip(judgements) {
            let floor = match found.seen {
                Some(Err(refusal)) => Some(refusal),
                _ => (!found.meets).then_some(Refusal::LowDifficulty),
            };
            let refusal = Refusal::of(judgement.verdict).or(floor);
            outcomes[found.index] = refusal.map_or(Outcome::Accepted { is_block: found.is_block }, Outcome::Refused);
        }
        Ok(())
    }

    fn judgements(&mut self, claims: &[Claim]) -> Result<Vec<Judgement>, Fault> {
        if claims.is_empty() {
            return Ok(Vec::new());
        }
        let judgements = self.parts.validator.judge(claims)?;
        match judgements.len() == claims.len() {
            true => Ok(judgements),
            false => Err(short("judge-many", judgements.len(), claims.len())),
        }
    }
}

/// Scores: at once where all inputs have one length, as those of one chain have.
fn scores_of(hash: &mut dyn HashEngine, found: &[Found<'_>]) -> Result<Vec<Hash256>, Fault> {
    let Some(each) = found.first().map(|found| found.view.pow.bytes.len()) else { return Ok(Vec::new()) };
    if found.iter().any(|found| found.view.pow.bytes.len() != each) {
        return found.iter().map(|found| hash.digest(&found.view.pow.bytes)).collect();
    }
    let inputs: Vec<u8> = found.iter().flat_map(|found| found.view.pow.bytes.iter().copied()).collect();
    let mut digests = Vec::with_capacity(found.len());
    hash.digest_many(&inputs, each, &mut digests)?;
    if digests.len() == found.len() { Ok(digests) } else { Err(short("digest-many", digests.len(), found.len())) }
}

/// Takes out of the jobs' memory what a batch that was not judged put there.
fn forget(found: &[Found<'_>]) {
    let added = found.iter().filter(|found| found.seen == Some(Ok(())));
    added.for_each(|found| found.partial.job.forget(&found.scored));
}

const UNJUDGED: Outcome = Outcome::Refused(Refusal::Unjudged);

#[cfg(test)]
mod tests;
