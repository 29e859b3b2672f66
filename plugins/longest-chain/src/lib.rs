//! The chain with the most work: one parent for each block, a proof of work, and a rule by which the difficulty follows the miners.
//!
//! Pure functions of headers and their ancestors: no clock, no randomness, no floating point; what an instance remembers, a fresh one
//! reads from the host and answers the same. Never looks into a block's body, never hashes for the proof of work (the host brings
//! the digest by the chain's hash plugin).
//!
//! A header is judged in this order, and the first rule that it breaks is named: `header-length`, `version`, `bits` (no target at
//! all), `genesis`, `parent-unknown`, `bits` (not the one computed), `proof-of-work`, `time-too-old`. [`violation::Rule`] lists all
//! names.
//!
//! Where history was cut off (`horizon` above 0) a rule that needs a missing block is skipped: a retarget is not computed before
//! the run holds its whole period, and a time is refused only where no missing block could make it valid.
//!
//! Reading order: [`config`] is what can be configured; [`chain`] applies it to headers; [`header`], [`difficulty`] and [`time`]
//! are its parts; [`retarget`] lists the retarget rules, one file each; [`violation`] names what can be wrong.

// What two machines could compute differently is no rule.
#![deny(clippy::float_arithmetic)]

pub mod chain;
pub mod config;
pub mod difficulty;
pub mod header;
pub mod retarget;
pub mod time;
pub mod violation;

pub use chain::LongestChain;
pub use config::Config;

adit_plugin_sdk::export_consensus!(LongestChain);
