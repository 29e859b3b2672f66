//! PROP: a block's reward is divided over all shares since the pool's last block.
//!
//! | | |
//! |---|---|
//! | what a share of difficulty d earns | R · d / Σd, over the shares since the pool's last block; R is the reward after fees |
//! | who carries the variance | the miners: a round without luck pays a share little, and the pool never owes what it did not find |
//! | rounding | by largest remainders: the credits add up to R, to the atom |
//! | weakness | a share is worth most right after a block: who leaves a pool whose round grows long earns more than who stays (pool hopping) |
//!
//! Source: M. Rosenfeld, "Analysis of Bitcoin Pooled Mining Reward Systems", arXiv:1112.4980, section 2.1.

use adit_plugin_sdk::{ConfigError, NoConfig, PayoutPlan, PayoutScheme, Pays, Window};

/// The scheme.
#[derive(Debug, Clone, Copy)]
pub struct Proportional;

impl PayoutScheme for Proportional {
    const NAME: &'static str = "proportional";
    const SUMMARY: &'static str = "PROP: divides each block over the shares since the pool's last block. Miners carry the variance; it can be hopped.";
    type Config = NoConfig;

    fn new(NoConfig {}: NoConfig) -> Result<Self, ConfigError> {
        Ok(Self)
    }

    fn plan(&self) -> PayoutPlan {
        PayoutPlan { pays: Pays::Blocks, window: Window::SinceBlock, weighs: false }
    }
}

adit_plugin_sdk::export_payout!(Proportional);
