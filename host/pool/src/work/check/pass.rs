//! The questions that are asked of a batch, in their order: hash, block, facts, the validator's judgement, audits, the host's floor.

use super::headers::{Prepared, Share};
use super::{CheckerParts, Trouble, UNJUDGED, short};
use crate::work::share::{Outcome, Refusal, SolvedBlock, target_of};
use crate::work::template::HEADER_BYTES;
use adit_primitives::contract::shares::{Claim, Judgement};
use adit_primitives::engine::{Fault, HashEngine};
use adit_primitives::{BlockId, Hash256, Timestamp, sha256d};

/// How many headers are hashed before those found are given on: a block does not wait for the hashes of a large batch.
const HASHED_AT_ONCE: usize = 64;

/// A batch on its way through the questions.
pub(super) struct Pass<'a> {
    pub(super) parts: &'a mut CheckerParts,
    pub(super) prepared: &'a Prepared<'a>,
    pub(super) now: Timestamp,
    /// For each share, whether it was given on as a block.
    pub(super) reported: Vec<bool>,
    pub(super) on_block: &'a mut dyn FnMut(SolvedBlock),
    pub(super) troubles: &'a mut Vec<Trouble>,
}

/// A share that is hashed.
struct Found {
    digest: Hash256,
    meets: bool,
    is_block: bool,
    /// What remembering it said; `None` for one that was not to be remembered.
    seen: Option<Result<(), Refusal>>,
}

/// Why a batch has no outcomes yet.
enum Stopped {
    /// The native engine was wrong: all questions are asked again, without it.
    NativeDropped,
    /// The sandbox gave no digests, or the validator no judgements.
    Unjudged,
}

impl Pass<'_> {
    /// Asks all questions; again where the native engine turns out to be wrong. What was remembered on the way is forgotten before that, and
    /// where no judgement was reached.
    pub(super) fn outcomes(mut self) -> Vec<Outcome> {
        loop {
            let mut found = Vec::with_capacity(self.prepared.shares.len());
            let stopped = match self.judge(&mut found) {
                Ok(outcomes) => return outcomes,
                Err(stopped) => stopped,
            };
            self.forget(&found);
            match stopped {
                Stopped::NativeDropped => self.parts.native = None,
                Stopped::Unjudged => return vec![UNJUDGED; self.prepared.shares.len()],
            }
        }
    }

    /// Asks all questions once.
    fn judge(&mut self, found: &mut Vec<Found>) -> Result<Vec<Outcome>, Stopped> {
        self.find(found)?;
        let claims = self.claims(found);
        let judgements = self.judgements(&claims)?;
        self.audit(found, &judgements)?;
        Ok(self.settle(found, &claims, &judgements))
    }

    /// Hashes the headers, gives blocks on, and remembers what meets a target.
    fn find(&mut self, found: &mut Vec<Found>) -> Result<(), Stopped> {
        let mut digests = Vec::with_capacity(HASHED_AT_ONCE);
        for headers in self.prepared.headers.chunks(HASHED_AT_ONCE) {
            digests.clear();
            self.hash(headers, &mut digests)?;
            for (digest, header) in digests.iter().zip(headers) {
                let measured = self.measure(found.len(), header, *digest)?;
                found.push(measured);
            }
        }
        Ok(())
    }

    /// Hashes headers: natively where that works, in the sandbox otherwise.
    fn hash(&mut self, headers: &[[u8; HEADER_BYTES]], digests: &mut Vec<Hash256>) -> Result<(), Stopped> {
        let (engine, trouble, stopped): (_, fn(Fault) -> Trouble, _) = match &mut self.parts.native {
            Some(native) => (native, Trouble::NativeFault, Stopped::NativeDropped),
            None => (&mut self.parts.sandbox, Trouble::SandboxFault, Stopped::Unjudged),
        };
        digest_all(engine.as_mut(), headers, digests).map_err(|fault| {
            self.troubles.push(trouble(fault));
            stopped
        })
    }

    /// Compares a digest with both targets. A block goes out before anything else is asked.
    fn measure(&mut self, place: usize, header: &[u8; HEADER_BYTES], digest: Hash256) -> Result<Found, Stopped> {
        let share = &self.prepared.shares[place];
        let (submission, job) = (self.prepared.submission(share), self.prepared.job(share));
        let is_block = job.template.target.is_met_by(&digest.0);
        let meets = target_of(submission.difficulty).is_met_by(&digest.0);
        if is_block && !self.reported[place] {
            self.confirm(header, digest)?;
        }
        let seen = (meets || is_block).then(|| job.seen().insert(share.key));
        if is_block && !self.reported[place] && seen != Some(Err(Refusal::Duplicate)) {
            self.reported[place] = true;
            (self.on_block)(SolvedBlock {
                job: job.clone(),
                submission: *submission,
                header: *header,
                id: BlockId(sha256d(header)),
                digest,
                block: job.template.block(header, &self.prepared.coinbase(share)),
            });
        }
        Ok(Found { digest, meets, is_block, seen })
    }

    /// Computes a native digest again. Where the sandbox gives no answer, the digest stands: of a block, the upstream decides.
    fn confirm(&mut self, header: &[u8; HEADER_BYTES], digest: Hash256) -> Result<(), Stopped> {
        if self.parts.native.is_none() {
            return Ok(());
        }
        match self.parts.sandbox.digest(header) {
            Ok(sandbox) if sandbox != digest => {
                self.troubles.push(Trouble::NativeDiffers { header: *header, native: digest, sandbox });
                return Err(Stopped::NativeDropped);
            }
            Ok(_) => {}
            Err(fault) => self.troubles.push(Trouble::SandboxFault(fault)),
        }
        Ok(())
    }

    /// Gathers what the validator is told.
    fn claims(&self, found: &[Found]) -> Vec<Claim> {
        let shares = &self.prepared.shares;
        let workers = shares.iter().map(|share| self.prepared.submission(share).worker);
        let records = self.parts.workers.records(workers, self.now);
        let mut claims = Vec::with_capacity(shares.len());
        for ((share, found), record) in shares.iter().zip(found).zip(records) {
            let (submission, job) = (self.prepared.submission(share), self.prepared.job(share));
            claims.push(Claim {
                difficulty: submission.difficulty,
                meets: found.meets,
                duplicate: found.seen == Some(Err(Refusal::Duplicate)),
                version_outside: share.version_outside,
                time_offset_s: i64::from(submission.time) - i64::from(job.template.time),
                stale_ms: job.stale_ms(self.now),
                record,
            });
        }
        claims
    }

    /// Asks the validator.
    fn judgements(&mut self, claims: &[Claim]) -> Result<Vec<Judgement>, Stopped> {
        if claims.is_empty() {
            return Ok(Vec::new());
        }
        let fault = match self.parts.validator.judge(claims) {
            Ok(judgements) if judgements.len() == claims.len() => return Ok(judgements),
            Ok(judgements) => short("judge-many", judgements.len(), claims.len()),
            Err(fault) => fault,
        };
        self.troubles.push(Trouble::ValidatorFault(fault));
        Err(Stopped::Unjudged)
    }

    /// Computes again what the validator wants audited.
    fn audit(&mut self, found: &[Found], judgements: &[Judgement]) -> Result<(), Stopped> {
        let audited = self.prepared.headers.iter().zip(found).zip(judgements).filter(|(_, judgement)| judgement.audit);
        for ((header, found), _) in audited {
            self.confirm(header, found.digest)?;
        }
        Ok(())
    }

    /// Draws the conclusion for each share: the validator's refusal, or the host's own, or none.
    fn settle(&self, found: &[Found], claims: &[Claim], judgements: &[Judgement]) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(found.len());
        for (place, (share, found)) in self.prepared.shares.iter().zip(found).enumerate() {
            let refusal = Refusal::of(judgements[place].verdict).or_else(|| floor(share, found, &claims[place]));
            outcomes.push(refusal.map_or(Outcome::Accepted { is_block: found.is_block }, Outcome::Refused));
        }
        outcomes
    }

    /// Takes out of the jobs' memory what this pass put there.
    fn forget(&self, found: &[Found]) {
        let added = self.prepared.shares.iter().zip(found).filter(|(_, found)| found.seen == Some(Ok(())));
        added.for_each(|(share, _)| self.prepared.job(share).seen().remove(&share.key));
    }
}

/// What no validator can allow.
fn floor(share: &Share, found: &Found, claim: &Claim) -> Option<Refusal> {
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

/// Hashes headers and checks that there is one digest for each.
fn digest_all(
    engine: &mut dyn HashEngine,
    headers: &[[u8; HEADER_BYTES]],
    digests: &mut Vec<Hash256>,
) -> Result<(), Fault> {
    engine.digest_many(headers.as_flattened(), HEADER_BYTES, digests)?;
    if digests.len() == headers.len() { Ok(()) } else { Err(short("digest-many", digests.len(), headers.len())) }
}
