//! The share rules that pools of the field agree on, and nothing besides.
//!
//! A share's first fault is named, in this order: stale (its job's block is no longer the newest, for longer than `grace-ms`), time (not within
//! 0 to 7,000 seconds of its job's), version (bits that may not be rolled), duplicate, low difficulty. A share without one is accepted, whoever
//! sent it. One accepted share in `audit-one-in` of each worker is hashed again in the sandbox, which shows a native kernel that errs.
//!
//! Difficulty follows [`adit_plugin_sdk::common::pace`], where its speed and its noise are stated.

use adit_plugin_sdk::common::{Pace, check_grace, judge_facts};
use adit_plugin_sdk::schemars::JsonSchema;
use adit_plugin_sdk::{Claim, ConfigError, Judgement, ShareDifficulty, ShareValidator, ShareVerdict, WorkHistory};
use serde::{Deserialize, Serialize};

/// What a `chain.toml` may say under `[shares.config]`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Config {
    /// How many milliseconds a share may be late for its block and still count.
    #[schemars(range(max = 60_000))]
    pub grace_ms: u64,
    /// How many shares a minute a worker should send.
    #[schemars(range(min = 1, max = 600))]
    pub shares_per_minute: u32,
    /// One in so many accepted shares of a worker is hashed again in the sandbox; 0 for none.
    pub audit_one_in: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { grace_ms: 0, shares_per_minute: 20, audit_one_in: 256 }
    }
}

/// The validator, configured.
#[derive(Debug, Clone, Copy)]
pub struct Standard {
    grace_ms: u64,
    audit_one_in: u64,
    pace: Pace,
}

impl ShareValidator for Standard {
    const NAME: &'static str = "standard";
    const SUMMARY: &'static str =
        "Takes every share that the usual rules of pools allow; difficulty follows the hash rate.";
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigError> {
        check_grace(config.grace_ms)?;
        let pace = Pace::from_shares_per_minute(config.shares_per_minute, "shares-per-minute")?;
        Ok(Self { grace_ms: config.grace_ms, audit_one_in: config.audit_one_in, pace })
    }

    fn judge(&self, claim: &Claim) -> Judgement {
        let verdict = judge_facts(claim, self.grace_ms);
        let is_turn = self.audit_one_in > 0 && claim.record.valid.is_multiple_of(self.audit_one_in);
        Judgement { verdict, audit: verdict == ShareVerdict::Accept && is_turn }
    }

    fn retarget(&self, history: &WorkHistory) -> ShareDifficulty {
        self.pace.difficulty(history)
    }
}

adit_plugin_sdk::export_shares!(Standard);
