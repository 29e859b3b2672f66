//! Recorded data of real chains: read from a folder beside the repository, never copied into it.

use flate2::read::GzDecoder;
use std::io::Read;
use std::path::PathBuf;

/// Returns the folder: `$ADIT_DATA`, or `../shared/data` beside the repository.
pub fn folder() -> PathBuf {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data");
    std::env::var_os("ADIT_DATA").map_or_else(|| PathBuf::from(beside), PathBuf::from)
}

/// Reads a file of the folder. Where it is missing, says that the test did not run and returns `None`.
///
/// # Panics
/// Where the file is missing and `CI` is `true`, and where it cannot be read.
pub fn bytes(name: &str) -> Option<Vec<u8>> {
    let path = folder().join(name);
    if !path.exists() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "recorded data is missing: {}", path.display());
        eprintln!("NOT RUN: recorded data is missing: {} (set ADIT_DATA)", path.display());
        return None;
    }
    Some(std::fs::read(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display())))
}

/// Reads a text file of the folder, as [`bytes()`] does.
pub fn text(name: &str) -> Option<String> {
    bytes(name).map(|bytes| String::from_utf8(bytes).expect("recorded text is UTF-8"))
}

/// Reads a text file that gzip has packed, as [`bytes()`] does.
pub fn unpacked(name: &str) -> Option<String> {
    let packed = bytes(name)?;
    let mut text = String::new();
    GzDecoder::new(packed.as_slice()).read_to_string(&mut text).expect("a packed text");
    Some(text)
}

/// Reads pairs of hexadecimal digits.
///
/// # Panics
/// On anything else: recorded data was checked before it was put there.
pub fn from_hex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).expect("a hexadecimal digit");
    let pairs = text.trim().as_bytes().chunks(2);
    pairs.map(|pair| u8::try_from(digit(pair[0]) * 16 + digit(pair[1])).expect("two digits are a byte")).collect()
}
