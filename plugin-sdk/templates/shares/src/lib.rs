//! The share validator `__NAME__`: the usual rules, and nothing from workers that send more bad shares than good ones.
//!
//! A place to begin: replace `judge`, and write known answers into `vectors.json`.

use adit_plugin_sdk::common::{Pace, judge_facts};
use adit_plugin_sdk::schemars::JsonSchema;
use adit_plugin_sdk::serde::{Deserialize, Serialize};
use adit_plugin_sdk::{
    Claim, ConfigError, Judgement, ShareDifficulty, ShareValidator, ShareVerdict, WorkHistory, export_shares,
};

/// What a `chain.toml` may say under `[shares.config]`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(crate = "adit_plugin_sdk::serde", rename_all = "kebab-case", default)]
#[schemars(crate = "adit_plugin_sdk::schemars")]
pub struct Config {
    /// How many shares a minute a worker should send.
    #[schemars(range(min = 1, max = 600))]
    pub shares_per_minute: u32,
    /// How many shares a worker may send before its record counts.
    pub patience: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { shares_per_minute: 20, patience: 100 }
    }
}

/// The validator, configured.
pub struct __TYPE__ {
    pace: Pace,
    patience: u64,
}

impl ShareValidator for __TYPE__ {
    const NAME: &'static str = "__NAME__";
    const SUMMARY: &'static str = "The usual rules, and nothing from workers that send more bad shares than good ones.";
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigError> {
        let pace = Pace::from_shares_per_minute(config.shares_per_minute, "shares-per-minute")?;
        Ok(Self { pace, patience: config.patience })
    }

    fn judge(&self, claim: &Claim) -> Judgement {
        let record = &claim.record;
        let is_bad = record.invalid > record.valid && record.invalid > self.patience;
        let verdict = match judge_facts(claim, 0) {
            ShareVerdict::Accept if is_bad => ShareVerdict::Policy,
            verdict => verdict,
        };
        // One share in 100 is hashed again in the sandbox.
        Judgement { verdict, audit: verdict == ShareVerdict::Accept && record.valid.is_multiple_of(100) }
    }

    fn retarget(&self, history: &WorkHistory) -> ShareDifficulty {
        self.pace.difficulty(history)
    }
}

export_shares!(__TYPE__);
