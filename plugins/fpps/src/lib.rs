//! FPPS: each share is paid at once what it is expected to earn of a whole block, the fees of its payments among it.
//!
//! | | |
//! |---|---|
//! | what a share of difficulty d earns | d / D · (subsidy + F), less the pool's fees; D is the difficulty of a block, F the mean of the fees that the pool's recent templates could have earned |
//! | who carries the variance | the operator, all of it, and that of the fees besides: what blocks really bring is the operator's. Against ruin it takes a reserve of many blocks, and a fee |
//! | hopping | gains nothing: what a share earns depends on its difficulty and on a mean that is the same for all |
//! | rounding | an account is paid whole atoms for the work that it did between two settlements, and less than one atom is left each time |
//!
//! Source: PPS of M. Rosenfeld, "Analysis of Bitcoin Pooled Mining Reward Systems", arXiv:1112.4980, section 2.2, with the mean fees added as
//! pools of the field publish it.

use adit_plugin_sdk::common::expected;
use adit_plugin_sdk::{
    ConfigError, Credit, Economics, FoundBlock, NoConfig, PayoutPlan, PayoutScheme, Pays, Weight, Window,
};

/// The scheme.
#[derive(Debug, Clone, Copy)]
pub struct Fpps;

impl PayoutScheme for Fpps {
    const NAME: &'static str = "fpps";
    const SUMMARY: &'static str =
        "FPPS: pays each share its part of subsidy and mean fees at once. The operator carries the variance.";
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
        expected(economics.subsidy.saturating_add(economics.mean_fees), shares, economics.work)
    }
}

adit_plugin_sdk::export_payout!(Fpps);
