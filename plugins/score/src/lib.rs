//! SCORE: a block's reward is divided over the shares since the pool's last block, the younger the more.
//!
//! | | |
//! |---|---|
//! | what a share of difficulty d and age t weighs | w = d · e^(−t / T), in whole hashes, rounded down; t runs to the block, T is `decay-seconds` |
//! | what it earns | R · w / Σw, over the shares since the pool's last block; R is the reward after fees |
//! | who carries the variance | the miners, more of it than under PROP: a miner who stops before the block earns little or nothing |
//! | hopping | gains little: long rounds weigh what they weigh in their last few T, so a share's worth soon stops depending on the round's length |
//! | rounding | by largest remainders: the credits add up to R, to the atom |
//!
//! The power is computed in integers ([`adit_plugin_sdk::common::fixed::decayed`]): the same on every machine, exact to about 2^−31 of the weight before rounding.
//!
//! Source: M. Rosenfeld, "Analysis of Bitcoin Pooled Mining Reward Systems", arXiv:1112.4980, section 3.1 (the method of the pool Slush, whose
//! score e^(s / T) of the time s is this weight times the same factor for every share).

use adit_plugin_sdk::common::fixed::decayed;
use adit_plugin_sdk::schemars::JsonSchema;
use adit_plugin_sdk::{ConfigError, PayoutPlan, PayoutScheme, Pays, ShareToWeigh, Window};
use serde::{Deserialize, Serialize};

/// The longest decay, in seconds.
const DECAY_MAX: u64 = 31_536_000;

/// What a `chain.toml` may say under `[payout.config]`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Config {
    /// In how many seconds a share's weight falls to 1/e, about 37 %. Much less than the pool takes for a block.
    #[schemars(range(min = 1, max = 31_536_000))]
    pub decay_seconds: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { decay_seconds: 1_200 }
    }
}

/// The scheme, configured.
#[derive(Debug, Clone, Copy)]
pub struct Score {
    decay_ms: u64,
}

impl PayoutScheme for Score {
    const NAME: &'static str = "score";
    const SUMMARY: &'static str = "SCORE: divides each block over the shares since the last one, younger ones weighing more. Miners carry the variance.";
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigError> {
        let seconds = config.decay_seconds;
        match (1..=DECAY_MAX).contains(&seconds) {
            true => Ok(Self { decay_ms: seconds * 1_000 }),
            false => Err(ConfigError::new("decay-seconds", format!("{seconds} is not between 1 and {DECAY_MAX}"))),
        }
    }

    fn plan(&self) -> PayoutPlan {
        PayoutPlan { pays: Pays::Blocks, window: Window::SinceBlock, weighs: true }
    }

    fn weigh(&self, share: &ShareToWeigh) -> u64 {
        decayed(share.work, share.age_ms, self.decay_ms)
    }
}

adit_plugin_sdk::export_payout!(Score);
