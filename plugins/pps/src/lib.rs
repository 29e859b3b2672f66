//! PPS: each share is paid at once what it is expected to earn of a block's subsidy, whether or not the pool finds one.
//!
//! | | |
//! |---|---|
//! | what a share of difficulty d earns | d / D · subsidy, less the pool's fees; D is the difficulty of a block |
//! | the fees of a block's payments | are the operator's |
//! | who carries the variance | the operator, all of it: blocks are the operator's and shares are paid all the same. Against ruin it takes a reserve of many blocks, and a fee |
//! | hopping | gains nothing: what a share earns depends on nothing but its difficulty |
//! | rounding | an account is paid whole atoms for the work that it did between two settlements, and less than one atom is left each time |
//!
//! Source: M. Rosenfeld, "Analysis of Bitcoin Pooled Mining Reward Systems", arXiv:1112.4980, section 2.2.

use adit_plugin_sdk::common::expected;
use adit_plugin_sdk::{
    ConfigError, Credit, Economics, FoundBlock, NoConfig, PayoutPlan, PayoutScheme, Pays, Weight, Window,
};

/// The scheme.
#[derive(Debug, Clone, Copy)]
pub struct Pps;

impl PayoutScheme for Pps {
    const NAME: &'static str = "pps";
    const SUMMARY: &'static str = "PPS: pays each share its part of the subsidy at once. The operator carries the variance, and has the payments' fees.";
    type Config = NoConfig;

    fn new(NoConfig {}: NoConfig) -> Result<Self, ConfigError> {
        Ok(Self)
    }

    fn plan(&self) -> PayoutPlan {
        PayoutPlan { pays: Pays::Shares, window: Window::None, weighs: false }
    }

    /// A block is the operator's: its shares were paid before.
    fn split(&self, _: &FoundBlock, _: &[Weight]) -> Vec<Credit> {
        Vec::new()
    }

    fn settle(&self, shares: &[Weight], economics: &Economics) -> Vec<Credit> {
        expected(economics.subsidy, shares, economics.work)
    }
}

adit_plugin_sdk::export_payout!(Pps);
