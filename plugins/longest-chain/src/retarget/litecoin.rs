//! `litecoin`: Bitcoin's rule without its off-by-one: the span at a height h starts at t(h−1−interval), a full interval of gaps before
//! the parent. The first time that block would lie below the genesis, so the genesis is taken.

use super::bitcoin::Bitcoin;
use super::{Missing, Next, Rule};
use adit_plugin_sdk::{ConfigError, Height, Target, Timestamp};
use schemars::JsonSchema;
use serde::Deserialize;

/// As `bitcoin`, the time measured from one block earlier.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Litecoin(pub Bitcoin);

impl Rule for Litecoin {
    fn check(&self, path: &str) -> Result<(), ConfigError> {
        self.0.check(path)
    }

    fn limit(&self) -> Target {
        self.0.limit()
    }

    fn bits(&self, next: &Next<'_>) -> Result<u32, Missing> {
        self.0.bits_with(next, |boundary| Height(boundary.0.saturating_sub(1 + u64::from(self.0.interval))))
    }

    fn admits(&self, next: &Next<'_>, time: Timestamp, stated: u32) -> bool {
        self.0.admits(next, time, stated)
    }

    fn notes(&self, next: &Next<'_>, computed: Result<u32, Missing>, stated: u32) -> Vec<u8> {
        self.0.notes(next, computed, stated)
    }
}
