//! How shares travel: in batches, each with one signature.
//!
//! Collects the shares that this node took for some milliseconds, and opens batches of others. Says nothing about whether a
//! share is valid: that is [`mod@super::judge`]'s.
//!
//! What shares have in common (their job, whom they pay) stands in the batch once, and a share is 28 bytes beside it: 38 bytes in a
//! batch of a hundred, where one alone has 489. Nothing is compressed: LZ4 would take another 6 to 19 % off, deflate up to
//! 27 %, at a bound on what comes out of them that every peer could try. `cargo bench -p adit-network --bench shares` compares.

use super::keys::{Domain, Identity, Signature};
use super::record::{Entry, Job, Payee, PoolId, Share, id};
use crate::id::{Moment, NodeId};
use adit_primitives::{Decode, DecodeError, Encode, Reader};
use bytes::Bytes;
use std::time::Duration;

/// How long the first share of a batch waits for others.
pub const BATCH_DELAY: Duration = Duration::from_millis(10);
/// The most shares in a batch.
pub const BATCH_SHARES_MAX: usize = 100;
/// The most bytes of a batch with its signature.
pub const BATCH_BYTES_MAX: usize = 32 << 10;
/// The most jobs that the shares of a batch are of.
pub const BATCH_JOBS_MAX: usize = 32;

/// A batch: the BLAKE3 digest of its bytes without the signature.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId(pub [u8; 32]);
id!(BatchId, "batch");

/// Shares that one node took from its miners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    pub pool: PoolId,
    /// Whose weight the shares are, and who answers for them.
    pub node: NodeId,
    /// At most [`BATCH_JOBS_MAX`].
    pub jobs: Vec<Job>,
    /// At most [`BATCH_SHARES_MAX`].
    pub payees: Vec<Payee>,
    /// At most [`BATCH_SHARES_MAX`], in the order in which the node took them.
    pub entries: Vec<Entry>,
}

/// A batch whose bounds and signature were checked. Only [`SealedBatch::open`] and [`SealedBatch::seal`] make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedBatch {
    id: BatchId,
    batch: Batch,
    bytes: Bytes,
}

/// Why bytes are no batch of this pool. Whoever passed them on had to see it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    #[error("{bytes} bytes are more than a batch's {BATCH_BYTES_MAX}")]
    Size { bytes: usize },
    #[error("they do not decode: {why}")]
    Malformed { why: DecodeError },
    #[error("the batch is of the pool {pool}")]
    Foreign { pool: PoolId },
    #[error("the batch has {jobs} jobs, {payees} payees and {shares} shares")]
    Counts { jobs: usize, payees: usize, shares: usize },
    #[error("share {share} names a job or a payee that the batch does not have, or one out of bounds")]
    Table { share: usize },
    #[error("the signature is not that of {node}")]
    Signature { node: NodeId },
}

/// Collects shares into batches of one node.
#[derive(Debug)]
pub struct Batcher {
    pool: PoolId,
    identity: Identity,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    batch: Batch,
    /// When it is sent, full or not.
    due: Moment,
    /// About as long as its bytes will be, never shorter.
    bytes: usize,
}

impl Batch {
    /// Returns the shares in their order, in batches whose tables were checked.
    pub fn shares(&self) -> impl ExactSizeIterator<Item = Share<'_>> {
        self.entries.iter().map(|entry| Share {
            node: self.node,
            job: &self.jobs[usize::from(entry.job)],
            payee: &self.payees[usize::from(entry.payee)],
            entry,
        })
    }

    fn check(&self, pool: PoolId) -> Result<(), BatchError> {
        if self.pool != pool {
            return Err(BatchError::Foreign { pool: self.pool });
        }
        let (jobs, payees, shares) = (self.jobs.len(), self.payees.len(), self.entries.len());
        let fits = jobs <= BATCH_JOBS_MAX && payees <= BATCH_SHARES_MAX && (1..=BATCH_SHARES_MAX).contains(&shares);
        if !fits {
            return Err(BatchError::Counts { jobs, payees, shares });
        }
        let bounded = |entry: &Entry| {
            self.jobs.get(usize::from(entry.job)).is_some_and(Job::is_bounded)
                && self.payees.get(usize::from(entry.payee)).is_some_and(Payee::is_bounded)
        };
        match self.entries.iter().position(|entry| !bounded(entry)) {
            Some(share) => Err(BatchError::Table { share }),
            None => Ok(()),
        }
    }
}

adit_primitives::canonical_struct!(Batch { pool, node, jobs, payees, entries });

impl SealedBatch {
    /// Signs a batch.
    ///
    /// # Errors
    /// What others would refuse it for.
    pub fn seal(batch: Batch, identity: &Identity) -> Result<Self, BatchError> {
        batch.check(batch.pool)?;
        let mut bytes = batch.to_bytes();
        let id = BatchId(*blake3::hash(&bytes).as_bytes());
        identity.sign(Domain::Batch, &id.0).encode(&mut bytes);
        match bytes.len() {
            0..=BATCH_BYTES_MAX => Ok(Self { id, batch, bytes: bytes.into() }),
            bytes => Err(BatchError::Size { bytes }),
        }
    }

    /// Reads a batch of this pool, checks its bounds, then its signature.
    pub fn open(bytes: Bytes, pool: PoolId) -> Result<Self, BatchError> {
        if bytes.len() > BATCH_BYTES_MAX {
            return Err(BatchError::Size { bytes: bytes.len() });
        }
        let malformed = |why| BatchError::Malformed { why };
        let mut reader = Reader::new(&bytes);
        let batch = Batch::decode(&mut reader).map_err(malformed)?;
        let signed = bytes.len() - reader.left();
        let signature = Signature::decode(&mut reader).map_err(malformed)?;
        reader.finish("batch").map_err(malformed)?;
        batch.check(pool)?;
        let id = BatchId(*blake3::hash(&bytes[..signed]).as_bytes());
        match signature.is_by(batch.node, Domain::Batch, &id.0) {
            true => Ok(Self { id, batch, bytes }),
            false => Err(BatchError::Signature { node: batch.node }),
        }
    }

    /// Returns the batch's id.
    pub const fn id(&self) -> BatchId {
        self.id
    }

    /// Returns what was signed.
    pub const fn batch(&self) -> &Batch {
        &self.batch
    }

    /// Returns the bytes that travel.
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl Batcher {
    /// Makes one for a node's own shares.
    pub const fn new(pool: PoolId, identity: Identity) -> Self {
        Self { pool, identity, open: None }
    }

    /// Adds a share that this node took, and returns the batch that it did not fit, if any. The share's places in the tables are
    /// set here.
    pub fn push(&mut self, now: Moment, job: &Job, payee: &Payee, entry: Entry) -> Option<SealedBatch> {
        let fits = self.open.as_ref().is_none_or(|open| open.has_room(job, payee));
        let full = if fits { None } else { self.flush() };
        let open = self.open.get_or_insert_with(|| Open::new(self.pool, self.identity.node(), now));
        open.add(job, payee, entry);
        full
    }

    /// Returns when [`Self::take_due`] has something.
    pub fn due(&self) -> Option<Moment> {
        self.open.as_ref().map(|open| open.due)
    }

    /// Returns the batch that has waited long enough, or is full.
    pub fn take_due(&mut self, now: Moment) -> Option<SealedBatch> {
        let due =
            self.open.as_ref().is_some_and(|open| open.due <= now || open.batch.entries.len() >= BATCH_SHARES_MAX);
        if due { self.flush() } else { None }
    }

    fn flush(&mut self) -> Option<SealedBatch> {
        let open = self.open.take()?;
        Some(SealedBatch::seal(open.batch, &self.identity).expect("the batcher keeps every bound of a batch"))
    }
}

impl Open {
    /// Pool, node, three counts and the signature.
    const EMPTY_BYTES: usize = 32 + 32 + 12 + 64;

    fn new(pool: PoolId, node: NodeId, now: Moment) -> Self {
        let batch = Batch { pool, node, jobs: Vec::new(), payees: Vec::new(), entries: Vec::new() };
        Self { batch, due: now.after(BATCH_DELAY), bytes: Self::EMPTY_BYTES }
    }

    fn has_room(&self, job: &Job, payee: &Payee) -> bool {
        let Batch { jobs, entries, .. } = &self.batch;
        let jobs_fit = jobs.len() < BATCH_JOBS_MAX || jobs.contains(job);
        entries.len() < BATCH_SHARES_MAX && jobs_fit && self.bytes + Self::bytes_of(job, payee) <= BATCH_BYTES_MAX
    }

    /// What a share adds at the most: with its job and its payee.
    fn bytes_of(job: &Job, payee: &Payee) -> usize {
        32 + 100 + job.branch.len() * 32 + job.tail.len() + 16 + payee.account.len() + payee.worker.len()
    }

    fn add(&mut self, job: &Job, payee: &Payee, entry: Entry) {
        let before = (self.batch.jobs.len(), self.batch.payees.len());
        let (job_at, payee_at) = (place(&mut self.batch.jobs, job), place(&mut self.batch.payees, payee));
        let is_new = before != (self.batch.jobs.len(), self.batch.payees.len());
        self.bytes += if is_new { Self::bytes_of(job, payee) } else { 32 };
        self.batch.entries.push(Entry { job: job_at, payee: payee_at, ..entry });
    }
}

/// Returns where in a table a value stands, and puts it there where it does not.
fn place<T: PartialEq + Clone>(table: &mut Vec<T>, value: &T) -> u16 {
    let at = table.iter().position(|known| known == value).unwrap_or_else(|| {
        table.push(value.clone());
        table.len() - 1
    });
    u16::try_from(at).expect("tables have at most a hundred entries")
}
