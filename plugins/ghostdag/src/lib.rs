//! GHOSTDAG: blocks name several parents, and all nodes put them into one order in which a minority that withholds blocks comes last.
//!
//! Exactly as Kaspa runs it (Sompolinsky, Wyborski, Zohar: "PHANTOM and GHOSTDAG", 2021; the rules of difficulty, median time, merge depth
//! and pruning points are those of Kaspa's nodes and of KIP-4). Pure functions of headers and their ancestors: no clock, no randomness, no
//! floating point; what an instance remembers, a fresh one reads from the host and answers the same. It never looks into a block's body, never
//! hashes for the proof of work, and never searches the DAG by itself: merge sets and ancestry are facts that the host tells.
//!
//! A header is judged in this order, and the first rule that it breaks is named: its form (`header`, `parents-related` where one is named twice,
//! `bits`, `parents-max`), `proof-of-work`, `merge-set-max`, `parents-related`, `merge-depth`, `bits`, `time-too-old`, and where the format states
//! them `daa-score`, `blue-score`, `blue-work`, `pruning-point`. [`violation::Rule`] lists all names.
//!
//! Reading order: [`config`] is what can be configured; [`chain`] applies it to headers; [`colour`] is GHOSTDAG itself; [`header`] the formats;
//! [`notes`] what a placement keeps for later ones, [`past`] how it is read again; [`window`], [`difficulty`] and [`depth`] the other rules;
//! [`violation`] names what can be wrong.

// What two machines could compute differently is no rule.
#![deny(clippy::float_arithmetic)]

pub mod chain;
pub mod colour;
pub mod config;
pub mod depth;
pub mod difficulty;
pub mod header;
pub mod notes;
pub mod past;
pub mod violation;
pub mod window;

pub use chain::Ghostdag;
pub use config::Config;

adit_plugin_sdk::export_consensus!(Ghostdag);
