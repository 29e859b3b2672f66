//! Known answers of a hash algorithm.
//!
//! `vectors.json` in a plugin's folder is a list of `{"input": "<hex>", "digest": "<hex>"}`, each with a `config` table where the
//! algorithm has one. `adit plugin test` reads the same file for the compiled component.

use crate::{Hash256, HashAlgorithm};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// An input and the digest that is right for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vector {
    /// The plugin's configuration as JSON.
    pub config: String,
    pub input: Vec<u8>,
    pub digest: Hash256,
}

/// Why vectors are no proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VectorError {
    /// The file cannot be read.
    File { path: String, detail: String },
    /// The text is no list of vectors.
    Text { detail: String },
    /// A vector's hexadecimal digits do not stand for bytes, or for 32 of them.
    Hex { number: usize, detail: String },
    /// There is nothing to check.
    Empty,
    /// The algorithm refuses a vector's configuration.
    Config { number: usize, key: String, detail: String },
    /// The algorithm's digest is another.
    Digest { number: usize, found: Hash256, want: Hash256 },
    /// The plugin's answer is another.
    Answer { number: usize, found: String, want: String },
    /// The plugin gives no answer.
    Fault { number: usize, detail: String },
}

impl std::fmt::Display for VectorError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File { path, detail } => write!(f, "cannot read {path}: {detail}"),
            Self::Text { detail } => write!(f, "not a list of vectors: {detail}"),
            Self::Hex { number, detail } => write!(f, "vector {number}: {detail}"),
            Self::Empty => write!(f, "there are no vectors"),
            Self::Config { number, key, detail } => write!(f, "vector {number}: configuration: {key}: {detail}"),
            Self::Digest { number, found, want } => write!(f, "vector {number}: digest is {found}, should be {want}"),
            Self::Answer { number, found, want } => {
                write!(f, "vector {number}: the answer is {found}, should be {want}")
            }
            Self::Fault { number, detail } => write!(f, "vector {number}: {detail}"),
        }
    }
}

impl std::error::Error for VectorError {}

/// A vector as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default = "no_config")]
    config: serde_json::Value,
    input: String,
    digest: String,
}

pub(super) fn no_config() -> serde_json::Value {
    serde_json::Value::Object(serde_json::Map::new())
}

/// Reads the text of a `vectors.json`.
pub fn read_vectors(text: &str) -> Result<Vec<Vector>, VectorError> {
    let written: Vec<Written> =
        serde_json::from_str(text).map_err(|error| VectorError::Text { detail: error.to_string() })?;
    let vectors: Result<Vec<Vector>, VectorError> = (1..).zip(written).map(|(number, one)| one.read(number)).collect();
    vectors.and_then(|vectors| if vectors.is_empty() { Err(VectorError::Empty) } else { Ok(vectors) })
}

impl Written {
    fn read(self, number: usize) -> Result<Vector, VectorError> {
        let digest =
            self.digest.parse().map_err(|error| VectorError::Hex { number, detail: format!("digest: {error}") })?;
        Ok(Vector { config: self.config.to_string(), input: bytes(&self.input, number)?, digest })
    }
}

fn bytes(hex: &str, number: usize) -> Result<Vec<u8>, VectorError> {
    let wrong = |detail: &str| VectorError::Hex { number, detail: format!("input: {detail}") };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, []) = hex.as_bytes().as_chunks::<2>() else {
        return Err(wrong("an odd number of hexadecimal digits"));
    };
    let pair = |[high, low]: &[u8; 2]| Some(digit(*high)? << 4 | digit(*low)?);
    pairs.iter().map(pair).collect::<Option<_>>().ok_or_else(|| wrong("a character that is no hexadecimal digit"))
}

/// Checks an algorithm against a file of vectors, one by one and in bulk.
pub fn check_vectors<H: HashAlgorithm>(path: impl AsRef<Path>) -> Result<(), VectorError> {
    let text = read_file(path.as_ref())?;
    (1..).zip(read_vectors(&text)?).try_for_each(|(number, vector)| check_vector::<H>(number, &vector))
}

pub(super) fn read_file(path: &Path) -> Result<String, VectorError> {
    std::fs::read_to_string(path)
        .map_err(|error| VectorError::File { path: path.display().to_string(), detail: error.to_string() })
}

fn check_vector<H: HashAlgorithm>(number: usize, vector: &Vector) -> Result<(), VectorError> {
    let hash = crate::config::parse(&vector.config).and_then(H::new);
    let hash = hash.map_err(|error| VectorError::Config { number, key: error.key, detail: error.detail })?;
    let mut digests = vec![hash.digest(&vector.input)];
    // Three in a row, so that an algorithm that works on several at once meets an end that fills no group.
    hash.digest_many(&vector.input.repeat(3), vector.input.len(), &mut digests);
    let want = vector.digest;
    match digests.into_iter().find(|found| *found != want) {
        Some(found) => Err(VectorError::Digest { number, found, want }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: Result<usize, &str>) {
        let read = read_vectors(text).map(|vectors| vectors.len()).map_err(|error| error.to_string());
        assert_eq!(read, want.map_err(str::to_owned));
    }

    const DIGEST: &str = "00000000000000000000000000000000000000000000000000000000000000ff";

    #[test]
    fn a_vector_may_leave_its_configuration_out() {
        check(&format!(r#"[{{"input":"00ff","digest":"{DIGEST}"}}]"#), Ok(1));
    }

    #[test]
    fn an_odd_number_of_digits_is_refused() {
        let text = format!(r#"[{{"input":"00f","digest":"{DIGEST}"}}]"#);
        check(&text, Err("vector 1: input: an odd number of hexadecimal digits"));
    }

    #[test]
    fn a_short_digest_is_refused() {
        let want = "vector 1: digest: a hash has 64 hexadecimal digits, this text has 2 characters";
        check(r#"[{"input":"","digest":"00"}]"#, Err(want));
    }

    #[test]
    fn no_vectors_prove_nothing() {
        check("[]", Err("there are no vectors"));
    }
}
