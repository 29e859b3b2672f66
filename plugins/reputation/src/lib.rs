//! The usual share rules, with a worker's record in the scales: it sets how often a share is hashed again, and only an overwhelming one
//! refuses a share that is good by itself.
//!
//! A share's first fault is named in the order of the validator `standard`. Proof of work is never skipped: the host has hashed every share
//! before it is judged, whatever the record.
//!
//! # The record
//! Of n shares, i were invalid. With every rate of invalid shares alike before the first, the rate is distributed as Beta(i + 1, n − i + 1).
//!
//! | | |
//! |---|---|
//! | how often | an accepted share is audited where n is a multiple of ⌊(n + 2) / (i + 1)⌋, the inverse of the posterior's mean, `audit-one-in` at most: half of a newcomer's, and of n good ones about ln n |
//! | refusal | where P(rate ≤ `bad-percent`) < 2^−`certainty-bits`: by Chernoff's bound on the Beta's tail, (n + 1) · KL((i + 1) / (n + 1) ‖ bad) > `certainty-bits` |
//!
//! Under the defaults that takes 40 invalid shares and no good one; with a fifth of good ones about 150. The record is the host's, and is forgotten when a
//! worker has been away: then it begins anew.
//!
//! Difficulty follows [`adit_plugin_sdk::common::pace`], where its speed and its noise are stated.
//!
//! Reading order: [`Reputation`] here, [`record`] computes.

pub mod record;

use adit_plugin_sdk::common::{Pace, check_grace, judge_facts};
use adit_plugin_sdk::schemars::JsonSchema;
use adit_plugin_sdk::{Claim, ConfigError, Judgement, ShareDifficulty, ShareValidator, ShareVerdict, WorkHistory};
use record::{audit_period, certainty_bits};
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
    /// The rarest audit: one in so many accepted shares of the best worker is hashed again in the sandbox.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub audit_one_in: u64,
    /// From what percentage of invalid shares on a worker is bad.
    #[schemars(range(min = 1, max = 99))]
    pub bad_percent: u32,
    /// How sure that must be before a good share is refused: the base-two logarithm of the odds.
    #[schemars(range(min = 10, max = 1_000))]
    pub certainty_bits: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { grace_ms: 0, shares_per_minute: 20, audit_one_in: 1_024, bad_percent: 50, certainty_bits: 40 }
    }
}

/// The validator, configured.
#[derive(Debug, Clone)]
pub struct Reputation {
    config: Config,
    pace: Pace,
}

impl ShareValidator for Reputation {
    const NAME: &'static str = "reputation";
    const SUMMARY: &'static str = "The usual rules of pools; a worker's record sets how often its shares are hashed again, and refuses the worst.";
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigError> {
        check_grace(config.grace_ms)?;
        let pace = Pace::from_shares_per_minute(config.shares_per_minute, "shares-per-minute")?;
        let within = |key: &str, value: u64, min: u64, max: u64| match (min..=max).contains(&value) {
            true => Ok(()),
            false => Err(ConfigError::new(key, format!("{value} is not between {min} and {max}"))),
        };
        within("audit-one-in", config.audit_one_in, 1, 1_000_000)?;
        within("bad-percent", config.bad_percent.into(), 1, 99)?;
        within("certainty-bits", config.certainty_bits.into(), 10, 1_000)?;
        Ok(Self { config, pace })
    }

    fn judge(&self, claim: &Claim) -> Judgement {
        let verdict = match judge_facts(claim, self.config.grace_ms) {
            ShareVerdict::Accept if self.is_bad(claim) => ShareVerdict::Policy,
            verdict => verdict,
        };
        let shares = claim.record.valid.saturating_add(claim.record.invalid);
        let is_turn = shares.is_multiple_of(audit_period(&claim.record).min(self.config.audit_one_in));
        Judgement { verdict, audit: verdict == ShareVerdict::Accept && is_turn }
    }

    fn retarget(&self, history: &WorkHistory) -> ShareDifficulty {
        self.pace.difficulty(history)
    }
}

impl Reputation {
    fn is_bad(&self, claim: &Claim) -> bool {
        certainty_bits(&claim.record, self.config.bad_percent) > u64::from(self.config.certainty_bits)
    }
}

adit_plugin_sdk::export_shares!(Reputation);
