//! `adit replay` on recorded headers of real chains.

use crate::adit::Place;
use std::path::{Path, PathBuf};

/// The recorded data, or `None` after saying that the test did not run.
fn data(file: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("ADIT_DATA").map_or(beside, PathBuf::from);
    let path = folder.join(file);
    if path.is_file() {
        return Some(path.canonicalize().unwrap());
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{} is missing", path.display());
    println!("did not run: {} is missing", path.display());
    None
}

fn chain(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name).join("chain.toml");
    path.canonicalize().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn bitcoins_first_headers_are_valid() {
    let Some(headers) = data("bitcoin/mainnet-0-2016.bin") else { return };
    let said = Place::new().succeed(&["replay", &chain("bitcoin"), headers.to_str().unwrap()]);
    assert!(said.contains("valid: 2017 headers, heights 0 to 2016"), "{said}");
}

#[test]
fn a_run_in_the_middle_says_at_which_height_it_starts() {
    let Some(headers) = data("bitcoin/mainnet-40000-49999.bin") else { return };
    let said = Place::new().succeed(&["replay", &chain("bitcoin"), headers.to_str().unwrap(), "--height", "40000"]);
    assert!(said.contains("the run starts at height 40000"), "{said}");
    assert!(said.contains("valid: 10000 headers, heights 40000 to 49999"), "{said}");
}

#[test]
fn a_flipped_bit_is_refused_with_height_and_rule() {
    let Some(headers) = data("bitcoin/mainnet-0-2016.bin") else { return };
    let place = Place::new();
    let mut bytes = std::fs::read(headers).unwrap();
    bytes[80 * 1000 + 70] ^= 1;
    let path = place.path("flipped.bin");
    std::fs::write(&path, bytes).unwrap();
    let said = place.fail(&["replay", &chain("bitcoin"), "flipped.bin"]);
    assert!(said.contains("the header at height 1000 breaks the rule `proof-of-work`"), "{said}");
}

#[test]
fn litecoins_regtest_headers_are_valid_by_scrypt() {
    let Some(headers) = data("litecoin/litecoind_regtest_headers.csv") else { return };
    let said = Place::new().succeed(&["replay", &chain("litecoin-regtest"), headers.to_str().unwrap()]);
    assert!(said.contains("valid: 469 headers"), "{said}");
}

#[test]
fn a_file_that_holds_no_headers_is_refused() {
    let place = Place::new();
    place.write("few.bin", "123");
    let said = place.fail(&["replay", &chain("bitcoin"), "few.bin"]);
    assert!(said.contains("no whole number of headers of 80 bytes"), "{said}");
}
