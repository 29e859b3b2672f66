//! The chain with the most work, its blocks won by plots on disks.
//!
//! Pure functions of headers and their ancestors: no clock, no randomness, no floating point, nothing kept between calls. Never looks into a
//! block's body, never reads a plot, never computes a score: the chain's hash plugin says it, and the host brings it as the digest of what
//! [`proof::score_input`] gives.
//!
//! A header names a place in somebody's plot, and its owner signs it. It is valid where that place answers the challenge of the round that the
//! header's time lies in with a score not above the target. Two kinds of plots, one to a chain ([`config::Leaf`]); `docs/plots.md` says what each is
//! worth. A plain plot counts from `registration-age` blocks after a header has registered it: whoever wins a block cannot make a plot for the next
//! challenge. A hard plot needs no registration: the account that it is made for follows from the key, and a nonce takes longer to make than it is worth.
//!
//! A header is judged in this order, and the first rule that it breaks is named: `header-length`, `version`, `proof-form`, `bits` (no target at
//! all), `genesis`, `registrations`, `plot-size`, `plot-kind`, `leaf`, `signature`; with other blocks in view `parent-unknown`, `time-too-old`,
//! `bits` (not the one computed), `challenge`, `registration`, `score`. [`violation::Rule`] lists all names.
//!
//! Of blocks with equal work the one of the earlier round wins, then the one with the lower score. Where history was cut off (`horizon` above 0), a rule
//! that needs a missing block is skipped.
//!
//! Reading order: [`config`] is what can be configured; [`chain`] applies it to headers; [`header`], [`proof`], [`challenge`], [`retarget`] and [`notes`]
//! are its parts; [`violation`] names what can be wrong.

// What two machines could compute differently is no rule.
#![deny(clippy::float_arithmetic)]

pub mod chain;
pub mod challenge;
pub mod config;
pub mod header;
pub mod notes;
pub mod proof;
pub mod retarget;
pub mod violation;

pub use chain::SpaceChain;
pub use config::Config;

adit_plugin_sdk::export_space!(SpaceChain);
