//! PPLNS: a block's reward is divided over the newest shares, as many as a set multiple of a block's work, whatever round they were in.
//!
//! | | |
//! |---|---|
//! | what a share of difficulty d earns from a block | R · d / X, over the newest shares whose difficulties add up to X = N · D; R is the reward after fees, D the block's difficulty |
//! | N | `multiplier-thousandths` / 1000: 2 without it |
//! | the edge of the window | the oldest share is cut to fit, so that the window is X exactly |
//! | a window that is not full | R is divided by what is there: a young pool's first blocks go to its miners whole, and its first shares earn more than later ones |
//! | who carries the variance | the miners: a share earns from every block found while it is in the window, from none to several |
//! | hopping | gains nothing once the window is full: what a share will earn depends on the blocks after it, never on the ones before |
//! | rounding | by largest remainders: the credits add up to R, to the atom |
//!
//! Source: M. Rosenfeld, "Analysis of Bitcoin Pooled Mining Reward Systems", arXiv:1112.4980, section 3.3 (the unit-PPLNS, in difficulty instead of shares).

use adit_plugin_sdk::schemars::JsonSchema;
use adit_plugin_sdk::{ConfigError, PayoutPlan, PayoutScheme, Pays, Window};
use serde::{Deserialize, Serialize};

/// The widest window, in thousandths of a block's work.
const MULTIPLIER_MAX: u64 = 100_000;

/// What a `chain.toml` may say under `[payout.config]`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Config {
    /// How much work the window holds, in thousandths of a block's: a wider one evens luck out and pays a newcomer later.
    #[schemars(range(min = 1, max = 100_000))]
    pub multiplier_thousandths: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { multiplier_thousandths: 2_000 }
    }
}

/// The scheme, configured.
#[derive(Debug, Clone, Copy)]
pub struct Pplns {
    thousandths: u64,
}

impl PayoutScheme for Pplns {
    const NAME: &'static str = "pplns";
    const SUMMARY: &'static str = "PPLNS: divides each block over the newest shares, N blocks' worth. Miners carry the variance; hopping gains nothing.";
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigError> {
        let thousandths = config.multiplier_thousandths;
        match (1..=MULTIPLIER_MAX).contains(&thousandths) {
            true => Ok(Self { thousandths }),
            false => {
                let detail = format!("{thousandths} is not between 1 and {MULTIPLIER_MAX}");
                Err(ConfigError::new("multiplier-thousandths", detail))
            }
        }
    }

    fn plan(&self) -> PayoutPlan {
        let window = Window::LastWork { thousandths: self.thousandths };
        PayoutPlan { pays: Pays::Blocks, window, weighs: false }
    }
}

adit_plugin_sdk::export_payout!(Pplns);
