//! A plugin's configuration.

/// What is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The key as a path: `retarget.interval`.
    pub key: String,
    /// What was found and what would be right.
    pub detail: String,
}

impl ConfigError {
    /// Names a key and what is wrong with it.
    pub fn new(key: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { key: key.into(), detail: detail.into() }
    }
}
