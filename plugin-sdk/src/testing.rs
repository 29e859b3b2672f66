//! Tests rules and hash algorithms natively: no sandbox, no build, the same traits.
//!
//! Never part of a component. [`chain`] holds a chain in memory over which headers are built, mined and judged; [`native`] makes engines of plugins,
//! for tests that drive compiled ones too; [`vectors`] compares a
//! hash algorithm with known answers, which `adit plugin test` reads again for the compiled component.

pub mod chain;
pub mod native;
pub mod vectors;

pub use chain::TestChain;
pub use native::{NativeHash, NativeRules};
pub use vectors::{Vector, VectorError, check_vectors, read_vectors};
