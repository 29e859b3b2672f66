//! How many records a second become durable, and how many blocks' worth of unspent outputs?
//!
//! Records have 200 bytes. A block is one batch of 2,000 inserts and 1,500 deletes of random keys.

use adit_primitives::storage::{Batch, Storage, Table};
use adit_store::{Options, Store};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;

const VALUE: [u8; 164] = [7; 164];

/// A stream of keys that look random and can be drawn again.
struct Keys(u64);

impl Keys {
    fn key(number: u64) -> [u8; 36] {
        let mut key = [0; 36];
        let mut state = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for chunk in key.chunks_mut(8) {
            state = (state ^ (state >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            chunk.copy_from_slice(&state.to_le_bytes()[..chunk.len()]);
        }
        key
    }

    fn next(&mut self) -> [u8; 36] {
        self.0 += 1;
        Self::key(self.0 - 1)
    }
}

fn store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let options = Options { path: directory.path().join("store"), cache_bytes: 64 * 1024 * 1024 };
    let store = Store::open(&options).expect("an empty directory");
    (directory, store)
}

fn records(count: usize, keys: &mut Keys) -> Batch {
    let mut batch = Batch::default();
    (0..count).for_each(|_| batch.put(Table::Headers, keys.next(), VALUE));
    batch
}

fn block(keys: &mut Keys) -> Batch {
    let mut batch = Batch::default();
    (0..2_000).for_each(|_| batch.put(Table::Unspent, keys.next(), VALUE));
    // Of the outputs made three blocks ago: old enough to be spread over the tree, and each is spent once.
    let first = keys.0.saturating_sub(8_000);
    (first..first + 1_500).for_each(|number| batch.delete(Table::Unspent, Keys::key(number)));
    batch
}

fn commits(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("durable");
    for (name, count) in [("one_record", 1), ("batch_of_100_records", 100)] {
        let (_directory, store) = store();
        let mut keys = Keys(0);
        group.throughput(Throughput::Elements(count as u64)).bench_function(name, |bencher| {
            bencher.iter_batched(
                || records(count, &mut keys),
                |batch| store.commit(batch).expect("the disk has room"),
                BatchSize::SmallInput,
            );
        });
    }
    let (_directory, store) = store();
    let mut keys = Keys(0);
    group.throughput(Throughput::Elements(1)).bench_function("block_of_2000_inserts_1500_deletes", |bencher| {
        bencher.iter_batched(
            || block(&mut keys),
            |batch| store.commit(batch).expect("the disk has room"),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn crowd(criterion: &mut Criterion) {
    const COMMITTERS: u64 = 16;
    const EACH: u64 = 20;
    let mut group = criterion.benchmark_group("sixteen_committers");
    for (name, count) in [("one_record", 1), ("batch_of_100_records", 100)] {
        let (_directory, store) = store();
        let mut begin = 0;
        group.throughput(Throughput::Elements(COMMITTERS * EACH * count as u64)).bench_function(name, |bencher| {
            bencher.iter(|| {
                std::thread::scope(|scope| {
                    for committer in 0..COMMITTERS {
                        let mut keys = Keys(begin + committer * EACH * count as u64);
                        let store = &store;
                        scope.spawn(move || {
                            for _ in 0..EACH {
                                store.commit(records(count, &mut keys)).expect("the disk has room");
                            }
                        });
                    }
                });
                begin += COMMITTERS * EACH * count as u64;
            });
        });
    }
    group.finish();
}

fn reads(criterion: &mut Criterion) {
    const RECORDS: u64 = 200_000;
    let (_directory, store) = store();
    let mut keys = Keys(0);
    (0..RECORDS / 1_000).for_each(|_| store.commit(records(1_000, &mut keys)).expect("the disk has room"));
    let mut number = 0;
    criterion.benchmark_group("read").throughput(Throughput::Elements(1)).bench_function("random_key", |bencher| {
        bencher.iter(|| {
            number = (number + 7_919) % RECORDS;
            black_box(store.get(Table::Headers, &Keys::key(number)).expect("the store reads"))
        });
    });
}

criterion_group!(benches, commits, crowd, reads);
criterion_main!(benches);
