//! The store: the storage trait over the engine.

use crate::directory::{Directory, OpenError};
use crate::writer::Writer;
use adit_primitives::storage::{Batch, Committed, Entries, Storage, StorageError, Table};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode, Readable};
use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The longest key that the engine takes, in bytes.
const KEY_BYTES_MAX: usize = u16::MAX as usize;

/// The longest value: what no honest record comes near, and far from the engine's own limit of 4 GiB.
const VALUE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// How much of a table's newest data is held in memory before it is written as a sorted file.
const WRITE_BUFFER_BYTES: u64 = 16 * MIB;

/// How large the journals may grow before the engine writes tables out to shorten them. Bounds the time of a start after a crash.
const JOURNAL_BYTES_MAX: u64 = 256 * MIB;

const MIB: u64 = 1024 * 1024;

/// Where the store lies and what it may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The directory. Made where there is none; one process at a time.
    pub path: PathBuf,
    /// How many bytes of blocks read from disk are kept in memory.
    pub cache_bytes: u64,
}

/// An open store. Dropping it finishes what is queued and closes the files.
///
/// A [`Committed`] may hold it, even the last of its owners: what is queued behind is written and told of all the same, and the files are closed then.
pub struct Store {
    // Dropped first: the writer stops, and then the files close.
    writer: Writer,
    files: Arc<Files>,
}

/// What the store and its writer have in common: open as long as either works with it.
struct Files {
    // Dropped in this order: the engine closes, the lock goes.
    tables: Tables,
    database: Database,
    _directory: Directory,
}

impl Store {
    /// Opens the store in a directory, or makes a new one.
    pub fn open(options: &Options) -> Result<Self, OpenError> {
        let directory = Directory::open(&options.path)?;
        let path = directory.database(|empty| {
            let database = open_engine(empty, options.cache_bytes)?;
            Tables::open(&database).map_err(engine_at(empty))?;
            database.persist(PersistMode::SyncAll).map_err(engine_at(empty))
        })?;
        let database = open_engine(&path, options.cache_bytes)?;
        let tables = Tables::open(&database).map_err(engine_at(&path))?;
        let files = Arc::new(Files { tables, database, _directory: directory });
        let written = Arc::clone(&files);
        let writer = Writer::start(move |batches| write(&written, batches))
            .map_err(|source: io::Error| OpenError::File { path, source })?;
        Ok(Self { writer, files })
    }
}

impl Storage for Store {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        if key.is_empty() {
            return Ok(None);
        }
        let value = self.files.tables.of(table).get(key).map_err(failed)?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn scan(&self, table: Table, first: &[u8], max: usize) -> Result<Entries, StorageError> {
        // A snapshot lies between two groups: a scan that runs beside a commit sees all of it or nothing.
        let snapshot = self.files.database.snapshot();
        let keyspace = self.files.tables.of(table);
        let entries = if first.is_empty() { snapshot.iter(keyspace) } else { snapshot.range(keyspace, first..) };
        entries
            .take(max)
            .map(|entry| entry.into_inner().map(|(key, value)| (key.to_vec(), value.to_vec())).map_err(failed))
            .collect()
    }

    fn commit(&self, batch: Batch) -> Result<(), StorageError> {
        check(&batch)?;
        if batch.changes.is_empty() {
            return Ok(());
        }
        self.writer.commit(batch)
    }

    fn commit_later(&self, batch: Batch, committed: Committed) {
        match check(&batch) {
            Ok(()) if batch.changes.is_empty() => committed(Ok(())),
            Ok(()) => self.writer.commit_later(batch, committed),
            Err(error) => committed(Err(error)),
        }
    }
}

/// The engine's handle of each table.
struct Tables([Keyspace; Table::ALL.len()]);

impl Tables {
    fn open(database: &Database) -> fjall::Result<Self> {
        let mut handles = Vec::with_capacity(Table::ALL.len());
        for table in Table::ALL {
            handles.push(database.keyspace(table.name(), || table_options(table))?);
        }
        Ok(Self(handles.try_into().unwrap_or_else(|_| unreachable!("one handle for each table"))))
    }

    fn of(&self, table: Table) -> &Keyspace {
        &self.0[table as usize]
    }
}

/// Returns how the engine keeps a table. Read when the table is made; later changes need a new format version to take hold.
fn table_options(table: Table) -> KeyspaceCreateOptions {
    let options = KeyspaceCreateOptions::default().max_memtable_size(WRITE_BUFFER_BYTES);
    match table {
        // Large values that never change: sorting their keys need not copy them again and again.
        Table::Bodies => options.with_kv_separation(Some(KvSeparationOptions::default())),
        _ => options,
    }
}

fn open_engine(path: &Path, cache_bytes: u64) -> Result<Database, OpenError> {
    Database::builder(path)
        .cache_size(cache_bytes)
        .max_journaling_size(JOURNAL_BYTES_MAX)
        .manual_journal_persist(true)
        .open()
        .map_err(engine_at(path))
}

/// Refuses what the engine would not take, before the batch could fail others in its group.
fn check(batch: &Batch) -> Result<(), StorageError> {
    let refused = |table: Table, what: String| Err(StorageError { detail: format!("table {}: {what}", table.name()) });
    for (table, key, value) in &batch.changes {
        let value_bytes = value.as_ref().map_or(0, Vec::len);
        if key.is_empty() {
            return refused(*table, "a key is empty".to_owned());
        }
        if key.len() > KEY_BYTES_MAX {
            return refused(*table, format!("a key has {} bytes, more than {KEY_BYTES_MAX}", key.len()));
        }
        if value_bytes > VALUE_BYTES_MAX {
            return refused(*table, format!("a value has {value_bytes} bytes, more than {VALUE_BYTES_MAX}"));
        }
    }
    Ok(())
}

/// Makes a group durable: one entry of the engine's journal, whole or absent after a crash, and one sync.
fn write(files: &Files, batches: Vec<Batch>) -> Result<(), StorageError> {
    let changes: Vec<_> = batches.into_iter().flat_map(|batch| batch.changes).collect();
    // The engine orders changes by sequence number, one for the whole entry: of a key's changes, only the last may stand in it.
    let mut later = HashSet::with_capacity(changes.len());
    let last: Vec<bool> = changes.iter().rev().map(|(table, key, _)| later.insert((*table, key.as_slice()))).collect();
    let mut entry = files.database.batch().durability(Some(PersistMode::SyncData));
    for ((table, key, value), _) in changes.into_iter().zip(last.into_iter().rev()).filter(|(_, last)| *last) {
        match value {
            Some(value) => entry.insert(files.tables.of(table), key, value),
            None => entry.remove(files.tables.of(table), key),
        }
    }
    entry.commit().map_err(failed)
}

fn failed(error: fjall::Error) -> StorageError {
    StorageError { detail: describe(&error) }
}

fn engine_at(path: &Path) -> impl FnOnce(fjall::Error) -> OpenError {
    let path = path.to_owned();
    move |error| OpenError::Engine { detail: describe(&error), path }
}

/// Says what an operator can act on; the engine's own words for the rest.
fn describe(error: &fjall::Error) -> String {
    match error {
        fjall::Error::Io(error) => error.to_string(),
        fjall::Error::Poisoned => "an earlier write or sync failed".to_owned(),
        other => format!("{other:?}"),
    }
}
