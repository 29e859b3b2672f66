//! Storage that gathers the batches of many steps into one: a group of blocks costs one durable commit.
//!
//! While it gathers, reads see what was gathered over what is kept, so that index and storage fit each other for every reader at each moment.
//! Nothing gathered is durable: nobody may be told of it before [`Gathered::end`] has returned.

use adit_primitives::storage::{Batch, Entries, Storage, StorageError, Table};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The chain's storage.
pub(crate) struct Gathered {
    inner: Arc<dyn Storage>,
    open: RwLock<Option<Open>>,
}

/// What was gathered: the last value of each key, or `None` for one that was removed.
#[derive(Default)]
struct Open {
    tables: BTreeMap<Table, BTreeMap<Vec<u8>, Option<Vec<u8>>>>,
    bytes: usize,
}

impl Gathered {
    pub(crate) fn new(inner: Arc<dyn Storage>) -> Self {
        Self { inner, open: RwLock::new(None) }
    }

    /// From now on batches are gathered.
    pub(crate) fn begin(&self) {
        self.write().get_or_insert_with(Open::default);
    }

    /// Returns the bytes gathered.
    pub(crate) fn bytes(&self) -> usize {
        self.read().as_ref().map_or(0, |open| open.bytes)
    }

    /// Commits what was gathered as one batch, and gathers no more. After an error what is kept is not known.
    pub(crate) fn end(&self) -> Result<(), StorageError> {
        let batch = self.read().as_ref().map(Open::batch).unwrap_or_default();
        let committed = if batch.changes.is_empty() { Ok(()) } else { self.inner.commit(batch) };
        // Readers find in the storage what they found here, so it goes only now.
        *self.write() = None;
        committed
    }

    /// Forgets what was gathered.
    pub(crate) fn abandon(&self) {
        *self.write() = None;
    }

    fn read(&self) -> RwLockReadGuard<'_, Option<Open>> {
        // Nothing panics between two changes of one batch except for want of memory.
        self.open.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Option<Open>> {
        self.open.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn add(&mut self, batch: Batch) {
        for (table, key, value) in batch.changes {
            self.bytes += key.len() + value.as_ref().map_or(0, Vec::len);
            self.tables.entry(table).or_default().insert(key, value);
        }
    }

    fn batch(&self) -> Batch {
        let rows = self.tables.iter().flat_map(|(table, rows)| rows.iter().map(move |row| (*table, row)));
        Batch { changes: rows.map(|(table, (key, value))| (table, key.clone(), value.clone())).collect() }
    }
}

impl Storage for Gathered {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        let gathered = self.read().as_ref().and_then(|open| open.tables.get(&table)?.get(key).cloned());
        gathered.map_or_else(|| self.inner.get(table, key), Ok)
    }

    fn scan(&self, table: Table, first: &[u8], max: usize) -> Result<Entries, StorageError> {
        let open = self.read();
        let Some(rows) = open.as_ref().and_then(|open| open.tables.get(&table)) else {
            return self.inner.scan(table, first, max);
        };
        let mut changed = rows.range::<[u8], _>((Bound::Included(first), Bound::Unbounded)).peekable();
        let (mut entries, mut from) = (Entries::new(), first.to_vec());
        loop {
            let page = self.inner.scan(table, &from, max)?;
            let last = page.last().filter(|_| page.len() == max).map(|(key, _)| key.clone());
            for (key, value) in page {
                while let Some((key, value)) = changed.next_if(|(at, _)| **at < key) {
                    entries.extend(value.clone().map(|value| (key.clone(), value)));
                }
                match changed.next_if(|(at, _)| **at == key) {
                    Some((_, now)) => entries.extend(now.clone().map(|now| (key, now))),
                    None => entries.push((key, value)),
                }
            }
            match last {
                Some(last) if entries.len() < max => {
                    from = last;
                    from.push(0);
                }
                Some(_) => break,
                None => {
                    entries.extend(changed.filter_map(|(key, value)| Some((key.clone(), value.clone()?))));
                    break;
                }
            }
        }
        entries.truncate(max);
        Ok(entries)
    }

    fn commit(&self, batch: Batch) -> Result<(), StorageError> {
        // One owner begins, commits and ends: what is asked here still holds below.
        if self.read().is_none() {
            return self.inner.commit(batch);
        }
        self.write().get_or_insert_with(Open::default).add(batch);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use adit_primitives::storage::MemoryStorage;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Step {
        Commit(Vec<(u8, Option<u8>)>),
        Begin,
        End,
    }

    fn step() -> impl Strategy<Value = Step> {
        let changes = prop::collection::vec((0u8..12, prop::option::of(any::<u8>())), 1..6);
        prop_oneof![6 => changes.prop_map(Step::Commit), 2 => Just(Step::Begin), 1 => Just(Step::End)]
    }

    fn batch(changes: &[(u8, Option<u8>)]) -> Batch {
        let change = |(key, value): &(u8, Option<u8>)| (Table::Owned, vec![*key], value.map(|value| vec![value]));
        Batch { changes: changes.iter().map(change).collect() }
    }

    proptest! {
        #[test]
        fn reads_are_those_of_a_storage_that_keeps_each_batch_at_once(steps in prop::collection::vec(step(), 1..40)) {
            let kept = Arc::new(MemoryStorage::default());
            let (gathered, plain) = (Gathered::new(kept.clone()), MemoryStorage::default());
            for step in steps {
                match step {
                    Step::Commit(changes) => {
                        gathered.commit(batch(&changes)).unwrap();
                        plain.commit(batch(&changes)).unwrap();
                    }
                    Step::Begin => gathered.begin(),
                    Step::End => {
                        gathered.end().unwrap();
                        let all = |storage: &dyn Storage| storage.scan(Table::Owned, &[], 100).unwrap();
                        prop_assert_eq!(all(&*kept), all(&plain));
                    }
                }
                for key in 0u8..13 {
                    prop_assert_eq!(gathered.get(Table::Owned, &[key]).unwrap(), plain.get(Table::Owned, &[key]).unwrap());
                    for max in [0, 1, 2, 3, 20] {
                        let scan = |storage: &dyn Storage| storage.scan(Table::Owned, &[key], max).unwrap();
                        prop_assert_eq!(scan(&gathered), scan(&plain));
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_gathered_is_kept_at_the_end_alone() {
        let kept = Arc::new(MemoryStorage::default());
        let gathered = Gathered::new(kept.clone());
        gathered.begin();
        gathered.commit(batch(&[(1, Some(2))])).unwrap();
        assert_eq!(kept.get(Table::Owned, &[1]).unwrap(), None);
        assert_eq!(gathered.bytes(), 2);
        gathered.end().unwrap();
        assert_eq!(kept.get(Table::Owned, &[1]).unwrap(), Some(vec![2]));
        assert_eq!(gathered.bytes(), 0);
    }
}
