//! The hash algorithm `__NAME__`: double SHA-256 of a salt and the input.
//!
//! A place to begin: replace `digest`, and write known answers into `vectors.json`.

use adit_plugin_sdk::schemars::JsonSchema;
use adit_plugin_sdk::serde::{Deserialize, Serialize};
use adit_plugin_sdk::{ConfigError, Hash256, HashAlgorithm, export_hash, sha256d};

/// What a `chain.toml` may say under `[hash.config]`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(crate = "adit_plugin_sdk::serde")]
#[schemars(crate = "adit_plugin_sdk::schemars")]
pub struct Config {
    /// Stands in front of every input. Chains with different salts share no work. At most 64 bytes.
    #[serde(default)]
    pub salt: String,
}

/// The algorithm, configured.
pub struct __TYPE__ {
    salt: Vec<u8>,
}

impl HashAlgorithm for __TYPE__ {
    const NAME: &'static str = "__NAME__";
    const SUMMARY: &'static str = "Double SHA-256 of a salt and the input.";
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigError> {
        match config.salt.len() {
            0..=64 => Ok(Self { salt: config.salt.into_bytes() }),
            length => Err(ConfigError::new("salt", format!("{length} bytes, at most 64 are allowed"))),
        }
    }

    fn digest(&self, input: &[u8]) -> Hash256 {
        Hash256(sha256d(&[self.salt.as_slice(), input].concat()))
    }
}

export_hash!(__TYPE__);
