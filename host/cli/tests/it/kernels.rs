//! Native kernels from shared libraries: used while they agree with the sandbox, and no longer.

use crate::adit::{Place, wait_for_length};
use std::path::{Path, PathBuf};

/// A library that cargo has built beside the binary.
fn library(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_BIN_EXE_adit")).parent().unwrap();
    let file = format!("{}{name}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let path = folder.join(&file);
    let path = if path.is_file() { path } else { folder.join("deps").join(&file) };
    assert!(path.is_file(), "{} is not built: run `cargo test --workspace`", path.display());
    path
}

fn chain_with_kernel(place: &Place, name: &str, library: &Path) {
    let digest = blake3::hash(&std::fs::read(library).unwrap());
    let kernel =
        format!("[miner]\nnative = {{ file = \"{}\", digest = \"blake3:{}\" }}\n", library.display(), digest.to_hex());
    place.fast_chain(name, &kernel);
}

#[test]
fn a_kernel_from_a_library_mines() {
    let place = Place::new();
    chain_with_kernel(&place, "native", &library("adit_example_native_kernel"));
    let mut node = place.start(&["up", "native.toml"]);
    let url = node.url();
    wait_for_length(&url, 3);
}

#[test]
fn a_wrong_kernel_is_reported_and_mining_goes_on() {
    let place = Place::new();
    chain_with_kernel(&place, "wrong", &library("adit_wrong_kernel"));
    let mut node = place.start(&["up", "wrong.toml"]);
    let said = node.wait_for("report of the wrong kernel", |entry| {
        let message = entry["fields"]["message"].as_str()?;
        message.contains("kernel").then(|| message.to_owned()).filter(|message| message.contains("not"))
    });
    assert!(said.contains("not equal") || said.contains("dropped"), "{said}");
    let url = node.url();
    wait_for_length(&url, 3);
}

#[test]
fn a_library_with_another_digest_is_not_loaded() {
    let place = Place::new();
    let library = library("adit_example_native_kernel");
    let kernel =
        format!("[miner]\nnative = {{ file = \"{}\", digest = \"blake3:{}\" }}\n", library.display(), "00".repeat(32));
    place.fast_chain("other", &kernel);
    let said = place.fail(&["up", "other.toml"]);
    assert!(said.contains("digest"), "{said}");
}
