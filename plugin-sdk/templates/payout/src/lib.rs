//! The payout scheme `__NAME__`: the finder of a block gets a bonus, and the shares since the block before divide the rest.
//!
//! A place to begin: replace `plan` and `split`, and write known answers into `vectors.json`.

use adit_plugin_sdk::common::proportional;
use adit_plugin_sdk::schemars::JsonSchema;
use adit_plugin_sdk::serde::{Deserialize, Serialize};
use adit_plugin_sdk::{ConfigError, Credit, FoundBlock, PayoutPlan, PayoutScheme, Pays, Weight, Window, export_payout};

/// What a `chain.toml` may say under `[payout.config]`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(crate = "adit_plugin_sdk::serde", rename_all = "kebab-case", default)]
#[schemars(crate = "adit_plugin_sdk::schemars")]
pub struct Config {
    /// What the finder of a block gets before the rest is divided, in percent.
    #[schemars(range(max = 100))]
    pub bonus_percent: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { bonus_percent: 5 }
    }
}

/// The scheme, configured.
pub struct __TYPE__ {
    bonus_percent: u64,
}

impl PayoutScheme for __TYPE__ {
    const NAME: &'static str = "__NAME__";
    const SUMMARY: &'static str = "A bonus for the finder, the rest in proportion. Miners carry the variance.";
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigError> {
        match config.bonus_percent {
            0..=100 => Ok(Self { bonus_percent: config.bonus_percent }),
            percent => Err(ConfigError::new("bonus-percent", format!("{percent}, at most 100 are allowed"))),
        }
    }

    fn plan(&self) -> PayoutPlan {
        PayoutPlan { pays: Pays::Blocks, window: Window::SinceBlock, weighs: false }
    }

    fn split(&self, block: &FoundBlock, weights: &[Weight]) -> Vec<Credit> {
        let bonus = block.distributable / 100 * self.bonus_percent;
        let mut credits = proportional(block.distributable - bonus, weights);
        // An account stands in an answer once.
        match credits.iter_mut().find(|credit| credit.account == block.finder) {
            Some(credit) => credit.atoms += bonus,
            None => credits.push(Credit { account: block.finder, atoms: bonus }),
        }
        credits
    }
}

export_payout!(__TYPE__);
