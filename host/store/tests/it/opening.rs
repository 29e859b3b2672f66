//! Which directories open, and what is said about the others.

use crate::{open, options, put};
use adit_primitives::storage::{Storage, Table};
use adit_store::{FORMAT_VERSION, OpenError, Store};
use std::fs;
use std::path::Path;

#[track_caller]
fn refusal(path: &Path) -> OpenError {
    match Store::open(&options(path)) {
        Ok(_) => panic!("the directory opened"),
        Err(error) => error,
    }
}

fn with_format(text: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    fs::write(directory.path().join("FORMAT"), text).unwrap();
    directory
}

#[test]
fn a_missing_directory_is_made_with_its_parents() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a/b");
    open(&path).commit(put(Table::Meta, b"key", b"value")).unwrap();
    assert_eq!(open(&path).get(Table::Meta, b"key").unwrap(), Some(b"value".to_vec()));
}

#[test]
fn the_format_record_says_its_version() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let text = fs::read_to_string(directory.path().join("FORMAT")).unwrap();
    assert_eq!(text, format!("adit store {FORMAT_VERSION}\n"));
}

#[test]
fn a_newer_format_is_refused_by_number() {
    let directory = with_format(&format!("adit store {}\n", FORMAT_VERSION + 1));
    let error = refusal(directory.path());
    assert!(matches!(error, OpenError::NewerFormat { found, .. } if found == FORMAT_VERSION + 1), "{error}");
    assert!(error.to_string().contains("by a newer version; this version reads 1 only"), "{error}");
}

#[test]
fn an_older_format_is_refused_by_number() {
    let directory = with_format("adit store 0\n");
    let error = refusal(directory.path());
    assert!(matches!(error, OpenError::OlderFormat { found: 0, .. }), "{error}");
}

#[test]
fn a_format_record_of_something_else_is_refused_with_its_text() {
    for text in ["", "adit store one", "SQLite format 3\0", "adit store 99999999999999999999"] {
        let directory = with_format(text);
        let error = refusal(directory.path());
        assert!(matches!(&error, OpenError::UnknownFormat { found, .. } if found == text), "{error}");
    }
}

#[test]
fn a_directory_of_other_files_is_refused_and_left_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("wallet.dat"), b"not ours").unwrap();
    let error = refusal(directory.path());
    assert!(matches!(&error, OpenError::Foreign { found, .. } if found == "wallet.dat"), "{error}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn a_file_in_the_place_of_the_directory_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    fs::write(&path, b"").unwrap();
    assert!(matches!(refusal(&path), OpenError::File { .. }));
}

#[test]
fn a_second_opening_is_refused_until_the_first_is_closed() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path());
    let error = refusal(directory.path());
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    drop(first);
    drop(open(directory.path()));
}

#[test]
fn a_creation_that_was_cut_off_is_begun_anew() {
    let directory = tempfile::tempdir().unwrap();
    let unfinished = directory.path().join("database.new");
    fs::create_dir(&unfinished).unwrap();
    fs::write(unfinished.join("0.jnl"), b"half a journal").unwrap();
    fs::write(directory.path().join("FORMAT.new"), b"adit").unwrap();
    let store = open(directory.path());
    store.commit(put(Table::Meta, b"key", b"value")).unwrap();
    assert!(!unfinished.exists());
}

#[test]
fn a_damaged_database_is_an_error_with_its_path() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    fs::write(directory.path().join("database/version"), b"garbage").unwrap();
    let error = refusal(directory.path());
    assert!(matches!(error, OpenError::Engine { .. }), "{error}");
    assert!(error.to_string().contains("database"), "{error}");
}
