//! The only crate that a plugin author needs: traits, types, export macros, a native test harness.
//!
//! An author implements [`HashAlgorithm`], [`Consensus`], [`PayoutScheme`] or [`ShareValidator`] in plain Rust, writes one line
//! ([`export_hash!`], [`export_consensus!`], [`export_payout!`], [`export_shares!`]) and never sees a binding. A plugin has no clock, no randomness, no files and no network; it keeps
//! nothing between instances.
//!
//! Reading order: [`hash`], [`consensus`], [`payout`] and [`shares`] are what an author writes, [`config`] how a plugin is configured, [`judge`] how a
//! batch of headers is judged, [`common`] what many plugins share, [`simd`] vectors of words for those that hash, [`testing`] how all are tested natively. `glue` meets the WIT contract and exists in components
//! alone; `build` and `scaffold` belong to hosts and exist behind features.
//!
//! # Fixed order
//! Rules must give the same answer on every node, so nothing that they compute may depend on the order of a
//! [`HashMap`](std::collections::HashMap): it differs between two maps of one instance. Use [`BTreeMap`](std::collections::BTreeMap).

pub mod common;
pub mod config;
pub mod consensus;
pub mod hash;
pub mod judge;
pub mod payout;
pub mod shares;
pub mod simd;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

#[cfg(feature = "build")]
pub mod build;
#[cfg(feature = "scaffold")]
pub mod scaffold;

#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod glue;

pub use adit_primitives::contract::payout::{
    AccountId, Credit, Economics, FoundBlock, PayoutPlan, Pays, ShareToWeigh, Weight, Window,
};
pub use adit_primitives::contract::quorum::{CheckPlan, CheckQuestion, QuorumTerms};
pub use adit_primitives::contract::shares::{
    Claim, Judgement, ShareDifficulty, ShareVerdict, WorkHistory, WorkSlice, WorkerRecord,
};
pub use adit_primitives::contract::space;
pub use adit_primitives::contract::{
    Candidate, Draft, Found, HeaderView, KnownBlock, MergedBlock, Placement, PowInput, Requirements, Scan, SearchJob,
    Stamp, Template, Violation,
};
pub use adit_primitives::engine::ChainView;
pub use adit_primitives::space as plot;
pub use adit_primitives::{
    Amount, BlockId, CompactError, Decode, DecodeError, Encode, Hash256, Height, Reader, Target, Timestamp, U256, Work,
    canonical_struct, sha256d,
};
pub use config::{ConfigError, NoConfig};
pub use consensus::{Consensus, JudgedHeader, ProofOfSpace};
pub use hash::HashAlgorithm;
pub use payout::PayoutScheme;
pub use schemars;
pub use serde;
pub use shares::{QuorumPolicy, ShareValidator};
