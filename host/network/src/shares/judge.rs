//! Recomputes shares: builds each header, hashes it and compares it with the share's target.
//!
//! Knows no chain and no hash function: the host says which coinbase a job has to have, and hashes. Nothing here decides which
//! shares are hashed, or what becomes of a batch that is wrong.

use super::batch::Batch;
use super::record::{HEADER_BYTES, Job, ShareId};
use adit_primitives::Target;
use adit_primitives::engine::{Fault, HashEngine};

/// Why a job has no coinbase here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobFault {
    /// Its base or its previous block are not here yet: it cannot be judged now.
    #[error("its round or its block is not known here")]
    Unknown,
    /// No node of the pool could have made it: another root for its base, a reward that the block does not have, bits that the
    /// rules do not say.
    #[error("it breaks the pool's rules: {rule}")]
    Wrong { rule: String },
}

/// What the host knows about jobs.
pub trait Jobs {
    /// Returns the coinbase of the job up to the commitment: outputs that pay its reward as the certified rounds up to its base
    /// say, its height, and the lengths of what follows. One job has one head; different heights or rewards over one base
    /// have different heads.
    fn head(&self, job: &Job) -> Result<Vec<u8>, JobFault>;

    /// Returns the target of a share's difficulty, by the pool's formula.
    fn target(&self, difficulty: adit_primitives::contract::shares::ShareDifficulty) -> Target;
}

/// Which shares of a batch are hashed. The headers of all are built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    All,
    /// Those at these places.
    Some(Vec<u16>),
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchVerdict {
    /// Every share that was hashed meets its target. The ids of all, in order.
    Valid { shares: Vec<ShareId> },
    /// At least one share does not: none of the batch counts, and its node answers for it.
    Wrong { share: u16 },
    /// A job of it cannot be judged yet.
    Unknown,
    /// The host could not hash. Nobody is blamed; it is tried again.
    Fault,
}

/// Judges a batch whose tables were checked.
pub fn judge(batch: &Batch, which: &Which, jobs: &dyn Jobs, engine: &mut dyn HashEngine) -> BatchVerdict {
    let mut headers = Vec::with_capacity(batch.entries.len());
    let mut heads: Vec<Option<Vec<u8>>> = vec![None; batch.jobs.len()];
    for (place, share) in (0u16..).zip(batch.shares()) {
        let head = &mut heads[usize::from(share.entry.job)];
        if head.is_none() {
            match jobs.head(share.job) {
                Ok(bytes) => *head = Some(bytes),
                Err(JobFault::Unknown) => return BatchVerdict::Unknown,
                Err(JobFault::Wrong { .. }) => return BatchVerdict::Wrong { share: place },
            }
        }
        headers.push(share.header(batch.pool, head.as_deref().expect("it was put there")));
    }
    match first_miss(batch, &headers, which, jobs, engine) {
        Ok(Some(share)) => BatchVerdict::Wrong { share },
        Ok(None) => BatchVerdict::Valid { shares: headers.iter().map(ShareId::of).collect() },
        Err(_) => BatchVerdict::Fault,
    }
}

fn first_miss(
    batch: &Batch,
    headers: &[[u8; HEADER_BYTES]],
    which: &Which,
    jobs: &dyn Jobs,
    engine: &mut dyn HashEngine,
) -> Result<Option<u16>, Fault> {
    let places: Vec<u16> = match which {
        Which::All => (0u16..).take(headers.len()).collect(),
        Which::Some(places) => places.iter().copied().filter(|place| usize::from(*place) < headers.len()).collect(),
    };
    let inputs: Vec<u8> = places.iter().flat_map(|place| headers[usize::from(*place)]).collect();
    let mut digests = Vec::with_capacity(places.len());
    engine.digest_many(&inputs, HEADER_BYTES, &mut digests)?;
    let misses = |place: &u16, digest: &adit_primitives::Hash256| {
        let entry = &batch.entries[usize::from(*place)];
        !jobs.target(batch.payees[usize::from(entry.payee)].difficulty).is_met_by(&digest.0)
    };
    Ok(places.iter().zip(&digests).find(|(place, digest)| misses(place, digest)).map(|(place, _)| *place))
}
