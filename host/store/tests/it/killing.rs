//! What a process killed at a random moment leaves behind: every acknowledged batch, and no half of any.
//!
//! The test starts its own binary as the process to be killed. Only the moment of the kill is left to chance; whatever it is, the
//! same must hold afterwards. (A kill leaves the system's page cache alone, so this says nothing about a loss of power.)

use crate::open;
use adit_primitives::storage::{Batch, Storage, Table};
use adit_store::Store;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Names the directory for the process to be killed.
const DIRECTORY: &str = "ADIT_STORE_KILLED_DIRECTORY";
const COMMITTERS: u8 = 3;
/// How many rows a batch writes to each of its tables. The next batch of the same committer removes them.
const ROWS: u16 = 40;
const TABLES: [Table; 4] = [Table::Headers, Table::Bodies, Table::Unspent, Table::Undo];

#[test]
fn a_killed_process_leaves_every_acknowledged_batch_and_no_half() {
    check_kills(40, 0x9e37_79b9_7f4a_7c15);
}

/// The body of the process to be killed: commits without end. Without its variable this is a test that has nothing to do.
#[test]
fn the_process_to_be_killed() {
    let Some(path) = std::env::var_os(DIRECTORY) else { return };
    let store = open(&PathBuf::from(path));
    let mut acknowledged = state(&store);
    std::thread::scope(|scope| {
        for committer in 0..COMMITTERS {
            let (store, begin) = (&store, acknowledged.remove(&committer).unwrap_or(0));
            scope.spawn(move || {
                for number in begin + 1.. {
                    store.commit(batch(committer, number)).expect("the store works until the process is killed");
                    writeln!(std::io::stdout(), "ack {committer} {number}").expect("the parent reads");
                }
            });
        }
    });
}

#[track_caller]
fn check_kills(kills: u32, seed: u64) {
    let directory = tempfile::tempdir().unwrap();
    let mut random = seed;
    let mut acknowledged = BTreeMap::new();
    for _ in 0..kills {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        // One in four is killed without waiting for a commit: while it opens, recovers or makes the store.
        let acks = if random.is_multiple_of(4) { 0 } else { random / 4 % 60 };
        run_and_kill(directory.path(), acks, random / 256 % 2_000, &mut acknowledged);
        let store = open(directory.path());
        let found = state(&store);
        for (committer, number) in &acknowledged {
            let kept = found.get(committer).copied().unwrap_or(0);
            assert!(kept >= *number, "committer {committer}: {number} was acknowledged, {kept} is there");
        }
        check_whole(&store, &found);
        acknowledged = found;
    }
    assert!(acknowledged.values().sum::<u64>() > 0, "no run came as far as a commit");
}

/// Runs the process until it has acknowledged so many batches, goes on for a random while, and kills it.
fn run_and_kill(path: &Path, acks: u64, while_after: u64, acknowledged: &mut BTreeMap<u8, u64>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["killing::the_process_to_be_killed", "--exact", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut seen = 0;
    while seen < acks {
        let line = lines.next().expect("the process runs until it is killed").unwrap();
        seen += u64::from(note(&line, acknowledged));
    }
    (0..while_after).for_each(|_| std::thread::yield_now());
    kill(&mut child);
    // What it printed before its end was acknowledged too; a last line may be cut off.
    for line in lines.map_while(Result::ok) {
        note(&line, acknowledged);
    }
}

fn kill(child: &mut Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Reads `ack <committer> <number>` and tells whether the line was one.
fn note(line: &str, acknowledged: &mut BTreeMap<u8, u64>) -> bool {
    let mut words = line.split(' ');
    let (Some("ack"), Some(committer), Some(number)) = (words.next(), words.next(), words.next()) else { return false };
    let (Ok(committer), Ok(number)) = (committer.parse(), number.parse::<u64>()) else { return false };
    let newest = acknowledged.entry(committer).or_insert(0);
    // A number whose end was cut off is smaller than the true one: the claim only gets weaker.
    *newest = number.max(*newest);
    true
}

fn row_key(committer: u8, number: u64, row: u16) -> Vec<u8> {
    [&[committer][..], &number.to_be_bytes(), &row.to_be_bytes()].concat()
}

fn row_value(table: Table, number: u64, row: u16) -> Vec<u8> {
    // Bodies are long enough for the engine to keep them apart from their keys.
    let length = if table == Table::Bodies { 3_000 } else { 60 };
    (0..length).map(|index: u64| (number ^ u64::from(row) ^ index).to_le_bytes()[0]).collect()
}

fn batch(committer: u8, number: u64) -> Batch {
    let mut batch = Batch::default();
    batch.put(Table::Meta, [committer], number.to_be_bytes());
    for row in 0..ROWS {
        for table in TABLES {
            batch.put(table, row_key(committer, number, row), row_value(table, number, row));
            batch.delete(table, row_key(committer, number - 1, row));
        }
    }
    batch
}

/// Returns each committer's newest batch.
fn state(store: &Store) -> BTreeMap<u8, u64> {
    let entries = store.scan(Table::Meta, b"", usize::MAX).unwrap();
    let number = |value: Vec<u8>| u64::from_be_bytes(value.try_into().expect("a number of eight bytes"));
    entries.into_iter().map(|(key, value)| (key[0], number(value))).collect()
}

/// Checks that the tables hold the rows of each committer's newest batch, all of them, and nothing else.
#[track_caller]
fn check_whole(store: &Store, newest: &BTreeMap<u8, u64>) {
    for table in TABLES {
        let mut want = Vec::new();
        for (committer, number) in newest {
            want.extend((0..ROWS).map(|row| (row_key(*committer, *number, row), row_value(table, *number, row))));
        }
        let found = store.scan(table, b"", usize::MAX).unwrap();
        assert!(found == want, "table {}: {} rows found, {} wanted, or others", table.name(), found.len(), want.len());
    }
}
