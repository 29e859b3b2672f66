//! SHA-256 once, the score of leaves of plain plots.
//!
//! This is the reference that native code is compared with, so it shares no code with it. It keeps nothing between calls.

use adit_plugin_sdk::{ConfigError, Hash256, HashAlgorithm, NoConfig};
use sha2::{Digest, Sha256 as Hasher};

/// The algorithm.
#[derive(Debug, Clone, Copy)]
pub struct Sha256;

impl HashAlgorithm for Sha256 {
    const NAME: &'static str = "sha256";
    const SUMMARY: &'static str = "SHA-256, as plain plots are scored by.";
    type Config = NoConfig;

    fn new(NoConfig {}: NoConfig) -> Result<Self, ConfigError> {
        Ok(Self)
    }

    fn digest(&self, input: &[u8]) -> Hash256 {
        Hash256(Hasher::digest(input).into())
    }
}

adit_plugin_sdk::export_hash!(Sha256);
