//! What is written from the sources and committed: `cargo xtask write` writes it anew.

use crate::adit::Place;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

#[test]
fn the_reference_is_what_the_schemas_say() {
    let said = Place::new().succeed(&["chain", "reference"]);
    let committed = std::fs::read_to_string(root().join("docs/chain-toml.md")).unwrap();
    assert!(said == committed, "docs/chain-toml.md is old: run `cargo xtask write`");
}

#[test]
fn every_example_is_a_good_chain() {
    let place = Place::new();
    let mut chains = 0;
    for folder in std::fs::read_dir(root().join("examples")).unwrap() {
        for file in std::fs::read_dir(folder.unwrap().path()).unwrap() {
            let file = file.unwrap().path();
            let is_toml = file.extension().is_some_and(|extension| extension == "toml");
            if is_toml && std::fs::read_to_string(&file).unwrap().contains("[chain]") {
                place.succeed(&["chain", "check", file.to_str().unwrap()]);
                chains += 1;
            }
        }
    }
    assert!(chains > 0);
}
