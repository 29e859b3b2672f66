//! What tests of several crates share: recorded data of real chains, and the checks that a consensus plugin must pass on it.
//!
//! Never part of a build that users get. Knows plugins through `primitives::engine` alone, so that the same check runs on a plugin's
//! native code in its own crate and on the compiled component in `tests/it`.
//!
//! Reading order: [`recorded`] finds the data, [`seed`] draws cases, [`conformance`] holds the checks, [`fuzz`] every decoder.

pub mod conformance;
pub mod fuzz;
pub mod recorded;
pub mod seed;
