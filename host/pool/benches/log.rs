//! How long do 10,000,000 logged shares take to weigh for one block, in how much memory, and how fast are shares logged?
//!
//! `cargo bench -p adit-pool --bench log` prints it, over the store's database in a temporary folder.

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on says where")]

use adit_pool::money::window::{Ownership, WindowOf};
use adit_pool::work::log::{NewShare, ShareLog};
use adit_primitives::Timestamp;
use adit_primitives::accounts::{ShareSequence, WorkerId};
use adit_primitives::contract::payout::AccountId;
use adit_primitives::contract::shares::ShareDifficulty;
use adit_store::{Options, Store};
use std::sync::Arc;
use std::time::Instant;

fn share(number: u64) -> NewShare {
    let connection = u32::try_from(number.wrapping_mul(0x9e37_79b9) % 10_000).unwrap();
    NewShare {
        account: AccountId(connection / 4),
        worker: WorkerId(connection),
        time: Timestamp::from_millis(1_700_000_000_000 + number),
        difficulty: ShareDifficulty::from_log2_hashes(32 + u8::try_from(number % 8).unwrap()),
    }
}

/// Appends shares up to `end` and returns how many a second.
fn append(log: &ShareLog, end: u64, batch: u64) -> f64 {
    let (first, start) = (log.next().0, Instant::now());
    for begin in (first..end).step_by(usize::try_from(batch).unwrap()) {
        let shares: Vec<_> = (begin..end.min(begin + batch)).map(share).collect();
        log.append(&shares).unwrap();
    }
    (end - first) as f64 / start.elapsed().as_secs_f64()
}

/// The most memory that the process had, in MiB, where the system tells.
fn memory_max() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) / 1024
}

fn main() {
    // `cargo test` runs a bench once, to see that it still works.
    let is_test = !std::env::args().any(|argument| argument == "--bench");
    let shares: u64 = if is_test { 20_000 } else { 10_000_000 };
    let folder = tempfile::tempdir().unwrap();
    let options = Options { path: folder.path().join("store"), cache_bytes: 32 * 1024 * 1024 };
    let log = ShareLog::open(Arc::new(Store::open(&options).unwrap())).unwrap();
    for (batch, count) in [(1, 200), (100, 20_000), (1000, 200_000)] {
        let count = if is_test { batch * 2 } else { count };
        let speed = append(&log, log.next().0 + count, batch);
        println!("{speed:>9.0} shares logged a second, each batch of {batch} durable when it returns");
    }
    let speed = append(&log, shares, 10_000);
    println!("{speed:>9.0} shares logged a second in batches of 10000");
    let before = memory_max();
    let start = Instant::now();
    let (all, nobody) = (ShareSequence(0)..log.next(), Ownership { buyer: AccountId(0), bought: vec![] });
    let window = WindowOf { range: all, work_max: None, found: Timestamp::from_secs(1_800_000_000) };
    let weights = window.work_by_owner(&log, &nobody).unwrap();
    let (seconds, accounts, grown) = (start.elapsed().as_secs_f64(), weights.len(), memory_max() - before);
    println!(
        "{shares} shares of {accounts} accounts weighed in {seconds:.3} s; the peak of memory grew by {grown} MiB"
    );
    let start = Instant::now();
    drop(log);
    let log = ShareLog::open(Arc::new(Store::open(&options).unwrap())).unwrap();
    println!("opened again at share {} in {:.3} s", log.next(), start.elapsed().as_secs_f64());
}
