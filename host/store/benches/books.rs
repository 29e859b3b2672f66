//! How long do the books take for what a pool does with them, each commit synced to the disk?
//!
//! `cargo bench -p adit-store --bench books` prints it, over a temporary folder.

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on says where")]

use adit_primitives::accounts::{Accounts, Cause, Change, Entry, Posting, Reserved, ShareSequence};
use adit_primitives::contract::payout::AccountId;
use adit_primitives::{Amount, Timestamp};
use adit_store::Books;
use std::time::Instant;

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

/// The operator pays so many atoms to each of the accounts.
fn settlement(number: u64, accounts: &[AccountId]) -> Change {
    let (from, to) = (ShareSequence(number), ShareSequence(number + 1));
    let mut entries: Vec<_> = accounts.iter().map(|account| Entry { account: *account, atoms: 5 }).collect();
    entries.push(Entry { account: Reserved::Operator.id(), atoms: -5 * i64::try_from(accounts.len()).unwrap() });
    Change::Post(Posting::new(Cause::Settlement { from, to }, NOW, entries).unwrap())
}

fn timed<T>(what: &str, times: u64, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let value = work();
    let each = start.elapsed().as_secs_f64() * 1_000.0 / times as f64;
    println!("{each:>10.3} ms {what}");
    value
}

fn main() {
    // `cargo test` runs a bench once, to see that it still works.
    let is_test = !std::env::args().any(|argument| argument == "--bench");
    let (count, postings) = if is_test { (10, 3) } else { (10_000, 20) };
    let folder = tempfile::tempdir().unwrap();
    let books = Books::open(&folder.path().join("pool.sqlite")).unwrap();
    let open = || (0..count).map(|number| books.account_of(&format!("payee-{number}"), NOW).unwrap()).collect();
    let accounts: Vec<_> = timed("to open an account", count, open);
    timed("to find an account by its address", count, || {
        assert!((0..count).all(|number| books.account_of(&format!("payee-{number}"), NOW).is_ok()));
    });
    timed("for a posting of two entries", postings, || {
        assert!((0..postings).all(|number| books.commit(&[settlement(number, &accounts[..1])]).is_ok()));
    });
    timed(&format!("for a posting of {} entries", count + 1), postings, || {
        assert!((postings..2 * postings).all(|number| books.commit(&[settlement(number, &accounts)]).is_ok()));
    });
    timed("for a balance", count, || assert!(accounts.iter().all(|id| books.account(*id).is_ok())));
    timed("to list the 1,000 greatest balances that are due", 1, || {
        books.payable(Amount::from_atoms(5), 1_000).unwrap()
    });
    let entries = timed("to read the whole journal", 1, || {
        books.journal(0, 1_000).unwrap().iter().map(|posting| posting.entries().len()).sum::<usize>()
    });
    println!("{entries:>10} entries in it");
}
