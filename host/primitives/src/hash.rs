//! 32-byte hashes and the ids made of them.

use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

/// A 32-byte hash in the byte order in which the hash function wrote it.
///
/// Text shows plain hex of these bytes; [`BlockId`] and [`TxId`] show them reversed, as Bitcoin and its descendants do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hash256(pub [u8; 32]);

/// The id of a block: the consensus plugin computes it from the header.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BlockId(pub [u8; 32]);

/// The id of a transaction: double SHA-256 of its bytes without signatures.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TxId(pub [u8; 32]);

/// Returns SHA-256 of SHA-256 of `input`.
pub fn sha256d(input: &[u8]) -> [u8; 32] {
    Sha256::digest(Sha256::digest(input)).into()
}

/// Why a text is not a 32-byte hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HashTextError {
    #[error("a hash has 64 hexadecimal digits, this text has {digits} characters")]
    Length { digits: usize },
    #[error("{found:?} is not a hexadecimal digit")]
    Digit { found: char },
}

fn parse_hex(text: &str) -> Result<[u8; 32], HashTextError> {
    let digits = text.chars().count();
    if digits != 64 {
        return Err(HashTextError::Length { digits });
    }
    let mut out = [0u8; 32];
    for (index, found) in text.chars().enumerate() {
        let digit = found.to_digit(16).ok_or(HashTextError::Digit { found })?;
        out[index / 2] = out[index / 2] << 4 | digit.to_le_bytes()[0];
    }
    Ok(out)
}

fn write_hex<'a>(f: &mut fmt::Formatter<'_>, bytes: impl Iterator<Item = &'a u8>) -> fmt::Result {
    bytes.into_iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

impl fmt::Display for Hash256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, self.0.iter())
    }
}

impl fmt::Debug for Hash256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash256 {
    type Err = HashTextError;
    fn from_str(text: &str) -> Result<Self, HashTextError> {
        parse_hex(text).map(Self)
    }
}

macro_rules! reversed_text {
    ($id:ident) => {
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(f, self.0.iter().rev())
            }
        }

        impl fmt::Debug for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $id {
            type Err = HashTextError;
            fn from_str(text: &str) -> Result<Self, HashTextError> {
                let mut bytes = parse_hex(text)?;
                bytes.reverse();
                Ok(Self(bytes))
            }
        }
    };
}
reversed_text!(BlockId);
reversed_text!(TxId);
