//! The store through its public surface: what it keeps, what it refuses, and what a killed process leaves behind.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod books;
mod books_beside_memory;
mod keeping;
mod killing;
mod opening;

use adit_primitives::storage::{Batch, Table};
use adit_store::{Options, Store};
use std::path::Path;

fn options(path: &Path) -> Options {
    Options { path: path.to_owned(), cache_bytes: 8 * 1024 * 1024 }
}

fn open(path: &Path) -> Store {
    Store::open(&options(path)).expect("the directory is a store or empty")
}

fn put(table: Table, key: &[u8], value: &[u8]) -> Batch {
    let mut batch = Batch::default();
    batch.put(table, key, value);
    batch
}
