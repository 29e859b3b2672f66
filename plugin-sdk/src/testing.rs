//! Tests plugins of every kind natively: no sandbox, no build, the same traits.
//!
//! Never part of a component. [`chain`] holds a chain in memory over which headers are built, mined and judged; [`native`] makes engines of plugins,
//! for tests that drive compiled ones too; [`vectors`] compares a hash algorithm with known answers, [`pool_vectors`] a payout scheme or a
//! share validator, [`quorum_vectors`] a quorum policy; `adit plugin test` reads the same files again for the compiled component.

pub mod chain;
pub mod native;
pub mod pool_vectors;
pub mod quorum_vectors;
pub mod vectors;

pub use chain::TestChain;
pub use native::{NativeHash, NativePayout, NativeRules, NativeShares};
pub use pool_vectors::{
    PayoutVector, ShareVector, check_payout_vectors, check_share_vectors, read_payout_vectors, read_share_vectors,
};
pub use quorum_vectors::{QuorumVector, check_quorum_vectors, read_quorum_vectors};
pub use vectors::{Vector, VectorError, check_vectors, read_vectors};
