//! What is kept in the storage's tables, key by key. Every change here needs a new [`FORMAT`].

use crate::{OutPoint, PublicKey, Unspent};
use adit_primitives::contract::{HeaderView, Placement, Violation};
use adit_primitives::storage::{Batch, Entries, Storage, StorageError, Table};
use adit_primitives::{BlockId, Decode, Encode, Height, Timestamp, TxId, canonical_struct};

/// The version of this format.
pub(crate) const FORMAT: u32 = 1;

/// Keys of [`Table::Meta`].
pub(crate) mod meta {
    pub(crate) const FORMAT: &[u8] = b"chain format";
    pub(crate) const IDENTITY: &[u8] = b"chain identity";
    pub(crate) const TIP: &[u8] = b"chain tip";
    pub(crate) const STATE_VERSION: &[u8] = b"chain state version";
}

/// The value in [`Table::Headers`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HeaderRecord {
    pub(crate) header: Vec<u8>,
    /// The order in which blocks were first seen: decides between equals, also after a restart.
    pub(crate) sequence: u32,
    /// Whether the body is kept.
    pub(crate) body: bool,
    /// The rule that this very block breaks; blocks that stand on it have none of their own.
    pub(crate) violation: Option<Violation>,
    pub(crate) view: HeaderView,
    pub(crate) placement: Placement,
}

canonical_struct!(HeaderRecord { header, sequence, body, violation, view, placement });

/// The value in [`Table::Undo`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Undo {
    /// In the order in which the block spent them.
    pub(crate) spent: Vec<SpentOutput>,
    pub(crate) created: Vec<OutPoint>,
    pub(crate) accepted: Vec<TxId>,
}

canonical_struct!(Undo { spent, created, accepted });

/// An output that a block spent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SpentOutput {
    pub(crate) at: OutPoint,
    pub(crate) was: Unspent,
}

canonical_struct!(SpentOutput { at, was });

/// The value in [`Table::Transactions`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Location {
    /// The block of the selected chain whose application accepted the transaction.
    pub(crate) accepted_by: BlockId,
    /// The block whose body holds it.
    pub(crate) block: BlockId,
    pub(crate) position: u32,
}

canonical_struct!(Location { accepted_by, block, position });

/// The value in [`Table::Mempool`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PendingRecord {
    pub(crate) since: Timestamp,
    pub(crate) transaction: crate::Transaction,
}

canonical_struct!(PendingRecord { since, transaction });

/// Returns the key of a height in [`Table::Selected`]: big-endian, so that byte order is the order of heights.
pub(crate) fn height_key(height: Height) -> [u8; 8] {
    height.0.to_be_bytes()
}

/// Returns the key in [`Table::Owned`]: the owner, then the output.
pub(crate) fn owned_key(owner: &PublicKey, at: &OutPoint) -> Vec<u8> {
    let mut key = owner.to_bytes();
    at.encode(&mut key);
    key
}

/// Reads and decodes one record.
pub(crate) fn read<T: Decode>(storage: &dyn Storage, table: Table, key: &[u8]) -> Result<Option<T>, StorageError> {
    let Some(bytes) = storage.get(table, key)? else { return Ok(None) };
    decode(table, &bytes).map(Some)
}

/// Decodes a record; bytes that this program did not write are a failure of the storage.
pub(crate) fn decode<T: Decode>(table: Table, bytes: &[u8]) -> Result<T, StorageError> {
    T::from_bytes(bytes).map_err(|error| damaged(table, &error.to_string()))
}

pub(crate) fn damaged(table: Table, detail: &str) -> StorageError {
    StorageError { detail: format!("table {} is damaged: {detail}", table.name()) }
}

pub(crate) fn put_unspent(batch: &mut Batch, at: &OutPoint, unspent: &Unspent) {
    batch.put(Table::Unspent, at.to_bytes(), unspent.to_bytes());
    batch.put(Table::Owned, owned_key(&unspent.output.key, at), Vec::new());
}

pub(crate) fn delete_unspent(batch: &mut Batch, at: &OutPoint, was: &Unspent) {
    batch.delete(Table::Unspent, at.to_bytes());
    batch.delete(Table::Owned, owned_key(&was.output.key, at));
}

/// Visits a whole table in pages, so that no more than a page is in memory twice.
pub(crate) fn for_each(
    storage: &dyn Storage,
    table: Table,
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), StorageError>,
) -> Result<(), StorageError> {
    const PAGE: usize = 1000;
    let mut first = Vec::new();
    loop {
        let page: Entries = storage.scan(table, &first, PAGE)?;
        page.iter().try_for_each(|(key, value)| visit(key, value))?;
        match page.last() {
            Some((last, _)) if page.len() == PAGE => {
                first.clone_from(last);
                first.push(0);
            }
            _ => return Ok(()),
        }
    }
}
