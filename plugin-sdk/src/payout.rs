//! What the author of a payout scheme writes.

use crate::ConfigError;
use crate::common::proportional;
use adit_primitives::contract::payout::{Credit, Economics, FoundBlock, PayoutPlan, ShareToWeigh, Weight};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

/// A payout scheme. The pool keeps the books and asks only what the [plan](PayoutScheme::plan) says: `split` for each block where
/// blocks are paid for, `settle` for new shares where shares are, `weigh` where shares weigh something other than their work.
///
/// Answers are proposals: one that credits an account twice, one that was not asked about, or more than there is, is refused whole. What a
/// split leaves over goes to the foundation, so schemes whose miners are to have all of it use [`proportional`].
pub trait PayoutScheme: Sized {
    /// The plugin's name in `chain.toml`: lower-case words joined by dashes.
    const NAME: &'static str;
    /// One sentence on what it pays for, and who carries the variance.
    const SUMMARY: &'static str;
    /// The plugin's `config` table.
    type Config: DeserializeOwned + JsonSchema;

    /// Makes an instance. What serde cannot check is checked here.
    fn new(config: Self::Config) -> Result<Self, ConfigError>;

    /// Returns what is paid for, and which shares have to be known for it.
    fn plan(&self) -> PayoutPlan;

    /// Weighs a share. Weights are summed for each account before a block is split.
    fn weigh(&self, share: &ShareToWeigh) -> u64 {
        share.work
    }

    /// Splits a block's reward over the weights of its window, one row for each account. Without it: in proportion.
    fn split(&self, block: &FoundBlock, weights: &[Weight]) -> Vec<Credit> {
        proportional(block.distributable, weights)
    }

    /// Pays for shares, whose weights are the sums of their work in expected hashes. Without it: nothing.
    fn settle(&self, _shares: &[Weight], _economics: &Economics) -> Vec<Credit> {
        Vec::new()
    }
}

/// Makes a type the payout scheme that this crate's component exports. One line, once, at the crate's root.
///
/// Does nothing in native builds.
#[macro_export]
macro_rules! export_payout {
    ($plugin:ty) => {
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code)]
        const _: () = {
            $crate::__exported!($plugin, Payout, PayoutScheme);
    $crate::glue::payout::bindings::export_payout_world!(Exported with_types_in $crate::glue::payout::bindings);
        };
    };
}
