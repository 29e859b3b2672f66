//! A new plugin's folder works as it is written.

use crate::{build, refusal};
use adit_plugin_sdk::build::BuildError;
use adit_plugin_sdk::scaffold::{Kind, scaffold};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Writes a plugin, runs its own tests and builds its component.
#[track_caller]
fn check(kind: Kind, name: &str) {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join(name);
    scaffold(kind, name, &dir).unwrap();
    let mut test = Command::new(env!("CARGO"));
    test.args(["test", "--quiet"]).current_dir(&dir).env("CARGO_TARGET_DIR", crate::target_dir("scaffolded"));
    let output = test.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&[output.stdout, output.stderr].concat()));
    let component = build(&dir, "scaffolded");
    assert_eq!(component.name, name);
    assert!(!component.bytes.is_empty());
}

#[test]
fn a_new_hash_plugin_passes_its_tests_and_builds_slow() {
    check(Kind::Hash, "my-hash");
}

#[test]
fn a_new_consensus_plugin_passes_its_tests_and_builds_slow() {
    check(Kind::Consensus, "my-rules");
}

#[test]
fn a_new_payout_plugin_passes_its_tests_and_builds_slow() {
    check(Kind::Payout, "my-scheme");
}

#[test]
fn a_new_share_plugin_passes_its_tests_and_builds_slow() {
    check(Kind::Shares, "my-shares");
}

/// Writes a hash plugin with one text of one file replaced.
fn spoiled(parent: &Path, file: &str, from: &str, to: &str) -> std::path::PathBuf {
    let dir = parent.join("spoiled");
    scaffold(Kind::Hash, "spoiled", &dir).unwrap();
    let text = fs::read_to_string(dir.join(file)).unwrap();
    assert!(text.contains(from), "{file} has no {from:?}");
    fs::write(dir.join(file), text.replace(from, to)).unwrap();
    dir
}

#[test]
fn a_compiler_error_reaches_the_author_slow() {
    let parent = tempfile::tempdir().unwrap();
    let dir = spoiled(parent.path(), "src/lib.rs", "fn digest(", "fn digest(missing: Missing, ");
    let messages = refusal(&dir).to_string();
    assert!(messages.contains("cannot find type `Missing`"), "{messages}");
}

#[test]
fn a_crate_that_exports_nothing_is_told_so_slow() {
    let parent = tempfile::tempdir().unwrap();
    let dir = spoiled(parent.path(), "src/lib.rs", "export_hash!(Spoiled);", "");
    let error = refusal(&dir);
    assert!(matches!(error, BuildError::NoExport { .. }), "{error}");
}

#[test]
fn a_crate_without_a_module_is_told_what_to_write_slow() {
    let parent = tempfile::tempdir().unwrap();
    let dir = spoiled(parent.path(), "Cargo.toml", r#"["cdylib", "rlib"]"#, r#"["rlib"]"#);
    let error = refusal(&dir);
    assert!(matches!(error, BuildError::NoModule { .. }), "{error}");
}

#[test]
fn a_folder_without_a_crate_is_named() {
    let parent = tempfile::tempdir().unwrap();
    let error = refusal(parent.path()).to_string();
    assert!(error.contains(parent.path().to_str().unwrap()), "{error}");
}
