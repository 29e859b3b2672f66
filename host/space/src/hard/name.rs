//! What the name of a hard plot says.

pub use adit_primitives::space::account;
use adit_primitives::space::{NONCE_BYTES, SCOOP_BYTES};
use std::fmt;
use std::str::FromStr;

/// Nonces are made in groups of so many, whatever the machine: so wide are the lanes of the widest.
pub const GROUP: usize = 16;

/// So many groups fill whole sectors of each scoop.
pub const STEP_GROUPS: usize = 4;

/// A plot's nonces are a multiple of this: then each scoop of it begins at a sector, and is read past the cache.
pub const NONCES_STEP: u64 = (STEP_GROUPS * GROUP) as u64;

/// The most nonces of a plot: an exbibyte.
pub const NONCES_MAX: u64 = 1 << 42;

/// Which nonces a plot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Name {
    /// Whose they are: see [`account()`].
    pub account: u64,
    /// The number of the first.
    pub start: u64,
    pub nonces: u64,
}

impl Name {
    /// Returns the length of the file.
    pub fn bytes(&self) -> u64 {
        self.nonces * NONCE_BYTES as u64
    }

    /// Returns where a nonce's part of a scoop stands, the nonce counted from the plot's first.
    pub fn at(&self, scoop: u64, nonce: u64) -> u64 {
        (scoop * self.nonces + nonce) * SCOOP_BYTES as u64
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}_{}", self.account, self.start, self.nonces)
    }
}

/// A file's name is none of a hard plot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name of a hard plot is account_start_nonces")]
pub struct NameError;

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let mut parts = text.split('_');
        let mut number = || {
            let part = parts.next().filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
            // A number has one writing.
            part.filter(|part| *part == "0" || !part.starts_with('0'))
                .and_then(|part| part.parse::<u64>().ok())
                .ok_or(NameError)
        };
        let name = Self { account: number()?, start: number()?, nonces: number()? };
        let possible = (1..=NONCES_MAX).contains(&name.nonces) && name.start.checked_add(name.nonces).is_some();
        if possible && parts.next().is_none() { Ok(name) } else { Err(NameError) }
    }
}
