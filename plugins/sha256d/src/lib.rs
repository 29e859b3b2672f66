//! Double SHA-256, the hash of Bitcoin and its descendants.

use adit_plugin_sdk::{ConfigError, Hash256, HashAlgorithm, NoConfig};

/// The algorithm.
#[derive(Debug, Clone, Copy)]
pub struct Sha256d;

impl HashAlgorithm for Sha256d {
    const NAME: &'static str = "sha256d";
    const SUMMARY: &'static str = "Double SHA-256, as Bitcoin hashes its headers.";
    type Config = NoConfig;

    fn new(NoConfig {}: NoConfig) -> Result<Self, ConfigError> {
        Ok(Self)
    }

    fn digest(&self, input: &[u8]) -> Hash256 {
        Hash256(adit_plugin_sdk::sha256d(input))
    }
}

adit_plugin_sdk::export_hash!(Sha256d);
