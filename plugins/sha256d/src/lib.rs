//! Double SHA-256.

use adit_plugin_sdk::{ConfigError, Hash256, HashAlgorithm, NoConfig, export_hash, sha256d};

/// SHA-256 of SHA-256.
pub struct Sha256d;

impl HashAlgorithm for Sha256d {
    const NAME: &'static str = "sha256d";
    const SUMMARY: &'static str = "Double SHA-256, as Bitcoin uses it.";
    type Config = NoConfig;

    fn new(_config: NoConfig) -> Result<Self, ConfigError> {
        Ok(Self)
    }

    fn digest(&self, input: &[u8]) -> Hash256 {
        Hash256(sha256d(input))
    }
}

export_hash!(Sha256d);
