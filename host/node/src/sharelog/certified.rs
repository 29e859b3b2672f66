//! Rounds that are final: on disk all of them, in memory the newest.
//!
//! Read by the pool, which pays by them, and by the log itself; only the log adds to them. Every read sees each round whose certificate
//! was made durable.

use adit_network::shares::{Archive, Base, Past, PoolId};
use adit_primitives::storage::{Batch, Storage, StorageError, Table};
use adit_primitives::{Decode, DecodeError, Encode, Hash256};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// Credits of rounds that are kept in memory, about 200 bytes each.
const CREDITS_MAX: usize = 200_000;

/// The name under which the number of the newest round is kept.
const NEWEST: &[u8] = b"newest";

/// Why rounds cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertifiedError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("round {round} on the disk is damaged: {why}")]
    Damaged { round: u64, why: DecodeError },
    #[error("round {round} is not on the disk")]
    Missing { round: u64 },
}

/// The certified rounds of one pool.
#[derive(Clone)]
pub struct CertifiedRounds(Arc<Shelf>);

struct Shelf {
    storage: Arc<dyn Storage>,
    pool: PoolId,
    newest: watch::Sender<Base>,
    memory: Mutex<Memory>,
}

/// The newest rounds.
#[derive(Default)]
struct Memory {
    pasts: BTreeMap<u64, Arc<Past>>,
    credits: usize,
}

impl CertifiedRounds {
    /// Opens what a pool's rounds left on the disk. Rounds of other pools may lie beside them.
    pub fn open(storage: Arc<dyn Storage>, pool: PoolId) -> Result<Self, CertifiedError> {
        let begin = Base { round: 0, root: Hash256(pool.0) };
        let newest = watch::channel(begin).0;
        let rounds = Self(Arc::new(Shelf { storage, pool, newest, memory: Mutex::default() }));
        if let Some(bytes) = rounds.0.storage.get(Table::Agreement, &named(pool, NEWEST))? {
            let round = u64::from_bytes(&bytes).map_err(|why| CertifiedError::Damaged { round: 0, why })?;
            let past = rounds.past(round)?.ok_or(CertifiedError::Missing { round })?;
            rounds.0.newest.send_replace(past.base);
        }
        Ok(rounds)
    }

    /// Returns where they are kept.
    pub(super) fn storage(&self) -> &Arc<dyn Storage> {
        &self.0.storage
    }

    /// Returns the pool whose rounds these are.
    pub fn pool(&self) -> PoolId {
        self.0.pool
    }

    /// Returns the newest certified round: round 0, whose root is the pool's id, before the first.
    pub fn newest(&self) -> Base {
        *self.0.newest.borrow()
    }

    /// Returns the newest certified round, and every later one.
    pub fn watch(&self) -> watch::Receiver<Base> {
        self.0.newest.subscribe()
    }

    /// Tells whether a base is one of this pool's rounds.
    pub fn has(&self, base: Base) -> Result<bool, CertifiedError> {
        match base.round {
            0 => Ok(base.root == Hash256(self.0.pool.0)),
            round => Ok(self.past(round)?.is_some_and(|past| past.base == base)),
        }
    }

    /// Returns the credits of a round. `None` for round 0, and for rounds that are not certified here. May read the disk.
    pub fn past(&self, round: u64) -> Result<Option<Arc<Past>>, CertifiedError> {
        if let Some(past) = self.memory().pasts.get(&round) {
            return Ok(Some(Arc::clone(past)));
        }
        let Some(bytes) = self.0.storage.get(Table::Credits, &numbered(self.0.pool, round))? else { return Ok(None) };
        Past::from_bytes(&bytes).map(|past| Some(Arc::new(past))).map_err(|why| CertifiedError::Damaged { round, why })
    }

    /// Returns the credits of the rounds from `first` on, in order. Ends with the newest, or the first that cannot be read.
    pub fn pasts(&self, first: u64) -> impl Iterator<Item = Result<Arc<Past>, CertifiedError>> + '_ {
        let read = |round| self.past(round)?.ok_or(CertifiedError::Missing { round });
        let mut broken = false;
        (first.max(1)..=self.newest().round).map(read).take_while(move |past| {
            let go_on = !broken;
            broken = past.is_err();
            go_on
        })
    }

    /// Adds to a batch what makes the next round durable. [`Self::certified`] follows once it is committed.
    pub(super) fn put(&self, round: &impl Encode, past: &Past, batch: &mut Batch) {
        let (pool, number) = (self.0.pool, past.base.round);
        batch.put(Table::Rounds, numbered(pool, number), round.to_bytes());
        batch.put(Table::Credits, numbered(pool, number), past.to_bytes());
        batch.put(Table::Agreement, named(pool, NEWEST), number.to_bytes());
    }

    /// Makes a round the newest that is seen. It is durable.
    pub(super) fn certified(&self, past: &Arc<Past>) {
        {
            let mut memory = self.memory();
            memory.credits += past.credits.len();
            memory.pasts.insert(past.base.round, Arc::clone(past));
            while memory.credits > CREDITS_MAX && memory.pasts.len() > 1 {
                let oldest = memory.pasts.pop_first().map_or(0, |(_, past)| past.credits.len());
                memory.credits -= oldest;
            }
        }
        self.0.newest.send_replace(past.base);
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.0.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Archive for CertifiedRounds {
    fn round(&self, number: u64) -> Option<Bytes> {
        match self.0.storage.get(Table::Rounds, &numbered(self.0.pool, number)) {
            Ok(bytes) => bytes.map(Bytes::from),
            Err(error) => {
                tracing::error!(%error, round = number, "a round cannot be read for a peer");
                None
            }
        }
    }

    fn has(&self, base: Base) -> bool {
        Self::has(self, base).unwrap_or_else(|error| {
            tracing::error!(%error, round = base.round, "a round cannot be read for a peer");
            false
        })
    }
}

/// The key of something that a pool has by number.
fn numbered(pool: PoolId, number: u64) -> Vec<u8> {
    [&pool.0[..], &number.to_be_bytes()].concat()
}

/// The key of something that a pool has by name.
pub(super) fn named(pool: PoolId, name: &[u8]) -> Vec<u8> {
    [&pool.0[..], name].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use adit_primitives::storage::MemoryStorage;

    const POOL: PoolId = PoolId([7; 32]);

    fn past(round: u64) -> Arc<Past> {
        let base = Base { round, root: Hash256([u8::try_from(round).unwrap(); 32]) };
        Arc::new(Past { base, credits: Vec::new(), punished: Vec::new() })
    }

    fn add(rounds: &CertifiedRounds, storage: &dyn Storage, round: u64) {
        let mut batch = Batch::default();
        rounds.put(&round, &past(round), &mut batch);
        storage.commit(batch).unwrap();
        rounds.certified(&past(round));
    }

    #[test]
    fn what_was_certified_is_there_after_a_restart_and_of_its_pool_alone() {
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::default());
        let rounds = CertifiedRounds::open(Arc::clone(&storage), POOL).unwrap();
        assert_eq!(rounds.newest(), Base { round: 0, root: Hash256(POOL.0) });
        (1..=3).for_each(|round| add(&rounds, &*storage, round));
        let again = CertifiedRounds::open(Arc::clone(&storage), POOL).unwrap();
        assert_eq!(again.newest(), past(3).base);
        let read: Vec<_> = again.pasts(2).map(Result::unwrap).collect();
        assert_eq!(read, [past(2), past(3)]);
        assert!(again.has(past(1).base).unwrap() && again.has(Base { round: 0, root: Hash256(POOL.0) }).unwrap());
        assert!(!again.has(Base { round: 1, root: Hash256([9; 32]) }).unwrap());
        assert_eq!(CertifiedRounds::open(storage, PoolId([8; 32])).unwrap().newest().round, 0);
    }

    #[test]
    fn a_missing_round_ends_what_is_read_with_an_error() {
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::default());
        let rounds = CertifiedRounds::open(Arc::clone(&storage), POOL).unwrap();
        (1..=3).for_each(|round| add(&rounds, &*storage, round));
        let mut batch = Batch::default();
        batch.delete(Table::Credits, numbered(POOL, 2));
        storage.commit(batch).unwrap();
        let again = CertifiedRounds::open(storage, POOL).unwrap();
        let read: Vec<_> = again.pasts(1).collect();
        assert_eq!(read, [Ok(past(1)), Err(CertifiedError::Missing { round: 2 })]);
    }
}
