//! Kernels from shared libraries, which the tests compile from `tests/fixtures/kernel.rs`.

use adit_plugin_host::{KernelError, KernelSource, load_kernel};
use adit_primitives::Hash256;
use adit_primitives::kernel::{KernelTable, unpadded};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles the fixture with a `cfg` of its own.
fn library(directory: &Path, cfg: &str) -> PathBuf {
    let path = directory.join(format!("{cfg}.so"));
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let status = Command::new(rustc)
        .args(["--edition", "2024", "-O", "-C", "panic=abort", "--cap-lints", "allow", "--cfg", cfg, "-o"])
        .arg(&path)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/kernel.rs"))
        .status()
        .unwrap();
    assert!(status.success());
    path
}

fn load(path: &Path, algorithm: &str, scratch: &Path) -> Result<&'static KernelTable, KernelError> {
    let digest = Hash256(blake3::hash(&fs::read(path).unwrap()).into());
    let (path, algorithm, scratch) = (path.to_owned(), algorithm.to_owned(), scratch.to_owned());
    load_kernel(&KernelSource { path, digest, algorithm, scratch })
}

#[track_caller]
fn check(cfg: &str, want: fn(&KernelError) -> bool) {
    let directory = tempfile::tempdir().unwrap();
    let error = load(&library(directory.path(), cfg), "turned-over", directory.path()).expect_err(cfg);
    assert!(want(&error), "{cfg}: {error}");
}

#[test]
fn a_library_with_the_right_digest_hashes() {
    let directory = tempfile::tempdir().unwrap();
    let path = library(directory.path(), "sound");
    let scratch = directory.path().join("scratch");
    let table = load(&path, "turned-over", &scratch).unwrap();
    assert_eq!(unpadded(&table.backend), "plain");
    let (input, mut digest) = ([0xf0_u8; 40], [0_u8; 32]);
    assert_eq!((table.digest_many)(input.as_ptr(), 40, 1, digest.as_mut_ptr()), 0);
    assert_eq!(digest, [0x0f; 32]);
    assert_eq!(fs::read_dir(&scratch).unwrap().count(), 0, "the private copy is gone");
    // What lies at the path no longer matters.
    fs::remove_file(&path).unwrap();
    assert_eq!((table.supported)(), 1);
}

#[test]
fn a_library_that_was_exchanged_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = library(directory.path(), "sound");
    let digest = Hash256([1; 32]);
    let algorithm = "turned-over".to_owned();
    let source = KernelSource { path, digest, algorithm, scratch: directory.path().to_owned() };
    assert!(matches!(load_kernel(&source), Err(KernelError::Digest { .. })));
}

#[test]
fn a_kernel_for_another_algorithm_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let error = load(&library(directory.path(), "sound"), "sha256d", directory.path()).unwrap_err();
    assert_eq!(error.to_string(), "it computes turned-over, not sha256d");
}

#[test]
fn libraries_that_break_the_abi_are_refused() {
    check("other_abi", |error| matches!(error, KernelError::Abi { found: 2 }));
    check("other_size", |error| matches!(error, KernelError::Size { found: 8, .. }));
    check("null_table", |error| matches!(error, KernelError::Table));
    check("null_search", |error| matches!(error, KernelError::Table));
    check("no_symbol", |error| matches!(error, KernelError::Symbol { .. }));
    check("unsupported", |error| matches!(error, KernelError::Unsupported { .. }));
}

#[test]
fn a_file_that_is_no_library_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("text.so");
    fs::write(&path, "not a library").unwrap();
    assert!(matches!(load(&path, "sha256d", directory.path()), Err(KernelError::Open { .. })));
}
