//! A pool's books in SQL: who may open them, and what is in them after the process is gone.

use adit_primitives::accounts::{
    Accounts, AccountsError, Cause, Change, Committed, Entry, OperatorChange, PaymentNumber, Posting, Reserved,
};
use adit_primitives::{Amount, Timestamp};
use adit_store::{Books, BooksError, SCHEMA_VERSION};
use rusqlite::Connection;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Names the file for the process to be killed.
const FILE: &str = "ADIT_STORE_KILLED_BOOKS";
const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

fn open(path: &Path) -> Books {
    Books::open(path).expect("the file holds books or is not there")
}

#[track_caller]
fn refusal(opened: Result<Books, BooksError>) -> String {
    opened.expect_err("the books opened").to_string()
}

/// The operator gives the foundation as many atoms as the payment's number says.
fn gift(number: u64) -> Posting {
    let amount = Amount::from_atoms(number);
    let entries = [Entry::gives(Reserved::Operator.id(), amount), Entry::gets(Reserved::Foundation.id(), amount)];
    let entries = entries.into_iter().map(|entry| entry.expect("a small amount")).collect();
    Posting::new(Cause::Payment(PaymentNumber(number)), NOW, entries).expect("balanced entries")
}

fn total(books: &Books, account: Reserved) -> i64 {
    books.account(account.id()).unwrap().expect("reserved accounts are always there").balance.total
}

#[test]
fn new_books_have_the_reserved_accounts_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let books = open(&folder.path().join("deep/pool.sqlite"));
    let names: Vec<_> = books.accounts(None, 100).unwrap().into_iter().map(|account| account.address).collect();
    assert_eq!(names, Reserved::ALL.map(Reserved::name));
    assert!(books.journal(0, 100).unwrap().is_empty());
}

#[test]
fn a_cause_is_posted_once_and_what_came_with_it_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let books = open(&folder.path().join("pool.sqlite"));
    assert_eq!(books.commit(&[Change::Post(gift(5))]), Ok(Committed::Done));
    let note = OperatorChange { time: NOW, who: "a".into(), what: "b".into(), reason: "c".into() };
    let again = [Change::Post(gift(6)), Change::Note(note), Change::Post(gift(5))];
    assert_eq!(books.commit(&again), Ok(Committed::AlreadyPosted { cause: gift(5).cause().clone() }));
    assert_eq!(total(&books, Reserved::Foundation), 5);
    assert_eq!(books.journal(0, 100).unwrap(), [gift(5)]);
    assert!(books.notes(0, 10).unwrap().is_empty());
}

#[test]
fn a_balance_that_would_not_fit_is_refused_and_nothing_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    let books = open(&folder.path().join("pool.sqlite"));
    let most = i64::MAX.cast_unsigned();
    books.commit(&[Change::Post(gift(most))]).unwrap();
    let error = books.commit(&[Change::Post(gift(1))]).unwrap_err();
    assert_eq!(error, AccountsError::Overflow { account: Reserved::Foundation.id() });
    assert_eq!(total(&books, Reserved::Operator), -i64::MAX);
    assert_eq!(books.journal(0, 100).unwrap().len(), 1);
}

#[test]
fn a_second_writer_is_refused_and_a_reader_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pool.sqlite");
    let books = open(&path);
    assert_eq!(refusal(Books::open(&path)), format!("{}: another process has these books open", path.display()));
    let before = Books::open_to_read(&path).unwrap();
    books.commit(&[Change::Post(gift(3))]).unwrap();
    assert_eq!(total(&before, Reserved::Foundation), 0, "a reader saw what came after it");
    let reader = Books::open_to_read(&path).unwrap();
    assert_eq!(total(&reader, Reserved::Foundation), 3);
    let error = reader.commit(&[Change::Post(gift(4))]).unwrap_err();
    assert_eq!(error.to_string(), "books: the books are open for reading only");
    drop(books);
    assert_eq!(total(&reader, Reserved::Foundation), 3);
    drop((before, reader));
    assert_eq!(total(&Books::open_to_read(&path).unwrap(), Reserved::Foundation), 3);
}

#[test]
fn books_of_a_newer_version_are_refused_with_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pool.sqlite");
    drop(open(&path));
    Connection::open(&path).unwrap().execute("UPDATE meta SET value = '7'", []).unwrap();
    let want =
        format!("{}: written in version 7 by a newer Adit; this one reads up to {SCHEMA_VERSION}", path.display());
    assert_eq!(refusal(Books::open(&path)), want);
    assert_eq!(refusal(Books::open_to_read(&path)), want);
}

#[test]
fn what_is_not_a_pools_books_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (text, other) = (folder.path().join("text"), folder.path().join("other"));
    std::fs::write(
        &text,
        "a text that is longer than a hundred bytes, so that nobody takes it for something that was only begun",
    )
    .unwrap();
    assert_eq!(
        refusal(Books::open(&text)),
        format!("{}: the database does not open: file is not a database", text.display())
    );
    Connection::open(&other).unwrap().execute("CREATE TABLE recipes (name TEXT)", []).unwrap();
    assert_eq!(refusal(Books::open(&other)), format!("{}: a database, but not a pool's books", other.display()));
    let missing = folder.path().join("missing");
    assert_eq!(refusal(Books::open_to_read(&missing)), format!("{}: there are no books", missing.display()));
    assert!(!missing.exists());
}

#[test]
fn an_address_opens_one_account_and_a_name_one_worker() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pool.sqlite");
    let books = open(&path);
    let (alice, bob) = (books.account_of("alice", NOW).unwrap(), books.account_of("bob", NOW).unwrap());
    assert_eq!((alice, books.account_of("alice", NOW)), (Reserved::PAYEES_FROM, Ok(alice)));
    let rig = books.worker_of(alice, "rig", NOW).unwrap();
    assert_eq!(books.worker_of(alice, "rig", NOW), Ok(rig));
    assert_ne!(books.worker_of(bob, "rig", NOW).unwrap(), rig);
    assert_eq!(books.find_worker("alice", "rig"), Ok(Some((alice, rig))));
    assert_eq!(
        [("alice", "shed"), ("carol", "rig")].map(|(of, name)| books.find_worker(of, name)),
        [Ok(None), Ok(None)]
    );
    drop(books);
    let books = open(&path);
    assert_eq!((books.account_of("bob", NOW), books.worker_of(alice, "rig", NOW)), (Ok(bob), Ok(rig)));
    for bad in ["", "#paid", "two words", &"a".repeat(129)] {
        assert!(matches!(books.account_of(bad, NOW), Err(AccountsError::Address(_))), "{bad:?}");
    }
}

#[test]
fn a_killed_process_leaves_every_acknowledged_posting_and_no_half() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pool.sqlite");
    let mut acknowledged = 0;
    for kill in 0..12 {
        acknowledged = run_and_kill(&path, kill * 7 % 20, acknowledged);
        let books = open(&path);
        let journal = books.journal(0, 10_000).unwrap();
        let booked = u64::try_from(journal.len()).unwrap();
        assert!(booked >= acknowledged, "{acknowledged} postings were acknowledged, {booked} are there");
        let sum: u64 = (1..=booked).sum();
        assert!(journal.into_iter().eq((1..=booked).map(gift)), "a posting is not what was posted");
        assert_eq!(total(&books, Reserved::Foundation), i64::try_from(sum).unwrap());
        assert_eq!(total(&books, Reserved::Operator), -i64::try_from(sum).unwrap());
    }
    assert!(acknowledged > 0, "no run came as far as a posting");
}

/// The body of the process to be killed: posts without end. Without its variable this is a test that has nothing to do.
#[test]
fn the_process_with_books_to_be_killed() {
    let Some(path) = std::env::var_os(FILE) else { return };
    let books = open(&PathBuf::from(path));
    let booked = u64::try_from(books.journal(0, 10_000).unwrap().len()).unwrap();
    for number in booked + 1.. {
        books.commit(&[Change::Post(gift(number))]).expect("the books work until the process is killed");
        writeln!(std::io::stdout(), "ack {number} .").expect("the parent reads");
    }
}

/// Runs the process until it has acknowledged so many postings, and kills it. Returns the last that it acknowledged.
fn run_and_kill(path: &Path, acks: u64, before: u64) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["books::the_process_with_books_to_be_killed", "--exact", "--nocapture", "--test-threads=1"])
        .env(FILE, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let acknowledged = |line: &str| line.strip_prefix("ack ")?.strip_suffix(" .")?.parse::<u64>().ok();
    let (mut last, mut seen) = (before, 0);
    while seen < acks {
        let line = lines.next().expect("the process runs until it is killed").unwrap();
        if let Some(number) = acknowledged(&line) {
            (last, seen) = (number, seen + 1);
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    lines.map_while(Result::ok).filter_map(|line| acknowledged(&line)).last().unwrap_or(last)
}
