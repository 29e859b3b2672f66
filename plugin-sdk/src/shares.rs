//! What the author of a share validator writes.

use crate::ConfigError;
use adit_primitives::contract::quorum::{CheckPlan, CheckQuestion, QuorumTerms};
use adit_primitives::contract::shares::{Claim, Judgement, ShareDifficulty, WorkHistory};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

/// A share validator: a pool's policy over facts that the host has established.
///
/// It can only be stricter than the host: the hash of every share is computed and every duplicate is found before a validator is asked, and
/// accepting a share against those facts is the plugin's fault.
pub trait ShareValidator: Sized {
    /// The plugin's name in `chain.toml`: lower-case words joined by dashes.
    const NAME: &'static str;
    /// One sentence on its policy.
    const SUMMARY: &'static str;
    /// The plugin's `config` table.
    type Config: DeserializeOwned + JsonSchema;

    /// Makes an instance. What serde cannot check is checked here.
    fn new(config: Self::Config) -> Result<Self, ConfigError>;

    /// Judges a share.
    fn judge(&self, claim: &Claim) -> Judgement;

    /// Returns how hard the next shares of a connection should be. The host cuts it to the history's bounds.
    fn retarget(&self, history: &WorkHistory) -> ShareDifficulty;
}

/// A share validator that also says how the nodes of a peer-to-peer pool agree.
///
/// The host counts weights and signatures, asks for more than two thirds whatever the terms say, and cuts a sample so that some
/// honest validators hash every share.
pub trait QuorumPolicy: ShareValidator {
    /// Returns the terms. They follow from the configuration alone.
    fn terms(&self) -> QuorumTerms;

    /// Says where a batch of another node is checked.
    fn plan(&self, question: &CheckQuestion) -> CheckPlan;
}

/// Makes a type the share validator that this crate's component exports. One line, once, at the crate's root.
///
/// Does nothing in native builds.
#[macro_export]
macro_rules! export_shares {
    ($plugin:ty) => {
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code)]
        const _: () = {
            $crate::__exported!($plugin, Shares, ShareValidator);
    $crate::glue::shares::bindings::export_shares_world!(Exported with_types_in $crate::glue::shares::bindings);
        };
    };
}

/// Makes a type the share validator and the quorum policy that this crate's component exports. One line, once, at the crate's root,
/// in the place of [`export_shares!`](crate::export_shares).
///
/// Does nothing in native builds.
#[macro_export]
macro_rules! export_quorum {
    ($plugin:ty) => {
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code)]
        const _: () = {
            $crate::__exported!($plugin, Shares, ShareValidator);
    $crate::glue::shares::bindings::export_shares_world!(Exported with_types_in $crate::glue::shares::bindings);
    $crate::glue::quorum::bindings::export_quorum_world!(Exported with_types_in $crate::glue::quorum::bindings);
        };
    };
}
