//! The same sources are the same bytes, wherever they lie.

use crate::build;
use std::fs;
use std::path::Path;

#[test]
fn two_folders_give_the_same_component_slow() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap();
    let elsewhere = tempfile::Builder::new().prefix("a-folder-with-a-much-longer-name-").tempdir().unwrap();
    copy(&workspace, elsewhere.path());
    let here = build(&workspace.join("plugins/sha256d"), "here");
    let there = build(&elsewhere.path().join("plugins/sha256d"), "there");
    assert_eq!(here.digest, there.digest);
}

#[test]
fn a_component_names_no_folder_of_this_machine_slow() {
    let component = build(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/sha256d"), "here");
    let text = String::from_utf8_lossy(&component.bytes);
    for folder in [env!("CARGO_MANIFEST_DIR"), env!("CARGO_TARGET_TMPDIR"), &std::env::var("HOME").unwrap()] {
        assert!(!text.contains(&format!("{folder}/")), "the component holds {folder}");
    }
}

/// Copies sources, not what was built from them.
fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        let (from, to) = (entry.path(), to.join(&name));
        match entry.file_type().unwrap() {
            kind if kind.is_dir() && name != "target" && name != ".git" => {
                fs::create_dir(&to).unwrap();
                copy(&from, &to);
            }
            kind if kind.is_file() => _ = fs::copy(&from, &to).unwrap(),
            _ => {}
        }
    }
}
