//! The record of what operators changed: kept in the database, appended to, never rewritten.

use adit_primitives::Timestamp;
use adit_primitives::storage::{Batch, Storage, StorageError, Table};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use utoipa::ToSchema;

/// How many entries are read from the database at a time.
const PAGE: usize = 1000;

/// One change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Counts from 1.
    pub sequence: u64,
    /// Milliseconds since 1970.
    pub time_ms: u64,
    /// What was done: `difficulty-set`, `difficulty-restored`, `configuration-reloaded`.
    pub action: String,
    #[schema(value_type = Object)]
    pub old: Value,
    #[schema(value_type = Object)]
    pub new: Value,
    /// The reason given, empty where none was.
    pub reason: String,
    /// The address that asked.
    pub from: String,
}

/// A change that is about to be recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Deed {
    pub action: &'static str,
    pub old: Value,
    pub new: Value,
    pub reason: String,
    pub from: String,
}

/// Appends to the record.
pub struct AuditLog {
    storage: Arc<dyn Storage>,
    last: u64,
}

impl AuditLog {
    /// Finds the end of the record.
    pub fn open(storage: Arc<dyn Storage>) -> Result<Self, StorageError> {
        let mut last = 0;
        loop {
            let page = storage.scan(Table::Audit, &key(last + 1), PAGE)?;
            let Some((end, _)) = page.last() else { return Ok(Self { storage, last }) };
            let Ok(end) = <[u8; 8]>::try_from(end.as_slice()) else {
                return Err(StorageError { detail: "an audit entry has a key of the wrong length".to_owned() });
            };
            last = u64::from_be_bytes(end);
        }
    }

    /// Records a change. When this returns, the record survives a crash.
    pub fn record(&mut self, now: Timestamp, deed: Deed) -> Result<(), StorageError> {
        let Deed { action, old, new, reason, from } = deed;
        let sequence = self.last + 1;
        let action = action.to_owned();
        let entry = AuditEntry { sequence, time_ms: now.to_millis(), action, old, new, reason, from };
        let mut batch = Batch::default();
        batch.put(Table::Audit, key(sequence), serde_json::to_vec(&entry).expect("an entry is plain data"));
        self.storage.commit(batch)?;
        self.last = sequence;
        let AuditEntry { action, old, new, reason, from, .. } = entry;
        tracing::info!(sequence, action, %old, %new, reason, from, "audit");
        Ok(())
    }
}

/// Reads at most `max` entries from a sequence number on.
pub fn read(storage: &dyn Storage, first: u64, max: usize) -> Result<Vec<AuditEntry>, StorageError> {
    let entries = storage.scan(Table::Audit, &key(first), max)?;
    let parse = |(_, value): (Vec<u8>, Vec<u8>)| {
        serde_json::from_slice(&value).map_err(|error| StorageError { detail: format!("an audit entry: {error}") })
    };
    entries.into_iter().map(parse).collect()
}

fn key(sequence: u64) -> [u8; 8] {
    sequence.to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use adit_primitives::storage::MemoryStorage;

    fn deed(reason: &str) -> Deed {
        let [old, new] = [Value::from(4), Value::from(6)];
        Deed { action: "difficulty-set", old, new, reason: reason.to_owned(), from: "127.0.0.1".to_owned() }
    }

    #[test]
    fn a_reopened_record_goes_on_where_it_ended() {
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::default());
        let now = Timestamp::from_secs(1);
        AuditLog::open(storage.clone()).unwrap().record(now, deed("first")).unwrap();
        AuditLog::open(storage.clone()).unwrap().record(now, deed("second")).unwrap();
        let entries = read(&*storage, 1, 10).unwrap();
        let reasons: Vec<_> = entries.iter().map(|entry| (entry.sequence, entry.reason.as_str())).collect();
        assert_eq!(reasons, [(1, "first"), (2, "second")]);
    }
}
