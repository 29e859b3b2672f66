//! What has to be on the disk before anything is said: gathered, and committed in one step.
//!
//! A later change of the same thing takes the earlier one's place, so that everything that came before a commit is as durable as if each
//! had been committed by itself.

use super::ShareLogStartError;
use super::certified::{CertifiedRounds, named};
use adit_network::Moment;
use adit_network::shares::{BatchId, CertifiedRound, Past, PoolId, SealedBatch};
use adit_primitives::storage::{Batch, Storage, StorageError, Table};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// The name of what this node said last.
const MEMORY: &[u8] = b"memory";

/// What the names of kept batches begin with.
const KEPT: &[u8] = b"batch ";

/// How long a batch that nobody voted for yet may wait for its commit: the longer, the more of them share one.
const KEEP_DELAY: Duration = Duration::from_millis(250);

/// Kept batches that are read at a time.
const SCAN: usize = 256;

/// What waits to be durable.
pub struct Keeper {
    rounds: CertifiedRounds,
    storage: Arc<dyn Storage>,
    pool: PoolId,
    batch: Batch,
    /// Something of it has to be durable before anything else happens.
    urgent: bool,
    /// Since when something waits.
    since: Option<Moment>,
}

impl Keeper {
    pub fn new(rounds: CertifiedRounds) -> Self {
        let (storage, pool) = (Arc::clone(rounds.storage()), rounds.pool());
        Self { rounds, storage, pool, batch: Batch::default(), urgent: false, since: None }
    }

    /// Reads what this node said last.
    pub fn memory(&self) -> Result<Option<Vec<u8>>, StorageError> {
        self.storage.get(Table::Agreement, &named(self.pool, MEMORY))
    }

    /// Reads the batches that were kept.
    pub fn kept(&self) -> Result<Vec<Arc<SealedBatch>>, ShareLogStartError> {
        let prefix = named(self.pool, KEPT);
        let (mut kept, mut first) = (Vec::new(), prefix.clone());
        loop {
            let found = self.storage.scan(Table::Agreement, &first, SCAN)?;
            let Some((last, _)) = found.last().cloned() else { return Ok(kept) };
            for (_, bytes) in found.into_iter().take_while(|(key, _)| key.starts_with(&prefix)) {
                kept.push(Arc::new(SealedBatch::open(Bytes::from(bytes), self.pool)?));
            }
            if !last.starts_with(&prefix) {
                return Ok(kept);
            }
            first = [&last[..], &[0]].concat();
        }
    }

    /// Keeps a batch: durable before anything that is persisted after this.
    pub fn keep(&mut self, now: Moment, batch: &SealedBatch) {
        self.batch.put(Table::Agreement, self.key(batch.id()), batch.bytes().as_ref());
        self.since.get_or_insert(now);
    }

    /// Lets batches go.
    pub fn forget(&mut self, now: Moment, batches: &[BatchId]) {
        for id in batches {
            self.batch.delete(Table::Agreement, self.key(*id));
        }
        self.since.get_or_insert(now);
    }

    /// Takes what this node said last: durable before anything else happens.
    pub fn persist(&mut self, bytes: &[u8]) {
        self.batch.put(Table::Agreement, named(self.pool, MEMORY), bytes);
        self.urgent = true;
    }

    /// Takes a certified round: durable before anything else happens.
    pub fn certified(&mut self, round: &CertifiedRound, past: &Past) {
        self.rounds.put(round, past, &mut self.batch);
        self.urgent = true;
    }

    /// Tells whether to commit now.
    pub fn is_due(&self, now: Moment) -> bool {
        self.urgent || self.due().is_some_and(|due| due <= now)
    }

    /// Returns when a commit is due though nothing hurries.
    pub fn due(&self) -> Option<Moment> {
        self.since.map(|since| since.after(KEEP_DELAY))
    }

    /// Makes everything durable.
    pub fn commit(&mut self) -> Result<(), StorageError> {
        (self.urgent, self.since) = (false, None);
        match self.batch.changes.is_empty() {
            true => Ok(()),
            false => self.storage.commit(std::mem::take(&mut self.batch)),
        }
    }

    fn key(&self, batch: BatchId) -> Vec<u8> {
        [&self.pool.0[..], KEPT, &batch.0].concat()
    }
}
