//! Storage that gathers the batches of many steps into one: a group of blocks costs one durable commit.
//!
//! While it gathers, reads see what was gathered over what is kept, so that index and storage fit each other for every reader at each moment.
//! Nothing gathered is durable: nobody may be told of it before [`Gathered::end`] has returned, or who was given to [`Gathered::hand_over`] was told.
//! What was handed over is read here until then, and more is gathered over it.

use adit_primitives::storage::{Batch, Committed, Entries, Storage, StorageError, Table};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The chain's storage.
pub(crate) struct Gathered {
    inner: Arc<dyn Storage>,
    /// Shared with what waits to be told of a commit, which must not keep the storage: its last owner waits for that commit.
    layers: Arc<RwLock<Layers>>,
}

#[derive(Default)]
struct Layers {
    /// What is gathered now. `None` where batches are committed at once.
    open: Option<Changes>,
    /// What was handed over and is not durable yet.
    under_way: Option<Changes>,
}

/// What was gathered.
#[derive(Default)]
struct Changes {
    tables: BTreeMap<Table, Rows>,
    bytes: usize,
}

/// The last value of each key, or `None` for one that was removed.
type Rows = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

type Row<'a> = (&'a Vec<u8>, &'a Option<Vec<u8>>);

impl Gathered {
    pub(crate) fn new(inner: Arc<dyn Storage>) -> Self {
        Self { inner, layers: Arc::default() }
    }

    /// From now on batches are gathered.
    pub(crate) fn begin(&self) {
        self.write().open.get_or_insert_with(Changes::default);
    }

    /// Returns the bytes gathered.
    pub(crate) fn bytes(&self) -> usize {
        self.read().open.as_ref().map_or(0, |open| open.bytes)
    }

    /// Commits what was gathered as one batch, behind what was handed over before, and gathers no more. Where nothing was gathered it waits for nothing.
    /// After an error what is kept is not known.
    pub(crate) fn end(&self) -> Result<(), StorageError> {
        let batch = self.read().open.as_ref().map(Changes::batch).unwrap_or_default();
        let committed = if batch.changes.is_empty() { Ok(()) } else { self.inner.commit(batch) };
        // Readers find in the storage what they found here, so it goes only now.
        self.write().open = None;
        committed
    }

    /// Hands over what was gathered as one batch, and goes on gathering. What was handed over before must have been told of. Tells whether there was
    /// anything: otherwise nobody is told.
    pub(crate) fn hand_over(&self, committed: Committed) -> bool {
        let batch = {
            let mut layers = self.write();
            debug_assert!(layers.under_way.is_none(), "one batch is under way at a time");
            let Some(gathered) = layers.open.as_mut().filter(|open| !open.tables.is_empty()) else { return false };
            let gathered = std::mem::take(gathered);
            let batch = gathered.batch();
            layers.under_way = Some(gathered);
            batch
        };
        let layers = Arc::clone(&self.layers);
        let told = move |result: Result<(), StorageError>| {
            // After an error what is kept is not known, and readers go on seeing what they saw.
            if result.is_ok() {
                layers.write().unwrap_or_else(PoisonError::into_inner).under_way = None;
            }
            committed(result);
        };
        self.inner.commit_later(batch, Box::new(told));
        true
    }

    /// Forgets what was gathered.
    pub(crate) fn abandon(&self) {
        self.write().open = None;
    }

    fn read(&self) -> RwLockReadGuard<'_, Layers> {
        // Nothing panics between two changes of one batch except for want of memory.
        self.layers.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Layers> {
        self.layers.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Changes {
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

impl Layers {
    /// Returns them, the one that counts first.
    fn each(&self) -> impl Iterator<Item = &Changes> {
        self.open.iter().chain(&self.under_way)
    }

    fn get(&self, table: Table, key: &[u8]) -> Option<&Option<Vec<u8>>> {
        self.each().find_map(|layer| layer.tables.get(&table)?.get(key))
    }

    /// Returns what has changed of a table from a key on, in the order of keys.
    fn changed<'a>(&'a self, table: Table, first: &'a [u8]) -> impl Iterator<Item = Row<'a>> {
        let rows = |layer: &'a Option<Changes>| {
            let rows = layer.as_ref().and_then(|layer| layer.tables.get(&table));
            rows.into_iter().flat_map(move |rows| rows.range::<[u8], _>((Bound::Included(first), Bound::Unbounded)))
        };
        let (mut newer, mut older) = (rows(&self.open).peekable(), rows(&self.under_way).peekable());
        std::iter::from_fn(move || {
            let order = match (newer.peek(), older.peek()) {
                (Some((newer, _)), Some((older, _))) => newer.cmp(older),
                (Some(_), None) => Ordering::Less,
                (None, _) => Ordering::Greater,
            };
            if order == Ordering::Equal {
                older.next();
            }
            if order == Ordering::Greater { older.next() } else { newer.next() }
        })
    }
}

impl Storage for Gathered {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        let gathered = self.read().get(table, key).cloned();
        gathered.map_or_else(|| self.inner.get(table, key), Ok)
    }

    fn scan(&self, table: Table, first: &[u8], max: usize) -> Result<Entries, StorageError> {
        let layers = self.read();
        let mut changed = layers.changed(table, first).peekable();
        if changed.peek().is_none() {
            return self.inner.scan(table, first, max);
        }
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
        if self.read().open.is_none() {
            return self.inner.commit(batch);
        }
        self.write().open.get_or_insert_with(Changes::default).add(batch);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use adit_primitives::storage::MemoryStorage;
    use proptest::prelude::*;
    use std::sync::Mutex;
    use std::sync::atomic::AtomicBool;
    use std::sync::atomic::Ordering::Relaxed;

    #[derive(Debug, Clone)]
    enum Step {
        Commit(Vec<(u8, Option<u8>)>),
        Begin,
        HandOver,
        /// What was handed over becomes durable.
        Kept,
        End,
    }

    /// Storage that keeps what is handed over when the test says so.
    #[derive(Default)]
    struct Later {
        kept: MemoryStorage,
        under_way: Mutex<Option<(Batch, Committed)>>,
    }

    impl Later {
        /// Tells whether anything was under way.
        fn keep(&self) -> bool {
            let Some((batch, committed)) = self.under_way.lock().unwrap().take() else { return false };
            committed(self.kept.commit(batch));
            true
        }
    }

    impl Storage for Later {
        fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
            self.kept.get(table, key)
        }

        fn scan(&self, table: Table, first: &[u8], max: usize) -> Result<Entries, StorageError> {
            self.kept.scan(table, first, max)
        }

        fn commit(&self, batch: Batch) -> Result<(), StorageError> {
            self.keep();
            self.kept.commit(batch)
        }

        fn commit_later(&self, batch: Batch, committed: Committed) {
            assert!(self.under_way.lock().unwrap().replace((batch, committed)).is_none());
        }
    }

    fn step() -> impl Strategy<Value = Step> {
        let changes = prop::collection::vec((0u8..12, prop::option::of(any::<u8>())), 1..6);
        prop_oneof![6 => changes.prop_map(Step::Commit), 2 => Just(Step::Begin), 2 => Just(Step::HandOver), 2 => Just(Step::Kept), 1 => Just(Step::End)]
    }

    fn batch(changes: &[(u8, Option<u8>)]) -> Batch {
        let change = |(key, value): &(u8, Option<u8>)| (Table::Owned, vec![*key], value.map(|value| vec![value]));
        Batch { changes: changes.iter().map(change).collect() }
    }

    proptest! {
        #[test]
        fn reads_are_those_of_a_storage_that_keeps_each_batch_at_once(steps in prop::collection::vec(step(), 1..40)) {
            let kept = Arc::new(Later::default());
            let (gathered, plain) = (Arc::new(Gathered::new(kept.clone())), MemoryStorage::default());
            for step in steps {
                match step {
                    Step::Commit(changes) => {
                        gathered.commit(batch(&changes)).unwrap();
                        plain.commit(batch(&changes)).unwrap();
                    }
                    Step::Begin => gathered.begin(),
                    Step::HandOver => {
                        kept.keep();
                        let told = Arc::new(AtomicBool::new(false));
                        let tell = Arc::clone(&told);
                        let before = gathered.bytes();
                        let under_way = gathered.hand_over(Box::new(move |kept| tell.store(kept.is_ok(), Relaxed)));
                        prop_assert_eq!((under_way, gathered.bytes()), (before > 0, 0));
                        prop_assert!(!told.load(Relaxed), "nobody is told before it is kept");
                    }
                    Step::Kept => drop(kept.keep()),
                    Step::End => {
                        kept.keep();
                        gathered.end().unwrap();
                        let all = |storage: &dyn Storage| storage.scan(Table::Owned, &[], 100).unwrap();
                        prop_assert_eq!(all(&*kept), all(&plain));
                    }
                }
                for key in 0u8..13 {
                    prop_assert_eq!(gathered.get(Table::Owned, &[key]).unwrap(), plain.get(Table::Owned, &[key]).unwrap());
                    for max in [0, 1, 2, 3, 20] {
                        let scan = |storage: &dyn Storage| storage.scan(Table::Owned, &[key], max).unwrap();
                        prop_assert_eq!(scan(&*gathered), scan(&plain));
                    }
                }
            }
        }
    }

    #[test]
    fn a_commit_under_way_does_not_keep_the_storage() {
        let kept = Arc::new(Later::default());
        let gathered = Gathered::new(kept.clone());
        gathered.begin();
        gathered.commit(batch(&[(1, Some(2))])).unwrap();
        let told = Arc::new(AtomicBool::new(false));
        let tell = Arc::clone(&told);
        assert!(gathered.hand_over(Box::new(move |kept| tell.store(kept.is_ok(), Relaxed))));
        drop(gathered);
        assert_eq!(Arc::strong_count(&kept), 1);
        assert!(kept.keep() && told.load(Relaxed));
        assert_eq!(kept.get(Table::Owned, &[1]).unwrap(), Some(vec![2]));
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
