//! From submissions to the headers that are hashed: jobs looked up, coinbases and merkle roots computed, in lanes where there are enough.

use crate::work::job::{Job, JobBook, JobId};
use crate::work::share::{Refusal, ShareKey, Submission};
use crate::work::template::{HEADER_BYTES, fold};
use adit_primitives::Hash256;
use adit_primitives::engine::{Fault, HashEngine};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// From how many shares of one job on lanes are faster than one hash after another.
const LANES_MIN: usize = 4;

/// A batch whose headers stand.
pub(super) struct Prepared<'a> {
    pub(super) batch: &'a [Submission],
    /// The jobs of the batch.
    pub(super) jobs: Vec<Arc<Job>>,
    /// Those submissions that have a header, in order.
    pub(super) shares: Vec<Share>,
    /// The headers of `shares`.
    pub(super) headers: Vec<[u8; HEADER_BYTES]>,
    /// For each submission, why it has no header.
    pub(super) refused: Vec<Option<Refusal>>,
}

/// A submission that has a header.
pub(super) struct Share {
    /// Its place in the batch.
    pub(super) index: usize,
    /// Its place in [`Prepared::jobs`].
    pub(super) job: usize,
    pub(super) key: ShareKey,
    version: u32,
    pub(super) version_outside: bool,
    /// Whether the time is one that no block of the job may carry.
    pub(super) too_early: bool,
}

/// A batch whose jobs are known, and whose headers are still to be written.
pub(super) struct Preparing<'a>(Prepared<'a>);

impl<'a> Preparing<'a> {
    /// Looks up jobs and versions.
    pub(super) fn new(book: &JobBook, batch: &'a [Submission]) -> Self {
        let mut jobs = Jobs { book, known: Vec::new(), unknown: None };
        let mut shares = Vec::with_capacity(batch.len());
        let refused = batch.iter().enumerate().map(|(index, submission)| match jobs.share(index, submission) {
            Ok(share) => {
                shares.push(share);
                None
            }
            Err(refusal) => Some(refusal),
        });
        let refused = refused.collect();
        let headers = Vec::with_capacity(shares.len());
        Self(Prepared { batch, jobs: jobs.known, shares, headers, refused })
    }

    /// Computes one merkle root after another, one for each share.
    pub(super) fn roots(&self) -> Vec<Hash256> {
        self.0.shares.iter().map(|share| self.root(share)).collect()
    }

    fn root(&self, share: &Share) -> Hash256 {
        let (submission, job) = (self.0.submission(share), self.0.job(share));
        let mut coinbase = job.prefix();
        coinbase.update(job.template.coinbase.opening(submission.commitment.as_ref()));
        coinbase.update(submission.extranonce1.as_bytes());
        coinbase.update(submission.extranonce2.as_bytes());
        coinbase.update(&job.template.coinbase.after);
        fold(Hash256(Sha256::digest(coinbase.finalize()).into()), &job.template.branch)
    }

    /// Computes the merkle roots, in lanes where there are enough shares of one job.
    pub(super) fn roots_in_lanes(&self, tree: &mut dyn HashEngine) -> Result<Vec<Hash256>, Fault> {
        let shares = &self.0.shares;
        let mut roots = vec![Hash256::default(); shares.len()];
        for (number, job) in self.0.jobs.iter().enumerate() {
            let places: Vec<usize> = (0..shares.len()).filter(|place| shares[*place].job == number).collect();
            if places.len() < LANES_MIN {
                places.iter().for_each(|place| roots[*place] = self.root(&shares[*place]));
                continue;
            }
            let of_job = self.lanes(job, &places, tree)?;
            places.iter().zip(of_job).for_each(|(place, root)| roots[*place] = root);
        }
        Ok(roots)
    }

    /// Computes the roots of shares of one job, level by level.
    fn lanes(&self, job: &Job, places: &[usize], tree: &mut dyn HashEngine) -> Result<Vec<Hash256>, Fault> {
        let parts = &job.template.coinbase;
        let mut inputs = Vec::with_capacity(places.len() * parts.bytes().max(64));
        for place in places {
            let submission = self.0.submission(&self.0.shares[*place]);
            inputs.extend_from_slice(parts.head());
            inputs.extend_from_slice(&parts.opening(submission.commitment.as_ref()));
            inputs.extend_from_slice(submission.extranonce1.as_bytes());
            inputs.extend_from_slice(submission.extranonce2.as_bytes());
            inputs.extend_from_slice(&parts.after);
        }
        let mut level = Vec::with_capacity(places.len());
        digest_all(tree, &inputs, parts.bytes(), places.len(), &mut level)?;
        for right in &job.template.branch {
            inputs.clear();
            level.drain(..).for_each(|left| inputs.extend_from_slice([left.0, right.0].as_flattened()));
            digest_all(tree, &inputs, 64, places.len(), &mut level)?;
        }
        Ok(level)
    }

    /// Writes the headers.
    pub(super) fn finish(self, roots: &[Hash256]) -> Prepared<'a> {
        let Self(mut prepared) = self;
        for (share, root) in prepared.shares.iter().zip(roots) {
            let (submission, job) = (prepared.submission(share), prepared.job(share));
            let header = job.template.header(*root, share.version, submission.time, submission.nonce);
            prepared.headers.push(header);
        }
        prepared
    }
}

impl<'a> Prepared<'a> {
    /// Returns what was submitted.
    pub(super) fn submission(&self, share: &Share) -> &'a Submission {
        &self.batch[share.index]
    }

    /// Returns the job of a share.
    pub(super) fn job(&self, share: &Share) -> &Arc<Job> {
        &self.jobs[share.job]
    }

    /// Returns the coinbase of a share.
    pub(super) fn coinbase(&self, share: &Share) -> Vec<u8> {
        let submission = self.submission(share);
        let parts = &self.job(share).template.coinbase;
        parts.with(submission.commitment.as_ref(), submission.extranonce1.as_bytes(), submission.extranonce2.as_bytes())
    }
}

/// The jobs of a batch as they turn up: a batch has few.
struct Jobs<'a> {
    book: &'a JobBook,
    known: Vec<Arc<Job>>,
    /// The last number that no job has.
    unknown: Option<JobId>,
}

impl Jobs<'_> {
    fn share(&mut self, index: usize, submission: &Submission) -> Result<Share, Refusal> {
        let place = self.place(submission.job).ok_or(Refusal::UnknownJob)?;
        let template = &self.known[place].template;
        let bytes = submission.extranonce1.as_bytes().len() + submission.extranonce2.as_bytes().len();
        if bytes != template.coinbase.extranonce_bytes {
            return Err(Refusal::Extranonce);
        }
        if submission.commitment.is_some() != template.coinbase.base.is_some() {
            return Err(Refusal::UnknownJob);
        }
        let mask = submission.version_mask & template.version_mask;
        let version = self.known[place].version_of(submission);
        Ok(Share {
            index,
            job: place,
            key: ShareKey::new(submission, version),
            version,
            version_outside: submission.version_bits.is_some_and(|bits| bits & !mask != 0),
            too_early: submission.time < template.earliest,
        })
    }

    fn place(&mut self, id: JobId) -> Option<usize> {
        if let Some(place) = self.known.iter().position(|job| job.id == id) {
            return Some(place);
        }
        if self.unknown == Some(id) {
            return None;
        }
        let Some(job) = self.book.job(id) else {
            self.unknown = Some(id);
            return None;
        };
        self.known.push(job);
        Some(self.known.len() - 1)
    }
}

fn digest_all(
    engine: &mut dyn HashEngine,
    inputs: &[u8],
    each: usize,
    count: usize,
    digests: &mut Vec<Hash256>,
) -> Result<(), Fault> {
    engine.digest_many(inputs, each, digests)?;
    if digests.len() == count { Ok(()) } else { Err(super::short("digest-many", digests.len(), count)) }
}
