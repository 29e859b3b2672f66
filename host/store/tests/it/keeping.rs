//! What was committed is read back, in order, by everyone, after a restart too.

use crate::{open, options, put};
use adit_primitives::storage::{Batch, MemoryStorage, Storage, Table};
use adit_store::{OpenError, Store};
use proptest::prelude::*;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

#[test]
fn a_table_keeps_its_own_keys_over_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for table in Table::ALL {
        store.commit(put(table, b"key", table.name().as_bytes())).unwrap();
    }
    drop(store);
    let store = open(directory.path());
    for table in Table::ALL {
        assert_eq!(store.get(table, b"key").unwrap().as_deref(), Some(table.name().as_bytes()));
    }
    assert_eq!(store.get(Table::Meta, b"other").unwrap(), None);
    assert_eq!(store.get(Table::Meta, b"").unwrap(), None);
}

#[test]
fn the_last_change_of_a_key_counts() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let mut batch = Batch::default();
    batch.put(Table::Unspent, *b"removed", *b"1");
    batch.delete(Table::Unspent, *b"removed");
    batch.delete(Table::Unspent, *b"kept");
    batch.put(Table::Unspent, *b"kept", *b"1");
    batch.put(Table::Unspent, *b"kept", *b"2");
    batch.put(Table::Headers, *b"kept", *b"another table");
    store.commit(batch).unwrap();
    let check = |store: &dyn Storage| {
        assert_eq!(store.get(Table::Unspent, b"removed").unwrap(), None);
        assert_eq!(store.get(Table::Unspent, b"kept").unwrap(), Some(b"2".to_vec()));
        assert_eq!(store.get(Table::Headers, b"kept").unwrap(), Some(b"another table".to_vec()));
    };
    check(&store);
    drop(store);
    check(&open(directory.path()));
}

#[test]
fn a_scan_goes_by_byte_order_from_its_first_key_and_stops_in_time() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for key in [&[2u8][..], &[0], &[255, 255], &[1, 0], &[1], &[0, 255]] {
        store.commit(put(Table::Selected, key, b"")).unwrap();
    }
    store.commit(put(Table::Transactions, &[1, 5], b"")).unwrap();
    let keys = |first: &[u8], max| -> Vec<Vec<u8>> {
        store.scan(Table::Selected, first, max).unwrap().into_iter().map(|(key, _)| key).collect()
    };
    assert_eq!(keys(b"", usize::MAX), [&[0u8][..], &[0, 255], &[1], &[1, 0], &[2], &[255, 255]]);
    assert_eq!(keys(&[1], 2), [&[1u8][..], &[1, 0]]);
    assert_eq!(keys(&[1, 1], 2), [&[2u8][..], &[255, 255]]);
    assert!(keys(&[255, 255, 0], 9).is_empty());
    assert!(keys(b"", 0).is_empty());
}

#[test]
fn a_body_of_megabytes_comes_back_whole() {
    let directory = tempfile::tempdir().unwrap();
    let body: Vec<u8> = (0..4_000_000u32).map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    open(directory.path()).commit(put(Table::Bodies, b"block", &body)).unwrap();
    assert_eq!(open(directory.path()).get(Table::Bodies, b"block").unwrap(), Some(body));
}

#[test]
fn keys_that_no_table_can_hold_are_refused_and_change_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for key in [Vec::new(), vec![7; 65_536]] {
        let mut batch = put(Table::Meta, b"beside", b"1");
        batch.put(Table::Undo, key, *b"2");
        let error = store.commit(batch).unwrap_err();
        assert!(error.detail.starts_with("table undo: a key "), "{error}");
    }
    assert_eq!(store.get(Table::Meta, b"beside").unwrap(), None);
    store.commit(put(Table::Undo, &[7; 65_535], b"3")).unwrap();
}

#[test]
fn an_empty_batch_is_no_work() {
    let directory = tempfile::tempdir().unwrap();
    open(directory.path()).commit(Batch::default()).unwrap();
}

#[test]
fn concurrent_committers_each_find_their_batch_as_soon_as_it_returns() {
    const COMMITTERS: u32 = 8;
    const BATCHES: u32 = 40;
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    std::thread::scope(|scope| {
        for committer in 0..COMMITTERS {
            let store = &store;
            scope.spawn(move || {
                for number in 0..BATCHES {
                    let key = [committer.to_be_bytes(), number.to_be_bytes()].concat();
                    let mut batch = put(Table::Headers, &key, &key);
                    batch.put(Table::Selected, committer.to_be_bytes(), number.to_be_bytes());
                    store.commit(batch).unwrap();
                    assert_eq!(store.get(Table::Headers, &key).unwrap(), Some(key));
                    let newest = store.get(Table::Selected, &committer.to_be_bytes()).unwrap();
                    assert_eq!(newest, Some(number.to_be_bytes().to_vec()));
                }
            });
        }
    });
    drop(store);
    let entries = open(directory.path()).scan(Table::Headers, b"", usize::MAX).unwrap();
    assert_eq!(entries.len(), (COMMITTERS * BATCHES) as usize);
}

#[test]
fn what_is_queued_when_a_committed_batch_drops_the_last_handle_is_kept_and_told_of() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(open(directory.path()));
    let (let_go, hold) = sync_channel::<()>(1);
    let (done, answer) = sync_channel(1);
    let last = Arc::clone(&store);
    let committed = move |result: Result<(), _>| {
        hold.recv().unwrap();
        drop(last);
        result.unwrap();
    };
    store.commit_later(put(Table::Meta, b"first", b"1"), Box::new(committed));
    store.commit_later(put(Table::Meta, b"behind", b"2"), Box::new(move |result| done.send(result).unwrap()));
    drop(store);
    let_go.send(()).unwrap();
    answer.recv().unwrap().unwrap();
    // The files close when all is told of.
    let store = loop {
        match Store::open(&options(directory.path())) {
            Err(OpenError::InUse { .. }) => std::thread::yield_now(),
            opened => break opened.unwrap(),
        }
    };
    assert_eq!(store.get(Table::Meta, b"first").unwrap(), Some(b"1".to_vec()));
    assert_eq!(store.get(Table::Meta, b"behind").unwrap(), Some(b"2".to_vec()));
}

#[test]
fn a_scan_beside_commits_never_sees_half_a_batch() {
    const KEYS: u32 = 50;
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let fill = |round: u32| {
        let mut batch = Batch::default();
        for key in 0..KEYS {
            batch.put(Table::Mempool, key.to_be_bytes(), round.to_be_bytes());
        }
        store.commit(batch).unwrap();
    };
    fill(0);
    std::thread::scope(|scope| {
        let committer = scope.spawn(|| (1..100).for_each(fill));
        while !committer.is_finished() {
            let entries = store.scan(Table::Mempool, b"", usize::MAX).unwrap();
            assert_eq!(entries.len(), KEYS as usize);
            assert!(entries.iter().all(|(_, value)| *value == entries[0].1), "two rounds in one scan");
        }
    });
}

fn changes() -> impl Strategy<Value = Vec<Vec<(usize, u8, Option<u8>)>>> {
    let change = (0..Table::ALL.len(), 0u8..6, proptest::option::of(any::<u8>()));
    proptest::collection::vec(proptest::collection::vec(change, 1..12), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_keeps_what_memory_keeps(batches in changes()) {
        let directory = tempfile::tempdir().unwrap();
        let (store, memory) = (open(directory.path()), MemoryStorage::default());
        for changes in batches {
            let mut batch = Batch::default();
            for (table, key, value) in changes {
                batch.changes.push((Table::ALL[table], vec![key + 1], value.map(|value| vec![value])));
            }
            memory.commit(batch.clone()).unwrap();
            store.commit(batch).unwrap();
        }
        drop(store);
        let store = open(directory.path());
        for table in Table::ALL {
            prop_assert_eq!(store.scan(table, b"", 100).unwrap(), memory.scan(table, b"", 100).unwrap());
            prop_assert_eq!(store.scan(table, &[3], 2).unwrap(), memory.scan(table, &[3], 2).unwrap());
        }
    }
}
