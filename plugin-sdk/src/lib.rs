//! The only crate that a plugin author needs: traits, types, export macros, a native test harness.
//!
//! An author implements [`HashAlgorithm`] or [`Consensus`] in plain Rust and never sees a binding. A plugin has no clock, no
//! randomness, no files and no network; it keeps nothing between instances.

pub mod config;
pub mod consensus;
pub mod hash;

pub use adit_primitives::contract::{
    Draft, Found, HeaderView, KnownBlock, MergedBlock, Placement, PowInput, Requirements, Scan, SearchJob, Template,
    Violation,
};
pub use adit_primitives::engine::ChainView;
pub use adit_primitives::{
    Amount, BlockId, CompactError, DecodeError, Encode, Decode, Hash256, Height, Reader, Target, Timestamp, U256, Work,
    canonical_struct, sha256d,
};
pub use config::ConfigError;
pub use consensus::{Consensus, JudgedHeader};
pub use hash::HashAlgorithm;
pub use schemars;
pub use serde;
