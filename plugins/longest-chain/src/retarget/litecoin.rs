//! `litecoin`: Bitcoin's rule without its off-by-one: the span at a height h starts at t(h−1−interval), a full interval of gaps before
//! the parent. The first time that block would lie below the genesis, so the genesis is taken.

use super::bitcoin::Bitcoin;
use super::{Missing, Next, Rule, SPACING_SECONDS_MAX};
use adit_plugin_sdk::{ConfigError, Height, Target, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// As `bitcoin`, the time measured from one block earlier.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Litecoin {
    /// After how many blocks the target changes.
    #[serde(default = "interval_default")]
    #[schemars(range(min = 2, max = 1_000_000))]
    pub interval: u32,
    /// The time between blocks that is aimed at, in seconds.
    #[serde(default = "spacing_default")]
    #[schemars(range(min = 1, max = SPACING_SECONDS_MAX))]
    pub spacing_seconds: u32,
    /// The easiest target, in compact form.
    #[serde(default = "limit_default")]
    pub limit_bits: u32,
    /// How long after its parent a block may carry the easiest target, in seconds. Without it, never. For test networks.
    #[schemars(range(min = 1))]
    pub min_difficulty_after_seconds: Option<u32>,
    /// Whether the target changes at all.
    #[serde(default = "enabled_default")]
    pub enabled: bool,
}

fn interval_default() -> u32 {
    2016
}

fn spacing_default() -> u32 {
    150
}

fn limit_default() -> u32 {
    0x1e0f_ffff
}

fn enabled_default() -> bool {
    true
}

impl Rule for Litecoin {
    fn check(&self, path: &str) -> Result<(), ConfigError> {
        self.as_bitcoin().check(path)
    }

    fn limit(&self) -> Target {
        self.as_bitcoin().limit()
    }

    fn bits(&self, next: &Next<'_>) -> Result<u32, Missing> {
        let span_start = |boundary: Height| Height(boundary.0.saturating_sub(1 + u64::from(self.interval)));
        self.as_bitcoin().bits_with(next, span_start)
    }

    fn admits(&self, next: &Next<'_>, time: Timestamp, stated: u32) -> bool {
        self.as_bitcoin().admits(next, time, stated)
    }

    fn notes(&self, next: &Next<'_>, computed: Result<u32, Missing>, stated: u32) -> Vec<u8> {
        self.as_bitcoin().notes(next, computed, stated)
    }
}

impl Litecoin {
    /// The same parameters under Bitcoin's rule, which differs in the start of the span alone.
    fn as_bitcoin(&self) -> Bitcoin {
        let Self { interval, spacing_seconds, limit_bits, min_difficulty_after_seconds, enabled } = *self;
        Bitcoin { interval, spacing_seconds, limit_bits, min_difficulty_after_seconds, enabled }
    }
}
