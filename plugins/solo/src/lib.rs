//! SOLO: a block's reward is its finder's. The pool gives work and submits blocks, and shares only show who is there.
//!
//! | | |
//! |---|---|
//! | what a block earns | R for its finder; R is the reward after fees |
//! | what a share earns | nothing |
//! | who carries the variance | each miner alone, all of it |
//!
//! Source: as `ckpool` does in its solo mode.

use adit_plugin_sdk::{ConfigError, Credit, FoundBlock, NoConfig, PayoutPlan, PayoutScheme, Pays, Weight, Window};

/// The scheme.
#[derive(Debug, Clone, Copy)]
pub struct Solo;

impl PayoutScheme for Solo {
    const NAME: &'static str = "solo";
    const SUMMARY: &'static str = "SOLO: gives each block to its finder. Each miner carries its own variance.";
    type Config = NoConfig;

    fn new(NoConfig {}: NoConfig) -> Result<Self, ConfigError> {
        Ok(Self)
    }

    fn plan(&self) -> PayoutPlan {
        PayoutPlan { pays: Pays::Blocks, window: Window::None, weighs: false }
    }

    fn split(&self, block: &FoundBlock, _: &[Weight]) -> Vec<Credit> {
        vec![Credit { account: block.finder, atoms: block.distributable }]
    }
}

adit_plugin_sdk::export_payout!(Solo);
