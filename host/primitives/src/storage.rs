//! The trait by which the host keeps things: ordered tables of bytes, changed by atomic batches.
//!
//! `store` implements it over its database; [`MemoryStorage`] is for simulations and tests.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// The tables, one for each kind of record. Names are part of the file format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Format version, chain identity, tip.
    Meta,
    /// Block id → header bytes and placement.
    Headers,
    /// Block id → body bytes.
    Bodies,
    /// Block id → what undoing the block's effect on the ledger needs.
    Undo,
    /// Outpoint → unspent output.
    Unspent,
    /// Public key and outpoint → nothing: which unspent outputs a key owns.
    Owned,
    /// Height → block id on the selected chain.
    Selected,
    /// Transaction id → block in which the ledger accepted it.
    Transactions,
    /// Transaction id → a transaction that waits for a block.
    Mempool,
    /// Sequence number → what an operator changed, when and why.
    Audit,
    /// Number of a segment → shares that a pool credited.
    Shares,
    /// Peer-to-peer pool and number → a certified round with its shares.
    Rounds,
    /// Peer-to-peer pool and number → what payouts follow from in a certified round.
    Credits,
    /// Peer-to-peer pool and name → what this node said in the open round, and batches that it may have voted for.
    Agreement,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 14] = [
        Self::Meta,
        Self::Headers,
        Self::Bodies,
        Self::Undo,
        Self::Unspent,
        Self::Owned,
        Self::Selected,
        Self::Transactions,
        Self::Mempool,
        Self::Audit,
        Self::Shares,
        Self::Rounds,
        Self::Credits,
        Self::Agreement,
    ];

    /// Returns the name under which the table is stored.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Headers => "headers",
            Self::Bodies => "bodies",
            Self::Undo => "undo",
            Self::Unspent => "unspent",
            Self::Owned => "owned",
            Self::Selected => "selected",
            Self::Transactions => "transactions",
            Self::Mempool => "mempool",
            Self::Audit => "audit",
            Self::Shares => "shares",
            Self::Rounds => "rounds",
            Self::Credits => "credits",
            Self::Agreement => "agreement",
        }
    }
}

/// Changes that happen together or not at all.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// In order: table, key, and the new value or `None` for removal. The last change of a key counts.
    pub changes: Vec<(Table, Vec<u8>, Option<Vec<u8>>)>,
}

impl Batch {
    /// Sets a key's value.
    pub fn put(&mut self, table: Table, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.changes.push((table, key.into(), Some(value.into())));
    }

    /// Removes a key.
    pub fn delete(&mut self, table: Table, key: impl Into<Vec<u8>>) {
        self.changes.push((table, key.into(), None));
    }
}

/// Why storage gave no answer. The node stops: it does not go on with a state that it cannot keep.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("storage: {detail}")]
pub struct StorageError {
    pub detail: String,
}

/// What a scan yields: keys with their values, in the keys' byte order.
pub type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// Is told how a commit ended, once.
pub type Committed = Box<dyn FnOnce(Result<(), StorageError>) + Send>;

/// Keeps tables of bytes. Reads see every batch whose `commit` has returned. Batches are applied in the order in which they were handed over.
pub trait Storage: Send + Sync {
    /// Reads one key.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError>;

    /// Reads at most `max` entries from `first` on, in byte order of the keys.
    fn scan(&self, table: Table, first: &[u8], max: usize) -> Result<Entries, StorageError>;

    /// Applies a batch. When it returns, the batch survives `kill -9` and loss of power.
    fn commit(&self, batch: Batch) -> Result<(), StorageError>;

    /// Applies a batch as [`Self::commit`] does, without waiting where that can be helped: `committed` is told, on any thread, when reads see the
    /// batch and it survives.
    fn commit_later(&self, batch: Batch, committed: Committed) {
        committed(self.commit(batch));
    }
}

/// Storage that lives as long as the process.
#[derive(Debug, Default)]
pub struct MemoryStorage {
    tables: Mutex<Tables>,
}

type Tables = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

impl Storage for MemoryStorage {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(tables.get(&(table, key.to_vec())).cloned())
    }

    fn scan(&self, table: Table, first: &[u8], max: usize) -> Result<Entries, StorageError> {
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = tables.range((table, first.to_vec())..).take_while(|((of, _), _)| *of == table).take(max);
        Ok(entries.map(|((_, key), value)| (key.clone(), value.clone())).collect())
    }

    fn commit(&self, batch: Batch) -> Result<(), StorageError> {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        for (table, key, value) in batch.changes {
            match value {
                Some(value) => tables.insert((table, key), value),
                None => tables.remove(&(table, key)),
            };
        }
        Ok(())
    }
}
